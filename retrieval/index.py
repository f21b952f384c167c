"""The index of the knowledge base: passages as rows in our database, their vectors beside them.

The rows are the truth. They are written before the vectors and deleted before them, so a vector without a
row is never given out, and `put` or `drop` again mends what a killed process left. Knows no question.
"""

from __future__ import annotations

import threading
import uuid
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, RowMapping, and_, delete, func, insert, or_, select, update

from feedback.database import Database
from feedback.records import storable
from retrieval import lines, vectors
from retrieval.embeddings import Embedder
from retrieval.records import Kind, Passage, Unavailable
from retrieval.schema import index_records, passages
from retrieval.vectors import Place, Vectors

if TYPE_CHECKING:
    from retrieval.embeddings import Vectors as Rows

BATCH = 32
"""Passages that are embedded, written and told of at once."""
_MARKED = 0.0
_IDENTITY = "owner"
"""The namespace of the one record that tells this database's collections from another's on one server."""


def open_index(location: str, folder: Path, database: Database, embedder: Embedder) -> Index:
    """The index of `database`: embedded in `folder`, or on the Chroma server at `location`. Raises
    `Unavailable`."""
    try:
        opened = vectors.open_vectors(location, folder, _identity(database), embedder)
    except ImportError as error:
        raise Unavailable(f"the index needs the extra `documents`: {error}") from error
    return Index(opened, folder, database, embedder)


