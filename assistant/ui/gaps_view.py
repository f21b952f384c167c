"""The list of knowledge gaps and the causes of bad answers, as a part of the page of documents.

Drawing is pure and every text escaped; the handlers check the role once more and decide nothing. What a gap
is and how it is closed stands in `assistant/gaps.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import gradio as gr
from anyio import to_thread

from assistant.causes import RULE, Sorted
from assistant.gaps import NOTHING, Gap, Member
from assistant.library import Library
from assistant.triage import Triage
from assistant.ui.admin_views import badge, heading, nothing
from assistant.ui.buttons import button
from assistant.ui.chat_events import said
from assistant.ui.monitoring import html
from assistant.ui.page import Doorman, Parts, Wire
from assistant.ui.words import number, sentence, when
from feedback.records import FeedbackError
from retrieval.records import RetrievalError

_EVERY_SECONDS = 3.0
_MOST_GAPS, _MOST_SORTED, _MOST_EXAMPLES = 50, 20, 5
_LONGEST = 400
_WHYS = {
    NOTHING: "nothing found",
    "missing": "no document tells it",
    "unretrieved": "told, but not found",
    "misread": "found, but misread",
    "other": "not about knowledge",
}
_BUTTONS = {"missing": "Missing", "unretrieved": "Not found", "misread": "Misread", "other": "Not knowledge"}


# -- drawing


def gaps(found: Sequence[Gap], names: Mapping[str, str]) -> str:
    """The gaps in the order they come; `names` of documents by id."""
    if not found:
        return nothing(
            "No gap is known.",
            "Questions for which nothing was found, and answers that people called untrue, stand here.",
        )
    return f'<ol class="list">{"".join(_gap(gap, names) for gap in found[:_MOST_GAPS])}</ol>'


def causes(found: Sequence[Sorted], counts: Mapping[str, int]) -> str:
    """How many answers were bad for which reason, and the newest of them with the buttons to decide anew."""
    if not found:
        return nothing("Nothing is sorted yet.", "Bad answers are sorted when documents were looked through.")
    line = " · ".join(f"{_WHYS[cause]}: {count:,}" for cause, count in counts.items())
    rows = "".join(_sorted(one) for one in found)
    return f'<p class="text">{line}</p><ol class="list">{rows}</ol>'


def _gap(gap: Gap, names: Mapping[str, str]) -> str:
    facts = [number(len(gap.members), "question"), number(gap.people, "person", "people")]
    facts += [f"{count} × {_WHYS[why]}" for why, count in gap.whys.items()]
    document = escape(names.get(str(gap.document_id), "a document that is gone"))
    by = escape(gap.closed_by or "")
    if gap.state == "closing":
        note = f"{by} closes it with {document}. Its questions are asked again when it can be found."
        state, levers = badge("running", "closing"), button("Reopen", "gap_reopen", gap=gap.id)
    elif gap.state == "closed":
        how = f"with {document}" if gap.document_id else f"without a document: {escape(gap.reason or '')}"
        note = f"Closed {how}, by {by}, {when(gap.closed_at)}." if gap.closed_at else ""
        state, levers = badge("passed", "closed"), button("Reopen", "gap_reopen", gap=gap.id)
    else:
        note = "The documents tell all of it; training can learn to read it." if gap.is_told else ""
        state, levers = badge("rejected", "open"), button("Close…", "gap_close", gap=gap.id)
    examples = "".join(_member(one) for one in gap.members[:_MOST_EXAMPLES])
    return (
        f'<li><div class="head">{state}<b>{escape(_short(gap.title))}</b>'
        f'<span class="facts">{" · ".join(facts)}</span>{levers}</div>'
        + (f'<p class="text">{note}</p>' if note else "")
        + (_report(gap.report) if gap.report else "")
        + f"<details><summary>Examples</summary><ul>{examples}</ul></details></li>"
    )


def _member(one: Member) -> str:
    return (
        f"<li><b>{escape(_short(one.question))}</b> · {_WHYS[one.why]} · {when(one.asked_at)}"
        f"<br>{escape(_short(one.answer)) or 'No answer.'}</li>"
    )


def _report(report: Sequence[Mapping[str, Any]]) -> str:
    """The questions asked again, what was answered before beside what is answered now."""
    rows = "".join(
        f'<tr><th scope="row">{escape(_short(one["question"]))}</th>'
        f"<td>{escape(_short(one['before']))}{_from(one['before_from'])}</td>"
        f"<td>{escape(_short(one['after']))}{_from(one['after_from'])}</td></tr>"
        for one in report
    )
    told = sum(bool(one["document"]) for one in report)
    return (
        f'<p class="text">{told} of {number(len(report), "question")} now '
        f"{'finds' if told == 1 else 'find'} the document.</p>"
        '<div class="wide"><table class="sides"><thead><tr><th scope="col">Asked again</th>'
        f'<th scope="col">Before</th><th scope="col">Now</th></tr></thead><tbody>{rows}</tbody></table></div>'
    )


def _from(titles: Sequence[str]) -> str:
    return f"<small>{escape(', '.join(titles)) or 'Nothing found.'}</small>"


def _sorted(one: Sorted) -> str:
    by = "by rule" if one.decided_by == RULE else f"by {escape(one.decided_by)}"
    levers = "".join(
        button(label, "cause_set", off=cause == one.cause, turn=one.turn.id, cause=cause)
        for cause, label in _BUTTONS.items()
    )
    return (
        f'<li><div class="head">{badge(one.cause, _WHYS[one.cause])}'
        f"<b>{escape(_short(one.turn.question))}</b>"
        f'<span class="facts">{by}, {when(one.made_at)}</span></div>'
        f'<p class="text">{escape(_short(one.turn.answer))}</p><div class="levers">{levers}</div></li>'
    )


def _short(text: str) -> str:
    plain = " ".join(text.split())
    return plain if len(plain) <= _LONGEST else plain[: _LONGEST - 1].rstrip() + "…"


# -- handling


@dataclass
class Closing:
    """The gap that is about to be closed, and what was drawn last. One for each open page, on the server."""

    gap: str = ""
    drawn: int = 0


class GapsEvents:
    """The handlers of this part."""

    def __init__(self, triage: Triage, library: Library, door: Doorman) -> None:
        self._triage = triage
        self._library = library
        self._door = door

    async def load(self, closing: Closing, request: gr.Request) -> Parts:
        """The page was opened."""
        await self._door.admit(request)
        closing.drawn = 0
        return await to_thread.run_sync(self._everything, closing)

    async def refresh(self, closing: Closing, request: gr.Request) -> Parts:
        """The timer rang."""
        await self._door.admit(request)
        return await to_thread.run_sync(self._everything, closing)

    async def ask_close(self, closing: Closing, request: gr.Request, event: gr.EventData) -> Parts:
        """Ask which document tells it now, or why none has to."""
        await self._door.admit(request)
        gap = await to_thread.run_sync(self._triage.gaps.get, said(event, "gap"))
        closing.gap = gap.id
        rows = await to_thread.run_sync(self._library.shelf.all)
        rows = [row for row in rows if row.state in ("ready", "waiting", "indexing")]
        choices = [(row.name, row.id) for row in sorted(rows, key=lambda row: row.created_at, reverse=True)]
        return {
            "dialog": gr.update(visible=True),
            "about": f"<h2>Close this gap?</h2><p>{escape(_short(gap.title))}</p>",
            "document": gr.update(choices=choices, value=None),
            "reason": "",
            "trouble": gr.update(value="", visible=False),
        }

    async def close(self, closing: Closing, document: str | None, reason: str, request: gr.Request) -> Parts:
        """Close it. If that is refused the question stays open and says why."""
        account = await self._door.admit(request)
        gaps = self._triage.gaps
        try:
            if document:
                await to_thread.run_sync(gaps.close_by_document, closing.gap, document, account.name)
            else:
                await to_thread.run_sync(gaps.dismiss, closing.gap, reason, account.name)
        except (FeedbackError, RetrievalError) as problem:
            told = f'<p class="problem" role="alert">{escape(sentence(problem))}</p>'
            return {"trouble": gr.update(value=told, visible=True)}
        closing.gap = ""
        return {"dialog": gr.update(visible=False), **await to_thread.run_sync(self._everything, closing)}

    async def dismiss(self, closing: Closing, request: gr.Request) -> Parts:
        """Leave it as it is."""
        await self._door.admit(request)
        closing.gap = ""
        return {"dialog": gr.update(visible=False)}

    async def reopen(self, closing: Closing, request: gr.Request, event: gr.EventData) -> Parts:
        """Back to the open ones."""
        await self._door.admit(request)
        await to_thread.run_sync(self._triage.gaps.reopen, said(event, "gap"))
        return await to_thread.run_sync(self._everything, closing)

    async def decide(self, closing: Closing, request: gr.Request, event: gr.EventData) -> Parts:
        """Staff know better why an answer was bad."""
        account = await self._door.admit(request)
        turn, cause = said(event, "turn"), said(event, "cause")
        await to_thread.run_sync(self._triage.causes.overrule, turn, cause, account.name)
        await to_thread.run_sync(self._triage.gaps.follow, turn)
        return await to_thread.run_sync(self._everything, closing)

    def _everything(self, closing: Closing) -> Parts:
        found, sorted_out = self._triage.gaps, self._triage.causes
        names = {row.id: row.name for row in self._library.shelf.all()}
        parts = {
            "gaps": gaps(found.all(), names),
            "causes": causes(sorted_out.newest(_MOST_SORTED), sorted_out.counts()),
        }
        before, closing.drawn = closing.drawn, hash(tuple(parts.values()))
        return parts if before != closing.drawn else {}


def section() -> dict[str, Any]:
    """The parts, where they are called."""
    parts = {"gaps": html("gaps")}
    with gr.Column(elem_id="closing", visible=False) as dialog:
        parts |= {"dialog": dialog, "about": html("closing-about")}
        parts["document"] = gr.Dropdown([], label="A document tells it now", elem_id="closing-document")
        parts["reason"] = gr.Textbox(
            label="Or why it needs none",
            placeholder="Not ours to answer",
            max_length=1_000,
            elem_id="closing-reason",
        )
        parts["trouble"] = html("closing-trouble", visible=False)
        with gr.Row(elem_id="closing-buttons"):
            parts["dismiss"] = gr.Button("Cancel", size="sm", elem_id="closing-dismiss", scale=0, min_width=0)
            parts["close"] = gr.Button(
                "Close", variant="primary", size="sm", elem_id="closing-close", scale=0, min_width=0
            )
    html("causes-head", value=heading("Why answers were bad"))
    return parts | {"causes": html("causes")}


def connect(blocks: gr.Blocks, parts: dict[str, Any], bus: Any, events: GapsEvents) -> None:
    """Bind the handlers to `parts`; `bus` is the page's component that names what was clicked."""
    closing = gr.State(Closing())
    names = ("gaps", "causes", "dialog", "about", "document", "reason", "trouble")
    wire = Wire(**{name: parts[name] for name in names})
    wire.on([blocks.load], events.load, [closing])
    wire.on([gr.Timer(_EVERY_SECONDS).tick], events.refresh, [closing])
    wire.on([bus.gap_close], events.ask_close, [closing])
    wire.on([bus.gap_reopen], events.reopen, [closing])
    wire.on([bus.cause_set], events.decide, [closing])
    wire.on([parts["close"].click], events.close, [closing, parts["document"], parts["reason"]])
    wire.on([parts["dismiss"].click], events.dismiss, [closing])
