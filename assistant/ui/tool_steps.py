"""Draws the calls of tools in an answer: a line each, which opens to what was asked and what came back.

Pure: takes what `rounds.told` gives. Nothing that a model or a tool wrote gets into the page unescaped.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from assistant.ui.buttons import icon
from assistant.ui.words import short_time


def drawn(steps: Sequence[Mapping[str, Any]], busy: bool = False) -> str:
    """The calls of one answer; while it is being written (`busy`) one without a result still runs."""
    lines = "".join(_step(step, busy) for step in steps)
    return f'<div class="steps">{lines}</div>' if lines else ""


def _step(step: Mapping[str, Any], busy: bool) -> str:
    status = step["status"] if busy or step["status"] != "running" else "stopped"
    label = "Using" if status == "running" else "Used"
    inside = _part("Asked for", step["arguments"])
    if step["result"] is not None:
        inside += _part("Error" if status == "failed" else "Result", step["result"])
    return (
        f'<details class="step {status}"><summary>{icon("tool")}<span>{label} '
        f"<code>{escape(step['name'])}</code></span>{_how(status, step['seconds'])}</summary>"
        f'<div class="inside">{inside}</div></details>'
    )


def _how(status: str, seconds: float | None) -> str:
    took = short_time(max(1.0, 1000 * seconds)) if seconds is not None else ""
    said = {"running": "…", "stopped": "stopped", "failed": f"failed after {took}", "done": took}[status]
    return f'<span class="how">{said}</span>'


def _part(name: str, text: str) -> str:
    return f"<h4>{name}</h4><pre>{escape(_laid_out(text))}</pre>"


def _laid_out(text: str) -> str:
    """JSON with a line for each entry; anything else to the letter."""
    try:
        found = json.loads(text)
        return json.dumps(found, indent=2, ensure_ascii=False) if isinstance(found, dict | list) else text
    except (ValueError, RecursionError):
        return text
