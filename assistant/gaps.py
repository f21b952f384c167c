"""What staff should write down: questions that no document answered, grouped by what they ask for.

Owns the rows of gaps and of the turns in them, and how a gap is closed: by a document, after which its
questions are asked again, or by a reason. Why an answer was bad is decided in `causes.py`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

import numpy as np
from anyio import to_thread
from sqlalchemy import Connection, Select, Text, cast, delete, func, insert, select, update
from uuid_utils import uuid7

from assistant import prompt
from assistant.causes import Finds
from feedback.counting import id_at
from feedback.database import Database
from feedback.records import Invalid, Message, NotFound, Turn, normalise
from feedback.schema import causes, gap_turns, gaps, turns
from feedback.store import Store
from retrieval.causes import tells_something
from retrieval.clusters import Group, Questions, grow
from retrieval.records import NotFound as NoDocument
from retrieval.shelf import Shelf

NOTHING = "nothing"
"""Why a turn is in a gap: nothing was found; otherwise its cause."""
_WHYS = ("missing", "unretrieved", "misread")
_LONGEST_REASON = 1_000
_MOST_VECTORS = 30
"""Questions of a gap that stand for it, the newest ones."""
_MOST_ASKED = 8
"""Questions that are asked again when a gap is closed."""
_AT_ONCE = 200
_OLDEST = timedelta(days=90)
"""What nothing was found for longer ago opens no gap any more."""


@dataclass(frozen=True, slots=True)
class Member:
    """A question in a gap, with what was answered and why that is no good."""

    turn_id: str
    person_id: str
    question: str
    answer: str
    why: str
    asked_at: datetime


@dataclass(frozen=True, slots=True)
class Gap:
    """Something that people ask for and no document tells. The members are the newest first."""

    id: str
    title: str
    created_at: datetime
    closed_at: datetime | None
    closed_by: str | None
    document_id: str | None
    reason: str | None
    report: Sequence[Mapping[str, Any]]
    """The questions asked again when it was closed: `question`, `before`, `after`, and what each stood on."""
    members: Sequence[Member] = ()

    @property
    def state(self) -> str:
        """`open`, `closing` (its document is awaited and its questions are asked again) or `closed`."""
        if self.closed_at is not None:
            return "closed"
        return "closing" if self.document_id else "open"

    @property
    def people(self) -> int:
        """How many people asked."""
        return len({one.person_id for one in self.members})

    @property
    def whys(self) -> dict[str, int]:
        """How many of its questions are in it for which reason."""
        found = [one.why for one in self.members]
        return {why: found.count(why) for why in (NOTHING, *_WHYS) if why in found}

    def opens_for(self, asked_at: datetime) -> bool:
        """Whether a question of that time opens it again: one that came although its document was there."""
        return self.document_id is not None and self.closed_at is not None and asked_at > self.closed_at

    @property
    def is_told(self) -> bool:
        """Whether the documents hold all of it already, and answers only misread them."""
        return set(self.whys) == {"misread"}


@dataclass(frozen=True, slots=True)
class Answered:
    """A fresh answer, with the passages that it stands on as a turn keeps them."""

    text: str
    passages: Sequence[Mapping[str, Any]] = ()


Ask = Callable[[Sequence[Message], str], Awaitable[Answered]]
"""Answers a dialogue with what is live, for a person (their id), and stores nothing."""


class Holds(Finds, Protocol):
    """The knowledge base, with the rows of its documents."""

    @property
    def shelf(self) -> Shelf:
        """The rows."""


@dataclass
class Gaps:
    """The gaps of one home."""

    database: Database
    store: Store
    library: Holds
    ask: Ask | None = None
    _known: dict[str, Questions] = field(default_factory=dict)
    _mark: str = ""
    """All turns up to this one have been looked at."""

    # -- questions in

    async def look(self) -> int:
        """Put new questions into gaps, some of them at a time; returns how many. Cheap when nothing is new.

        Raises the library's `Unavailable`.
        """
        if await to_thread.run_sync(lambda: self.library.empty):
            return 0
        found, mark = await to_thread.run_sync(self._waiting)
        if found:
            await to_thread.run_sync(self._place, found)
        self._mark = mark
        return len(found)

    def newest(self) -> tuple[str, str]:
        """The newest turn, and one that is being written, if any is: when they change there may be more."""
        with self.database.read() as connection:
            newest = connection.execute(select(func.max(turns.c.id))).scalar()
            writing = connection.execute(select(func.max(turns.c.id)).where(turns.c.status == "pending"))
            return str(newest or ""), str(writing.scalar() or "")

    def _waiting(self) -> tuple[list[tuple[Turn, str]], str]:
        """Turns that belong into a gap and stand in none, the oldest first, with the reason; and the mark."""
        mark = self._mark or id_at(datetime.now(UTC) - _OLDEST)
        new = (turns.c.id > mark) & turns.c.searched.is_not(None)
        placed, other = select(gap_turns.c.turn_id), select(causes.c.turn_id).where(causes.c.cause == "other")
        nothing = select(turns.c.id).where(
            new,
            cast(turns.c.passages, Text) == "[]",
            # What a tool looked up needs no document.
            cast(turns.c.steps, Text) == "[]",
            turns.c.status.in_(("complete", "stopped")),
            turns.c.id.not_in(placed),
            turns.c.id.not_in(other),
        )
        bad = select(causes.c.turn_id, causes.c.cause).where(
            causes.c.cause.in_(_WHYS), causes.c.turn_id.not_in(placed)
        )
        with self.database.read() as connection:
            newest = connection.execute(select(func.max(turns.c.id)).where(new)).scalar() or mark
            writing = connection.execute(
                select(func.min(turns.c.id)).where(new, turns.c.status == "pending")
            ).scalar()
            found = dict.fromkeys(connection.execute(nothing).scalars(), NOTHING)
            found |= {row.turn_id: row.cause for row in connection.execute(bad)}
        some = sorted(found)[:_AT_ONCE]
        if len(found) > _AT_ONCE:
            newest = max(mark, some[-1])
        if writing and writing <= newest:
            # Of what is still being written it is not known yet whether it belongs here.
            newest = writing[:-1]
        read = {item.turn.id: item.turn for item in self.store.judged(some)} if some else {}
        waiting = [
            (read[key], found[key])
            for key in some
            if found[key] != NOTHING or tells_something(_asked(read[key]))
        ]
        return waiting, newest

    def _place(self, found: Sequence[tuple[Turn, str]]) -> None:
        known = {gap.id: gap for gap in sorted(self.all(), key=lambda gap: gap.id)}
        self._known = {key: one for key, one in self._known.items() if key in known}
        for gap in known.values():
            if gap.id not in self._known:
                self._known[gap.id] = self._embedded([one.question for one in gap.members][:_MOST_VECTORS])
        new = self._embedded([_asked(turn) for turn, _ in found])
        settled = [gap.id for gap in known.values() if gap.state != "open"]
        groups = grow({key: self._known[key].vectors for key in known}, new.vectors, settled=settled)
        with self.database.write() as connection:
            for group in groups:
                self._write(connection, group, found, new, known)

    def _write(
        self,
        connection: Connection,
        group: Group,
        found: Sequence[tuple[Turn, str]],
        new: Questions,
        known: Mapping[str, Gap],
    ) -> None:
        """Make the group's gap, or let it grow."""
        key, places = group.name or f"gap-{uuid7().hex}", list(group.members)
        whole = new.some(places)
        for name in (key, *group.merged):
            whole = whole.with_more(self._known[name]) if name in self._known else whole
        self._known[key] = whole.first(_MOST_VECTORS)
        title = whole.middle
        before = known.get(key)
        if before is None:
            row = {"id": key, "title": title, "created_at": datetime.now(UTC), "report": []}
            connection.execute(insert(gaps).values(row))
        elif before.state == "open":
            connection.execute(update(gaps).where(gaps.c.id == key).values(title=title))
        elif before.opens_for(max(found[place][0].created_at for place in places)):
            again = {"closed_at": None, "closed_by": None, "document_id": None}
            connection.execute(update(gaps).where(gaps.c.id == key).values(again))
        for name in group.merged:
            connection.execute(update(gap_turns).where(gap_turns.c.gap_id == name).values(gap_id=key))
            connection.execute(delete(gaps).where(gaps.c.id == name))
            del self._known[name]
        for place in places:
            turn, why = found[place]
            if not connection.execute(
                select(gap_turns.c.turn_id).where(gap_turns.c.turn_id == turn.id)
            ).first():
                connection.execute(insert(gap_turns).values(turn_id=turn.id, gap_id=key, why=why))

    def _embedded(self, questions: Sequence[str]) -> Questions:
        return Questions(tuple(questions), np.asarray(self.library.embed(questions), dtype=np.float32))

    def follow(self, turn_id: str) -> None:
        """The cause of an answer was decided anew: its gap says so, or lets it go."""
        with self.database.write() as connection:
            cause = connection.execute(select(causes.c.cause).where(causes.c.turn_id == turn_id)).scalar()
            own = gap_turns.c.turn_id == turn_id
            if cause in _WHYS:
                connection.execute(update(gap_turns).where(own, gap_turns.c.why != NOTHING).values(why=cause))
            elif cause is not None:
                connection.execute(delete(gap_turns).where(own))

    # -- looking at them

    def all(self) -> list[Gap]:
        """Every gap: the open ones first, and of these those that most people asked for."""
        query = (
            select(gap_turns.c.gap_id, gap_turns.c.why, turns)
            .join(turns, turns.c.id == gap_turns.c.turn_id)
            .order_by(turns.c.id.desc())
        )
        return self._read(select(gaps), query)

    def get(self, gap_id: str) -> Gap:
        """One gap. Raises `NotFound`."""
        query = (
            select(gap_turns.c.gap_id, gap_turns.c.why, turns)
            .join(turns, turns.c.id == gap_turns.c.turn_id)
            .where(gap_turns.c.gap_id == gap_id)
            .order_by(turns.c.id.desc())
        )
        found = self._read(select(gaps).where(gaps.c.id == gap_id), query)
        if not found:
            raise NotFound("there is no such gap")
        return found[0]

    def _read(self, which: Select[Any], inside: Select[Any]) -> list[Gap]:
        members: dict[str, list[Member]] = {}
        with self.database.read() as connection:
            rows = connection.execute(which).all()
            for row in connection.execute(inside):
                asked = row.searched or row.question
                one = Member(row.id, row.person_id, asked, row.answer, row.why, row.created_at)
                members.setdefault(row.gap_id, []).append(one)
        found = [Gap(**row._mapping, members=tuple(members.get(row.id, ()))) for row in rows]
        kept = [gap for gap in found if gap.members or gap.closed_at is not None]
        return sorted(kept, key=lambda gap: (_ORDER[gap.state], gap.is_told, -gap.people, gap.id))

    # -- closing

    def close_by_document(self, gap_id: str, document_id: str, by: str) -> Gap:
        """A document tells it now. Its questions are asked again as soon as it can be found.

        Raises `NotFound` (of a gap or of a document) and `Invalid`.
        """
        self.library.shelf.get(document_id)
        self._close(gap_id, {"document_id": document_id, "closed_by": by, "report": [], "reason": None})
        return self.get(gap_id)

    def dismiss(self, gap_id: str, reason: str, by: str) -> Gap:
        """It is not ours to answer: more questions of this kind do not open it again."""
        if not reason.strip():
            raise Invalid("say why it needs no document")
        if len(reason) > _LONGEST_REASON:
            raise Invalid(f"a reason has at most {_LONGEST_REASON} characters")
        now = datetime.now(UTC)
        self._close(gap_id, {"reason": reason.strip(), "closed_by": by, "closed_at": now, "report": []})
        return self.get(gap_id)

    def reopen(self, gap_id: str) -> Gap:
        """Back to the open ones, whatever closed it."""
        again = {"closed_at": None, "closed_by": None, "document_id": None, "reason": None}
        with self.database.write() as connection:
            if not connection.execute(update(gaps).where(gaps.c.id == gap_id).values(again)).rowcount:
                raise NotFound("there is no such gap")
        return self.get(gap_id)

    def _close(self, gap_id: str, values: Mapping[str, Any]) -> None:
        still = (gaps.c.id == gap_id) & gaps.c.closed_at.is_(None) & gaps.c.document_id.is_(None)
        with self.database.write() as connection:
            if not connection.execute(update(gaps).where(still).values(dict(values))).rowcount:
                if not connection.execute(select(gaps.c.id).where(gaps.c.id == gap_id)).first():
                    raise NotFound("there is no such gap")
                raise Invalid("this gap is closed already, or being closed")

    async def finish(self) -> int:
        """Close the gaps whose document can be found by now, with their questions asked again; how many.

        What is killed in the middle, or finds no engine, is done again by the next call.
        """
        done = 0
        for gap_id in await to_thread.run_sync(self._closing):
            gap = await to_thread.run_sync(self.get, gap_id)
            state = await to_thread.run_sync(self._document_state, gap)
            if state in ("gone", "refused", "removing"):
                await to_thread.run_sync(self.reopen, gap_id)
            elif state == "ready":
                report = await self._asked_again(gap)
                await to_thread.run_sync(self._closed, gap, report)
                done += 1
        return done

    def _document_state(self, gap: Gap) -> str:
        try:
            return self.library.shelf.get(str(gap.document_id)).state
        except NoDocument:
            return "gone"

    def _closing(self) -> list[str]:
        query = select(gaps.c.id).where(
            gaps.c.document_id.is_not(None),
            gaps.c.closed_at.is_(None),
            # One whose last question is gone is shown to nobody, and has nothing to be asked again.
            gaps.c.id.in_(select(gap_turns.c.gap_id)),
        )
        with self.database.read() as connection:
            return list(connection.execute(query).scalars())

    def _closed(self, gap: Gap, report: Sequence[Mapping[str, Any]]) -> None:
        same = (gaps.c.id == gap.id) & gaps.c.closed_at.is_(None) & (gaps.c.document_id == gap.document_id)
        values = {"closed_at": datetime.now(UTC), "report": list(report)}
        with self.database.write() as connection:
            connection.execute(update(gaps).where(same).values(values))

    async def _asked_again(self, gap: Gap) -> list[dict[str, Any]]:
        """The newest questions of a gap, each once, with the answer of then and that of now."""
        members = list({normalise(one.question): one for one in reversed(gap.members)}.values())[::-1]
        report = []
        for member in members[:_MOST_ASKED] if self.ask else ():
            turn = await to_thread.run_sync(self.store.turn, member.turn_id)
            dialogue = await to_thread.run_sync(self._dialogue, turn)
            fresh = await self.ask(dialogue, turn.person_id) if self.ask else Answered("")
            report.append(
                {
                    "turn_id": turn.id,
                    "question": turn.question,
                    "before": turn.answer,
                    "before_from": _titles(turn.passages),
                    "after": fresh.text,
                    "after_from": _titles(fresh.passages),
                    "document": any(one.get("source") == gap.document_id for one in fresh.passages),
                }
            )
        return report

    def _dialogue(self, turn: Turn) -> list[Message]:
        others = {one.id: one for one in self.store.turns(turn.conversation_id)}
        return prompt.dialogue(prompt.branch(others, turn.parent_id), turn.question)


_ORDER = {"closing": 0, "open": 1, "closed": 2}


def _asked(turn: Turn) -> str:
    return turn.searched or turn.question


def _titles(passages: Sequence[Mapping[str, Any]]) -> list[str]:
    return list(dict.fromkeys(str(one.get("title", "")) for one in passages))
