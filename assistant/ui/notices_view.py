"""Draws notices: how many are new, and the newest of all with what each is about.

Pure: takes notices, gives HTML with every text escaped.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from assistant.notices import Notice
from assistant.ui.buttons import button, icon
from assistant.ui.monitor_views import TITLES
from assistant.ui.words import number, sentence, when

_SAID = {
    ("run", "done"): ("A run came to its end", "good"),
    ("run", "failed"): ("A run failed", "bad"),
    ("run", "parked"): ("A run is parked", "bad"),
    ("run", "cancelled"): ("A run was cancelled", "plain"),
    ("gate", "rejected"): ("The gate turned an adapter down", "bad"),
    ("gate", "not_enough_evidence"): ("The gate had not enough evidence", "warn"),
    ("canary", "widen"): ("A canary answers more", "good"),
    ("canary", "promote"): ("A canary was promoted", "good"),
    ("canary", "rollback"): ("A canary was rolled back", "bad"),
    ("canary", "stop"): ("A canary was stopped", "warn"),
}


def pill(count: int) -> str:
    """How many notices are new, as a button that leads to them; nothing where there is none."""
    if not count:
        return ""
    label = "100 or more new notices" if count >= 100 else number(count, "new notice")
    return f'<div class="pill">{button(label, "notices_show", look="small main")}</div>'


def draw(found: Sequence[Notice]) -> str:
    """The newest notices with a way to say that one has seen them."""
    new = any(one.new for one in found)
    seen = button("Mark all as seen", "notices_see") if new else ""
    head = f'<div class="heading"><h2>Notices</h2>{seen}</div>'
    if not found:
        told = "Runs that end, adapters that the gate turns down and engines that restart are told here."
        return f'{head}<div class="nothing"><b>Nothing has happened yet.</b><span>{told}</span></div>'
    return f'{head}<ol class="list notices">{"".join(map(_notice, found))}</ol>'


def _notice(one: Notice) -> str:
    known = (TITLES.get(one.name, one.name.replace("_", " ")), "warn")
    title, tone = _SAID.get((one.kind, one.name), known)
    mark = '<span class="badge live">new</span>' if one.new else ""
    subject = f'<span class="mono">{escape(_short(one.subject))}</span>' if one.subject else ""
    text = f'<p class="text">{escape(sentence(one.text))}</p>' if one.text else ""
    drawing = icon("alert" if tone in ("bad", "warn") else "chat")
    return (
        f'<li><div class="head"><span class="mark {tone}">{drawing}</span><b>{escape(title)}</b>'
        f'{subject}{mark}<span class="facts">{when(one.at)}</span></div>{text}</li>'
    )


def _short(subject: str) -> str:
    return f"run …{subject[-8:]}" if subject.startswith("run-") else subject
