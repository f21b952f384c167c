"""Tests of turns that come back from an export: as they were, or left out whole with a reason."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from feedback import schema
from feedback.database import Database
from feedback.records import Choice, Correction, History, Rating, Turn, prompt_key
from feedback.restoring import restore
from feedback.store import Store
from tests.feedback.test_store import rows

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)


def a_history(turn_id: str = "turn-1", **more: Any) -> History:
    prompt = [{"role": "user", "content": "Hi"}]
    turn = Turn(
        id=turn_id,
        conversation_id=more.pop("conversation_id", "conv-1"),
        parent_id=more.pop("parent_id", None),
        person_id=more.pop("person_id", "ann"),
        question="Hi",
        prompt=prompt,
        prompt_key=prompt_key(prompt),
        answer="Hello.",
        adapter=None,
        model="base",
        sampling={},
        status="complete",
        created_at=NOW,
    )
    return History(turn, "A title", "Hi", **more)


def restored(database: Database, histories: list[History]) -> list[str]:
    with database.write() as connection:
        return restore(connection, histories)


def test_restored_turns_are_as_they_were(store: Store, database: Database) -> None:
    ratings = (
        Rating(7, "turn-1", "ann", "user", "up", [], "", NOW),
        Rating(9, "turn-1", "ann", "user", "down", ["wrong"], "no", NOW + timedelta(minutes=1)),
    )
    corrections = (Correction(4, "turn-1", "sam", "staff", "Hello, Ann.", NOW),)
    second = a_history(
        "turn-2", parent_id="turn-1", choices=(Choice(3, "turn-1", "turn-2", "ann", "user", "first", NOW),)
    )
    assert restored(database, [a_history(ratings=ratings, corrections=corrections), second]) == ["", ""]
    [judged] = store.judged()
    assert judged.turn.answer == "Hello."
    assert [rating.thumb for rating in judged.ratings] == ["down"]
    assert judged.corrections[0].role == "staff"
    assert [choice.preference for choice in store.choices()] == ["first"]
    assert store.conversation("conv-1", "ann").title == "A title"
    # And a client with its own history goes on in them.
    found = store.answered_before("ann", [*judged.turn.prompt, {"role": "assistant", "content": "Hello."}])
    assert found is not None


def test_what_does_not_fit_is_left_out_with_a_reason(store: Store, database: Database) -> None:
    rating = Rating(7, "turn-x", "ann", "user", "up", [], "", NOW)
    choice = Choice(3, "turn-8", "turn-9", "ann", "user", "first", NOW)
    reasons = restored(
        database,
        [
            a_history(),
            a_history(),
            a_history("turn-3", person_id="bob", ratings=(rating,)),
            a_history("turn-4", parent_id="turn-none"),
            a_history("turn-9", choices=(choice,)),
        ],
    )
    said = ["", "here already", "somebody else", "turn before", "turn-8"]
    assert all(part in reason for part, reason in zip(said, reasons, strict=True))
    assert rows(database, schema.turns) == 1
    assert rows(database, schema.ratings) == 0


def test_a_switched_off_conversation_comes_back_switched_off(store: Store, database: Database) -> None:
    assert restored(database, [a_history(grounded=False)]) == [""]
    assert not store.conversation("conv-1", "ann").grounded
