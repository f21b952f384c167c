"""Draws two answers to one question side by side: to be chosen from, or before and after a vote taught it.

Pure, like `transcript.py`. In a choice nothing tells who wrote which: no name, no time, no order of asking.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from assistant.rounds import told
from assistant.ui import markdown, sources, tool_steps
from assistant.ui.buttons import button
from assistant.ui.transcript import WAITING, Part, bubble, thumbs
from feedback.offers import Offer
from feedback.records import Turn
from feedback.store import Verdict

SIDES = ("Answer A", "Answer B")
BEFORE = ("Before", "Now")
BETTER = (
    ("first", "A is better"),
    ("second", "B is better"),
    ("tie", "Equally good"),
    ("both_bad", "Both bad"),
)
"""What can be chosen: the word that is stored, and the one on the button."""


def choice(offer: Offer, turns: Sequence[Turn]) -> str:
    """Two answers that have ended, and the buttons; `turns` from left to right."""
    columns = [_column(name, _settled(turn)) for name, turn in zip(SIDES, turns, strict=True)]
    buttons = [
        button(label, "choose", turn=offer.first_turn_id, preference=preference)
        for preference, label in BETTER
    ]
    buttons.append(button("Skip", "choose", look="quiet", turn=offer.first_turn_id, preference=""))
    offered = "".join(buttons)
    asked = (
        '<div class="choosing"><p><b>Which answer is better?</b> Chance decided which stands where.</p>'
        f'<div class="choices" role="group" aria-label="Which answer is better?">{offered}</div></div>'
    )
    return _article(turns[0].question, columns, asked)


def running(asked: str, parts: Sequence[Part], names: Sequence[str] = SIDES) -> str:
    """Two answers of which at least one is being written; `parts` from left to right."""
    columns = [_column(name, _growing(part)) for name, part in zip(names, parts, strict=True)]
    return _article(asked, columns, "", busy=True)


def learned(before: Turn, after: Turn, opinions: Mapping[str, Verdict]) -> str:
    """What was said before and after an adapter learned from a vote; the new one can be voted on."""
    then = _column("Before", _settled(before))
    foot = f'<div class="foot">{"".join(thumbs(after, opinions.get(after.id)))}</div>'
    now = _column("Now", _settled(after) + foot)
    adapter = escape(after.adapter or "base")
    note = (
        f'<div class="choosing"><p>The new answer is by <code>{adapter}</code>, which learned from your '
        "vote. Is it better? Vote again.</p></div>"
    )
    return _article(after.question, [then, now], note)


def _article(asked: str, columns: Sequence[str], foot: str, busy: bool = False) -> str:
    state = ' aria-busy="true"' if busy else ""
    look = "turn running" if busy else "turn"
    both = f'<div class="beside">{"".join(columns)}</div>'
    return f'<article class="{look}"{state}>{bubble(asked)}{both}{foot}</article>'


def _growing(part: Part) -> str:
    steps = tool_steps.drawn(part.steps, busy=not part.ended)
    if part.text:
        return f'{steps}<div class="said">{markdown.render(part.text)}</div>'
    return steps if part.ended else steps + WAITING


def _column(name: str, inside: str) -> str:
    return f'<section class="side" aria-label="{escape(name)}"><h3>{escape(name)}</h3>{inside}</section>'


def _settled(turn: Turn) -> str:
    said = markdown.render_settled(turn.answer, sources.places(turn))
    return f'{tool_steps.drawn(told(turn.steps))}<div class="said">{said}</div>{sources.listed(turn)}'
