"""Draws the line under the composer: what votes are used for, and the one click that keeps a chat out of it.

Pure. What the click does stands in `chat_events.py`, who honours it in `training/screening.py`.
"""

from __future__ import annotations

_USED = (
    "It can be wrong. Your votes, reasons and corrections train its next version, and the team can read them."
)
_UNUSED = "It can be wrong. Nothing is trained on this chat, whatever you vote; the team can still read it."


def consent(learned_from: bool) -> str:
    """The line with its switch."""
    said, label = (_USED, "Do not learn from this chat") if learned_from else (_UNUSED, "Learn from it again")
    wanted, look = ("", "consent") if learned_from else ("yes", "consent off")
    switch = f'<button type="button" class="plain" data-act="switch_learning" data-on="{wanted}">'
    return f'<p class="{look}"><span>{said}</span> {switch}{label}</button></p>'


def thanks(learned_from: bool) -> str:
    """What is said to somebody who has voted, and that is true."""
    return (
        f"Thank you. {'The assistant will learn from it.' if learned_from else 'It is kept out of training.'}"
    )
