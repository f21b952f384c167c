"""Two answers to one question that a person is shown side by side: which stood where, and whether it is over.

What they chose is a choice like any other (`Store.choose`); an offer only keeps the two together until then,
so that a reload, or another browser, shows them as they stood.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import insert, or_, select, update

from feedback.database import Database
from feedback.schema import offers


@dataclass(frozen=True, slots=True)
class Offer:
    """`first_turn_id` stands on the left. Which of the two came from where, their turns say."""

    first_turn_id: str
    second_turn_id: str

    @property
    def both(self) -> tuple[str, str]:
        """From left to right."""
        return self.first_turn_id, self.second_turn_id


class Offers:
    """The offers in one database. Safe to share between threads."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, first_turn_id: str, second_turn_id: str) -> Offer:
        """Keep two answers together, in this order."""
        made = Offer(first_turn_id, second_turn_id)
        values = {"first_turn_id": first_turn_id, "second_turn_id": second_turn_id}
        with self._database.write() as connection:
            connection.execute(insert(offers).values(**values, created_at=datetime.now(UTC)))
        return made

    def open(self, turn_ids: Collection[str]) -> Offer | None:
        """The offer that one of these turns stands in and that nobody has ended, if there is one."""
        here = or_(offers.c.first_turn_id.in_(turn_ids), offers.c.second_turn_id.in_(turn_ids))
        query = select(offers).where(here, offers.c.ended_at.is_(None)).limit(1)
        with self._database.read() as connection:
            row = connection.execute(query).first()
        return None if row is None else Offer(row.first_turn_id, row.second_turn_id)

    def end(self, offer: Offer) -> None:
        """They chose, or went on without choosing."""
        own = (offers.c.first_turn_id == offer.first_turn_id) & offers.c.ended_at.is_(None)
        with self._database.write() as connection:
            connection.execute(update(offers).where(own).values(ended_at=datetime.now(UTC)))
