"""Approved answers on the page for staff: those in force, how often they served, corrections that wait.

Drawing is pure, with every text escaped; the handlers ask `Approvals` and check the role once more. The page
around it is `documents_page.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

import gradio as gr
from anyio import to_thread

from assistant.approvals import Approvals, NotApproved, Waiting, state
from assistant.ui.buttons import button
from assistant.ui.chat_events import said
from assistant.ui.monitoring import html
from assistant.ui.page import Doorman, Parts, Wire
from assistant.ui.words import number, when
from feedback.approved import Approval

_MOST = 200
_STATES = {"example": "in use", "learned": "learned", "ended": "ended"}


def summary(counts: dict[str, int]) -> str:
    """What there is, and what learning has saved."""
    saved = f" · {counts['tokens_saved']:,} tokens saved by learning" if counts["tokens_saved"] else ""
    learned = f" · {counts['learned']} learned by what is live" if counts["learned"] else ""
    return f'<p class="text">{number(counts["examples"], "approved answer")} in use{learned}{saved}</p>'


def approved(found: Sequence[Approval], live: str | None) -> str:
    """The approvals, the newest first."""
    if not found:
        return (
            '<div class="nothing"><b>Nothing is approved yet.</b><span>Approve an answer in the chat, or '
            "correct one: similar questions have it as an example from then on.</span></div>"
        )
    rows = "".join(_row(one, live) for one in found)
    return f'<ol class="list approved">{rows}</ol>'


def waiting(found: Sequence[Waiting]) -> str:
    """Corrections of users that nobody has approved; nothing where there are none."""
    if not found:
        return ""
    rows = "".join(
        f"<li><b>{escape(one.question)}</b><p><del>{escape(one.turn.answer)}</del></p>"
        f"<p>{escape(one.text)}</p><small>corrected by a user · {when(one.turn.created_at)}</small>"
        f"{button('Approve the correction', 'approval_make', turn=one.turn.id, seen=one.seen)}</li>"
        for one in found
    )
    return f'<h3>Corrections that wait for you</h3><ol class="list approved">{rows}</ol>'


def _row(one: Approval, live: str | None) -> str:
    how = state(one, live)
    parts = [f"by {escape(one.approved_by)}", when(one.created_at), f"used {number(one.used, 'time')}"]
    if one.audience:
        parts.append(f"for {escape(one.audience)}")
    if one.spared:
        parts.append(f"spared {number(one.spared, 'time')}, {one.spared * one.tokens:,} tokens")
    if one.ended_at is not None:
        parts.append(f"{escape(one.reason or 'ended')} ({escape(one.ended_by or '')}, {when(one.ended_at)})")
    elif one.finding:
        parts.append(f"{escape(one.asked_of or '')}: {escape(one.finding)}")
    lever = "" if one.ended_at else button("Take back", "approval_end", approval=one.id)
    return (
        f'<li><span class="tag">{_STATES[how]}</span><b>{escape(one.question)}</b>'
        f"<p>{escape(one.answer)}</p><small>{' · '.join(parts)}</small>{lever}</li>"
    )


class ApprovalsEvents:
    """The handlers."""

    def __init__(self, approvals: Approvals, door: Doorman) -> None:
        self._approvals = approvals
        self._door = door

    async def load(self, request: gr.Request) -> Parts:
        """Everything, as it is now."""
        await self._door.admit(request)
        return await to_thread.run_sync(self._everything)

    async def take_back(self, request: gr.Request, event: gr.EventData) -> Parts:
        """Nobody gets it as an example from now on."""
        account = await self._door.admit(request)
        await to_thread.run_sync(self._approvals.take_back, said(event, "approval"), account.name)
        return await to_thread.run_sync(self._everything)

    async def make(self, request: gr.Request, event: gr.EventData) -> Parts:
        """Approve the correction that waits and stands on the page, to the letter."""
        account, turn, seen = await self._door.admit(request), said(event, "turn"), said(event, "seen")
        there = await to_thread.run_sync(self._approvals.waiting)
        waits = [one for one in there if one.turn.id == turn]
        if not waits:
            raise NotApproved("this correction does not wait any more")
        # Whoever gave it may have changed it since the list was drawn.
        read = next((one for one in waits if one.seen == seen), None)
        if read is None:
            raise NotApproved("this correction has changed since; load the page again and read it")
        await to_thread.run_sync(self._approvals.approve, turn, account, read.text, read.question)
        return await to_thread.run_sync(self._everything)

    def _everything(self) -> Parts:
        live = self._approvals.live()
        return {
            "approvals": summary(self._approvals.rows.counts(live))
            + waiting(self._approvals.waiting())
            + approved(self._approvals.rows.all(_MOST), live)
        }


def build(blocks: gr.Blocks, bus: Any, approvals: Approvals, door: Doorman) -> dict[str, Any]:
    """The section, to be called where it is to stand inside the page; `bus` hears the page's buttons."""
    section = html("approvals")
    events, wire = ApprovalsEvents(approvals, door), Wire(approvals=section)
    wire.on([blocks.load], events.load, [])
    wire.on([bus.approval_end], events.take_back, [])
    wire.on([bus.approval_make], events.make, [])
    return {"approvals": section}
