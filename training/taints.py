"""Adapters that learned from somebody whose data was deleted: which they are, and by how many examples.

A row beside the adapter, since its folder never changes. Whoever promotes asks here. Knows no people but by
the ids that manifests hold.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, func, insert, select

from feedback.alerts import Alarm
from feedback.database import Database
from feedback.records import goes_with
from training.records import Refused
from training.schema import adapters, taints


@dataclass(frozen=True, slots=True)
class Taint:
    """What an adapter learned from people whose data was deleted since."""

    adapter: str
    examples: int
    """Of its examples, so many were theirs."""
    people: int
    """How many deletions that was."""


class Taints:
    """The taints of one database. Safe to share between threads and processes."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def mark(self, deletion_id: str, person_id: str, votes: Collection[str]) -> list[str]:
        """Mark every adapter that learned from this person, or from these opinions.

        Returns the names of those that are marked for this deletion, also by an earlier call.
        """
        known, now = set(votes), datetime.now(UTC)
        mine = taints.c.deletion_id == deletion_id
        with self._database.write() as connection:
            marked = set(connection.execute(select(taints.c.adapter).where(mine)).scalars())
            for row in connection.execute(select(adapters.c.name, adapters.c.manifest)).all():
                count = sum(learned_from(one, person_id, known) for one in row.manifest.get("examples", ()))
                if count and row.name not in marked:
                    values = {"adapter": row.name, "deletion_id": deletion_id, "examples": count, "at": now}
                    connection.execute(insert(taints).values(values))
                    marked.add(row.name)
        return sorted(marked)

    def all(self) -> dict[str, Taint]:
        """Every tainted adapter, by name."""
        query = select(taints.c.adapter, func.sum(taints.c.examples), func.count()).group_by(taints.c.adapter)
        with self._database.read() as connection:
            return {name: Taint(name, int(sum_), count) for name, sum_, count in connection.execute(query)}

    def alarm(self, live: str | None) -> Alarm | None:
        """An alarm if the adapter of that name is tainted: the one that is live."""
        taint = self.all().get(live) if live else None
        if taint is None:
            return None
        people = "somebody" if taint.people == 1 else f"{taint.people} people"
        said = (
            f"{taint.adapter} is live and learned {taint.examples} of its examples from {people} whose data"
        )
        return Alarm("live_tainted", f"{said} was deleted: promote one without them", taint.adapter)


def check(connection: Connection, name: str) -> None:
    """Raise `Refused` if the adapter is tainted."""
    if connection.execute(select(taints.c.adapter).where(taints.c.adapter == name).limit(1)).first():
        raise Refused(f"{name} learned from somebody whose data was deleted, and is not promoted any more")


def learned_from(example: Mapping[str, Any], person_id: str, votes: Collection[str]) -> bool:
    """Whether an example, as manifests and examples.jsonl have it, came from this person or these votes.

    The votes alone don't tell: a person may have deleted the chat before, and with it those of others on it.
    """
    people = (*example.get("people", ()), *example.get("askers", ()))
    theirs = any(goes_with(one, person_id) for one in people)
    return theirs or any(vote in votes for vote in example.get("votes", ()))
