"""The audit log on the admin page: a table with a filter, turned page by page, and a look at its chain.

Every handler checks the role. Reads only; what is written is decided where deeds are done.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any

import gradio as gr
from anyio import to_thread

from assistant.audit import Audit, Entry, Verified
from assistant.ui.buttons import button
from assistant.ui.monitoring import html
from assistant.ui.page import Doorman, Parts, Wire
from assistant.ui.words import number, sentence, when

MOST = 50
ALL = "everything"


@dataclass
class Turned:
    """Where one open page is in the log. On the server, one for each open page."""

    what: str = ""
    text: str = ""
    below: list[int] = field(default_factory=list)
    """The first row below each page that was turned; the last one begins the page that is shown."""


class AuditEvents:
    """The handlers of the part."""

    def __init__(self, audit: Audit, door: Doorman) -> None:
        self._audit = audit
        self._door = door

    async def open(self, turned: Turned, request: gr.Request) -> Parts:
        """The tab was opened."""
        await self._door.admit(request)
        kinds = await to_thread.run_sync(self._audit.kinds)
        chosen = gr.update(choices=[ALL, *kinds], value=turned.what or ALL)
        return {"audit_what": chosen, **await to_thread.run_sync(self._drawn, turned)}

    async def filter(self, turned: Turned, what: str, text: str, request: gr.Request) -> Parts:
        """Another kind or other words were asked for."""
        await self._door.admit(request)
        turned.what = "" if what == ALL else str(what or "")[:60]
        turned.text, turned.below = str(text or "").strip()[:200], []
        return await to_thread.run_sync(self._drawn, turned)

    async def older(self, turned: Turned, request: gr.Request) -> Parts:
        """Turn to the page below."""
        await self._door.admit(request)
        found = await to_thread.run_sync(self._page, turned)
        if len(found) > MOST:
            turned.below.append(found[MOST - 1].id)
        return await to_thread.run_sync(self._drawn, turned)

    async def newer(self, turned: Turned, request: gr.Request) -> Parts:
        """Turn back."""
        await self._door.admit(request)
        if turned.below:
            turned.below.pop()
        return await to_thread.run_sync(self._drawn, turned)

    async def verify(self, request: gr.Request) -> Parts:
        """Look through the whole chain."""
        await self._door.admit(request)
        return {"audit_chain": verified(await to_thread.run_sync(self._audit.verify))}

    def _page(self, turned: Turned) -> list[Entry]:
        below = turned.below[-1] if turned.below else None
        return self._audit.page(what=turned.what, text=turned.text, below=below, most=MOST + 1)

    def _drawn(self, turned: Turned) -> Parts:
        found = self._page(turned)
        filtered = bool(turned.what or turned.text)
        return {"audit_rows": draw(found[:MOST], bool(turned.below), len(found) > MOST, filtered)}


def draw(found: Sequence[Entry], newer: bool, older: bool, filtered: bool) -> str:
    """A page of the log, the newest row first. Pure."""
    if not found:
        title, text = "Nothing of that kind.", "Choose something else, or other words."
        if not filtered:
            title = "Nothing was done yet."
            text = "Promotions, runs, accounts, documents and approvals are written down here."
        return f'<div class="nothing"><b>{title}</b><span>{text}</span></div>'
    heads = ("", "When", "Who", "What", "Before", "After", "Reason")
    drawn = "".join(f'<th scope="col">{head}</th>' for head in heads)
    rows = "".join(map(_row, found))
    ways = [button("Newer", "audit_newer", off=not newer), button("Older", "audit_older", off=not older)]
    return (
        '<div class="table audit" tabindex="0" role="region" aria-label="Audit log"><table>'
        f"<thead><tr>{drawn}</tr></thead><tbody>{rows}</tbody></table></div>"
        f'<div class="turning">{"".join(ways)}</div>'
    )


def verified(found: Verified) -> str:
    """What a look through the chain found. Pure."""
    if found.broken:
        return f'<p class="problem" role="alert">{escape(sentence(str(found)))}</p>'
    if not found.rows:
        return '<p class="text">There is no row yet.</p>'
    return (
        f'<p class="text">{number(found.rows, "row")}, and the chain is whole. Its head, to be noted '
        f'elsewhere: <span class="mono">{found.head}</span></p>'
    )


def _row(one: Entry) -> str:
    door = f"<small>{escape(one.door)}</small>" if one.door else ""
    cells = (
        ("When", when(one.at)),
        ("Who", escape(one.who or "–") + door),
        ("What", f'{escape(one.what)}<small class="mono">{escape(one.subject)}</small>'),
        ("Before", escape(one.before)),
        ("After", escape(one.after)),
        ("Reason", escape(one.reason)),
    )
    drawn = "".join(f'<td data-label="{label}">{cell}</td>' for label, cell in cells)
    return f'<tr title="{one.hash}"><th scope="row">{one.id}</th>{drawn}</tr>'


def section() -> dict[str, Any]:
    """The parts, where they are called."""
    html("audit-head", value=_heading())
    with gr.Row(elem_id="audit-filter"):
        what = gr.Dropdown([ALL], value=ALL, label="What", elem_id="audit-what", scale=1)
        text = gr.Textbox(label="Who, subject or reason", elem_id="audit-text", max_length=200, scale=2)
    return {
        "audit_chain": html("audit-chain"),
        "audit_what": what,
        "audit_text": text,
        "audit_rows": html("audit-rows"),
    }


def _heading() -> str:
    check = button("Check the chain", "audit_verify")
    return f'<div class="heading"><h2>Audit log</h2>{check}</div>'


def connect(tab: Any, parts: dict[str, Any], bus: Any, events: AuditEvents) -> None:
    """Bind the handlers to `parts`; `bus` is the page's component that names what was clicked."""
    turned = gr.State(Turned())
    wire = Wire(**parts)
    asked = [turned, parts["audit_what"], parts["audit_text"]]
    wire.on([tab.select], events.open, [turned])
    wire.on([parts["audit_what"].input, parts["audit_text"].submit], events.filter, asked)
    wire.on([bus.audit_older], events.older, [turned])
    wire.on([bus.audit_newer], events.newer, [turned])
    wire.on([bus.audit_verify], events.verify, [])
