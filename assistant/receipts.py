"""Who is to be told that an adapter learned from their vote and is live now, and on which of their questions.

An adapter's manifest names the votes behind its examples; the votes name turns. A receipt is told once: its
row is written when the person has looked or has closed it. Knows no page, which asks for the new answer.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Table, insert, select, update

from feedback.database import Database
from feedback.schema import choices, corrections, ratings, receipts, turns
from training.registry import Registry


@dataclass(frozen=True, slots=True)
class Receipt:
    """The live `adapter` learned from `votes` opinions of a person; `turn_id` is what one of them was on."""

    adapter: str
    votes: int
    turn_id: str
    question: str


class Receipts:
    """The receipts in one database. Safe to share between threads."""

    def __init__(self, database: Database, registry: Registry) -> None:
        self._database = database
        self._registry = registry
        self._taught: tuple[str, Mapping[str, Sequence[str]]] = ("", {})
        self._lock = threading.Lock()

    def waiting(self, person_id: str) -> Receipt | None:
        """What this person has not been told yet; None for nearly everybody, nearly always."""
        live = self._registry.live()
        if live is None:
            return None
        with self._lock:
            if self._taught[0] != live.name:
                # An adapter never changes, so its list of examples is read once.
                self._taught = live.name, taught(live.manifest)
            votes = self._taught[1].get(person_id, ())
        if not votes or self._was_told(person_id, live.name):
            return None
        own = self._own(person_id, votes)
        turn = self._turn(person_id, own)
        return None if turn is None else Receipt(live.name, len(own), turn[0], turn[1])

    def told(self, person_id: str, adapter: str, turn_id: str | None) -> None:
        """They have looked at the answers to `turn_id`, or wanted to see none."""
        own = (receipts.c.person_id == person_id) & (receipts.c.adapter == adapter)
        values = {"turn_id": turn_id, "told_at": datetime.now(UTC)}
        with self._database.write() as connection:
            if not connection.execute(update(receipts).where(own).values(**values)).rowcount:
                connection.execute(insert(receipts).values(person_id=person_id, adapter=adapter, **values))

    def _was_told(self, person_id: str, adapter: str) -> bool:
        own = (receipts.c.person_id == person_id) & (receipts.c.adapter == adapter)
        with self._database.read() as connection:
            return connection.execute(select(receipts.c.adapter).where(own)).first() is not None

    def _own(self, person_id: str, votes: Sequence[str]) -> list[str]:
        """Those of these opinions that are this person's: others may have asked the same."""
        own: set[str] = set()
        with self._database.read() as connection:
            for kind, table in (("correction", corrections), ("rating", ratings), ("choice", choices)):
                query = select(table.c.id).where(table.c.person_id == person_id)
                own.update(f"{kind}:{row.id}" for row in connection.execute(query))
        return [name for name in votes if name in own]

    def _turn(self, person_id: str, votes: Sequence[str]) -> tuple[str, str] | None:
        """The newest turn of this person that they corrected, else one they voted on, with its question.

        What was deleted since is passed over.
        """
        for kind, table, column in (
            ("correction", corrections, corrections.c.turn_id),
            ("rating", ratings, ratings.c.turn_id),
            ("choice", choices, choices.c.first_turn_id),
        ):
            if (found := self._on(table, column, person_id, _ids(votes, kind))) is not None:
                return found
        return None

    def _on(self, table: Table, column: Any, person_id: str, ids: Sequence[int]) -> tuple[str, str] | None:
        """Of several turns the one whose answer was not liked: there the difference shows."""
        if not ids:
            return None
        own = table.c.id.in_(ids) & (table.c.person_id == person_id) & (turns.c.person_id == person_id)
        # "down" stands before "up" in the alphabet.
        order = (ratings.c.thumb, ratings.c.id.desc()) if table is ratings else (table.c.id.desc(),)
        query = select(turns.c.id, turns.c.question).join(table, turns.c.id == column).where(own)
        query = query.order_by(*order)
        with self._database.read() as connection:
            row = connection.execute(query.limit(1)).first()
        return None if row is None else (row.id, row.question)


def taught(manifest: Mapping[str, Any]) -> dict[str, list[str]]:
    """Whom an adapter learned from, and the opinions behind the examples they had a part in, such as
    `correction:3`: not all of these need be theirs. Pure.
    """
    found: dict[str, dict[str, None]] = {}
    for example in manifest.get("examples", ()):
        for person in example.get("people", ()):
            found.setdefault(person, {}).update(dict.fromkeys(example.get("votes", ())))
    return {person: list(votes) for person, votes in found.items()}


def _ids(votes: Sequence[str], kind: str) -> list[int]:
    """The newest of one kind; a database takes only so many at once."""
    ids = [int(name.partition(":")[2]) for name in votes if name.startswith(f"{kind}:")]
    return sorted(ids, reverse=True)[:500]
