"""A person's conversations as they keep them: in pages, named, pinned, searched, kept from learning, deleted.

Every method works on the conversations of one person and takes a foreign one for one that is not there. Knows
no page. What deletion means: the conversation goes with its turns and everything ever said about them, from
every table that leans on them; sums of days stay, and so does what an adapter has learned already.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Select, func, select, update

from feedback import deleting, searching
from feedback.database import Database
from feedback.reading import record
from feedback.records import Conversation, Invalid, NotFound
from feedback.schema import conversations, turns
from feedback.titles import LONGEST_GIVEN

PAGE = 50
MOST_PINNED = 50


@dataclass(frozen=True, slots=True)
class Listed:
    """The head of a person's list: what is pinned, then the newest of the others."""

    pinned: Sequence[Conversation]
    recent: Sequence[Conversation]
    more: bool
    """Whether there are older ones."""


class Past:
    """The conversations in one database. Safe to share between threads."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def listed(self, person_id: str, most: int = PAGE) -> Listed:
        """The pinned conversations and the `most` newest of the others."""
        own = select(conversations).where(conversations.c.person_id == person_id)
        newest = (conversations.c.updated_at.desc(), conversations.c.id.desc())
        pinned = own.where(conversations.c.pinned_at.is_not(None))
        recent = own.where(conversations.c.pinned_at.is_(None)).order_by(*newest).limit(most + 1)
        with self._database.read() as connection:
            above = _read(connection, pinned.order_by(conversations.c.pinned_at.desc()).limit(MOST_PINNED))
            below = _read(connection, recent)
        return Listed(above, below[:most], len(below) > most)

    def search(self, person_id: str, wanted: str) -> list[searching.Found]:
        """Those in which the wanted words stand, the newest first."""
        return searching.search(self._database, person_id, wanted, PAGE)

    def rename(self, conversation_id: str, person_id: str, title: str) -> None:
        """Give a conversation a title. Raises `Invalid` for an empty or too long one, `NotFound`."""
        title = " ".join(title.split())
        if not title:
            raise Invalid("a title needs at least one letter")
        if len(title) > LONGEST_GIVEN:
            raise Invalid(f"a title has at most {LONGEST_GIVEN} characters")
        with self._database.write() as connection:
            _change(connection, conversation_id, person_id, title=title)
            own = select(conversations).where(conversations.c.id == conversation_id)
            searching.note_title(connection, record(Conversation, connection.execute(own).one()))

    def pin(self, conversation_id: str, person_id: str, pinned: bool) -> None:
        """Have it stand above the others, or not any more. Raises `NotFound`, `Invalid` for too many."""
        above = (conversations.c.person_id == person_id) & conversations.c.pinned_at.is_not(None)
        with self._database.write() as connection:
            count = connection.execute(select(func.count()).select_from(conversations).where(above)).scalar()
            if pinned and (count or 0) >= MOST_PINNED:
                raise Invalid(f"at most {MOST_PINNED} conversations can be pinned; unpin one first")
            _change(connection, conversation_id, person_id, pinned_at=datetime.now(UTC) if pinned else None)

    def learn(self, conversation_id: str, person_id: str, learned_from: bool) -> None:
        """Say whether anything may be trained on it, from the next run on. Raises `NotFound`."""
        with self._database.write() as connection:
            _change(connection, conversation_id, person_id, learned_from=learned_from)

    def delete(self, conversation_id: str, person_id: str) -> None:
        """Delete it with everything that leans on it, at once or not at all.

        Raises `NotFound`, and `Invalid` while an answer is being written in it.
        """
        own = (conversations.c.id == conversation_id) & (conversations.c.person_id == person_id)
        inside = turns.c.conversation_id == conversation_id
        with self._database.write() as connection:
            if not connection.execute(select(conversations.c.id).where(own)).first():
                raise NotFound("there is no such conversation")
            pending = select(turns.c.id).where(inside, turns.c.status == "pending")
            if connection.execute(pending.limit(1)).first():
                raise Invalid("an answer is being written in this conversation; stop it first")
            deleting.forget_conversation(connection, conversation_id)


def _change(connection: Connection, conversation_id: str, person_id: str, **values: Any) -> None:
    own = (conversations.c.id == conversation_id) & (conversations.c.person_id == person_id)
    if not connection.execute(update(conversations).where(own).values(**values)).rowcount:
        raise NotFound("there is no such conversation")


def _read(connection: Connection, query: Select[Any]) -> list[Conversation]:
    return [record(Conversation, row) for row in connection.execute(query)]
