"""Notices for admins: a run ended, the gate turned an adapter down, a canary moved, something is wrong.

They are read from the rows that such things leave anyway, so none can be missed and none comes twice; what a
person has seen is a moment. Also notes when an engine was away, which leaves no row by itself.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from sqlalchemy import Column, Select, String, Table, func, insert, literal, select, union_all, update

from feedback.alerts import Alarm, Alerts
from feedback.database import Database, DatabaseUnavailable
from feedback.schema import Moment, alerts, metadata
from training.canaries import WATCH
from training.schema import canaries, evaluations, runs

log = logging.getLogger(__name__)

_EVERY = 2.0
_QUIET = timedelta(seconds=30)
"""Several web processes see the same engine come back: one of them says so."""
_MOST_COUNTED = 100

seen_until = Table(
    "notices_seen",
    metadata,
    Column("person_id", String(40), primary_key=True),
    Column("seen_at", Moment, nullable=False),
)


class Answering(Protocol):
    """What is asked of the engines' client."""

    @property
    def comebacks(self) -> int:
        """How often an engine was away and came back."""


@dataclass(frozen=True, slots=True)
class Notice:
    """Something that happened. `kind` is `run`, `gate`, `canary` or `alert`, `name` the kind's own word for
    it (`failed`, `rejected`, `promote`, `run_parked`), `subject` the run or adapter."""

    at: datetime
    kind: str
    name: str
    subject: str
    text: str
    new: bool


class Notices:
    """The notices of one home, and who has seen them. Safe to share between threads."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def newest(self, person_id: str, most: int = 30) -> list[Notice]:
        """The newest first; `new` are those that this person has not seen."""
        with self._database.read() as connection:
            mark = connection.execute(_mark(person_id)).scalar()
            told = _told().subquery()
            query = select(told).order_by(told.c.at.desc(), told.c.subject).limit(most)
            rows = connection.execute(query).all()
        return [
            Notice(row.at, row.kind, row.name, row.subject, row.text, mark is None or row.at > mark)
            for row in rows
        ]

    def unseen(self, person_id: str) -> int:
        """How many this person has not seen, at most `_MOST_COUNTED`."""
        told = _told().subquery()
        mark = func.coalesce(
            _mark(person_id).scalar_subquery(), literal(datetime(1970, 1, 1, tzinfo=UTC), Moment)
        )
        some = select(told.c.at).where(told.c.at > mark).limit(_MOST_COUNTED).subquery()
        with self._database.read() as connection:
            return int(connection.execute(select(func.count()).select_from(some)).scalar_one())

    def see(self, person_id: str, until: datetime) -> None:
        """This person has seen everything up to that moment: the newest that was shown to them."""
        with self._database.write() as connection:
            here = seen_until.c.person_id == person_id
            # Never back: another page of the same person may have shown more.
            later = update(seen_until).where(here, seen_until.c.seen_at < until).values(seen_at=until)
            connection.execute(later)
            if connection.execute(_mark(person_id)).first() is None:
                connection.execute(insert(seen_until).values(person_id=person_id, seen_at=until))


async def watch(engines: Answering, kept: Alerts) -> None:
    """Note each time an engine was away and came back, until it is cancelled."""
    known = engines.comebacks
    while True:
        await asyncio.sleep(_EVERY)
        if (now := engines.comebacks) <= known:
            known = now
            continue
        known = now
        said = Alarm(
            "engine_came_back", "questions that were being answered broke off; adapters are loaded anew"
        )
        try:
            await asyncio.to_thread(kept.happened, said, datetime.now(UTC), _QUIET)
        except DatabaseUnavailable as error:
            log.warning("%s", error)


def _mark(person_id: str) -> Select[Any]:
    return select(seen_until.c.seen_at).where(seen_until.c.person_id == person_id)


def _told() -> Any:
    """Everything that is worth a notice, as rows of the same columns."""
    parts: Sequence[Select[Any]] = (
        _part(runs.c.ended_at, "run", runs.c.state, runs.c.id, runs.c.reason).where(
            runs.c.ended_at.is_not(None)
        ),
        _part(
            evaluations.c.created_at, "gate", evaluations.c.outcome, evaluations.c.adapter, literal("")
        ).where(evaluations.c.outcome != "passed"),
        _part(canaries.c.at, "canary", canaries.c.action, canaries.c.adapter, canaries.c.reason).where(
            canaries.c.actor == WATCH
        ),
        _part(alerts.c.begun_at, "alert", alerts.c.name, alerts.c.adapter, alerts.c.detail),
    )
    return union_all(*parts)


def _part(at: Any, kind: str, name: Any, subject: Any, text: Any) -> Select[Any]:
    columns = {"kind": literal(kind), "name": name, "subject": subject, "text": text}
    return select(at.label("at"), *(value.label(label) for label, value in columns.items()))
