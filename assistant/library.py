"""The knowledge base of one home: takes files in, shows who may see them, finds what helps with a question.

Adding leaves a file and a row, so any process may do it; the one that was started as the owner does the rest
(`librarian.py`). Knows no page and no route.
"""

from __future__ import annotations

import hashlib
import io
import logging
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from anyio import CapacityLimiter, to_thread

from assistant.accounts import Account, AccountError, check_group
from assistant.audit import Audit
from assistant.librarian import Librarian, Parts, RealParts, Trouble
from feedback.database import Database
from retrieval.files import Files, clean_name, too_large
from retrieval.records import (
    EVERYBODY,
    Document,
    Hit,
    Kind,
    NotFound,
    Passage,
    Refused,
    Unavailable,
    Unreadable,
)
from retrieval.shelf import Change, NewDocument, Shelf, check_removable, new_id
from retrieval.watching import Watching

if TYPE_CHECKING:
    from assistant.settings import Settings

log = logging.getLogger(__name__)

INSTALL = "documents need the extra: pip install 'apprentice[documents]'"
_NEEDED = ("bm25s", "chromadb", "langchain_chroma", "langchain_core", "langchain_text_splitters", "pypdf")
_DOCUMENTS: tuple[Kind, ...] = ("document",)
_AT_ONCE = 2
"""Questions that are embedded and searched at the same moment; the others wait."""


