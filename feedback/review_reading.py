"""Reads what is shown of reviews: how far they are, the list of tasks, what others found, how they agree.

Nobody is shown a look of somebody else at a turn that they may still be given themselves. Writes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from sqlalchemy import ColumnElement, FromClause, and_, case, exists, func, or_, select

from feedback.agreement import Look
from feedback.database import Database
from feedback.reading import live, record
from feedback.records import Correction, Rating, Review
from feedback.review_records import STATES, Filters, Listed, Progress, Task
from feedback.reviews import IN_WORK, UNTOUCHED, is_free, seen_by, tasks, twins
from feedback.schema import corrections, ratings, reviews, turns

_EXCERPT = 300
_MOST_LOOKS = 4_000
"""The newest turns seen twice that agreement is made of."""


class ReviewReader:
    """What there is of reviews in one database. Safe to share between threads."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def untouched(self) -> int:
        """How many turns wait that nobody has seen."""
        touched = exists().where(twins.c.turn_id == tasks.c.turn_id, twins.c.person_id.is_not(None))
        query = select(func.count()).select_from(tasks).where(UNTOUCHED, tasks.c.seat == 0, ~touched)
        with self._database.read() as connection:
            return int(connection.execute(query).scalar() or 0)

    def progress(self, person_id: str) -> Progress:
        """How far this person is, and how far all are."""
        counted = select(tasks.c.state, func.count()).group_by(tasks.c.state)
        # Looked at with somebody else's eyes, these are free.
        others = select(func.count()).select_from(tasks)
        others = others.where(IN_WORK, is_free(datetime.now(UTC)), seen_by(person_id))
        others = others.where(or_(tasks.c.person_id.is_(None), tasks.c.person_id != person_id))
        with self._database.read() as connection:
            mine = connection.execute(counted.where(tasks.c.person_id == person_id)).all()
            everybody = connection.execute(counted).all()
            waiting = int(connection.execute(others).scalar() or 0)
        none = dict.fromkeys(STATES, 0)
        return Progress(
            none | {state: int(count) for state, count in mine},
            none | {state: int(count) for state, count in everybody},
            waiting,
        )

    def listed(self, person_id: str, filters: Filters, most: int) -> list[Listed]:
        """Tasks for the list: those in the queue in its order, else the newest first."""
        query = select(tasks).where(_is_shown_to(person_id), *_chosen(filters, person_id))
        newest = (tasks.c.updated_at.desc(), tasks.c.id.desc())
        query = query.order_by(*((tasks.c.place, tasks.c.id) if filters.state == "open" else newest))
        with self._database.read() as connection:
            found = [record(Task, row) for row in connection.execute(query.limit(most))]
            ids = {task.turn_id for task in found}
            short = (func.substr(column, 1, _EXCERPT) for column in (turns.c.question, turns.c.answer))
            texts = {
                row[0]: (row[1], row[2])
                for row in connection.execute(select(turns.c.id, *short).where(turns.c.id.in_(ids)))
            }
        said = {(row.turn_id, row.person_id): row for row in self.found(ids)}
        return [
            Listed(
                task,
                *texts.get(task.turn_id, ("", "")),
                verdict=review.verdict if review else None,
                fault=review.fault if review else None,
            )
            for task in found
            for review in [said.get((task.turn_id, task.person_id or ""))]
        ]

    def found(self, turn_ids: Sequence[str] | set[str]) -> list[Review]:
        """What is live on these turns, the oldest first."""
        newest = (
            select(func.max(reviews.c.id))
            .where(reviews.c.turn_id.in_(turn_ids))
            .group_by(reviews.c.turn_id, reviews.c.person_id)
        )
        query = select(reviews).where(reviews.c.id.in_(newest), reviews.c.verdict.is_not(None))
        with self._database.read() as connection:
            return [record(Review, row) for row in connection.execute(query.order_by(reviews.c.id))]

    def is_closed(self, turn_id: str) -> bool:
        """Whether nobody is given a look at this turn any more."""
        left = select(exists().where(tasks.c.turn_id == turn_id, tasks.c.state != "done"))
        with self._database.read() as connection:
            return not connection.execute(left).scalar()

    def history(self, turn_id: str) -> list[Review]:
        """All that was ever found of a turn, taken back or not, the oldest first."""
        query = select(reviews).where(reviews.c.turn_id == turn_id).order_by(reviews.c.id)
        with self._database.read() as connection:
            return [record(Review, row) for row in connection.execute(query)]

    def opinions(self, turn_ids: Sequence[str]) -> tuple[list[Rating], list[Correction]]:
        """What people said of these turns in the chat, as it is live, the oldest first."""
        with self._database.read() as connection:
            rated = [row for row in live(connection, ratings, Rating, turn_ids) if row.thumb]
            written = [row for row in live(connection, corrections, Correction, turn_ids) if row.text]
        return rated, written

    def adapters(self, most: int = 100) -> list[str | None]:
        """The adapters whose answers are among the tasks."""
        query = select(tasks.c.adapter).distinct().order_by(tasks.c.adapter.desc()).limit(most)
        with self._database.read() as connection:
            return list(connection.execute(query).scalars())

    def looks(self) -> list[Look]:
        """What was found of turns that two saw, as far as neither knew what the other had found."""
        twice = (
            select(tasks.c.turn_id)
            .where(tasks.c.seat == 1, tasks.c.state == "done")
            .order_by(tasks.c.updated_at.desc())
            .limit(_MOST_LOOKS)
        )
        query = (
            select(reviews.c.turn_id, reviews.c.person_id, reviews.c.verdict, reviews.c.fault)
            .where(reviews.c.turn_id.in_(twice), reviews.c.informed.is_(False))
            .order_by(reviews.c.id)
        )
        with self._database.read() as connection:
            newest = {(row.turn_id, row.person_id): row for row in connection.execute(query)}
        return [Look(*row) for row in newest.values() if row.verdict is not None]


def _is_shown_to(person_id: str) -> ColumnElement[bool]:
    """Of the looks at one turn a list shows one: this person's, else one they may have, now or some day.

    Only where there is none it shows the first, with what was found.
    """

    def rank(table: FromClause) -> ColumnElement[int]:
        columns = table.c
        free = and_(columns.state == "open", columns.person_id.is_(None))
        return case((columns.person_id == person_id, 0), (free, 1), (columns.state != "done", 2), else_=3)

    better = or_(rank(twins) < rank(tasks), and_(rank(twins) == rank(tasks), twins.c.seat < tasks.c.seat))
    return ~exists().where(twins.c.turn_id == tasks.c.turn_id, twins.c.id != tasks.c.id, better)


def _chosen(filters: Filters, person_id: str) -> list[ColumnElement[bool]]:
    chosen: list[ColumnElement[bool]] = []
    if filters.state:
        chosen.append(tasks.c.state == filters.state)
    if filters.kind:
        chosen.append(tasks.c.kind == filters.kind)
    if filters.adapter:
        bare = filters.adapter == "base"
        chosen.append(tasks.c.adapter.is_(None) if bare else tasks.c.adapter == filters.adapter)
    if filters.mine:
        chosen.append(tasks.c.person_id == person_id)
    return chosen
