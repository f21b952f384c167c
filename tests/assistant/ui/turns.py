"""Turns by hand, for tests of what is drawn."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from feedback.records import Turn

NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


def turn(name: str, parent: str | None = None, question: str = "q", answer: str = "a", **more: Any) -> Turn:
    """A complete turn."""
    values: dict[str, Any] = {
        "id": name,
        "conversation_id": "conv-1",
        "parent_id": parent,
        "person_id": "person-1",
        "question": question,
        "prompt": (),
        "prompt_key": "",
        "answer": answer,
        "adapter": None,
        "model": "starter",
        "sampling": {},
        "status": "complete",
        "created_at": NOON,
    }
    return Turn(**values | more)