class Index:
    """Passages that can be found by their vectors. Safe to share between threads."""

    def __init__(self, opened: Vectors, folder: Path, database: Database, embedder: Embedder) -> None:
        self.folder = folder
        self.database = database
        self.shared = opened.shared
        """Whether other processes may change it too."""
        self._vectors = opened
        self._embedder = embedder
        self.lines = lines.Lines(database, embedder)
        self._locks: dict[str, threading.Lock] = {}
        self._listeners: list[Callable[[], None]] = []
        self._stale = self._is_behind()

    def on_change(self, listener: Callable[[], None]) -> None:
        """Call `listener` after every change of the passages, in the thread that made it."""
        self._listeners.append(listener)

    def put(
        self, source_id: str, given: Sequence[Passage], tell: Callable[[int], None] = lambda done: None
    ) -> None:
        """Make `given` all the passages of the source; only those that are new or changed are embedded.
        `tell` hears how many can be found by now."""
        # As a row gives them back, so that they can be told from others
        given = [replace(one, title=storable(one.title), text=storable(one.text)) for one in given]
        with self._lock(source_id):
            self._write_rows(source_id, {one.id: one for one in given})
            places: dict[Place, list[Passage]] = defaultdict(list)
            for one in given:
                places[one.kind, one.audience].append(one)
            before = 0
            for place, members in places.items():
                self._embed(place, members, before, tell)
                before += len(members)
            self._sweep(source_id)
        tell(len(given))

    def drop(self, source_id: str) -> None:
        """Forget every passage of the source. From the first moment on none is found."""
        with self._lock(source_id):
            self._write_rows(source_id, {})
            self._sweep(source_id)

    def dense(
        self, vector: Rows, audiences: Collection[str], kinds: Collection[Kind], most: int
    ) -> list[tuple[str, float]]:
        """The ids of the nearest passages, nearest first, each with its cosine."""
        found = [
            near
            for place in vectors.places(kinds, audiences)
            for near in self._vectors.near(place, vector, most)
        ]
        return sorted(found, key=lambda one: (-one[1], one[0]))[:most]

    def cosines(self, vector: Rows, members: Iterable[Passage]) -> dict[str, float]:
        """How near each is, by id. What has no vector yet is embedded for the occasion."""
        places: dict[Place, list[Passage]] = defaultdict(list)
        for one in members:
            places[one.kind, one.audience].append(one)
        found: dict[str, float] = {}
        for place, ones in places.items():
            rows = self._vectors.rows(place, [one.id for one in ones])
            missing = [one for one in ones if one.id not in rows]
            if missing:
                made = self._embedder.documents([one.searched for one in missing])
                rows |= {one.id: row for one, row in zip(missing, made, strict=True)}
            found |= {key: float(row @ vector) for key, row in rows.items()}
        return found

    def passages(self, ids: Iterable[str]) -> dict[str, Passage]:
        """Those of them that there are, by id."""
        from retrieval.recording import chunks

        found: dict[str, Passage] = {}
        with self.database.read() as connection:
            for part in chunks(ids):
                rows = connection.execute(select(passages).where(passages.c.id.in_(part))).mappings()
                found |= {one.id: one for one in map(_passage, rows)}
        return found

    def around(self, members: Sequence[Passage], reach: int) -> dict[str, list[Passage]]:
        """Up to `reach` passages before and after each, in their source and in order; by id, itself among
        them."""
        column = passages.c
        # What the index of both columns looks up
        spans = [
            and_(
                column.source_id == one.source_id, column.place.between(one.place - reach, one.place + reach)
            )
            for one in members
        ]
        if not spans:
            return {}
        query = select(passages).where(or_(*spans))
        with self.database.read() as connection:
            rows = [_passage(row) for row in connection.execute(query).mappings()]
        rows.sort(key=lambda one: one.place)
        return {
            one.id: [
                other
                for other in rows
                if other.source_id == one.source_id and abs(other.place - one.place) <= reach
            ]
            for one in members
        }

    def all(self, at_once: int = 1_000) -> Iterator[list[Passage]]:
        """Every passage, some at a time, by id."""
        return every(self.database, at_once)

    def count(self) -> int:
        """How many passages there are."""
        with self.database.read() as connection:
            return int(connection.execute(select(func.count()).select_from(passages)).scalar_one())

    def state(self) -> tuple[int, float]:
        """Two numbers that are other ones after a change, whoever made it."""
        with self.database.read() as connection:
            latest = connection.execute(select(func.max(index_records.c.updated_at))).scalar_one()
        return self.count(), latest or 0.0

    def stale(self) -> bool:
        """Whether passages are without a vector of this model: it is another one than before, or the
        index was lost."""
        return self._stale

    def rebuild(self, tell: Callable[[float], None] = lambda share: None) -> None:
        """Embed every passage that has no vector of this model, then forget the other models' vectors.
        Meanwhile all are found by their words, and by their vectors those that have one. May be killed
        anywhere; the next one goes on."""
        total, done = max(1, self.count()), 0
        column = passages.c
        with self.database.read() as connection:
            sources = list(connection.execute(select(column.source_id).distinct()).scalars())
        # By source, for each has its lock: the passages of a batch by id would be of as many sources
        for source_id in sources:
            query = select(column.id).where(column.source_id == source_id).order_by(column.place, column.id)
            with self.database.read() as connection:
                ids = list(connection.execute(query).scalars())
            for start in range(0, len(ids), BATCH):
                some = ids[start : start + BATCH]
                self._mend(source_id, some)
                done += len(some)
                tell(min(1.0, done / total))
        self._clear_orphans()
        self._vectors.drop_foreign()
        with self.database.write() as connection:
            other = index_records.c.namespace.not_in([*self._vectors.namespaces(), _IDENTITY])
            connection.execute(delete(index_records).where(other))
            lines.forget_orphans(connection)
        self._stale = False

    def close(self) -> None:
        """Give the index back to the next process."""
        self._vectors.close()

    def _write_rows(self, source_id: str, new: dict[str, Passage]) -> None:
        names = self._vectors.namespaces()
        with self.database.write() as connection:
            _write_rows(connection, names, source_id, new)
        for listener in self._listeners:
            listener()

    def _embed(
        self, place: Place, members: Sequence[Passage], before: int, tell: Callable[[int], None]
    ) -> None:
        from langchain_core.documents import Document
        from langchain_core.indexing import index

        from retrieval.recording import Records

        def documents() -> Iterator[Document]:
            for number, one in enumerate(members):
                # The next one is asked for when those before it are written
                if number % BATCH == 0:
                    if number:
                        tell(before + number)
                    self.lines.write(members[number : number + BATCH])
                yield Document(one.id, id=one.id, metadata={"source": one.source_id})

        with vectors.foreign_errors():
            index(
                documents(),
                Records(self.database, self._vectors.namespace(place)),
                self._vectors.store(place, {one.id: one for one in members}),
                batch_size=BATCH,
                cleanup=None,
                source_id_key="source",
                key_encoder=_key,
            )

    def _sweep(self, source_id: str) -> None:
        """Take the marked vectors of the source out, and then their records."""
        from retrieval.recording import remove

        records = index_records.c
        query = select(records.key).where(records.group_id == source_id, records.updated_at == _MARKED)
        for namespace, place in self._vectors.namespaces().items():
            with self.database.read() as connection:
                keys = list(connection.execute(query.where(records.namespace == namespace)).scalars())
            if keys:
                self._vectors.delete(place, keys)
                with self.database.write() as connection:
                    remove(connection, namespace, keys)

    def _mend(self, source_id: str, ids: Sequence[str]) -> None:
        """See to it that each of these of the source that still is a row has its vector."""
        from retrieval.recording import remove

        with self._lock(source_id):
            # It may have been dropped, or put in again, since it was read
            places: dict[Place, list[Passage]] = defaultdict(list)
            for one in self.passages(ids).values():
                places[_place(one)].append(one)
            for place, members in places.items():
                there = self._vectors.present(place, [one.id for one in members])
                lost = [one.id for one in members if one.id not in there]
                if lost:
                    with self.database.write() as connection:
                        remove(connection, self._vectors.namespace(place), lost)
                self._embed(place, members, 0, lambda done: None)

    def _clear_orphans(self) -> None:
        """Take out the vectors that have no row: those of a database that was put back, say."""
        for place in self._vectors.namespaces().values():
            orphans = [
                key
                for part in self._vectors.ids(place)
                for known in [self.passages(part)]
                for key in part
                if key not in known
            ]
            self._vectors.delete(place, orphans)

    def _is_behind(self) -> bool:
        if self._vectors.foreign():
            return True
        records, names = index_records.c, self._vectors.namespaces()
        query = select(records.namespace, func.count()).where(records.updated_at > _MARKED)
        with self.database.read() as connection:
            rows = connection.execute(query.group_by(records.namespace)).all()
            some = connection.execute(select(passages.c.id).limit(1)).first() is not None
        counted = {str(namespace): int(count) for namespace, count in rows}
        if not counted:
            return some
        # Lines are written before the vectors of their passages: only what is older than they are has none.
        documents = (n for name, n in counted.items() if name in names and names[name][0] == "document")
        if self.lines.count() < sum(documents):
            return True
        return any(name not in names or self._vectors.count(names[name]) < n for name, n in counted.items())

    def _lock(self, source_id: str) -> threading.Lock:
        return self._locks.setdefault(source_id, threading.Lock())


