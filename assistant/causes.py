"""Sorts bad answers by their cause: gathers the evidence with a wider search and keeps what was decided.

A turn is sorted again when more is said of it, unless staff have decided. The rule itself stands in
`retrieval/causes.py`; what follows from a cause, in training and in the list of gaps, is no matter of this.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol, get_args

from anyio import to_thread
from sqlalchemy import func, insert, literal, select, union_all, update
from sqlalchemy.exc import IntegrityError

from feedback.database import Database
from feedback.records import Cause, Correction, Invalid, NotFound, Turn
from feedback.schema import causes, corrections, ratings, turns
from feedback.store import Store
from retrieval.causes import Complaint, Seen, decide, weigh
from retrieval.records import EVERYBODY, Hit, Kind

RULE = "rule"
"""Who decided, where nobody of the staff did."""
_WIDE = 12
"""Passages that are looked at beyond those of the prompt, for the question and for the correction."""
_MARGIN = timedelta(minutes=1)
"""A row may be older than its place among others says: whoever wrote it waited for the lock."""


class Finds(Protocol):
    """What is needed of the knowledge base."""

    @property
    def empty(self) -> bool:
        """Whether there is nothing that could be found."""

    async def search(
        self,
        question: str,
        audiences: Collection[str],
        *,
        kinds: Sequence[Kind] = ("document",),
        most: int | None = None,
        floor: float | None = None,
    ) -> list[Hit]:
        """The best passages, for whoever belongs to these audiences."""

    def embed(self, texts: Sequence[str]) -> Any:
        """Vectors of these texts, one a row, of length one."""


Audiences = Callable[[str], Collection[str]]
"""For whom a person may read, by the person's id."""


@dataclass(frozen=True, slots=True)
class Sorted:
    """A bad answer and its cause."""

    turn: Turn
    cause: Cause
    evidence: Mapping[str, Any]
    decided_by: str
    made_at: datetime


