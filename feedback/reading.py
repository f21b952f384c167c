"""Reads what was said and judged, in bulk: for learning, for figures, for export. Writes nothing.

`Store` is this reader with the writing added. Knows nothing of models or of training.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import fields
from typing import Any, TypeVar, cast

from sqlalchemy import Connection, Row, Table, func, or_, select, union

from feedback.database import Database
from feedback.records import Choice, Correction, History, Judged, Rating, Review, Turn, Vote
from feedback.satisfaction import Liked, Satisfaction
from feedback.schema import causes, choices, conversations, corrections, ratings, reviews, turns

R = TypeVar("R")
OnTurn = TypeVar("OnTurn", Rating, Correction, Review)

_PAGE = 500
"""Turns that one short read of an export takes."""


class Reader:
    """The facts in one database, read only. Safe to share between threads."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @property
    def database(self) -> Database:
        """Where the facts are."""
        return self._database

    def judged(self, turn_ids: Collection[str] | None = None) -> list[Judged]:
        """Turns with all the opinions that are live on them, in turn order.

        Without `turn_ids` those that have a live rating, correction or review; with them those turns,
        opinions or not (the turns that choices name); ids of no turn are passed over.
        """
        query = (
            select(turns, conversations.c.opening, conversations.c.learned_from, causes.c.cause)
            .join(conversations)
            .outerjoin(causes, causes.c.turn_id == turns.c.id)
            .order_by(turns.c.id)
        )
        if turn_ids is None:
            opinions = (select(table.c.turn_id) for table in (ratings, corrections, reviews))
            query = query.where(turns.c.id.in_(union(*opinions)))
        else:
            query = query.where(turns.c.id.in_(turn_ids))
        with self._database.read() as connection:
            rows = connection.execute(query).all()
            thumbs = by_turn(
                row for row in live(connection, ratings, Rating, turn_ids) if row.thumb is not None
            )
            texts = by_turn(row for row in live(connection, corrections, Correction, turn_ids) if row.text)
            seen = by_turn(row for row in live(connection, reviews, Review, turn_ids) if row.verdict)
        found = (
            Judged(
                record(Turn, row),
                row.opening,
                thumbs.get(row.id, ()),
                texts.get(row.id, ()),
                row.cause,
                seen.get(row.id, ()),
                row.learned_from,
            )
            for row in rows
        )
        return [
            item for item in found if turn_ids is not None or item.ratings or item.corrections or item.reviews
        ]

    def touched(self, since: Mapping[str, int], most: int) -> list[str]:
        """Turns with a rating, correction or review above those ids (by table name).

        In order, at most so many.
        """
        newer = [
            select(table.c.turn_id).where(table.c.id > since.get(table.name, 0))
            for table in (ratings, corrections, reviews)
        ]
        query = union(*newer).order_by("turn_id").limit(most)
        with self._database.read() as connection:
            return list(connection.execute(query).scalars())

    def choices(self, after: int = 0) -> list[Choice]:
        """Every person's newest choice between each two turns, whichever of them stood first.

        Those with an id above `after` alone, if it is given.
        """
        query = select(choices).where(choices.c.id > after).order_by(choices.c.id)
        with self._database.read() as connection:
            rows = connection.execute(query).all()
        newest = {(row.person_id, frozenset((row.first_turn_id, row.second_turn_id))): row for row in rows}
        return sorted((record(Choice, row) for row in newest.values()), key=lambda choice: choice.id)

    def compared(self, made: Iterable[Choice]) -> dict[str, Judged]:
        """The turns that choices name, by id, with the opinions that are live on them."""
        named = {turn_id for choice in made for turn_id in (choice.first_turn_id, choice.second_turn_id)}
        return {item.turn.id: item for item in self.judged(named)} if named else {}

    def newest(self) -> dict[str, int]:
        """The highest id of each kind of opinion: a mark that says how far one has read."""
        with self._database.read() as connection:
            return {
                table.name: int(connection.execute(select(func.max(table.c.id))).scalar() or 0)
                for table in (ratings, corrections, choices, reviews)
            }

    def standing(self) -> tuple[int, ...]:
        """Something else after every opinion, withdrawal and deletion: until then what was read holds."""
        opinions = (ratings, corrections, choices, reviews)
        withheld = select(func.count()).select_from(conversations).where(~conversations.c.learned_from)
        with self._database.read() as connection:
            counted = [
                connection.execute(select(func.max(table.c.id), func.count()).select_from(table)).one()
                for table in opinions
            ]
            kept = connection.execute(withheld).scalar_one()
        return (int(kept), *(int(number or 0) for row in counted for number in row))

    def votes(self, after: int) -> list[Vote]:
        """Every thumb on answers of ours since the rating with the id `after`, as it was given, in order.

        A changed or withdrawn one stands beside what it changed: what has been counted can't be uncounted.
        Guests' are left out: one person may be any number of them.
        """
        query = (
            select(turns.c.conversation_id, turns.c.adapter, turns.c.created_at, ratings.c.thumb)
            .join(turns)
            .where(ratings.c.id > after, ratings.c.thumb.is_not(None))
            .where(ratings.c.role != "guest", turns.c.origin == "")
            .order_by(ratings.c.id)
        )
        with self._database.read() as connection:
            return [Vote(*row) for row in connection.execute(query)]

    def counts(self) -> dict[str, int]:
        """Live feedback in figures: turns, ups, downs, corrections, choices."""
        newest = select(func.max(ratings.c.id)).group_by(ratings.c.turn_id, ratings.c.person_id)
        thumbs = (
            select(ratings.c.thumb, func.count()).where(ratings.c.id.in_(newest)).group_by(ratings.c.thumb)
        )
        with self._database.read() as connection:
            counted = {thumb: int(number) for thumb, number in connection.execute(thumbs)}
            texts = [row for row in live(connection, corrections, Correction) if row.text]
            total = connection.execute(select(func.count()).select_from(turns)).scalar()
        return {
            "turns": int(total or 0),
            "up": counted.get("up", 0),
            "down": counted.get("down", 0),
            "corrections": len(texts),
            "choices": len(self.choices()),
        }

    def satisfaction(self) -> Satisfaction:
        """Live thumbs on answers that chance had chosen to ask about, and apart from them all others."""
        newest = select(func.max(ratings.c.id)).group_by(ratings.c.turn_id, ratings.c.person_id)
        thumbs = (
            select(turns.c.asked, ratings.c.thumb, func.count())
            .join(turns)
            .where(ratings.c.id.in_(newest), ratings.c.thumb.is_not(None), turns.c.origin == "")
            .group_by(turns.c.asked, ratings.c.thumb)
        )
        questions = select(func.count()).select_from(turns).where(turns.c.asked)
        with self._database.read() as connection:
            counted = {(asked, thumb): count for asked, thumb, count in connection.execute(thumbs)}
            total = connection.execute(questions).scalar()
        asked, unasked = (
            Liked(up := counted.get((which, "up"), 0), up + counted.get((which, "down"), 0))
            for which in (True, False)
        )
        return Satisfaction(asked, unasked, int(total or 0))

    def histories(self) -> Iterator[History]:
        """Every turn that has ended, with all that was ever said about it, in turn order.

        Read page by page, so that a long export holds no long transaction; a turn that ends meanwhile
        may or may not be among them.
        """
        last = ""
        while page := self._page(after=last):
            yield from page
            last = page[-1].turn.id

    def opening_turns(self) -> Iterator[tuple[Turn, str]]:
        """First turns with their conversation's opening, the newest first; regenerations come each by itself.

        Those of conversations that nothing is learned from are left out. Read page by page, so that whoever
        needs a few of them reads no more.
        """
        query = select(turns, conversations.c.opening).join(conversations)
        query = query.where(turns.c.parent_id.is_(None), conversations.c.learned_from)
        page: list[Row[Any]] | None = None
        while page is None or page:
            older = query if page is None else query.where(turns.c.id < page[-1].id)
            with self._database.read() as connection:
                page = list(connection.execute(older.order_by(turns.c.id.desc()).limit(_PAGE)))
            yield from ((record(Turn, row), row.opening) for row in page)

    def _page(self, after: str) -> list[History]:
        query = (
            select(
                turns,
                conversations.c.opening,
                conversations.c.title,
                conversations.c.grounded,
                conversations.c.learned_from,
            )
            .join(conversations)
            .where(turns.c.id > after, turns.c.status != "pending")
            .order_by(turns.c.id)
            .limit(_PAGE)
        )
        with self._database.read() as connection:
            rows = connection.execute(query).all()
            ids = [row.id for row in rows]
            thumbs = by_turn(_all(connection, ratings, Rating, ids))
            texts = by_turn(_all(connection, corrections, Correction, ids))
            found = by_turn(_all(connection, reviews, Review, ids))
            between = select(choices).where(
                or_(choices.c.first_turn_id.in_(ids), choices.c.second_turn_id.in_(ids))
            )
            chosen: dict[str, list[Choice]] = {}
            for row in connection.execute(between.order_by(choices.c.id)):
                chosen.setdefault(max(row.first_turn_id, row.second_turn_id), []).append(record(Choice, row))
        return [
            History(
                turn=record(Turn, row),
                title=row.title,
                opening=row.opening,
                grounded=row.grounded,
                ratings=thumbs.get(row.id, ()),
                corrections=texts.get(row.id, ()),
                choices=tuple(chosen.get(row.id, ())),
                learned_from=row.learned_from,
                reviews=found.get(row.id, ()),
            )
            for row in rows
        ]


