"""The thread that owns the index: opens it when it is needed, watches the folder, indexes what waits.

Nothing heavy is loaded before there is something to do. What goes wrong is said once in the log and
to whoever asks, and tried again. Knows no person.
"""

from __future__ import annotations

import asyncio
import ctypes
import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from assistant.files import read_json, write_json
from feedback.database import Database, DatabaseUnavailable
from retrieval.files import Files
from retrieval.indexing import Cuts, Indexing, Reads, Stopped
from retrieval.records import Document, Passage, RetrievalError, Section, Unavailable
from retrieval.shelf import Shelf
from retrieval.watching import Watching

if TYPE_CHECKING:
    from assistant.settings import Settings
    from retrieval.embeddings import Embedder
    from retrieval.index import Index
    from retrieval.search import Search

log = logging.getLogger(__name__)

_POLL_SECONDS = 1.0
_RETRY_SECONDS = 2.0
_LOOK_SECONDS = 3.0
_TELL_SECONDS = 0.5
_PATIENCE_SECONDS = 30.0
"""How long a question waits for the index to be opened, just after a start."""
_LONGEST_SECONDS = 300.0
"""How long a thread waits for it: on a busy machine the libraries alone take a minute to load."""
_OLD_SECONDS = 180.0
"""Longer than a try takes to fail (twice a minute for an embedding server). What was met before that is past:
a long document goes on since, or the process is gone."""

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8  # malloc.h


@dataclass(frozen=True, slots=True)
class Trouble:
    """What holds the work up."""

    said: str
    at: float
    """When it was last met, in seconds since the epoch."""

    @property
    def lasts(self) -> bool:
        """Whether it has not been so long ago that the work must be going on."""
        return time.time() - self.at <= _OLD_SECONDS


@dataclass(frozen=True, slots=True)
class Parts:
    """What is heavy: loaded when the first document or question needs it."""

    index: Index
    embedder: Embedder
    search: Search
    read: Reads
    cut: Cuts


