"""Turns and queues by hand, for tests of reviews."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from feedback.database import Database
from feedback.records import Turn
from feedback.review_order import Place
from feedback.review_records import Kind
from feedback.reviews import Reviews
from feedback.store import Ending, NewTurn, Store


def answered(
    store: Store,
    question: str = "Where is it?",
    answer: str = "On its way.",
    person: str = "ann",
    **more: Any,
) -> Turn:
    """A conversation of one turn."""
    conversation = store.start_conversation(person, question)
    prompt = [{"role": "user", "content": question}]
    given = {"model": "model", "adapter": None, "sampling": {}, **more}
    new = NewTurn(conversation.id, None, person, question, prompt, **given)
    return store.end(store.begin(new), Ending("complete", answer, finish_reason="stop"))


def queue(
    database: Database, turns: Sequence[Turn], *, twice: Sequence[int] = (), kind: Kind = "random"
) -> Reviews:
    """Reviews with these turns in the queue, those at `twice` for two people."""
    reviews = Reviews(database)
    reviews.fill([Place(turn.id, kind, place in twice) for place, turn in enumerate(turns)])
    return reviews
