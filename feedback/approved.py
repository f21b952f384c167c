"""Approved answers as rows: who approved what, how often it served, and which adapter has learned it.

An approval is never changed in what it says: another one replaces it. Knows nothing of search, of accounts
(a person is a name, handed in) or of models.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime

from sqlalchemy import ColumnElement, func, insert, select, update
from uuid_utils import uuid7

from feedback.database import Database
from feedback.reading import record
from feedback.records import Invalid, NotFound, normalise
from feedback.schema import approvals, choices, corrections, ratings, reviews, turns

LONGEST_QUESTION = 2_000
LONGEST_ANSWER = 20_000


@dataclass(frozen=True, slots=True)
class Approval:
    """An answer that staff approved. It is open, an example for similar questions, until `ended_at`."""

    id: str
    turn_id: str
    question: str
    answer: str
    audience: str
    """The group that it is for; empty: everybody."""
    approved_by: str
    created_at: datetime
    ended_at: datetime | None = None
    ended_by: str | None = None
    reason: str | None = None
    """Why it ended."""
    tokens: int = 0
    """How many it takes in a prompt."""
    used: int = 0
    """Answers whose prompt it stood in."""
    spared: int = 0
    """Answers whose prompt did without it, because the adapter had learned it."""
    asked_of: str | None = None
    """The adapter that was last asked without it."""
    learned: bool = False
    """Whether that adapter answered as well without it."""
    finding: str | None = None
    """What came of asking, in words."""

    def needed_by(self, adapter: str | None) -> bool:
        """Whether it stands in the prompts of this adapter (None: the bare base model)."""
        return self.ended_at is None and not self.learned_by(adapter)

    def learned_by(self, adapter: str | None) -> bool:
        """Whether this adapter answers as well without it."""
        return self.learned and adapter is not None and self.asked_of == adapter


class Approved:
    """The approvals of one database. Safe to share between threads and processes."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, turn_id: str, question: str, answer: str, audience: str, by: str, tokens: int) -> Approval:
        """A new approval. Raises `Invalid` for an empty or too long text, `NotFound` for a turn that is not.

        Whoever calls it ends those that say the same question (`same`): first the new one, then the old.
        """
        question, answer = question.strip(), answer.strip()
        if not question or not answer:
            raise Invalid("an approval needs a question and an answer")
        if len(question) > LONGEST_QUESTION or len(answer) > LONGEST_ANSWER:
            raise Invalid(
                f"a question has at most {LONGEST_QUESTION} characters, an answer {LONGEST_ANSWER:,}"
            )
        new = Approval(f"appr-{uuid7().hex}", turn_id, question, answer, audience, by, _now(), tokens=tokens)
        with self._database.write() as connection:
            if not connection.execute(select(turns.c.id).where(turns.c.id == turn_id)).first():
                raise NotFound("there is no such turn")
            connection.execute(
                insert(approvals).values({field.name: getattr(new, field.name) for field in fields(new)})
            )
        return new

    def forget(self, approval_id: str) -> None:
        """Remove one that never came into force."""
        with self._database.write() as connection:
            connection.execute(approvals.delete().where(approvals.c.id == approval_id))

    def end(self, approval_ids: Collection[str], by: str, reason: str) -> None:
        """End those that are open: nobody finds them from now on."""
        with self._database.write() as connection:
            connection.execute(
                update(approvals)
                .where(approvals.c.id.in_(approval_ids), approvals.c.ended_at.is_(None))
                .values(ended_at=_now(), ended_by=by, reason=reason)
            )

    def get(self, approval_id: str) -> Approval:
        """One approval. Raises `NotFound`."""
        found = self._where(approvals.c.id == approval_id)
        if not found:
            raise NotFound("there is no such approval")
        return found[0]

    def some(self, approval_ids: Collection[str]) -> dict[str, Approval]:
        """Those of these ids that there are, open or not."""
        return {one.id: one for one in self._where(approvals.c.id.in_(approval_ids))} if approval_ids else {}

    def all(self, most: int = 1_000) -> list[Approval]:
        """All, the newest first."""
        query = select(approvals).order_by(approvals.c.id.desc()).limit(most)
        with self._database.read() as connection:
            return [record(Approval, row) for row in connection.execute(query)]

    def open(self) -> list[Approval]:
        """Those in force, the oldest first."""
        return self._where(approvals.c.ended_at.is_(None))

    def of_turn(self, turn_id: str) -> list[Approval]:
        """Those that were made of this turn, in force or not, the oldest first."""
        return self._where(approvals.c.turn_id == turn_id)

    def same(self, approval: Approval) -> list[Approval]:
        """Open ones for the same people that say the same question, besides it."""
        asked = normalise(approval.question)
        there = self._where(approvals.c.ended_at.is_(None), approvals.c.audience == approval.audience)
        return [one for one in there if one.id != approval.id and normalise(one.question) == asked]

    def served(self, used: Sequence[str], spared: Sequence[str]) -> None:
        """An answer was begun with these, and without those, which its adapter has learned."""
        with self._database.write() as connection:
            for ids, column in ((used, approvals.c.used), (spared, approvals.c.spared)):
                if ids:
                    connection.execute(
                        update(approvals).where(approvals.c.id.in_(ids)).values({column: column + 1})
                    )

    def asked(self, approval_id: str, adapter: str, learned: bool, finding: str) -> None:
        """Keep what came of asking this adapter without the example."""
        with self._database.write() as connection:
            connection.execute(
                update(approvals)
                .where(approvals.c.id == approval_id)
                .values(asked_of=adapter, learned=learned, finding=finding)
            )

    def votes(self, turn_id: str) -> set[str]:
        """Every opinion on a turn, as adapters name them: `correction:3`."""
        tables = {
            "rating": (ratings, ratings.c.turn_id == turn_id),
            "correction": (corrections, corrections.c.turn_id == turn_id),
            "review": (reviews, reviews.c.turn_id == turn_id),
            "choice": (choices, (choices.c.first_turn_id == turn_id) | (choices.c.second_turn_id == turn_id)),
        }
        with self._database.read() as connection:
            return {
                f"{name}:{number}"
                for name, (table, mine) in tables.items()
                for number in connection.execute(select(table.c.id).where(mine)).scalars()
            }

    def counts(self, live: str | None) -> dict[str, int]:
        """How many are in force, how many of them what is live has learned, and the tokens saved."""
        found = self.open()
        saved = select(func.coalesce(func.sum(approvals.c.spared * approvals.c.tokens), 0))
        with self._database.read() as connection:
            tokens = int(connection.execute(saved).scalar_one())
        learned = sum(one.learned_by(live) for one in found)
        return {"examples": len(found) - learned, "learned": learned, "tokens_saved": tokens}

    def _where(self, *conditions: ColumnElement[bool]) -> list[Approval]:
        query = select(approvals).where(*conditions).order_by(approvals.c.id)
        with self._database.read() as connection:
            return [record(Approval, row) for row in connection.execute(query)]


def _now() -> datetime:
    return datetime.now(UTC)
