"""Draws what a correction changes in an answer, word by word, for eyes and for screen readers. Pure.

Takes two texts, gives HTML with everything escaped.
"""

from __future__ import annotations

import re
from difflib import SequenceMatcher
from html import escape

_PIECES = re.compile(r"\s+|\w+|[^\w\s]")
_MOST_PIECES = 6_000
"""Pieces of both texts together beyond which whole lines are compared: the time grows with their product."""


def changed(before: str, after: str) -> str:
    """`after` with what it adds marked, and what it leaves out; empty where both are the same."""
    if before.strip() == after.strip():
        return ""
    old, new = _PIECES.findall(before.strip()), _PIECES.findall(after.strip())
    if len(old) + len(new) > _MOST_PIECES:
        old, new = before.strip().splitlines(True), after.strip().splitlines(True)
    parts = []
    for what, start, end, first, last in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if what == "equal":
            parts.append(escape("".join(old[start:end])))
            continue
        parts.append(_marked("del", "".join(old[start:end])))
        parts.append(_marked("ins", "".join(new[first:last])))
    return "".join(parts)


def _marked(tag: str, text: str) -> str:
    if not text:
        return ""
    said = "taken out" if tag == "del" else "put in"
    return f'<{tag}><span class="unseen">{said}: </span>{escape(text)}</{tag}>'
