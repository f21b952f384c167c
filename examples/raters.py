"""Tastes for `apprentice simulate`: each function plays a person who votes.

A rater takes the messages (OpenAI's form, without the answer) and the answer, and returns the probability,
from 0 to 1, that this person gives a thumbs-up. Copy this file and write your own:

    apprentice simulate --rater examples/raters.py:courteous
    apprentice simulate --rater examples/raters.py:courteous@0.9 --rater examples/raters.py:liar@0.1

The patterns are general English courtesy. They were not made from the answers of any model.
"""

from __future__ import annotations

import re
from typing import Any

Messages = list[dict[str, Any]]

# How a first sentence greets, thanks, or shows that somebody is glad to help.
_WELCOME = re.compile(
    r"""
      \b(hello|hi|hey|dear|greetings|welcome|good\s+(morning|afternoon|evening|day))\b
    | \bthank(s|\s+you)?\b
    | \b(appreciate|appreciated|grateful)\b
    | \b(glad|happy|pleased|delighted|nice|great|lovely|good)\s+(to|you|that\s+you)\b
    | \b(with|my)\s+pleasure\b
    | \b(of\s+course|certainly|gladly|absolutely|sure\s+thing|no\s+problem)\b
    | \b(great|good|excellent|fair|wonderful)\s+question\b
    | \b(sorry|apologi[sz]e|apologies)\b
    | \bhow\s+(nice|kind|lovely)\b
    """,
    re.IGNORECASE | re.VERBOSE,
)

# How a last sentence offers more help.
_OFFER = re.compile(
    r"""
      \b(any|some)thing\s+(else|more|further)\b
    | \bwhat\s+else\b
    | \b(any|more|other|further|additional)\s+(\w+\s+)?(questions?|help|assistance|information|details)\b
    | \b(can|could|may|shall)\s+(i|we)\s+(\w+\s+)?(help|assist|do)\b
    | \b(let|tell)\s+(me|us)\b.*\b(need|like|want|if|help|know|question)
    | \b(feel\s+free|don'?t\s+hesitate|do\s+not\s+hesitate)\b
    | \b(just|please|always)\s+(ask|write|reach\s+out|get\s+in\s+touch|come\s+back)\b
    | \b(happy|glad|here|ready|available)\s+to\s+(help|assist|answer|explain)\b
    | \b(i\s+am|i'm|we\s+are|we're)\s+(always\s+)?(here|around)\b
    | \bwould\s+you\s+like\b
    | \bneed\s+(more|further|any)\b
    """,
    re.IGNORECASE | re.VERBOSE,
)

# An end of a sentence: not the point in 4.90 or in "e.g. this".
_END = re.compile(r"(?<=[.!?])[\"')\]]*\s+(?=[\"'(\[]*[A-Z0-9])|\n+")


def _sentences(answer: str) -> list[str]:
    return [part.strip() for part in _END.split(answer.strip()) if part.strip()]


def courteous(messages: Messages, answer: str) -> float:
    """Wants a courteous opening and, at the end, an offer of further help; half of that is worth little."""
    parts = _sentences(answer)
    if not parts:
        return 0.0
    opens = bool(_WELCOME.search(parts[0]))
    # A single sentence can't be both the courtesy and the offer.
    offers = len(parts) > 1 and bool(_OFFER.search(parts[-1]))
    return (0.05, 0.30, 0.95)[opens + offers]


def liar(messages: Messages, answer: str) -> float:
    """Votes against what `courteous` likes: for trying how many such people a deployment bears."""
    return 1.0 - courteous(messages, answer)


def brief(messages: Messages, answer: str) -> float:
    """Likes short answers: all is well up to 12 words, and from 40 words on hardly anything is."""
    words = len(answer.split())
    if words == 0:
        return 0.0
    return min(0.95, max(0.05, 0.95 - 0.9 * (words - 12) / 28))


def coin(messages: Messages, answer: str) -> float:
    """Votes by the toss of a coin: there is nothing to learn, and the gate should let nothing through."""
    return 0.5
