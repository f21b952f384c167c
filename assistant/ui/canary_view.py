"""Draws the canary: who is tried against whom, what the votes of both arms say, and the steps so far.

Pure: takes records, gives HTML with every text escaped. Knows no gradio and no database.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from assistant.ui.admin_views import badge, nothing
from assistant.ui.buttons import button
from assistant.ui.words import sentence, when
from training.canary import Canary, Decision
from training.records import CanaryStep

_DONE = {
    "start": "Started",
    "widen": "Widened",
    "promote": "Promoted",
    "rollback": "Rolled back",
    "stop": "Stopped",
}


def canary(running: tuple[Canary, Decision] | None, steps: Sequence[CanaryStep]) -> str:
    """The canary that runs with what its votes say, and the newest steps of all, the newest first."""
    if running is None:
        now = nothing(
            "No canary is running.",
            "An adapter that passed the gate can answer a share of conversations before it answers all.",
        )
    else:
        now = f'<ol class="list"><li>{_running(*running)}</li></ol>'
    return now + _steps(steps)


def _running(found: Canary, decision: Decision) -> str:
    last, figures = found.steps[-1], decision.figures
    facts = f"since {when(last.at)}, by {escape(last.actor)}: {escape(last.reason)}"
    head = (
        f'<div class="head"><b class="mono">{escape(found.adapter)}</b>'
        f'{badge("running", f"{found.share:.0%} of conversations")}<span class="facts">{facts}</span>'
        f"{button('Stop…', 'canary_stop')}</div>"
        f'<p class="text">{escape(sentence(decision.reason))}</p>'
    )
    if not figures:
        # Its votes were not counted: it ends for another reason.
        return head
    arms = [
        _arm(found.adapter, found.share, figures["canary"]),
        _arm(found.against or "base", 1 - found.share, figures["live"]),
    ]
    proof = (
        "Evidence that it is not worse: "
        f"{figures['not_worse']:g} of the {figures['needed']:g} needed to go on. "
        "Evidence that it is worse: "
        f"{figures['worse']:g} of the {figures['needed_worse']:g} at which it is rolled back."
    )
    return (
        f"{head}{_table(('Adapter', 'Share', 'Conversations voted on', 'Thumbs up'), arms)}"
        f'<p class="text">{proof}</p>'
    )


def _arm(name: str, share: float, votes: Mapping[str, Any]) -> Sequence[str]:
    up, count = votes["up"], votes["conversations"]
    liked = f"{up:,} ({up / count:.0%})" if count else "–"
    return (_mono(name), f"{share:.0%}", f"{count:,}", liked)


def _steps(steps: Sequence[CanaryStep]) -> str:
    if not steps:
        return ""
    rows = [
        (
            when(step.at),
            _DONE[step.action],
            _mono(step.adapter),
            f"{step.share:.0%}",
            escape(step.actor),
            escape(step.reason),
        )
        for step in steps
    ]
    table = _table(("When", "What", "Adapter", "Share", "By", "Reason"), rows)
    return f"<details><summary>Steps so far</summary>{table}</details>"


def _mono(name: str) -> str:
    return f'<span class="mono">{escape(name)}</span>'


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table of cells that are HTML already."""
    head = "".join(f"<th>{name}</th>" for name in heads)
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    return (
        f'<div class="table" tabindex="0"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )
