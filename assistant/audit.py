"""The audit log: who did what, when, what it was before and after, and why, in rows chained by hashes.

A row's SHA-256 covers its content and the hash of the row before it: a row that is changed, taken out or put
in breaks the chain there. Rows cut off at the end leave a whole chain; so each row's hash also goes to the
process's log, and `verify` can be given one that was noted elsewhere. Knows no page and nobody's role.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import astuple, dataclass, replace
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Column, Connection, Index, Integer, Row, String, Table, insert, or_, select

from feedback.database import Database
from feedback.reading import record
from feedback.records import storable
from feedback.schema import Moment, Words, metadata

log = logging.getLogger(__name__)

DOOR: ContextVar[str] = ContextVar("door", default="")
"""Which way whoever acts has come in: `page`, `api`, `command line`; empty for what acts by itself."""
LONGEST = 4_000
"""Characters of each text that are kept."""
_PAGE = 1_000

# The numbers are given out by the chain itself, so that a hole in them is a hole in it.
entries = Table(
    "audit",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("at", Moment, nullable=False),
    Column("who", String(80), nullable=False),
    Column("door", String(20), nullable=False),
    Column("what", String(60), nullable=False),
    Column("subject", String(200), nullable=False),
    Column("before", Words, nullable=False),
    Column("after", Words, nullable=False),
    Column("reason", Words, nullable=False),
    Column("previous", String(64), nullable=False),
    Column("hash", String(64), nullable=False),
    Index(None, "what", "id"),
)


@dataclass(frozen=True, slots=True)
class Entry:
    """One row. `before` and `after` are in words, empty where there was or is nothing."""

    id: int
    at: datetime
    who: str
    door: str
    what: str
    subject: str
    before: str
    after: str
    reason: str
    previous: str
    hash: str = ""

    def digest(self) -> str:
        """What `hash` must be: 64 hex over everything else."""
        content = [value.isoformat() if isinstance(value, datetime) else value for value in astuple(self)]
        return hashlib.sha256(json.dumps(content[:-1], separators=(",", ":")).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Verified:
    """What a look through the whole chain found. `broken` is the first row that is not what it was, or 0."""

    rows: int
    head: str
    """The hash of the last good row; empty before the first."""
    broken: int = 0
    why: str = ""

    def __str__(self) -> str:
        if self.broken:
            return f"the chain breaks at row {self.broken}: {self.why}"
        return f"{self.rows} rows, the chain is whole" + (f", its head is {self.head}" if self.head else "")


class Audit:
    """The log in one database. Safe to share between threads, processes and machines."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def note(
        self, who: str, what: str, subject: str, before: str = "", after: str = "", reason: str = ""
    ) -> Entry:
        """Write down what was done, in a transaction of its own."""
        with self._database.write() as connection:
            return self._append(connection, who, what, subject, before, after, reason)

    def within(
        self,
        connection: Connection,
        who: str,
        what: str,
        subject: str,
        before: str = "",
        after: str = "",
        reason: str = "",
    ) -> None:
        """The same in the transaction of the deed, as its last step (`training.witness.Witness`)."""
        self._append(connection, who, what, subject, before, after, reason)

    def _append(self, connection: Connection, *told: str) -> Entry:
        if connection.dialect.name == "postgresql":
            # SQLite writes one at a time anyway; here two would both follow the same row.
            connection.exec_driver_sql("LOCK TABLE audit IN SHARE ROW EXCLUSIVE MODE")
        last = connection.execute(select(entries).order_by(entries.c.id.desc()).limit(1)).first()
        who, what, subject, before, after, reason = (_kept(text) for text in told)
        number, previous = (last.id + 1, last.hash) if last is not None else (1, "")
        entry = Entry(
            id=number,
            at=_now(),
            who=who[:80],
            door=DOOR.get(),
            what=what[:60],
            subject=subject[:200],
            before=before,
            after=after,
            reason=reason,
            previous=previous,
        )
        entry = replace(entry, hash=entry.digest())
        connection.execute(insert(entries).values(_values(entry)))
        log.info("audit %d: %s: %s %s: %s", entry.id, entry.who, entry.what, entry.subject, entry.hash)
        return entry

    def page(
        self, *, what: str = "", text: str = "", below: int | None = None, most: int = 50
    ) -> list[Entry]:
        """Rows, the newest first: of one kind, with `text` in who, subject or reason, below a number."""
        query = select(entries).order_by(entries.c.id.desc()).limit(most)
        if what:
            query = query.where(entries.c.what == what)
        if text:
            columns = (entries.c.who, entries.c.subject, entries.c.reason)
            query = query.where(or_(*(column.icontains(text, autoescape=True) for column in columns)))
        if below is not None:
            query = query.where(entries.c.id < below)
        with self._database.read() as connection:
            return [record(Entry, row) for row in connection.execute(query)]

    def kinds(self) -> list[str]:
        """Every `what` that there is."""
        query = select(entries.c.what).distinct().order_by(entries.c.what)
        with self._database.read() as connection:
            return list(connection.execute(query).scalars())

    def verify(self, anchor: str = "") -> Verified:
        """Look through the whole chain; with `anchor`, a hash noted earlier must still stand in it."""
        good, head, met = 0, "", not anchor
        for row in self._rows():
            entry = record(Entry, row)
            if why := _fault(entry, good + 1, head):
                return Verified(good, head, good + 1, why)
            good, head = entry.id, entry.hash
            met = met or head == anchor
        if not met:
            return Verified(good, head, good + 1, f"no row has the hash {anchor}: rows at the end are gone")
        return Verified(good, head)

    def _rows(self) -> Iterator[Row[Any]]:
        """Every row in order, read page by page: a long transaction would keep SQLite's log from folding."""
        last = -(2**31)
        while True:
            query = select(entries).where(entries.c.id > last).order_by(entries.c.id).limit(_PAGE)
            with self._database.read() as connection:
                page = connection.execute(query).all()
            if not page:
                return
            yield from page
            last = page[-1].id


def _fault(entry: Entry, number: int, previous: str) -> str:
    """What is wrong with the row that should be `number` and follow `previous`; empty if nothing is."""
    if entry.id != number:
        return (
            f"it is missing, and row {entry.id} comes next" if entry.id > number else "there is one too many"
        )
    if entry.previous != previous:
        return "it does not follow the row before it"
    if entry.hash != entry.digest():
        return "its content is not what its hash was made of"
    return ""


def _kept(text: str) -> str:
    text = storable(text.strip())
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


def _values(entry: Entry) -> dict[str, Any]:
    return {column.name: getattr(entry, column.name) for column in entries.columns}


def _now() -> datetime:
    return datetime.now(UTC)