def _write_rows(
    connection: Connection, names: Mapping[str, Place], source_id: str, new: Mapping[str, Passage]
) -> None:
    """The rows of the source become `new`. The vectors of what goes are marked, in the same transaction:
    so nothing that has a vector is forgotten."""
    from retrieval.recording import chunks, put, remove

    mine = passages.c.source_id == source_id
    rows = connection.execute(select(passages).where(mine)).mappings()
    old = {one.id: one for one in map(_passage, rows)}
    for namespace, place in names.items():
        there = {key for key, one in old.items() if (one.kind, one.audience) == place}
        going = {key for key in there if key not in new or _place(new[key]) != place}
        put(connection, namespace, dict.fromkeys(going, source_id), _MARKED)
        # The same id with other words: its vector is of no use, and is written over
        reworded = (key for key in there - going if new[key].searched != old[key].searched)
        remove(connection, namespace, reworded)
    gone = [key for key, one in old.items() if new.get(key) != one]
    for part in chunks({*gone, *(key for key in new if key not in old)}):
        connection.execute(delete(passages).where(passages.c.id.in_(part)))
    # What only moved keeps its lines' vectors, as it keeps its own
    for part in chunks(key for key in gone if key not in new or new[key].searched != old[key].searched):
        lines.forget(connection, part)
    fresh = [_values(one) for key, one in new.items() if old.get(key) != one]
    if fresh:
        connection.execute(insert(passages), fresh)
    if not new:
        everything = index_records.c.group_id == source_id
        connection.execute(update(index_records).where(everything).values(updated_at=_MARKED))


def every(database: Database, at_once: int = 1_000) -> Iterator[list[Passage]]:
    """Every passage of a database, some at a time, by id."""
    last = ""
    query = select(passages).order_by(passages.c.id).limit(at_once)
    while True:
        with database.read() as connection:
            rows = connection.execute(query.where(passages.c.id > last)).mappings().all()
        if not rows:
            return
        last = rows[-1]["id"]
        yield [_passage(row) for row in rows]


def _key(document: Any) -> str:
    return str(document.id)


def _place(one: Passage) -> Place:
    return one.kind, one.audience


def _passage(row: RowMapping) -> Passage:
    return Passage(**row)


def _values(one: Passage) -> dict[str, Any]:
    return {column.name: getattr(one, column.name) for column in passages.columns}


def _identity(database: Database) -> str:
    """A name of this database that no other one has, made when it is first asked for."""
    query = select(func.min(index_records.c.key)).where(index_records.c.namespace == _IDENTITY)
    with database.write() as connection:
        if connection.execute(query).scalar() is None:
            made = {"namespace": _IDENTITY, "key": uuid.uuid4().hex[:12], "updated_at": _MARKED}
            connection.execute(insert(index_records), made)
    with database.read() as connection:
        return str(connection.execute(query).scalar_one())