class Library:
    """The documents of one home. Safe to share between threads; several processes may have one each."""

    def __init__(
        self,
        database: Database,
        settings: Settings,
        open_parts: Callable[[], Parts] | None = None,
    ) -> None:
        self._database, self._settings = database, settings
        self._audit = Audit(database)
        self.disabled = _why_disabled(settings) if open_parts is None else None
        """Why there is no knowledge base, in a sentence; None when there is one."""
        self.shelf = Shelf(database)
        section, folder = settings.documents, settings.home / "documents"
        self.largest = int(section.largest_mb * 1_000_000)
        """Bytes of the largest file that is taken in."""
        self._files = Files(folder / "files", self.largest)
        self._watched = section.folder
        watching = None
        if section.folder is not None:
            watching = Watching(section.folder, self.shelf, self.bring_in, self.take_out)
        self._librarian = Librarian(
            self.shelf,
            self._files,
            open_parts or RealParts(database, settings),
            folder / "rebuilding.json",
            alone=not settings.chroma_url,
            watching=watching,
        )
        self._limiter: CapacityLimiter | None = None

    @property
    def enabled(self) -> bool:
        """Whether documents can be used here: they are switched on, and what they need is installed."""
        return self.disabled is None

    @property
    def empty(self) -> bool:
        """Whether there is nothing that could be found."""
        return not self.enabled or not self.shelf.holds_passages()

    @property
    def bookless(self) -> bool:
        """Whether there are no documents, be there approved answers or not."""
        return not self.shelf.holds_passages(_DOCUMENTS)

    @property
    def rebuilding(self) -> float | None:
        """How much of the index has been built again for another model, 0 to 1; None when it is whole."""
        return self._librarian.rebuilding

    @property
    def watched(self) -> str:
        """The folder that is watched; empty: none."""
        return str(self._watched or "")

    @property
    def problem(self) -> str | None:
        """Why the last try of this process to open the index, or to work on it, came to nothing."""
        return self._librarian.problem

    @property
    def trouble(self) -> Trouble | None:
        """What holds the work up in the process that does it."""
        return self._librarian.trouble

    def start(self) -> None:
        """Become the owner, or wait to be it: from now on one thread does what the rows ask for."""
        if self.enabled:
            self._librarian.start()

    def close(self) -> None:
        """Give the index back. What was being indexed goes on at the next start."""
        self._librarian.close()

    def ready(self) -> str | None:
        """What keeps questions from being answered with documents, None if nothing does."""
        if not self.enabled or self._librarian.is_open or not self.shelf.holds_passages():
            return None
        return self.problem or "the knowledge base is being opened"

    # -- who may see what

    @staticmethod
    def audiences(account: Account) -> frozenset[str]:
        """For whom a document may be that this person's questions find."""
        return frozenset({EVERYBODY, *account.groups})

    def documents(self, account: Account) -> list[Document]:
        """What this person may see. Staff see all, also what is refused or waits."""
        if account.may("staff"):
            return self.shelf.all()
        found = self.shelf.all(self.audiences(account))
        return [document for document in found if document.state not in ("refused", "removing")]

    def document(self, document_id: str, account: Account) -> Document:
        """One document. Raises `NotFound` also where it is not for this person."""
        found = self.shelf.get(document_id)
        theirs = account.may("staff") or (
            found.audience in self.audiences(account) and found.state not in ("refused", "removing")
        )
        if not theirs:
            raise NotFound(f"there is no document {document_id[:60]}")
        return found

    def file(self, document: Document) -> Path:
        """Where its bytes are. Raises `NotFound` for one that was refused before it was kept."""
        place = self._files.place(document)
        if not place.is_file():
            raise NotFound(f"the file of {document.name} is not there")
        return place

    # -- in and out

    def add(self, name: str, content: bytes | Path | BinaryIO, audience: str, by: str) -> Document:
        """Take a file in, for everybody ("") or for a group: `bring_in` without saying what changed."""
        return self.bring_in(name, content, audience, by)[0]

    def bring_in(
        self, name: str, content: bytes | Path | BinaryIO, audience: str, by: str, *, watched: bool = False
    ) -> tuple[Document, Change]:
        """Keep a file and put it in the queue; it replaces the one of its name and audience.

        Blocks while it copies. Raises `Unreadable` for what is empty, too large or can't be
        opened, `Refused` for what can't be a group, and `Unavailable`.
        """
        if self.disabled is not None:
            raise Unavailable(self.disabled)
        name = clean_name(name)
        _check_audience(audience)
        with (
            _stream(content, self.largest) as source,
            self._files.arriving(source) as arrived,
            self._files.held(),
        ):
            before = self.shelf.named(name, audience)
            key = before.id if before else new_id()
            self._files.keep(arrived, key)
            new = NewDocument(key, name, audience, arrived.digest, arrived.size, by, watched)
            document, change = self.shelf.add(new)
            if document.id != key:
                # On a database of several machines another one was first with this name.
                self._files.move(key, document)
        if change != "unchanged":
            done = "document added" if change == "new" else "document replaced"
            self._audit.note(
                by, done, f"{document.id}: {document.name}", "", f"for {audience or 'everybody'}"
            )
            log.info("%s added %s (%s, %d bytes)", by, document.name, document.id, document.size)
            self._librarian.wake()
        return document, change

    def remove(self, document_id: str, by: str) -> Document:
        """Nobody finds or opens it from now on; index, file and row follow at once or at the next start.

        Raises `NotFound`, and `Refused` for a file of the folder that is watched.
        """
        document = self.shelf.get(document_id)
        if self._watched is not None:
            check_removable(document)
        return self.take_out(document, by)

    def take_out(self, document: Document, by: str) -> Document:
        """Remove it, wherever it came from. Raises `NotFound`."""
        document = self.shelf.remove(document.id)
        self._audit.note(by, "document removed", f"{document.id}: {document.name}")
        log.info("%s removed %s (%s)", by, document.name, document.id)
        self._librarian.wake()
        return document

    def put_answer(self, approval_id: str, question: str, answer: str, audience: str = EVERYBODY) -> None:
        """Have an approved answer found from now on. Blocks; raises `Unavailable`."""
        said = "\0".join((approval_id, audience, question, answer))
        key = f"psg-{hashlib.sha256(said.encode()).hexdigest()[:32]}"
        one = Passage(key, approval_id, "answer", audience, question, answer, None, 0)
        self.parts().index.put(approval_id, [one])

    def drop_answer(self, approval_id: str) -> None:
        """Have it found no more. Blocks; raises `Unavailable`."""
        self.parts().index.drop(approval_id)

    def answers(self) -> dict[str, bool]:
        """The approvals whose answers stand in the index, each with whether it can be found by its vector."""
        return self.shelf.answers()

    # -- questions

    async def find(
        self,
        question: str,
        account: Account,
        *,
        kinds: Sequence[Kind] = ("document",),
        most: int | None = None,
        floor: float | None = None,
        lines: int = 0,
    ) -> list[Hit]:
        """The best passages that this person may see, each with what stands around it, or so many of the
        nearest `lines`; [] when disabled or empty, and where none reaches the floor.

        Raises `Unavailable` when there is something to be found and it can't be searched now.
        """
        audiences = self.audiences(account)
        return await self.search(
            question, audiences, kinds=kinds, most=most, floor=floor, grow=True, lines=lines
        )

    async def search(
        self,
        question: str,
        audiences: Collection[str],
        *,
        kinds: Sequence[Kind] = ("document",),
        most: int | None = None,
        floor: float | None = None,
        grow: bool = False,
        lines: int = 0,
    ) -> list[Hit]:
        """As `find`, for whoever belongs to these audiences; what is for everybody always counts."""
        question = question.strip()
        if not question or await to_thread.run_sync(lambda: self.empty):
            return []
        parts = await self._librarian.opened()
        if self._limiter is None:
            self._limiter = CapacityLimiter(_AT_ONCE)
        wanted = frozenset({EVERYBODY, *audiences})

        def work() -> list[Hit]:
            found = parts.search.find(
                question,
                wanted,
                kinds=kinds,
                most=most or self._settings.documents.most,
                floor=floor,
                grow=grow,
                lines=lines,
            )
            return self._still_there(found, wanted)

        return await to_thread.run_sync(work, limiter=self._limiter)

    def embed(self, texts: Sequence[str]) -> Any:
        """Vectors of these texts, one a row, of length one. Blocks; raises `Unavailable`."""
        return self.parts().embedder.documents(texts)

    def _still_there(self, hits: Sequence[Hit], audiences: Collection[str]) -> list[Hit]:
        """The rows are the truth: what is being removed stands in the index a moment longer."""
        rows = self.shelf.some({hit.passage.source_id for hit in hits if hit.passage.kind == "document"})
        return [
            hit
            for hit in hits
            if hit.passage.kind != "document"
            or (
                (row := rows.get(hit.passage.source_id)) is not None
                and row.state not in ("removing", "refused")
                and row.audience in audiences
            )
        ]

    def parts(self) -> Parts:
        """Index, embedder and search, opened if need be. Blocks; raises `Unavailable`."""
        if self.disabled is not None:
            raise Unavailable(self.disabled)
        return self._librarian.parts()


@contextmanager
def _stream(content: bytes | Path | BinaryIO, largest: int) -> Iterator[BinaryIO]:
    """What `content` holds, as a binary stream."""
    if isinstance(content, bytes):
        yield io.BytesIO(content)
        return
    if not isinstance(content, Path):
        yield content
        return
    try:
        # Said before anything is copied: the disk may not have room for it.
        if content.stat().st_size > largest:
            raise Unreadable(too_large(largest))
        source = content.open("rb")
    except OSError as error:
        raise Unreadable(f"it can't be opened: {(error.strerror or str(error)).lower()}") from None
    with source:
        yield source


def _check_audience(audience: str) -> None:
    try:
        if audience != EVERYBODY:
            check_group(audience)
    except AccountError as problem:
        raise Refused(str(problem)) from None


def _why_disabled(settings: Settings) -> str | None:
    if not settings.documents.enabled:
        return "documents are switched off (APPRENTICE_DOCUMENTS__ENABLED)"
    return None if all(find_spec(name) for name in _NEEDED) else INSTALL
