"""A small grammar: `[a|b|]` picks one branch, nested as deep as wanted. Also slips of the keyboard.

Owns how one line becomes many. Does not know what the lines say.
"""

from __future__ import annotations

import random
import re

_CHOICE = re.compile(r"\[([^\[\]]*)\]")
_GAPS = re.compile(r" {2,}")
_LETTERS = "abcdefghijklmnopqrstuvwxyz"


def vary(rng: random.Random, line: str) -> str:
    """One reading of `line`: every bracket replaced by one of its branches, innermost first."""
    while "[" in line:
        line = _CHOICE.sub(lambda found: rng.choice(found.group(1).split("|")), line)
    return _GAPS.sub(" ", line).strip()


def slip(rng: random.Random, text: str) -> str:
    """`text` with one slip in a longer word: a letter lost, doubled, swapped with the next, or wrong."""
    places = [i for i in range(1, len(text) - 1) if text[i - 1 : i + 2].isalpha()]
    if not places:
        return text
    at = rng.choice(places)
    kind = rng.randrange(4)
    if kind == 0:
        return text[:at] + text[at + 1 :]
    if kind == 1:
        return text[:at] + text[at] + text[at:]
    if kind == 2:
        return text[:at] + text[at + 1] + text[at] + text[at + 2 :]
    return text[:at] + rng.choice(_LETTERS) + text[at + 1 :]


def upper_first(text: str) -> str:
    """`text` as it opens a sentence; the rest stays as it is."""
    return text[:1].upper() + text[1:]


def lower_first(text: str) -> str:
    """`text` as it reads after a comma: first letter small, unless it is I or a shouted word."""
    if len(text) < 2 or text.startswith(("I ", "I'", "My orders")) or text[1].isupper():
        return text
    return text[0].lower() + text[1:]
