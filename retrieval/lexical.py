"""Finds passages by their words: BM25 over the rows of the passages, built again after they changed.

A search takes what was built last, and never waits. Large ones are built by a process of their own
(`python -m retrieval.lexical`), for Python can't count words in two threads at once. Knows no vector.
"""

from __future__ import annotations

import json
import logging
import math
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from retrieval.records import Kind, Passage, Unavailable

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from retrieval.index import Index

log = logging.getLogger(__name__)

SMALL = 2_000
"""Up to so many passages are built by a thread here, in some tenths of a second."""
_SETTLE = 0.5
"""Seconds that changes may come in one after the other before they are built."""
_LOOK_SECONDS = 5.0
"""How soon changes by other processes are noticed, where there are any."""
_AGAIN_SECONDS = 5.0
"""How long after a build that failed the next one is tried."""
_SHARE = 0.1
"""How much of the time building may take, where changes never end; but never a longer pause than this."""
_LONGEST_PAUSE = 60.0
_PREFIX = "words-"


@dataclass(frozen=True)
class Words:
    """What was built at one time: passages by number, and BM25 over them."""

    ids: list[str]
    places: NDArray[np.int32]
    """For each passage the number of its kind and audience."""
    numbers: dict[tuple[str, str], int]
    bm25: Any
    """None where no passage has a word."""
    masks: dict[frozenset[int], NDArray[np.bool_]] = field(default_factory=dict)

    def find(
        self, question: str, audiences: Collection[str], kinds: Collection[Kind], most: int
    ) -> list[str]:
        """The ids of the passages that share words with the question, best first."""
        return list(self.covering(question, audiences, kinds, most))

    def covering(
        self, question: str, audiences: Collection[str], kinds: Collection[Kind], most: int
    ) -> dict[str, float]:
        """The same, each with how much of what the question's words tell stands in it, 0 to 1. A rare word
        tells more than a frequent one, and one that stands in no passage the most."""
        import numpy as np

        wanted = frozenset(
            number
            for (kind, audience), number in self.numbers.items()
            if kind in kinds and audience in audiences
        )
        if self.bm25 is None or not wanted:
            return {}
        words = [word for word in tokens([question])[0] if word]
        known = [word for word in words if word in self.bm25.vocab_dict]
        if not known:
            return {}
        scores = self.bm25.get_scores(known)
        if len(wanted) < len(self.numbers):
            mask = self.masks.get(wanted)
            if mask is None:
                # A few sets of groups ask again and again
                if len(self.masks) > 100:
                    self.masks.clear()
                mask = self.masks[wanted] = np.isin(self.places, sorted(wanted))
            scores = np.where(mask, scores, 0.0)
        some = np.argpartition(-scores, most - 1)[:most] if most < len(scores) else np.arange(len(scores))
        best = some[np.lexsort((some, -scores[some]))]
        best = best[scores[best] > 0]
        shares = self._shares(words, best)
        return {self.ids[number]: float(share) for number, share in zip(best, shares, strict=True)}

    def _shares(self, words: Sequence[str], members: NDArray[np.int64]) -> NDArray[np.float64]:
        """For each of the passages by number, the share of the words' information that it holds."""
        import numpy as np

        matrix, count = self.bm25.scores, len(self.ids)
        held, all_told = np.zeros(len(members)), 0.0
        for word in dict.fromkeys(words):
            number = self.bm25.vocab_dict.get(word)
            start, end = matrix["indptr"][number : number + 2] if number is not None else (0, 0)
            told = math.log(1 + (count - (end - start) + 0.5) / (end - start + 0.5))
            all_told += told
            held += told * np.isin(members, matrix["indices"][start:end])
        return held / all_told


