"""A knowledge base without any library behind it: an index in a list, a search that counts common words."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import delete, insert

from feedback.database import Database
from retrieval.records import Document, Hit, Passage, Section, Unreadable
from retrieval.schema import index_records, passages


@dataclass
class FakeIndex:
    """Speaks what is asked of `retrieval.index.Index`. What a put has done by a batch, no kill takes away."""

    database: Database
    held: dict[str, dict[str, Passage]] = field(default_factory=dict)
    """Passages by source and id."""
    embedded: list[str] = field(default_factory=list)
    """The ids of passages that were embedded, in order."""
    before_batch: Callable[[int], None] = lambda count: None
    is_stale: bool = False
    closed: bool = False
    batch: int = 2

    def put(
        self, source_id: str, found: Sequence[Passage], tell: Callable[[int], None] = lambda count: None
    ) -> None:
        there = self.held.setdefault(source_id, {})
        for start in range(0, len(found), self.batch):
            self.before_batch(start)
            for one in found[start : start + self.batch]:
                if one.id not in there:
                    self.embedded.append(one.id)
                there[one.id] = one
            self._write(source_id)
            tell(min(start + self.batch, len(found)))
        wanted = {one.id for one in found}
        self.held[source_id] = {key: one for key, one in there.items() if key in wanted}
        self._write(source_id)

    def drop(self, source_id: str) -> None:
        self.held.pop(source_id, None)
        self._write(source_id)

    def stale(self) -> bool:
        return self.is_stale

    def rebuild(self, tell: Callable[[float], None]) -> None:
        tell(0.5)
        self.is_stale = False

    def close(self) -> None:
        self.closed = True

    def _write(self, source_id: str) -> None:
        rows = [
            {name: getattr(one, name) for name in passages.c.keys()}  # noqa: SIM118 - columns, not a dict
            for one in self.held.get(source_id, {}).values()
        ]
        with self.database.write() as connection:
            connection.execute(delete(passages).where(passages.c.source_id == source_id))
            connection.execute(delete(index_records).where(index_records.c.group_id == source_id))
            if rows:
                connection.execute(insert(passages), rows)
                records = [
                    {"namespace": "fake", "key": row["id"], "group_id": source_id, "updated_at": 1.0}
                    for row in rows
                ]
                connection.execute(insert(index_records), records)


@dataclass
class FakeWords:
    """Whether the words are indexed by now."""

    done: bool = True
    waited: float = 0.0

    def settled(self, seconds: float) -> bool:
        self.waited += seconds
        return self.done


@dataclass
class FakeSearch:
    """Scores by the share of the question's words that a passage has."""

    index: FakeIndex
    floor: float = 0.3
    words: FakeWords = field(default_factory=FakeWords)

    def find(
        self,
        question: str,
        audiences: Collection[str],
        *,
        kinds: Collection[str] = ("document",),
        most: int = 4,
        floor: float | None = None,
        grow: bool = False,
        lines: int = 0,
    ) -> list[Hit]:
        words = set(question.lower().split())
        found = []
        for held in self.index.held.values():
            for one in held.values():
                score = len(words & set(one.searched.lower().split())) / len(words)
                if one.audience in audiences and one.kind in kinds and score >= (floor or self.floor):
                    found.append(Hit(one, score, score))
        return sorted(found, key=lambda hit: -hit.score)[:most]

    def close(self) -> None:
        pass


class FakeEmbedder:
    """As many numbers as a text has letters."""

    name, dimension = "fake", 1

    def documents(self, texts: Sequence[str]) -> Any:
        return [[float(len(text))] for text in texts]


def read(path: Path, name: str) -> list[Section]:
    """A paragraph is a section; a file that begins with `broken` can't be read."""
    text = path.read_text()
    if text.startswith("broken"):
        raise Unreadable("it is broken")
    if text.startswith("surprise"):
        raise RuntimeError("nobody thought of this")
    return [Section(name, part.strip()) for part in text.split("\n\n") if part.strip()]


def cut(document: Document, sections: Sequence[Section]) -> list[Passage]:
    """A section is a passage."""
    return [
        Passage(
            f"psg-{hash((document.id, part.text)) & 0xFFFFFFFFFFFF:012x}",
            document.id,
            "document",
            document.audience,
            part.title,
            part.text,
            part.page,
            place,
        )
        for place, part in enumerate(sections)
    ]


class Books:
    """What a library opens in place of the real parts."""

    def __init__(self, database: Database) -> None:
        self.index, self.words = FakeIndex(database), FakeWords()
        self.opened = 0
        self.fails: Exception | None = None
        self.may_open = threading.Event()
        self.may_open.set()

    def __call__(self) -> Any:
        from assistant.librarian import Parts

        self.may_open.wait(10)
        if self.fails is not None:
            raise self.fails
        self.opened += 1
        self.index.closed = False
        search: Any = FakeSearch(self.index, words=self.words)
        index: Any = self.index
        embedder: Any = FakeEmbedder()
        return Parts(index, embedder, search, read, cut)
