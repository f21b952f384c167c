"""Names a conversation by what it opened with. Pure: no model is asked, so a title costs nothing.

A greeting before the question and the marks of Markdown go; what is left is cut behind a sentence or a word.
"""

from __future__ import annotations

import re

from feedback.records import storable

LONGEST = 60
LONGEST_GIVEN = 200
"""Characters of a title that a person gives."""

_CODE = re.compile(r"```.*?(?:```|\Z)", re.DOTALL)
_MARKS = re.compile(r"^\s*(?:#{1,6}\s+|[-*+>]\s+|\d+[.)]\s+)|\*+(?=\S)|(?<=\S)\*+|[`|]+|_{2,}", re.MULTILINE)
_GREETING = re.compile(
    r"^(?:(?:hi|hello|hey|hallo|moin|servus|good (?:morning|afternoon|evening|day)"
    r"|guten (?:tag|morgen|abend))"
    r"(?: (?:there|all|team|everybody|everyone|zusammen))?\s*[,.!:;–-]+\s*)+",
    re.IGNORECASE,
)
_SENTENCE = re.compile(r"(?<=[.!?…。？！])\s+")


def title_of(opening: str) -> str:
    """A title of at most `LONGEST` characters.

    >>> title_of("Hello! **Where** is my order? I have waited for two weeks.")
    'Where is my order?'
    """
    plain = " ".join(storable(opening).split())
    prose = " ".join(_MARKS.sub(" ", _CODE.sub(" ", storable(opening))).split()) or plain.strip("` ")
    asked = _GREETING.sub("", prose) or prose
    sentences = _SENTENCE.split(asked)
    questions = [one for one in sentences if one.endswith(("?", "？"))]
    # Where somebody tells a story first, the question says what it is about.
    return cut(
        questions[0]
        if questions and len(asked) > LONGEST
        else asked
        if len(asked) <= LONGEST
        else sentences[0]
    )


def cut(text: str, most: int = LONGEST) -> str:
    """At most `most` characters, cut behind a word if there is one to cut behind."""
    if len(text) <= most:
        return text
    short = text[: most - 1]
    whole = short.rpartition(" ")[0] if text[most - 1] != " " else short
    return (whole if len(whole) >= most // 2 else short).rstrip(" ,;:.–-") + "…"