@dataclass
class Causes:
    """The causes of one home's bad answers."""

    database: Database
    store: Store
    library: Finds
    audiences: Audiences = lambda _: frozenset({EVERYBODY})
    _seen: dict[str, int] = field(default_factory=lambda: {"ratings": 0, "corrections": 0})
    """Up to which opinion all are sorted, as far as this process has read. Others read it from the rows."""

    async def sort_new(self, most: int = 50) -> list[str]:
        """Sort bad answers that documents were looked through for, the oldest opinions first.

        Returns the ids of the turns. Cheap when nothing is new. Raises the library's `Unavailable`.
        """
        newest = await to_thread.run_sync(self.store.newest)
        if all(newest[name] <= mark for name, mark in self._seen.items()):
            return []
        found = await to_thread.run_sync(self._unsorted)
        for turn_id in found[:most]:
            await self.sort(turn_id)
        if len(found) <= most:
            self._seen = {name: newest[name] for name in self._seen}
        return found[:most]

    async def sort(self, turn_id: str) -> Cause | None:
        """Find out why this answer was bad; None if nobody says so any more, or staff have decided."""
        now = datetime.now(UTC)
        judged = await to_thread.run_sync(lambda: self.store.judged([turn_id]))
        if not judged:
            return None
        turn, downs = judged[0].turn, [row for row in judged[0].ratings if row.thumb == "down"]
        texts = [row for row in judged[0].corrections if row.text]
        if not downs and not texts:
            return None
        complaint = Complaint(
            turn.searched or turn.question,
            turn.answer,
            {reason for row in downs for reason in row.reasons},
            _best(texts),
        )
        if await to_thread.run_sync(lambda: self.library.empty):
            cause: Cause = "other"
            evidence: dict[str, Any] = {"note": "there were no documents to look in"}
        else:
            weighed = weigh(complaint, await self._seen_passages(turn, complaint.correction))
            cause, evidence = decide(weighed), dict(weighed.as_json())
        kept = await to_thread.run_sync(lambda: self._keep(turn_id, cause, evidence, RULE, now))
        return cause if kept else None

    def overrule(self, turn_id: str, cause: str, by: str) -> None:
        """Staff say what it was; the rule leaves it alone from now on. Raises `NotFound`, `Invalid`."""
        if cause not in get_args(Cause):
            raise Invalid(f"a cause is one of {', '.join(get_args(Cause))}")
        self.store.turn(turn_id)
        with self.database.read() as connection:
            query = select(causes.c.evidence).where(causes.c.turn_id == turn_id)
            evidence = connection.execute(query).scalar()
        self._keep(turn_id, cause, evidence or {}, by, datetime.now(UTC))

    def of(self, turn_id: str) -> Sorted:
        """The cause of one answer. Raises `NotFound`."""
        found = self._read(causes.c.turn_id == turn_id, 1)
        if not found:
            raise NotFound("this answer was not sorted")
        return found[0]

    def newest(self, most: int = 20) -> list[Sorted]:
        """The answers sorted last, the newest first."""
        return self._read(literal(True), most)

    def counts(self) -> dict[str, int]:
        """How many answers each cause has."""
        query = select(causes.c.cause, func.count()).group_by(causes.c.cause)
        with self.database.read() as connection:
            counted = {cause: int(count) for cause, count in connection.execute(query)}
        return {cause: counted.get(cause, 0) for cause in get_args(Cause)}

    # -- rows

    def _unsorted(self) -> list[str]:
        """Turns with a bad opinion that no decision has heard yet, in the order of the opinions."""
        downs = select(ratings.c.turn_id, ratings.c.created_at.label("said_at")).where(
            ratings.c.id > self._seen["ratings"], ratings.c.thumb == "down"
        )
        texts = select(corrections.c.turn_id, corrections.c.created_at.label("said_at")).where(
            corrections.c.id > self._seen["corrections"], corrections.c.text != ""
        )
        said = union_all(downs, texts).subquery()
        query = (
            select(said.c.turn_id, said.c.said_at, causes.c.made_at, causes.c.decided_by)
            .join(turns, turns.c.id == said.c.turn_id)
            .outerjoin(causes, causes.c.turn_id == said.c.turn_id)
            .where(turns.c.searched.is_not(None))
            .order_by(said.c.said_at)
        )
        with self.database.read() as connection:
            rows = connection.execute(query).all()
        return list(
            dict.fromkeys(
                row.turn_id
                for row in rows
                if row.made_at is None or (row.decided_by == RULE and row.made_at < row.said_at + _MARGIN)
            )
        )

    async def _seen_passages(self, turn: Turn, correction: str) -> list[Seen]:
        """The passages of the prompt, and those that a wider search finds for question and correction."""
        audiences = await to_thread.run_sync(self.audiences, turn.person_id)
        by_question = await self._wide(turn.searched or turn.question, audiences)
        by_correction = await self._wide(correction, audiences) if correction else {}
        used = {str(one.get("id")): one for one in turn.passages}
        texts = {key: _text(one) for key, one in used.items()}
        for key, hit in (by_question | by_correction).items():
            texts.setdefault(key, f"{hit.passage.title}\n{hit.passage.text}")
        return [
            Seen(
                text,
                key in used,
                float(used[key].get("score") or 0.0) if key in used else _score(by_question, key),
                _score(by_correction, key),
            )
            for key, text in texts.items()
        ]

    async def _wide(self, text: str, audiences: Collection[str]) -> dict[str, Hit]:
        found = await self.library.search(text, audiences, most=_WIDE, floor=-1.0)
        return {hit.passage.id: hit for hit in found}

    def _keep(self, turn_id: str, cause: str, evidence: Mapping[str, Any], by: str, at: datetime) -> bool:
        """Write a decision; the rule's never goes over that of staff."""
        values = {"cause": cause, "evidence": dict(evidence), "decided_by": by, "made_at": at}
        own = causes.c.turn_id == turn_id
        replaced = own & (causes.c.decided_by == RULE) if by == RULE else own
        try:
            with self.database.write() as connection:
                if connection.execute(update(causes).where(replaced).values(values)).rowcount:
                    return True
                if connection.execute(select(causes.c.turn_id).where(own)).first():
                    return False
                connection.execute(insert(causes).values(turn_id=turn_id, **values))
        except IntegrityError:
            # Another process was quicker.
            return False
        return True

    def _read(self, which: Any, most: int) -> list[Sorted]:
        query = select(causes).where(which).order_by(causes.c.made_at.desc(), causes.c.turn_id).limit(most)
        with self.database.read() as connection:
            rows = connection.execute(query).all()
        found = {item.turn.id: item.turn for item in self.store.judged([row.turn_id for row in rows])}
        return [
            Sorted(found[row.turn_id], row.cause, row.evidence, row.decided_by, row.made_at) for row in rows
        ]


def _best(texts: Sequence[Correction]) -> str:
    """The correction that counts: staff's newest, else the newest."""
    staff = [row for row in texts if row.role in ("staff", "admin")]
    return max(staff or texts, key=lambda row: row.id).text if texts else ""


def _text(kept: Mapping[str, Any]) -> str:
    return f"{kept.get('title', '')}\n{kept.get('text', '')}"


def _score(hits: Mapping[str, Hit], key: str) -> float:
    return hits[key].score if key in hits else 0.0
