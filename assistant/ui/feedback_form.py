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
from assistant.ui.chat_events import ChatEvents, said
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
"""What people tick: the words on the page, and the word that is stored."""

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
        turn = await to_thread.run_sync(self._store.turn, said(event, "turn"), account.id)
        thumb = _THUMBS.get(said(event, "thumb"))
        await to_thread.run_sync(self._vote, turn, account, thumb)
        parts = await self._redrawn(page, account)
        if thumb == "down":
            return parts | await to_thread.run_sync(self._opened, page, account, turn)
        return parts | (self._closed(page) if page.judging == turn.id else {})

    async def say_more(self, page: Page, request: gr.Request, event: gr.EventData) -> Parts:
        """Open the form again, with what was sent or typed before."""
        account = await self._door.admit(request)
        turn = await to_thread.run_sync(self._store.turn, said(event, "turn"), account.id)
        return await to_thread.run_sync(self._opened, page, account, turn)

    async def keep(
        self, page: Page, reasons: Sequence[str], comment: str, correction: str, request: gr.Request
    ) -> Parts:
        """Something was typed or ticked: remember it."""
        account = await self._door.admit(request)
        if page.judging is not None:
            self._drafts.keep(account.id, page.judging, _verdict(reasons, comment, correction))
        return {}

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
        account = await self._door.admit(request)
        if page.judging is None:
            return self._closed(page)
        verdict = _verdict(reasons, comment, correction)
        try:
            await to_thread.run_sync(self._store.judge, page.judging, account.id, account.role, verdict)
        except FeedbackError as problem:
            self._drafts.keep(account.id, page.judging, verdict)
            return {"problem": gr.update(value=_problem(problem), visible=True)}
        self._drafts.drop(account.id, page.judging)
        thanks = "Thank you. The assistant will learn from it."
        if approve and self._approvals is not None:
            made, why_not = await to_thread.run_sync(
                self._approvals.correct, page.judging, account, correction
            )
            thanks = "Thank you. Similar questions have it as an example from now on." if made else thanks
            if why_not:
                gr.Warning(f"Saved, but it is no example for similar questions: {why_not}.")
        gr.Success(thanks, duration=4)
        return {**self._closed(page), **await self._redrawn(page, account)}

    async def close(self, page: Page, request: gr.Request) -> Parts:
        """Put the form away. The thumb stays, and so does what was typed."""
        await self._door.admit(request)
        return self._closed(page)

    async def start_from_answer(
        self, page: Page, reasons: Sequence[str], comment: str, correction: str, request: gr.Request
    ) -> Parts:
        """Begin the correction with the answer as it is, unless something has been written already."""
        account = await self._door.admit(request)
        if page.judging is None or correction.strip():
            return {}
        turn = await to_thread.run_sync(self._store.turn, page.judging, account.id)
        self._drafts.keep(account.id, turn.id, _verdict(reasons, comment, turn.answer))
        return {"correction": turn.answer}

    def _vote(self, turn: Turn, account: Account, thumb: Thumb | None) -> None:
        known = self._store.opinion([turn.id], account.id).get(turn.id, _NOTHING)
        if known.reasons or known.comment or known.correction:
            # A new thumb replaces the whole opinion; the words wait in case the mind is changed once more.
            self._drafts.keep(account.id, turn.id, known)
        self._store.judge(turn.id, account.id, account.role, Verdict(thumb))

    def _opened(self, page: Page, account: Account, turn: Turn) -> Parts:
        known = self._store.opinion([turn.id], account.id).get(turn.id, _NOTHING)
        shown = self._drafts.get(account.id, turn.id) or known
        page.judging = turn.id
        return {
            "form": gr.update(visible=True),
            "about": _about(turn),
            "reasons": list(shown.reasons),
            "comment": shown.comment,
            "correction": shown.correction,
            "approve": gr.update(value=True, visible=self._approves(account)),
            "problem": gr.update(value="", visible=False),
        }

    def _approves(self, account: Account) -> bool:
        return account.may("staff") and self._approvals is not None and self._approvals.enabled

    def _closed(self, page: Page) -> Parts:
        page.judging = None
        return {"form": gr.update(visible=False)}

    async def _redrawn(self, page: Page, account: Account) -> Parts:
        return await self._events.settled(page, account)


def _verdict(reasons: Sequence[str], comment: str, correction: str) -> Verdict:
    known = [value for _, value in REASONS]
    return Verdict("down", [value for value in known if value in (reasons or ())], comment, correction)


def _about(turn: Turn) -> str:
    start = " ".join(re.sub(r"[*_`#|]+", " ", turn.answer).split())
    quote = start if len(start) <= 100 else start[:99].rstrip() + "…"
    return (
        "<h2>What was wrong with this answer?</h2><p>Your thumb is saved. Everything here is optional.</p>"
        f"<blockquote>{escape(quote)}</blockquote>"
    )


def _problem(problem: Exception) -> str:
    return f'<p class="problem" role="alert">{spoken(problem)}</p>'


LIMITS = {"comment": LONGEST_COMMENT, "correction": LONGEST_CORRECTION}
"""How much each text of the form may hold."""
