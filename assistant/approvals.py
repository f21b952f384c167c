"""Approved answers: staff say what is right, and from that moment similar questions find it.

Holds the rules: who may approve, for whom it is, what replaces what, which examples a question gets. What is
found is held against the rows at each question, so what was taken back is gone at once. Knows no page.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from anyio import to_thread

from assistant.accounts import Account
from assistant.errors import AssistantError
from assistant.prompt import branch
from feedback.approved import Approval, Approved
from feedback.records import Correction, FeedbackError, Judged, Turn, normalise
from feedback.store import Store
from retrieval.records import EVERYBODY, Hit, Kind, RetrievalError

log = logging.getLogger(__name__)

ANSWERS: tuple[Kind, ...] = ("answer",)
FLOOR = 0.45
"""Cosine similarity of two questions from which the answer to the one is an example for the other."""
MOST = 1
"""Examples in a prompt. With a second one the starter said what was approved in 72 %, not 82 %."""
_LOOKED_AT = 6
"""So many are looked up, since some may be spared or ended."""


Note = Callable[..., object]
"""Takes who, what, subject, before, after and reason, as `assistant.audit.Audit.note` does."""


class NotApproved(AssistantError):
    """The answer can't be approved; the message says why in one sentence."""


class Answers(Protocol):
    """The part of the library that keeps and finds approved answers."""

    @property
    def enabled(self) -> bool:
        """Whether there can be a knowledge base here at all."""

    @property
    def empty(self) -> bool:
        """Whether there is nothing to be found."""

    @property
    def bookless(self) -> bool:
        """Whether there are no documents, be there approved answers or not."""

    def put_answer(self, approval_id: str, question: str, answer: str, audience: str = EVERYBODY) -> None:
        """Have it found from now on. Raises `Unavailable`."""

    def drop_answer(self, approval_id: str) -> None:
        """Have it found no more. Raises `Unavailable`."""

    def answers(self) -> dict[str, bool]:
        """The approvals whose answers stand there, each with whether it can be found by its vector."""

    async def find(
        self,
        question: str,
        account: Account,
        *,
        kinds: Sequence[Kind] = ("document",),
        most: int | None = None,
        floor: float | None = None,
        lines: int = 0,
    ) -> list[Hit]:
        """What may help. Raises `Unavailable`."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """A correction of somebody who is no staff: it helps nobody before staff approve it."""

    turn: Turn
    text: str

    @property
    def question(self) -> str:
        """What it would be approved for."""
        return question_of(self.turn)

    @property
    def seen(self) -> str:
        """Stands for all that staff read before they approve it: 16 hex of question and text."""
        return hashlib.sha256(f"{self.question}\0{self.text}".encode()).hexdigest()[:16]


class Approvals:
    """The approved answers of one home. Safe to share between threads."""

    def __init__(
        self,
        rows: Approved,
        store: Store,
        library: Answers,
        live: Callable[[], str | None] = lambda: None,
        note: Note = lambda *_: None,
    ) -> None:
        self._note = note
        self.rows = rows
        self._store = store
        self._library = library
        self.live = live

    @property
    def enabled(self) -> bool:
        """Whether answers can be approved here."""
        return self._library.enabled

    # -- staff -------------------------------------------------------------------------------------

    def approve(self, turn_id: str, account: Account, answer: str = "", question: str = "") -> Approval:
        """Approve an answer as it is, or as staff would have it; it may be anybody's turn.

        It is found before this returns, and replaces what was approved for the same question. Blocks. Raises
        `NotApproved`, `Invalid`, `NotFound`, and `Unavailable` when the index can't be written.
        """
        if not account.may("staff"):
            raise NotApproved("only staff approve answers")
        turn = self._store.turn(turn_id)
        if turn.status == "pending":
            raise NotApproved("this answer is still being written; approve it when it is done")
        audience = self.audience(turn)
        text, asked = answer.strip() or turn.answer, question.strip() or question_of(turn)
        made = self.rows.add(turn.id, asked, text, audience, account.name, _tokens(asked, text))
        try:
            self._library.put_answer(made.id, made.question, made.answer, audience)
        except RetrievalError:
            self.rows.forget(made.id)
            raise
        # Of two that are approved at once the newer one stays, and does not end with the other.
        older = [one for one in self.rows.same(made) if one.id < made.id]
        self._end(older, account.name, f"replaced by {made.id}")
        log.info("%s approved an answer to %s (%s)", account.name, turn.id, made.id)
        self._note(account.name, "answer approved", made.id, "", f"an example, from {turn.id}")
        return made

    def correct(self, turn_id: str, account: Account, correction: str) -> tuple[Approval | None, str]:
        """Approve a correction by the act of giving it, if staff give it; else the reason why not, in words.

        The correction itself is stored by then: nothing of this is an error of whoever gave it.
        """
        if not account.may("staff") or not self.enabled or not correction.strip():
            return None, ""
        try:
            return self.approve(turn_id, account, correction), ""
        except (AssistantError, FeedbackError, RetrievalError) as problem:
            return None, str(problem)

    def take_back(self, approval_id: str, by: str, reason: str = "taken back") -> Approval:
        """Nobody gets it as an example from now on. Raises `NotFound`."""
        found = self.rows.get(approval_id)
        if found.ended_at is None:
            self._end([found], by, reason)
        return self.rows.get(approval_id)

    def audience(self, turn: Turn) -> str:
        """Whom an approval of this turn is for: the group on whose passages the dialogue stood, whether they
        were in its prompts or a tool found them, or everybody.

        Raises `NotApproved` where that is more than one group.
        """
        before = branch({one.id: one for one in self._store.turns(turn.conversation_id)}, turn.id)
        laid = [passage["audience"] for one in before for passage in one.passages if passage.get("audience")]
        found = [group for one in before for step in one.steps for group in step.get("audiences") or ()]
        groups = set(map(str, [*laid, *found]))
        if len(groups) > 1:
            named = " and ".join(sorted(groups))
            raise NotApproved(f"this answer stands on documents of {named}, and no approval is for both")
        return groups.pop() if groups else EVERYBODY

    def waiting(self, most: int = 50) -> list[Waiting]:
        """Corrections of people who are no staff, on turns of which nothing is approved, the newest first."""
        done = {one.turn_id for one in self.rows.all()}
        given = [
            Waiting(item.turn, correction.text)
            for item in self._store.judged()
            if item.turn.id not in done
            for correction in _of_users(item)
        ]
        return given[::-1][:most]

    def mend(self) -> int:
        """Bring the index in line with the rows, after a crash or what another process took back.

        Blocks; returns how many it took. Raises `Unavailable`.
        """
        if not self.enabled:
            return 0
        there, wanted = self._library.answers(), {one.id: one for one in self.rows.open()}
        behind = [one for key, one in wanted.items() if not there.get(key)]
        for one in behind:
            self._library.put_answer(one.id, one.question, one.answer, one.audience)
        gone = there.keys() - wanted.keys()
        for key in gone:
            self._library.drop_answer(key)
        return len(behind) + len(gone)

    def _end(self, ended: Collection[Approval], by: str, reason: str) -> None:
        self.rows.end([one.id for one in ended], by, reason)
        for one in ended:
            self._note(by, "approval ended", one.id, "an example", "", reason)
            try:
                self._library.drop_answer(one.id)
            except RetrievalError as problem:
                # The row has ended, and nobody is given what has: the index only holds it a while longer.
                log.warning("%s stays in the index for now: %s", one.id, problem)

    # -- questions ---------------------------------------------------------------------------------

    async def find(
        self, question: str, account: Account, *, spare: bool = False
    ) -> tuple[list[Hit], list[Hit]]:
        """The examples for a question, and those that are spared, each the best first.

        With `spare` what is live answers, and does without those that it has learned. Counts them as used and
        as spared. Raises `Unavailable`.
        """
        adapter = await to_thread.run_sync(self.live) if spare else None
        used, spared = await self._choose(question, account, adapter)
        if used or spared:
            ours, theirs = ([hit.passage.source_id for hit in hits] for hits in (used, spared))
            await to_thread.run_sync(self.rows.served, ours, theirs)
        return used, spared

    async def look(self, question: str, account: Account) -> list[Hit]:
        """The same, whoever answers, and without counting."""
        return (await self._choose(question, account, None))[0]

    async def _choose(
        self, question: str, account: Account, adapter: str | None
    ) -> tuple[list[Hit], list[Hit]]:
        found = await self._library.find(question, account, kinds=ANSWERS, most=_LOOKED_AT, floor=FLOOR)
        # An example of something else misleads, however near another one is
        hits = [hit for hit in found if hit.score >= FLOOR]
        if not hits:
            return [], []
        rows = await to_thread.run_sync(self.rows.some, {hit.passage.source_id for hit in hits})
        return choose(hits, rows, adapter)


def choose(
    hits: Iterable[Hit], rows: Mapping[str, Approval], adapter: str | None
) -> tuple[list[Hit], list[Hit]]:
    """Which of the hits stand in the prompt of this adapter, and which would, had it not learned them. Pure.

    The rows decide, not the index: what is not in them or has ended is not given out, nor is what now says
    something else.
    """
    ordered = sorted(hits, key=lambda hit: -hit.score)
    valid = [
        hit
        for hit in ordered
        if (row := rows.get(hit.passage.source_id)) is not None
        and row.ended_at is None
        and row.audience == hit.passage.audience
        and normalise(row.question) == normalise(hit.passage.title)
    ]
    near = valid[:MOST]
    used = [hit for hit in near if rows[hit.passage.source_id].needed_by(adapter)]
    return used, [hit for hit in near if hit not in used]


def question_of(turn: Turn) -> str:
    """The question that an approval of this turn is for, unless staff word it: a follow-up in full."""
    return turn.searched or turn.question


def _of_users(item: Judged) -> list[Correction]:
    return [correction for correction in item.corrections if correction.role in ("guest", "user")]


def _tokens(question: str, answer: str) -> int:
    """About how many tokens it takes in a prompt, where it stands twice: three characters are one."""
    return 2 * ((len(question) + len(answer)) // 3 + 10)


def as_json(approval: Approval, live: str | None) -> dict[str, Any]:
    """An approval as programs see it."""
    return {
        "id": approval.id,
        "object": "approval",
        "completion_id": approval.turn_id,
        "question": approval.question,
        "answer": approval.answer,
        "group": approval.audience or None,
        "approved_by": approval.approved_by,
        "state": state(approval, live),
        "used": approval.used,
        "spared": approval.spared,
        "tokens_saved": approval.spared * approval.tokens,
        "learned_by": approval.asked_of if approval.learned else None,
        "finding": approval.finding,
        "created": int(approval.created_at.timestamp()),
        "ended": int(approval.ended_at.timestamp()) if approval.ended_at else None,
        "ended_by": approval.ended_by,
        "reason": approval.reason,
    }


def state(approval: Approval, live: str | None) -> str:
    """`example`, `learned` by what is live, or `ended`."""
    if approval.ended_at is not None:
        return "ended"
    return "learned" if approval.learned_by(live) else "example"
