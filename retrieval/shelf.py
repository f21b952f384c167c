"""The rows of documents. A row is the job as well: waiting, indexing, ready, refused or removing.

Whoever indexes claims a row under a lease and writes only while nobody else has changed it, so that a twin
that wakes up late changes nothing. Knows no file and no index.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from sqlalchemy import Connection, and_, delete, func, insert, or_, select, update
from sqlalchemy.exc import IntegrityError
from uuid_utils import uuid7

from feedback.database import Database
from feedback.reading import record
from retrieval.records import Document, Kind, NotFound, Refused, RetrievalError
from retrieval.schema import documents, index_records, passages

LEASE = timedelta(seconds=400)
"""Longer than a file may take to be read; while its passages are embedded it is renewed."""
Change = Literal["new", "replaced", "unchanged"]
_LEFT = and_(documents.c.state == "refused", documents.c.passages > 0)
"""Refused, and what an earlier version of it said is still in the index."""


class Lost(RetrievalError):
    """The document was replaced, removed or taken over while it was being worked on."""


@dataclass(frozen=True, slots=True)
class NewDocument:
    """What is known of a file before it has been read. `refused` says why it never will be."""

    id: str
    """Its id, if there is none of its name yet."""
    name: str
    audience: str
    digest: str
    size: int
    added_by: str
    watched: bool = False
    refused: str | None = None


def new_id() -> str:
    """A fresh id of a document."""
    return f"doc-{uuid7().hex}"


class Shelf:
    """The documents of one database. Safe to share between threads, processes and machines."""

    def __init__(self, database: Database, lease: timedelta = LEASE) -> None:
        self._database = database
        self._lease = lease

    def add(self, new: NewDocument) -> tuple[Document, Change]:
        """Put a document in the queue, in the place of the one of its name and audience if there is one.

        The same bytes again change nothing, unless they had been refused: then they are tried again.
        """
        try:
            return self._add(new)
        except IntegrityError:
            # Somebody added the same name a moment earlier.
            return self._add(new)

    def _add(self, new: NewDocument) -> tuple[Document, Change]:
        now = _now()
        state = "waiting" if new.refused is None else "refused"
        values: dict[str, Any] = {
            "digest": new.digest,
            "size": new.size,
            "state": state,
            "reason": new.refused,
            "expected": None,
            "added_by": new.added_by,
            "watched": new.watched,
        }
        with self._database.write() as connection:
            same_name = and_(documents.c.audience == new.audience, documents.c.name == new.name)
            row = connection.execute(select(documents).where(same_name)).first()
            if row is None:
                values |= {"id": new.id, "name": new.name, "audience": new.audience, "title": ""}
                values |= {"passages": 0, "created_at": now, "updated_at": now}
                connection.execute(insert(documents).values(values))
                return _found(connection, new.id), "new"
            before = record(Document, row)
            settled = before.state in ("waiting", "indexing", "ready") or new.refused is not None
            if before.digest == new.digest and before.state != "removing" and settled:
                if before.watched != new.watched:
                    self._set(connection, before, watched=new.watched)
                return _found(connection, row.id), "unchanged"
            if new.refused is not None and before.state != "refused":
                # Its earlier passages may stand in the index, whatever was counted: they are to be taken out
                values["passages"] = max(1, before.passages)
            self._set(connection, before, **values)
            return _found(connection, row.id), "replaced"

    def named(self, name: str, audience: str) -> Document | None:
        """The document of this name for this audience, if there is one."""
        query = select(documents).where(documents.c.audience == audience, documents.c.name == name)
        with self._database.read() as connection:
            row = connection.execute(query).first()
        return record(Document, row) if row else None

    def get(self, document_id: str) -> Document:
        """One document. Raises `NotFound`."""
        with self._database.read() as connection:
            return _found(connection, document_id)

    def all(self, audiences: Collection[str] | None = None) -> list[Document]:
        """Every document, by name; with `audiences` only theirs."""
        query = select(documents).order_by(documents.c.name, documents.c.audience)
        if audiences is not None:
            query = query.where(documents.c.audience.in_(sorted(audiences)))
        with self._database.read() as connection:
            return [record(Document, row) for row in connection.execute(query)]

    def some(self, ids: Collection[str]) -> dict[str, Document]:
        """Those of these documents that are there, by id."""
        query = select(documents).where(documents.c.id.in_(sorted(ids)))
        with self._database.read() as connection:
            return {row.id: record(Document, row) for row in connection.execute(query)}

    def hidden(self, ids: Collection[str]) -> set[str]:
        """Those of these documents that nobody is to find, though passages of them may stand in the index."""
        query = select(documents.c.id).where(
            documents.c.id.in_(sorted(ids)), documents.c.state.in_(("refused", "removing"))
        )
        with self._database.read() as connection:
            return set(connection.execute(query).scalars())

    def audiences(self) -> set[str]:
        """Every audience that a document is for."""
        with self._database.read() as connection:
            return set(connection.execute(select(documents.c.audience).distinct()).scalars())

    def counts(self) -> dict[str, int]:
        """How many documents there are in each state."""
        query = select(documents.c.state, func.count().label("number")).group_by(documents.c.state)
        with self._database.read() as connection:
            return {row.state: row.number for row in connection.execute(query)}

    def passages(self) -> int:
        """How many passages can be found, those of approved answers included."""
        with self._database.read() as connection:
            return int(connection.execute(select(func.count()).select_from(passages)).scalar() or 0)

    def holds_passages(self, kinds: Sequence[Kind] = ("document", "answer")) -> bool:
        """Whether anything of these kinds can be found at all."""
        query = select(passages.c.id).where(passages.c.kind.in_(kinds)).limit(1)
        with self._database.read() as connection:
            return connection.execute(query).first() is not None

    def answers(self) -> dict[str, bool]:
        """The approvals whose answers stand here, each with whether it can be found by its vector."""
        records = index_records.c
        # A process that was killed between the two has left the row alone
        has = and_(
            records.group_id == passages.c.source_id, records.key == passages.c.id, records.updated_at > 0
        )
        query = select(passages.c.source_id, func.count(records.key)).outerjoin(index_records, has)
        query = query.where(passages.c.kind == "answer").group_by(passages.c.source_id)
        with self._database.read() as connection:
            return {source: count > 0 for source, count in connection.execute(query)}

    def has_work(self) -> bool:
        """Whether a document waits to be indexed or removed, or was left in the middle of it, or was refused
        and passages of it are left."""
        query = select(documents.c.id).where(
            or_(documents.c.state.in_(("waiting", "indexing", "removing")), _LEFT)
        )
        with self._database.read() as connection:
            return connection.execute(query.limit(1)).first() is not None

    def claim(self, *, alone: bool) -> Document | None:
        """The next document to work on: one that is `removing`, one that was `refused` and has passages left,
        or one that is `indexing` from now on.

        With `alone` nobody else can be indexing, so what was left in the middle is taken at once; otherwise
        when its lease has ended. Raises nothing if another takes it first: then it is the next one's turn.
        """
        free = or_(documents.c.state.in_(("waiting", "removing")), _LEFT)
        left = documents.c.state == "indexing"
        if not alone:
            left = and_(left, documents.c.updated_at < _now() - self._lease)
        # Removals first; then what was begun goes on before something new begins.
        order = (documents.c.state == "waiting", documents.c.state == "indexing", documents.c.updated_at)
        query = select(documents).where(or_(free, left)).order_by(*order, documents.c.id).limit(20)
        with self._database.read() as connection:
            rows = connection.execute(query).all()
        for row in rows:
            found = record(Document, row)
            if found.state in ("removing", "refused"):
                return found
            try:
                return self._write(found, state="indexing", reason=None)
            except Lost:
                continue
        return None

    def progress(self, document: Document, **values: Any) -> Document:
        """Note how far it is (`passages`, `expected`), and renew the lease. Raises `Lost`."""
        return self._write(document, **values)

    def ready(self, document: Document, title: str, count: int) -> Document:
        """All of its passages can be found. Raises `Lost`."""
        return self._write(document, state="ready", title=title[:300], passages=count, expected=count)

    def refuse(self, document: Document, reason: str, passages: int = 0) -> Document:
        """It can't be taken in. Of what an earlier version said so many `passages` are still to be taken out
        of the index. Raises `Lost`."""
        return self._write(document, state="refused", reason=reason, passages=passages, expected=None)

    def put_back(self, document: Document) -> None:
        """Give an unfinished one back at once: whoever worked on it is being stopped."""
        self._write(document, state="waiting")

    def remove(self, document_id: str) -> Document:
        """Mark it: from now on nobody finds or opens it. Raises `NotFound`."""
        with self._database.write() as connection:
            self._set(connection, _found(connection, document_id), state="removing")
            return _found(connection, document_id)

    def forget(self, document: Document) -> bool:
        """Delete the row of a removed document; False if it has been added again in the meantime."""
        gone = delete(documents).where(documents.c.id == document.id, documents.c.state == "removing")
        with self._database.write() as connection:
            return connection.execute(gone).rowcount == 1

    def _write(self, document: Document, **values: Any) -> Document:
        """Change the row if nobody has changed it since `document` was read. Raises `Lost`."""
        with self._database.write() as connection:
            self._set(connection, document, **values)
            return _found(connection, document.id)

    @staticmethod
    def _set(connection: Connection, document: Document, **values: Any) -> None:
        # The time of the last change is the fencing token, so no two changes may have the same.
        after = max(_now(), document.updated_at + timedelta(microseconds=1))
        held = and_(
            documents.c.id == document.id,
            documents.c.state == document.state,
            documents.c.updated_at == document.updated_at,
        )
        done = connection.execute(update(documents).where(held).values(**values, updated_at=after))
        if done.rowcount != 1:
            raise Lost(f"{document.name} was changed by somebody else in the meantime")


def check_removable(document: Document) -> None:
    """Raises `Refused` for a file of the watched folder: it would come back with the next look."""
    if document.watched:
        raise Refused(f"{document.name} comes from the watched folder; remove the file there")


def as_json(document: Document) -> Mapping[str, Any]:
    """A document as programs see it."""
    return {
        "id": document.id,
        "object": "document",
        "name": document.name,
        "title": document.title,
        "group": document.audience or None,
        "state": document.state,
        "progress": round(document.progress, 4),
        "passages": document.passages,
        "expected": document.expected,
        "reason": document.reason,
        "size": document.size,
        "digest": document.digest,
        "added_by": document.added_by,
        "watched": document.watched,
        "created_at": document.created_at.isoformat(),
        "updated_at": document.updated_at.isoformat(),
    }


def in_order(found: Sequence[Document]) -> list[Document]:
    """As a person wants to see them: what is being worked on, what was refused, then the rest by name."""
    places = {"indexing": 0, "waiting": 1, "removing": 2, "refused": 3, "ready": 4}
    return sorted(found, key=lambda one: (places[one.state], one.name.lower(), one.audience))


def _found(connection: Connection, document_id: str) -> Document:
    row = connection.execute(select(documents).where(documents.c.id == document_id)).first()
    if row is None:
        raise NotFound(f"there is no document {document_id[:60]}")
    return record(Document, row)


def _now() -> datetime:
    return datetime.now(UTC)
