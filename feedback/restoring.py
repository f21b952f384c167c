"""Puts turns of an export back as they were: rows for the store's own transactions, checked one by one.

Knows the tables and nothing of who calls it; what an export looks like stands in `exchange.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from sqlalchemy import Connection, insert, select, update

from feedback import days, searching
from feedback.records import Conversation, History, Invalid, NotFound, thread_key
from feedback.schema import choices, conversations, corrections, ratings, reviews, turns

RESTORED = 0
"""The task of a review that was made in another home."""


def restore(connection: Connection, histories: Sequence[History]) -> list[str]:
    """Store turns as they were, in order; their opinions get new ids.

    Returns for each history an empty text, or one sentence that says why it was left out, whole.
    """
    days.reopen(connection, (history.turn.id for history in histories if not history.turn.origin))
    return [_restored(connection, history) for history in histories]


def _restored(connection: Connection, history: History) -> str:
    """Store one turn of an export as it was; an empty text, or one sentence that says why not."""
    turn = history.turn
    others = {choice.first_turn_id for choice in history.choices}
    others |= {choice.second_turn_id for choice in history.choices}
    try:
        if connection.execute(select(turns.c.id).where(turns.c.id == turn.id)).first():
            raise Invalid(f"the turn {turn.id} is here already and was left as it is")
        check_parent(connection, turn.parent_id, turn.conversation_id)
        for other in others - {turn.id}:
            if not connection.execute(select(turns.c.id).where(turns.c.id == other)).first():
                raise Invalid(f"a choice names the turn {other}, which is not here")
        _restore_conversation(connection, history)
    except (Invalid, NotFound) as error:
        return str(error)
    values = plain(turn) | {"thread_key": thread_key(turn.prompt, turn.answer)}
    connection.execute(insert(turns).values(values))
    where, person = turn.conversation_id, turn.person_id
    searching.note_turn(connection, turn.id, where, person, turn.question, turn.answer)
    said = ((ratings, history.ratings), (corrections, history.corrections), (choices, history.choices))
    for table, opinions in said:
        for opinion in opinions:
            values = {name: value for name, value in plain(opinion).items() if name != "id"}
            connection.execute(insert(table).values(values))
    for review in history.reviews:
        # Whether two knew of each other is not told: it is no evidence of how far people agree here.
        values = {name: value for name, value in plain(review).items() if name != "id"}
        connection.execute(insert(reviews).values(values | {"task_id": RESTORED, "informed": True}))
    return ""


def _restore_conversation(connection: Connection, history: History) -> None:
    """Make the conversation with its first turn; later turns must be of the same person."""
    turn = history.turn
    there = conversations.c.id == turn.conversation_id
    owner = connection.execute(select(conversations.c.person_id).where(there)).scalar()
    if owner is None:
        row = Conversation(
            turn.conversation_id,
            turn.person_id,
            history.title,
            turn.created_at,
            turn.created_at,
            history.grounded,
            history.opening,
            learned_from=history.learned_from,
        )
        connection.execute(insert(conversations).values(plain(row)))
        searching.note_title(connection, row)
    elif owner != turn.person_id:
        raise Invalid(f"the conversation {turn.conversation_id} belongs to somebody else here")
    else:
        connection.execute(update(conversations).where(there).values(updated_at=turn.created_at))


def check_parent(connection: Connection, parent_id: str | None, conversation_id: str) -> bool:
    """Whether the turn before is restricted. Raises `NotFound` unless it stands in this conversation."""
    if parent_id is None:
        return False
    inside = (turns.c.id == parent_id) & (turns.c.conversation_id == conversation_id)
    row = connection.execute(select(turns.c.restricted).where(inside)).first()
    if row is None:
        raise NotFound(f"the turn before it, {parent_id}, is not in this conversation")
    return bool(row.restricted)


def plain(record: Any) -> dict[str, Any]:
    """A record as column values; tuples become lists, which JSON columns want."""
    values = {field.name: getattr(record, field.name) for field in fields(record)}
    return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}