class Librarian:
    """One for each process. `open_parts` is called in the thread, again and again until it succeeds."""

    def __init__(
        self,
        shelf: Shelf,
        files: Files,
        open_parts: Callable[[], Parts],
        note: Path,
        *,
        alone: bool,
        watching: Watching | None = None,
    ) -> None:
        self._shelf, self._files, self._open_parts = shelf, files, open_parts
        self._note, self._trouble_note = note, note.with_name("trouble.json")
        self._alone = alone
        self._watching = watching
        self._looked = -_LOOK_SECONDS
        self._parts: Parts | None = None
        self._indexing: Indexing | None = None
        self._wanted = self._stale = False
        self._told = -_TELL_SECONDS
        self._stop, self._wake, self._tried = threading.Event(), threading.Event(), threading.Event()
        self._thread: threading.Thread | None = None
        self._met: Trouble | None = None

    @property
    def problem(self) -> str | None:
        """Why the last try to open the index, or to work on it, came to nothing."""
        return self._met.said if self._met is not None and self._met.lasts else None

    @property
    def is_open(self) -> bool:
        """Whether questions can be answered now."""
        return self._parts is not None

    @property
    def rebuilding(self) -> float | None:
        """How much of the index has been built again for another model, 0 to 1; in whichever process."""
        note = read_json(self._note)
        return float(note["share"]) if note else None

    @property
    def trouble(self) -> Trouble | None:
        """What holds the work up, in whichever process."""
        note = read_json(self._trouble_note)
        met = Trouble(note["said"], note["at"]) if note else None
        return met if met is not None and met.lasts else None

    def start(self) -> None:
        """Begin, unless it has begun."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="librarian", daemon=True)
            self._thread.start()

    def close(self) -> None:
        """End the thread and give the index back. What was being indexed goes on at the next start."""
        self._stop.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join(15)

    def wake(self) -> None:
        """There is something to do."""
        self._wake.set()

    async def opened(self) -> Parts:
        """The parts, once they are open, if they are wanted anyway. Raises `Unavailable`."""
        end = time.monotonic() + _PATIENCE_SECONDS
        while self._parts is None:
            if self._thread is None or self.problem or time.monotonic() > end:
                raise Unavailable(self.problem or "the knowledge base is not open")
            await asyncio.sleep(0.05)
        return self._parts

    def parts(self) -> Parts:
        """The parts; blocks until they are open, also when nothing else wants them. Raises `Unavailable`."""
        if self._parts is None and self._thread is not None:
            self._tried.clear()
            self._wanted = True
            self._wake.set()
            self._tried.wait(_LONGEST_SECONDS)
        if self._parts is None:
            raise Unavailable(self.problem or "the knowledge base is not open")
        return self._parts

    def _run(self) -> None:
        tidied = False
        while not self._stop.is_set():
            pause = _RETRY_SECONDS
            try:
                if not tidied:
                    self._files.tidy(self._shelf.all)
                    tidied = True
                pause = 0.0 if self._step() else _POLL_SECONDS
                self._all_well()
            except Stopped:
                break
            except (RetrievalError, DatabaseUnavailable) as problem:
                self._trouble(str(problem))
            except Exception as problem:
                log.exception("the knowledge base met something unexpected")
                self._trouble(f"the knowledge base can't be opened: {problem}")
            if pause:
                self._wake.wait(pause)
                self._wake.clear()
        parts, self._parts = self._parts, None
        if parts is not None:
            parts.search.close()
            parts.index.close()

    def _trouble(self, said: str) -> None:
        if said != self.problem:
            log.warning("%s", said)
        self._met = Trouble(said, time.time())
        self._tried.set()
        with suppress(OSError):  # a full disk, say, which may be the trouble itself
            write_json(self._trouble_note, asdict(self._met))

    def _all_well(self) -> None:
        """A try succeeded. Called no earlier: what fails every time is in trouble between tries as well."""
        if self._met is not None:
            self._met = None
            self._trouble_note.unlink(missing_ok=True)

    def _step(self) -> bool:
        """Look at the folder, open the index if it is needed, take one document. False when all is done."""
        if self._watching is not None and time.monotonic() - self._looked >= _LOOK_SECONDS:
            self._watching.look()
            self._looked = time.monotonic()
        has_work = self._shelf.has_work()
        if self._parts is None:
            if not (has_work or self._wanted or self._shelf.holds_passages()):
                return False
            self._open()
        if self._stale and self._parts is not None:
            self._rebuild(self._parts)
        if not has_work or self._indexing is None:
            return False
        return self._indexing.step(alone=self._alone)

    def _open(self) -> None:
        started = time.monotonic()
        parts = self._open_parts()
        self._indexing = Indexing(
            self._shelf, self._files, parts.index, parts.read, parts.cut, self._stop.is_set
        )
        self._parts = parts
        self._all_well()
        self._tried.set()
        log.info("the knowledge base is open after %.1f s", time.monotonic() - started)
        self._stale = parts.index.stale()

    def _rebuild(self, parts: Parts) -> None:
        """Embed what has no vector of this model, with the progress where every process can read it.

        Meanwhile all is found by its words.
        """
        log.info("the index is built again: its vectors are another model's, or were lost")

        def tell(share: float) -> None:
            if self._stop.is_set():
                raise Stopped
            if time.monotonic() - self._told >= _TELL_SECONDS:
                self._told = time.monotonic()
                write_json(self._note, {"share": share})

        try:
            tell(0.0)
            parts.index.rebuild(tell)
            self._stale = False
        finally:
            self._note.unlink(missing_ok=True)


def spare_memory() -> None:
    """Keep this process small: see to what is freed, and leave out what is of no use here.

    Every batch that is embedded takes and frees megabytes, which glibc is told to return to the system, with
    few arenas between threads (mallopt(3)). Triton, which torch would load to compile kernels, takes 70 MiB,
    and so does numba, which bm25s would load for a way to search that is not ours. For each shape of a batch
    oneDNN and torch keep kernels and buffers of some 2 MiB, up to a thousand; 16 cost no time.
    """
    for unused in ("triton", "numba"):
        sys.modules.setdefault(unused, None)  # type: ignore[arg-type]  # None: as if it were not installed
    for capacity in ("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "LRU_CACHE_CAPACITY"):
        os.environ.setdefault(capacity, "16")
    with suppress(AttributeError, OSError):  # elsewhere than on glibc
        mallopt = ctypes.CDLL(None).mallopt
        for parameter, value in ((_M_MMAP_THRESHOLD, 2**18), (_M_TRIM_THRESHOLD, 2**17), (_M_ARENA_MAX, 2)):
            mallopt(parameter, value)


class RealParts:
    """Opens the real parts, by the settings. A call takes seconds, and raises `Unavailable`."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self._database, self._settings = database, settings
        self._embedder: Embedder | None = None

    def __call__(self) -> Parts:
        spare_memory()
        from retrieval import embeddings, parsing, splitting
        from retrieval.index import open_index
        from retrieval.search import Search

        section, home = self._settings.documents, self._settings.home
        if self._embedder is None:
            # Kept for the next try, should another process hold the index now.
            self._embedder = embeddings.open_embeddings(
                section.embeddings, section.embeddings_model, section.embeddings_key
            )
        place = home / "documents" / "index"
        length = splitting.counter(self._settings.model_location)
        index = open_index(self._settings.chroma_url, place, self._database, self._embedder)
        try:
            search = Search(
                index,
                self._embedder,
                floor=section.floor,
                reranker=section.reranker,
                length=length,
                block=section.block_tokens,
                hidden=Shelf(self._database).hidden,
            )
        except BaseException:
            index.close()
            raise
        largest = int(section.largest_mb * 1_000_000)

        def read(path: Path, name: str) -> Sequence[Section]:
            return parsing.read(path, name, largest=largest)

        def cut(document: Document, sections: Sequence[Section]) -> Sequence[Passage]:
            pieces = splitting.split(sections, length, section.passage_tokens)
            return splitting.passages(document.id, document.audience, pieces)

        return Parts(index, self._embedder, search, read, cut)