def live(
    connection: Connection, table: Table, kind: type[R], turn_ids: Collection[str] | None = None
) -> list[R]:
    """The newest row of each (turn, person) of a table of opinions, as records of `kind`."""
    newest = select(func.max(table.c.id)).group_by(table.c.turn_id, table.c.person_id)
    if turn_ids is not None:
        newest = newest.where(table.c.turn_id.in_(turn_ids))
    query = select(table).where(table.c.id.in_(newest)).order_by(table.c.id)
    return [record(kind, row) for row in connection.execute(query)]


def record(kind: type[R], row: Row[Any]) -> R:
    """A row as a record: the columns that have the names of the fields of `kind`, a dataclass."""
    found, named = row._mapping, fields(cast(Any, kind))
    return kind(**{field.name: found[field.name] for field in named})


def by_turn(rows: Iterable[OnTurn]) -> dict[str, tuple[OnTurn, ...]]:
    """Opinions by the turn they are on, in the order they come."""
    grouped: dict[str, list[OnTurn]] = {}
    for row in rows:
        grouped.setdefault(row.turn_id, []).append(row)
    return {turn_id: tuple(found) for turn_id, found in grouped.items()}


def _all(connection: Connection, table: Table, kind: type[R], turn_ids: Collection[str]) -> list[R]:
    query = select(table).where(table.c.turn_id.in_(turn_ids)).order_by(table.c.id)
    return [record(kind, row) for row in connection.execute(query)]
