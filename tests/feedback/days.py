"""Turns and votes of a chosen time, and the statements that a read makes, for tests of what days come to."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import event, insert

from feedback.counting import id_at
from feedback.database import Database
from feedback.records import Thumb
from feedback.schema import conversations, corrections, ratings, turns

_numbers = itertools.count()


def turn(database: Database, at: datetime, **more: Any) -> str:
    """A turn that began at `at` and took two seconds; gives its id."""
    number = next(_numbers)
    values: dict[str, Any] = {
        "id": f"{id_at(at)}{number:020x}",
        "conversation_id": f"conv-{number}",
        "person_id": "ann",
        "question": "Where?",
        "prompt": [],
        "prompt_key": "k",
        "answer": "Here.",
        "adapter": None,
        "model": "m",
        "sampling": {},
        "status": "complete",
        "created_at": at,
        "first_token_at": at + timedelta(seconds=0.5),
        "ended_at": at + timedelta(seconds=2),
        "prompt_tokens": 10,
        "completion_tokens": 4,
    }
    values |= more
    with database.write() as connection:
        if "conversation_id" not in more:
            own = {"id": values["conversation_id"], "person_id": "ann", "created_at": at, "updated_at": at}
            connection.execute(insert(conversations).values(own))
        connection.execute(insert(turns).values(values))
    return str(values["id"])


def vote(database: Database, turn_id: str, thumb: Thumb | None, at: datetime, person: str = "ann") -> None:
    """A rating given at `at`."""
    values = {"turn_id": turn_id, "person_id": person, "role": "user", "thumb": thumb, "created_at": at}
    with database.write() as connection:
        connection.execute(insert(ratings).values(values))


def correct(database: Database, turn_id: str, text: str, at: datetime) -> None:
    """A correction given at `at`."""
    values = {"turn_id": turn_id, "person_id": "ann", "role": "user", "text": text, "created_at": at}
    with database.write() as connection:
        connection.execute(insert(corrections).values(values))


Said = list[tuple[str, Any]]
"""Statements with their values."""


@contextmanager
def watched(database: Database) -> Iterator[Said]:
    """Everything that is said to the database meanwhile."""
    said: Said = []

    def note(_connection: object, _cursor: object, statement: str, values: Any, *_: object) -> None:
        said.append((statement, values))

    event.listen(database._engine, "before_cursor_execute", note)
    yield said
    event.remove(database._engine, "before_cursor_execute", note)


def plans_of(database: Database, said: Sequence[tuple[str, Any]]) -> list[str]:
    """How SQLite goes about each SELECT, step by step."""
    plans = []
    with database.read() as connection:
        for statement, values in said:
            if statement.startswith("SELECT"):
                rows = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values)
                plans += [str(row[3]) for row in rows]
    return plans
