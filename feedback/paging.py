"""A person's own conversations and opinions, page by page, for scripts. Every page is one indexed read.

`Page.more` says whether there are others behind it; the next one begins after the id of its last item.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from sqlalchemy import func, select

from feedback.database import Database
from feedback.reading import record
from feedback.records import Conversation, NotFound, Rating
from feedback.schema import conversations, ratings

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Some items, the newest first."""

    items: Sequence[T]
    more: bool


def conversation_page(
    database: Database, person_id: str, limit: int, after: str | None = None
) -> Page[Conversation]:
    """Conversations of this person, the one that was last spoken in first. Raises `NotFound`."""
    mine = conversations.c.person_id == person_id
    order = (conversations.c.updated_at, conversations.c.id)
    query = select(conversations).where(mine)
    with database.read() as connection:
        if after is not None:
            last = connection.execute(select(*order).where(mine, conversations.c.id == after)).first()
            if last is None:
                raise NotFound("there is no such conversation to go on after")
            same = (order[0] == last.updated_at) & (order[1] < last.id)
            query = query.where((order[0] < last.updated_at) | same)
        rows = connection.execute(query.order_by(*(one.desc() for one in order)).limit(limit + 1)).all()
    return Page([record(Conversation, row) for row in rows[:limit]], len(rows) > limit)


def rating_page(database: Database, person_id: str, limit: int, after: int | None = None) -> Page[Rating]:
    """The live ratings of this person, the newest first; those that were taken back are among them."""
    newest = select(func.max(ratings.c.id)).where(ratings.c.person_id == person_id)
    query = select(ratings).where(ratings.c.id.in_(newest.group_by(ratings.c.turn_id)))
    if after is not None:
        query = query.where(ratings.c.id < after)
    with database.read() as connection:
        rows = connection.execute(query.order_by(ratings.c.id.desc()).limit(limit + 1)).all()
    return Page([record(Rating, row) for row in rows[:limit]], len(rows) > limit)
