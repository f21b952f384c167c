"""A knowledge base for tests: texts found by the words they share, documents as rows, no index, no model."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np

from feedback.database import Database
from feedback.records import Thumb, Turn, normalise
from feedback.store import Ending, NewTurn, Store, Verdict
from retrieval.records import Hit, Passage
from retrieval.shelf import NewDocument, Shelf

SIZE = 512


def passage(name: str, title: str, text: str, audience: str = "") -> Passage:
    return Passage(f"psg-{name}", f"doc-{name}", "document", audience, title, text, None, 0)


class Knowing:
    """What causes and gaps need of a library."""

    def __init__(self, database: Database, *passages: Passage) -> None:
        self.passages = list(passages)
        self.shelf = Shelf(database)
        self.empty = False
        self.embedded: list[str] = []
        self._words: dict[str, int] = {}

    async def search(
        self,
        question: str,
        audiences: Collection[str],
        *,
        kinds: Sequence[str] = ("document",),
        most: int | None = None,
        floor: float | None = None,
    ) -> list[Hit]:
        asked = self._vector(question)
        allowed = [one for one in self.passages if one.audience in audiences]
        hits = [Hit(one, float(asked @ self._vector(one.searched)), 0.0) for one in allowed]
        found = sorted(hits, key=lambda hit: -hit.score)[:most]
        return [hit for hit in found if floor is None or hit.score >= floor]

    def embed(self, texts: Sequence[str]) -> Any:
        self.embedded += texts
        return np.stack([self._vector(text) for text in texts])

    def add(self, name: str, ready: bool = True) -> None:
        """A document as a row, found already or still waiting."""
        self.shelf.add(NewDocument(f"doc-{name}", f"{name}.md", "", "0" * 64, 1, "sam"))
        if ready:
            work = self.shelf.claim(alone=True)
            assert work is not None
            self.shelf.ready(work, name, 1)

    def _vector(self, text: str) -> Any:
        vector = np.zeros(SIZE, dtype=np.float32)
        for word in normalise(text).split():
            vector[self._words.setdefault(word, len(self._words) % SIZE)] += 1
        return vector / max(1.0, float(np.linalg.norm(vector)))


def asked(
    store: Store,
    question: str,
    answer: str = "I could not find anything.",
    *,
    person: str = "ann",
    passages: Sequence[dict[str, Any]] = (),
    searched: str | None = "",
) -> Turn:
    """A conversation of one turn that documents were looked through for (`searched` None: were not)."""
    conversation = store.start_conversation(person, question)
    new = NewTurn(
        conversation.id,
        None,
        person,
        question,
        [{"role": "user", "content": question}],
        "model",
        None,
        {},
        passages=passages,
        searched=question if searched == "" else searched,
    )
    return store.end(store.begin(new), Ending("complete", answer, finish_reason="stop"))


def judged(
    store: Store, turn: Turn, thumb: Thumb = "down", reasons: Sequence[str] = ("facts",), correction: str = ""
) -> None:
    """Its owner's opinion."""
    store.judge(turn.id, turn.person_id, "user", Verdict(thumb, reasons, "", correction))
