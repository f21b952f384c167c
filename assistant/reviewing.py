"""The desk of those who review: fills their queue, hands out cases, and sees to what follows from a verdict.

Holds the rules that reach beyond the rows: "facts" and "retrieval" become a task for the knowledge base, a
correction becomes an approved answer only where it was ticked, and undoing a verdict undoes both. What has
not been seen to is in the rows, so that a process may be killed anywhere. Knows no page.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from anyio import to_thread

from assistant import knowledge_tasks
from assistant.accounts import Account, Accounts
from assistant.approvals import Approvals, NotApproved
from assistant.errors import AssistantError
from assistant.triage import Triage
from feedback.database import Database
from feedback.likeness import Embed, hashed
from feedback.records import (
    TOLD_BY_DOCUMENTS,
    Cause,
    Correction,
    FeedbackError,
    Invalid,
    NotFound,
    Rating,
    Review,
    Turn,
)
from feedback.review_candidates import candidates
from feedback.review_order import order
from feedback.review_reading import ReviewReader
from feedback.review_records import Draft, ReviewSettings, Task
from feedback.reviews import Reviews
from feedback.store import Store
from retrieval.records import RetrievalError

log = logging.getLogger(__name__)

DEPTH = 100
"""Turns in the queue that nobody has seen."""
_LOW = 30
"""So few of them make it be filled at once; else it is when people have voted."""
_EVERY_SECONDS = 3.0
_FILL_EVERY = 10
"""Steps between two looks at what has been voted."""
_UNDONE = "its review was undone"
_CAUSES: dict[str, Cause] = {"facts": "missing", "retrieval": "unretrieved"}
GUIDELINE = Path(__file__).parent / "review-guideline.md"


@dataclass(frozen=True, slots=True)
class Case:
    """A turn with everything that whoever looks at it may know."""

    task: Task
    turn: Turn
    turns: Sequence[Turn]
    """The whole conversation, every branch of it."""
    ratings: Sequence[Rating]
    corrections: Sequence[Correction]
    review: Review | None
    """What this person has found; only then, or when no look is left, `others` is filled."""
    others: Sequence[Review]
    draft: Draft
    names: dict[str, str]
    """Names by person, of those that may be shown."""
    holder: str = ""
    """Who has it in hand, where that is somebody else."""

    @property
    def is_mine(self) -> bool:
        """Whether this person may decide it."""
        return not self.holder


class ReviewDesk:
    """Reviews of one home. Without `triage` no gap is opened, without `approvals` nothing is approved."""

    def __init__(
        self,
        database: Database,
        accounts: Accounts,
        settings: ReviewSettings | None = None,
        *,
        home: Path | None = None,
        triage: Triage | None = None,
        approvals: Approvals | None = None,
        embed: Embed | None = None,
    ) -> None:
        self.settings = settings or ReviewSettings()
        self.reviews = Reviews(database, timedelta(minutes=self.settings.lease_minutes))
        self.reader = ReviewReader(database)
        self._store = Store(database)
        self._accounts = accounts
        self._home = home
        self._triage = triage
        self._approvals = approvals
        self._embed = embed
        self._seen: dict[str, int] = {}

    @property
    def approves(self) -> bool:
        """Whether answers can be approved here."""
        return self._approvals is not None and self._approvals.enabled

    # -- cases

    def next(self, account: Account) -> Task | None:
        """The next task of this person, or None. Blocks; quick also with very many conversations."""
        task = self.reviews.claim(account.id)
        if task is None and self.fill(quick=True):
            task = self.reviews.claim(account.id)
        return task

    def case(self, task: Task, account: Account) -> Case:
        """What is known of a task, as far as this person may know it. Raises `NotFound`."""
        turn = self._store.turn(task.turn_id)
        rated, corrected = self.reader.opinions([turn.id])
        found = self.reader.found([turn.id])
        mine = next((row for row in found if row.person_id == account.id), None)
        foreign = task.person_id != account.id
        told = mine is not None or self.reader.is_closed(turn.id)
        others = [row for row in found if row.person_id != account.id] if told else []
        if mine and others and not task.revealed:
            self.reviews.reveal(task.id, account.id)
        names = {one.id: one.name for one in self._accounts.all()}
        kept = None if foreign else self.reviews.draft(task.id, account.id)
        return Case(
            task=task,
            turn=turn,
            turns=self._store.turns(turn.conversation_id),
            ratings=rated,
            corrections=corrected,
            review=mine,
            others=others,
            draft=kept or (Draft.of(mine) if mine else Draft()),
            names=names if told else {},
            holder=names.get(task.person_id or "", "somebody who is gone") if foreign else "",
        )

    async def finish(self, task_id: int, account: Account, draft: Draft) -> str:
        """Store a verdict, and have an approval follow at once: why it could not, or nothing.

        Raises `Taken`, `Invalid`.
        """
        await to_thread.run_sync(self.reviews.finish, task_id, account.id, account.role, draft)
        if not draft.approve:
            return ""
        try:
            problems = [await self.act(task) for task in self.reviews.unsettled() if task.id == task_id]
        except RetrievalError as away:
            return f"{away}; it follows as soon as that is mended"
        return "; ".join(filter(None, problems))

    def guideline(self) -> str:
        """The text by which staff judge, as Markdown."""
        own = self._home / "review-guideline.md" if self._home else None
        for file in (self.settings.guideline, own):
            try:
                if file is not None and (file == self.settings.guideline or file.is_file()):
                    return file.read_text(encoding="utf-8")
            except (OSError, UnicodeDecodeError) as error:
                log.warning("the guideline %s can't be read: %s", file, error)
        return GUIDELINE.read_text(encoding="utf-8")

    # -- the queue

    def fill(self, embed: Embed = hashed, quick: bool = False) -> int:
        """Put what teaches most in front; returns how many turns are new in the queue.

        `quick`: somebody waits, and the next step will do it well.
        """
        found = candidates(self.reviews.database, embed=embed, quick=quick)
        places = order(found, self.settings.quotas, double_share=self.settings.double_share, most=DEPTH)
        return self.reviews.fill(places)

    async def run(self, every: float = _EVERY_SECONDS) -> None:
        """Step until cancelled. What can't be done now is said once and tried again."""
        problem, count = "", 0
        while True:
            try:
                await self.step(full=count % _FILL_EVERY == 0)
                problem = ""
            except (AssistantError, FeedbackError, RetrievalError) as error:
                if str(error) != problem:
                    problem = str(error)
                    log.warning("reviews wait: %s", problem)
            except Exception:
                log.exception("the desk for reviews met something unexpected")
            count += 1
            await asyncio.sleep(every)

    async def step(self, full: bool = True) -> None:
        """See to what follows from new verdicts; with `full` look whether the queue should change too.

        What can't be done now waits for the next step and holds up nothing else; then it raises.
        """
        waiting: Exception | None = None
        for task in await to_thread.run_sync(self.reviews.unsettled):
            try:
                problem = await self.act(task)
            except (AssistantError, FeedbackError, RetrievalError) as error:
                waiting = error
                continue
            if problem:
                log.warning("review %s: %s", task.id, problem)
        if full:
            await to_thread.run_sync(self._refill)
        if waiting is not None:
            raise waiting

    def _refill(self) -> None:
        newest = self._store.newest()
        if newest == self._seen and self.reader.untouched() >= _LOW:
            return
        try:
            self.fill(self._embed or hashed)
        except RetrievalError as error:
            log.info("answers are compared by their words: %s", error)
            self.fill()
        self._seen = newest

    # -- what follows

    async def act(self, task: Task) -> str:
        """Bring knowledge base and approvals in line with what is live on a turn; what was refused, in words.

        Doing it twice is doing it once. Raises what a database or an index that is away raises.
        """
        turn = await to_thread.run_sync(self._store.turn, task.turn_id)
        live = await to_thread.run_sync(lambda: self.reader.found([turn.id]))
        names = {one.id: one for one in await to_thread.run_sync(self._accounts.all)}
        if self._triage is not None:
            await self._know(self._triage, turn, live, names)
        problem = ""
        if self._approvals is not None and self._approvals.enabled:
            problem = await to_thread.run_sync(self._approve, self._approvals, turn, live, names)
        await to_thread.run_sync(self.reviews.settle, task)
        return problem

    @staticmethod
    async def _know(triage: Triage, turn: Turn, live: Sequence[Review], names: dict[str, Account]) -> None:
        told = [row for row in live if row.fault in TOLD_BY_DOCUMENTS]
        if told:
            by = names[told[-1].person_id].name if told[-1].person_id in names else told[-1].person_id
            await knowledge_tasks.send(triage, turn, _CAUSES[str(told[-1].fault)], by)
        else:
            await knowledge_tasks.recall(triage, turn.id)

    def _approve(
        self, approvals: Approvals, turn: Turn, live: Sequence[Review], names: dict[str, Account]
    ) -> str:
        """Approve what is ticked and no longer approve what was and is not; what is refused, in words.

        What somebody has taken back or replaced since it was ticked stays so. Raises `Unavailable`.
        """
        wanted = {(row.person_id, _approved(row, turn)): row for row in live if row.approve}
        once = {(row.person_id, _approved(row, turn)) for row in self.reader.history(turn.id) if row.approve}
        made = approvals.rows.of_turn(turn.id)
        there = {(one.approved_by, one.answer): one for one in made if one.ended_at is None}
        ended = {
            (one.approved_by, one.answer): one.ended_at
            for one in made
            if one.ended_at is not None and one.reason != _UNDONE
        }
        problems = []
        for person_id, text in wanted.keys() | once:
            account = names.get(person_id)
            if account is None:
                continue
            key = account.name, text
            known, over, review = there.get(key), ended.get(key), wanted.get((person_id, text))
            if review is None:
                if known is not None:
                    approvals.take_back(known.id, account.name, _UNDONE)
            elif known is None and (over is None or over < review.created_at):
                try:
                    approvals.approve(turn.id, account, text)
                except (NotApproved, Invalid, NotFound) as refused:
                    problems.append(str(refused))
        return "; ".join(problems)


def _approved(review: Review, turn: Turn) -> str:
    """What a review would have as an example."""
    return (review.correction or turn.answer).strip()
