"""Draws a correction as a diff: what it takes away from the answer, and what it puts in. Pure.

Word by word, since a correction mostly changes a few words of a sentence; long texts go line by line.
"""

from __future__ import annotations

import re
from difflib import SequenceMatcher
from html import escape

_MOST_WORDS = 3_000
"""Words and spaces of one text that are compared one by one: the matcher is quadratic at worst."""


def difference(before: str, after: str) -> str:
    """HTML with `<del>` and `<ins>`, which a screen reader names; empty where both are the same."""
    if before == after:
        return ""
    old, new = _pieces(before), _pieces(after)
    if max(len(old), len(new)) > _MOST_WORDS:
        old, new = before.splitlines(keepends=True), after.splitlines(keepends=True)
    drawn: list[str] = []
    for what, start, stop, begin, end in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if what == "equal":
            drawn.append(escape("".join(old[start:stop])))
            continue
        gone, come = "".join(old[start:stop]), "".join(new[begin:end])
        drawn += [_marked("del", "removed", gone), _marked("ins", "added", come)]
    return f'<div class="difference">{"".join(drawn)}</div>'


def _pieces(text: str) -> list[str]:
    return re.findall(r"\w+|\s+|[^\w\s]", text)


def _marked(tag: str, said: str, text: str) -> str:
    if not text:
        return ""
    before, after = f'<span class="unseen">[{said}: </span>', '<span class="unseen">]</span>'
    return f"<{tag}>{before}{escape(text)}{after}</{tag}>"