class Lexical:
    """The words of an index, kept fresh by a thread of its own. Safe to share between threads."""

    def __init__(self, index: Index) -> None:
        self._index = index
        self._due = threading.Event()
        self._ended = threading.Event()
        self._fresh = threading.Condition()
        self._asked, self._built = 1, 0
        self._words: Words | None = None
        self._seen = (0, 0.0)
        self._due.set()
        index.on_change(self.changed)
        self._thread = threading.Thread(target=self._keep, name="words", daemon=True)
        self._thread.start()

    def find(
        self, question: str, audiences: Collection[str], kinds: Collection[Kind], most: int
    ) -> list[str]:
        """Ids of passages, best first; none before the first build is done."""
        return list(self.covering(question, audiences, kinds, most))

    def covering(
        self, question: str, audiences: Collection[str], kinds: Collection[Kind], most: int
    ) -> dict[str, float]:
        """The same, each with the share of the question that its words make up."""
        words = self._words
        return {} if words is None else words.covering(question, audiences, kinds, most)

    def changed(self) -> None:
        """Passages came or went: what was built is to be built again."""
        with self._fresh:
            self._asked += 1
        self._due.set()

    def settled(self, seconds: float) -> bool:
        """Wait until all that changed up to now is built; whether it was in time."""
        with self._fresh:
            wanted = self._asked
            return self._fresh.wait_for(lambda: self._built >= wanted, seconds)

    def close(self) -> None:
        """End the thread, and a build with it."""
        self._ended.set()
        self._due.set()
        self._thread.join()

    def _keep(self) -> None:
        # Loading the library takes seconds, which are not the time of a build
        tokens([])
        if not self._index.shared:
            # Nobody else can be building here: what lies about was left by a killed process
            for left in self._index.folder.glob(f"{_PREFIX}*"):
                shutil.rmtree(left, ignore_errors=True)
        while not self._ended.is_set():
            due = self._due.wait(_LOOK_SECONDS if self._index.shared else None)
            # The first build is waited for; later ones gather what comes in one after the other
            if self._words is not None and self._ended.wait(_SETTLE):
                return
            started, pause = time.monotonic(), 0.0
            try:
                if due or self._seen != self._index.state():
                    self._renew()
            except Exception:
                # A busy database, a killed build: what passes by itself must not wait for another change
                log.exception("the words of the passages could not be indexed")
                self._due.set()
                pause = _AGAIN_SECONDS
            share = min(_LONGEST_PAUSE, (time.monotonic() - started) * (1 / _SHARE - 1))
            self._ended.wait(max(pause, share))

    def _renew(self) -> None:
        self._due.clear()
        with self._fresh:
            asked = self._asked
        self._seen = self._index.state()
        self._words = self._build() or self._words
        with self._fresh:
            self._built = asked
            self._fresh.notify_all()

    def _build(self) -> Words | None:
        if self._index.count() <= SMALL:
            return build([one for some in self._index.all() for one in some])
        self._index.folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=_PREFIX, dir=self._index.folder) as folder:
            return self._built_by_child(Path(folder))

    def _built_by_child(self, folder: Path) -> Words | None:
        with (folder / "errors").open("w+", encoding="utf-8") as errors:
            child = subprocess.Popen(
                [sys.executable, "-m", "retrieval.lexical", str(folder)],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=errors,
                cwd=Path(__file__).resolve().parent.parent,
                text=True,
            )
            try:
                # Over the pipe, where nobody else reads it: the location may hold a password
                assert child.stdin is not None
                child.stdin.write(self._index.database.location)
                child.stdin.close()
                while child.poll() is None:
                    if self._ended.wait(0.05):
                        return None
            finally:
                if child.poll() is None:
                    child.kill()
                child.wait()
            if child.returncode:
                errors.seek(0)
                raise Unavailable(f"indexing words ended with {child.returncode}: {errors.read()[-500:]}")
        return load(folder)


def tokens(texts: Sequence[str]) -> list[list[str]]:
    """The stems of the words of each text, without those that are everywhere."""
    import bm25s
    import Stemmer

    # It tells of every build, whatever level we log at
    logging.getLogger("bm25s").setLevel(logging.WARNING)
    # A stemmer is for one thread alone, and made in microseconds
    found: list[list[str]] = bm25s.tokenize(
        list(texts), stopwords="en", stemmer=Stemmer.Stemmer("english"), return_ids=False, show_progress=False
    )
    return found


def build(members: Sequence[Passage]) -> Words:
    """BM25 over these passages."""
    import bm25s
    import numpy as np

    numbers: dict[tuple[str, str], int] = {}
    places = [numbers.setdefault((one.kind, one.audience), len(numbers)) for one in members]
    words = tokens([one.searched for one in members])
    bm25 = None
    if any(any(some) for some in words):
        bm25 = bm25s.BM25()
        bm25.index(words, create_empty_token=False, show_progress=False)
    return Words([one.id for one in members], np.array(places, np.int32), numbers, bm25)


def save(words: Words, folder: Path) -> None:
    """Write what was built into an empty folder."""
    import numpy as np

    if words.bm25 is not None:
        words.bm25.save(folder / "bm25")
    np.save(folder / "places.npy", words.places)
    about = {"ids": words.ids, "numbers": [[*place, number] for place, number in words.numbers.items()]}
    (folder / "about.json").write_text(json.dumps(about), encoding="utf-8")


def load(folder: Path) -> Words:
    """Read what `save` wrote."""
    import bm25s
    import numpy as np

    about = json.loads((folder / "about.json").read_text(encoding="utf-8"))
    bm25 = bm25s.BM25.load(folder / "bm25") if (folder / "bm25").exists() else None
    numbers = {(kind, audience): number for kind, audience, number in about["numbers"]}
    return Words(about["ids"], np.load(folder / "places.npy"), numbers, bm25)


def main() -> None:
    """Build what the database named on standard input holds, into the folder that is named."""
    from feedback.database import connect
    from retrieval.index import every

    # People's questions go first
    os.nice(10)
    database = connect(sys.stdin.read())
    try:
        members = [one for some in every(database) for one in some]
    finally:
        database.close()
    save(build(members), Path(sys.argv[1]))


if __name__ == "__main__":
    main()
