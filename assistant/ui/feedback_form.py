"""The small form that opens after a thumbs-down, and the thumbs themselves.

The thumb is in the store before the form opens. What is typed is kept as a draft at every keystroke, so
closing the form loses nothing; only `Send` makes it an opinion, because people are learned from.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from html import escape

import gradio as gr
from anyio import to_thread

from assistant.accounts import Account
from assistant.approvals import Approvals
from assistant.ui import chat_events
from assistant.ui.chat_events import ChatEvents
from assistant.ui.consent import thanks
from assistant.ui.difference import difference
from assistant.ui.drafts import Drafts
from assistant.ui.page import Doorman, Page, Parts, spoken
from feedback.records import FeedbackError, Thumb, Turn
from feedback.store import LONGEST_COMMENT, LONGEST_CORRECTION, Store, Verdict

REASONS = (
    ("Not true", "facts"),
    ("Beside the question", "off_topic"),
    ("Unfriendly", "tone"),
    ("Too long", "too_long"),
    ("Too short", "too_short"),
    ("Refused to help", "refused"),
    ("Unsafe", "unsafe"),
    ("Something else", "other"),
)
"""What people tick under a thumb down: the words on the page, and the word that is stored."""
PRAISE = (
    ("Correct", "correct"),
    ("To the point", "to_the_point"),
    ("Friendly", "friendly"),
    ("Complete", "complete"),
    ("Something else", "other"),
)
"""The same under a thumb up."""

_THUMBS: dict[str, Thumb] = {"up": "up", "down": "down"}
_NOTHING = Verdict(None)


class FeedbackForm:
    """The handlers of thumbs and form."""

    def __init__(
        self,
        events: ChatEvents,
        store: Store,
        door: Doorman,
        drafts: Drafts,
        approvals: Approvals | None = None,
    ) -> None:
        self._approvals = approvals
        self._events = events
        self._store = store
        self._door = door
        self._drafts = drafts

    async def rate(self, page: Page, request: gr.Request, event: gr.EventData) -> Parts:
        """Store a thumb at once; without one in the event, take the vote back."""
        account = await self._door.admit(request)
        turn = await to_thread.run_sync(self._store.turn, chat_events.said(event, "turn"), account.id)
        thumb = _THUMBS.get(chat_events.said(event, "thumb"))
        await to_thread.run_sync(self._vote, turn, account, thumb)
        parts = await self._redrawn(page, account)
        if thumb == "down":
            return parts | await to_thread.run_sync(self._opened, page, account, turn)
        return parts | self._closed(page, turn.id)

    async def say_more(self, page: Page, request: gr.Request, event: gr.EventData) -> Parts:
        """Open the form again, with what was sent or typed before."""
        account = await self._door.admit(request)
        turn = await to_thread.run_sync(self._store.turn, chat_events.said(event, "turn"), account.id)
        return await to_thread.run_sync(self._opened, page, account, turn)

    async def keep(
        self, page: Page, reasons: Sequence[str], comment: str, correction: str, request: gr.Request
    ) -> Parts:
        """Something was typed or ticked: remember it, and show what the correction changes."""
        turn_id = page.judging
        account = await self._door.admit(request)
        if turn_id is None:
            return {}
        turn = await to_thread.run_sync(self._store.turn, turn_id, account.id)
        thumb = await to_thread.run_sync(self._thumb, turn, account)
        if page.judging is None:
            # The form was closed meanwhile, and kept what stood in it then.
            return {}
        self._drafts.keep(account.id, turn.id, _verdict(thumb, turn, reasons, comment, correction))
        return {"difference": _difference(turn, correction)} if page.judging == turn_id else {}

    async def send(
        self,
        page: Page,
        reasons: Sequence[str],
        comment: str,
        correction: str,
        approve: bool,
        request: gr.Request,
    ) -> Parts:
        """Store what the form says as the person's opinion. If it can't be stored, the form stays open.

        A correction of staff is an example for similar questions as well, unless they say no.
        """
        turn_id = page.judging
        account = await self._door.admit(request)
        if turn_id is None:
            return self._closed(page, None)
        verdict = Verdict(None)
        try:
            turn = await to_thread.run_sync(self._store.turn, turn_id, account.id)
            thumb = await to_thread.run_sync(self._thumb, turn, account)
            verdict = _verdict(thumb, turn, reasons, comment, correction)
            await to_thread.run_sync(self._store.judge, turn_id, account.id, account.role, verdict)
            chat = await to_thread.run_sync(self._store.conversation, turn.conversation_id, account.id)
        except FeedbackError as problem:
            self._drafts.keep(account.id, turn_id, verdict)
            if page.judging != turn_id:
                raise
            return {"problem": gr.update(value=_problem(problem), visible=True)}
        self._drafts.drop(account.id, turn_id)
        said = thanks(chat.learned_from)
        if approve and self._approvals is not None:
            made, why_not = await to_thread.run_sync(
                self._approvals.correct, turn_id, account, verdict.correction
            )
            said = "Thank you. Similar questions have it as an example from now on." if made else said
            if why_not:
                gr.Warning(f"Saved, but it is no example for similar questions: {why_not}.")
        gr.Success(said, duration=4)
        return {**self._closed(page, turn_id), **await self._redrawn(page, account)}

    async def close(
        self, page: Page, reasons: Sequence[str], comment: str, correction: str, request: gr.Request
    ) -> Parts:
        """Put the form away. The thumb stays, and so does what was typed, to the last letter."""
        turn_id = page.judging
        account = await self._door.admit(request)
        # First, so that a keystroke of before, which may still be on its way, is not kept behind it.
        closed = self._closed(page, turn_id)
        if turn_id is not None:
            turn = await to_thread.run_sync(self._store.turn, turn_id, account.id)
            thumb = await to_thread.run_sync(self._thumb, turn, account)
            self._drafts.keep(account.id, turn.id, _verdict(thumb, turn, reasons, comment, correction))
        return closed

    def _vote(self, turn: Turn, account: Account, thumb: Thumb | None) -> None:
        known = self._store.opinion([turn.id], account.id).get(turn.id, _NOTHING)
        said = known.reasons or known.comment or known.correction
        if said and self._drafts.get(account.id, turn.id) is None:
            # A new thumb replaces the whole opinion; the words wait in case the mind is changed once more.
            self._drafts.keep(account.id, turn.id, known)
        self._store.judge(turn.id, account.id, account.role, Verdict(thumb))

    def _opened(self, page: Page, account: Account, turn: Turn) -> Parts:
        known = self._store.opinion([turn.id], account.id).get(turn.id, _NOTHING)
        shown = self._drafts.get(account.id, turn.id) or known
        thumb = known.thumb or "down"
        page.judging = turn.id
        return {
            "form": gr.update(visible=True),
            "about": _about(turn, thumb),
            "reasons": gr.update(choices=list(_offered(thumb)), value=_known(thumb, shown.reasons)),
            "comment": shown.comment,
            # What somebody would have wanted is mostly what they got, with some words changed.
            "correction": gr.update(value=shown.correction or turn.answer, visible=thumb == "down"),
            "difference": gr.update(
                value=_difference(turn, shown.correction or turn.answer), visible=thumb == "down"
            ),
            "approve": gr.update(value=True, visible=thumb == "down" and self._approves(account)),
            "problem": gr.update(value="", visible=False),
        }

    def _thumb(self, turn: Turn, account: Account) -> Thumb:
        """The thumb that the form goes with: it opens behind one that is saved."""
        return self._store.opinion([turn.id], account.id).get(turn.id, _NOTHING).thumb or "down"

    def _approves(self, account: Account) -> bool:
        return account.may("staff") and self._approvals is not None and self._approvals.enabled

    def _closed(self, page: Page, turn_id: str | None) -> Parts:
        """The form is put away, unless it is about another turn by now."""
        if page.judging != turn_id:
            return {}
        page.judging = None
        return {"form": gr.update(visible=False)}

    async def _redrawn(self, page: Page, account: Account) -> Parts:
        return await self._events.settled(page, account)


def _offered(thumb: Thumb) -> Sequence[tuple[str, str]]:
    return PRAISE if thumb == "up" else REASONS


def _known(thumb: Thumb, reasons: Sequence[str]) -> list[str]:
    return [value for _, value in _offered(thumb) if value in (reasons or ())]


def _verdict(thumb: Thumb, turn: Turn, reasons: Sequence[str], comment: str, correction: str) -> Verdict:
    """What the form says. A correction that changes nothing is none, and a good answer needs none."""
    changed = thumb == "down" and correction.strip() != turn.answer.strip()
    return Verdict(thumb, _known(thumb, reasons), comment, correction if changed else "")


def _difference(turn: Turn, correction: str) -> str:
    if correction.strip() in ("", turn.answer.strip()):
        return '<p class="unchanged">Change the text above: what you change is shown here.</p>'
    return difference(turn.answer, correction)


def _about(turn: Turn, thumb: Thumb) -> str:
    start = " ".join(re.sub(r"[*_`#|]+", " ", turn.answer).split())
    quote = start if len(start) <= 100 else start[:99].rstrip() + "…"
    asked = "What was good about it?" if thumb == "up" else "What was wrong with this answer?"
    return (
        f"<h2>{asked}</h2><p>Your thumb is saved. Everything here is optional.</p>"
        f"<blockquote>{escape(quote)}</blockquote>"
    )


def _problem(problem: Exception) -> str:
    return f'<p class="problem" role="alert">{spoken(problem)}</p>'


LIMITS = {"comment": LONGEST_COMMENT, "correction": LONGEST_CORRECTION}
"""How much each text of the form may hold."""
