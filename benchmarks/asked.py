"""The questions about the sample shop in `questions/`: what they ask, what a right answer holds, and halves.

Owns reading them, what counts as holding a value, and which half a question is in. Knows nothing of search
or engines. `questions/shop.jsonl` are answered by a document, `questions/unanswered.jsonl` by none: `near`
ones are about the shop, `far` ones about anything else.
"""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

FOLDER = Path(__file__).resolve().parent / "questions"


@dataclass(frozen=True)
class Asked:
    """A question that `document` answers with `values[0]`; the other values are the same in other words.

    `also` are documents that answer it too.
    """

    question: str
    document: str
    values: tuple[str, ...]
    also: tuple[str, ...]

    def is_answered_by(self, document: str, text: str) -> bool:
        """Whether a passage `text` of `document` gives the answer."""
        if document == self.document:
            return holds(text, self.values[:1])
        return document in self.also and holds(text, self.values)


@dataclass(frozen=True)
class Unanswered:
    """A question that no document answers."""

    question: str
    kind: Literal["near", "far"]


def answered() -> list[Asked]:
    """The questions that a document answers, in their order."""
    return [
        Asked(one["question"], one["document"], tuple(one["value"]), tuple(one["also"]))
        for one in _lines("shop")
    ]


def unanswered() -> list[Unanswered]:
    """The questions that no document answers, in their order."""
    return [Unanswered(one["question"], one["kind"]) for one in _lines("unanswered")]


def is_development(question: str) -> bool:
    """Whether decisions may be made by this question: half of them, by a hash; the others only test."""
    return zlib.crc32(question.encode()) % 2 == 0


def holds(text: str, values: Sequence[str]) -> bool:
    """Whether one of `values` stands in `text` by itself, not as a part of a longer number or word."""
    return any(
        re.search(rf"(?<!\w)(?<!\d[.,]){re.escape(one)}(?!\w|[.,]\d)", text, re.IGNORECASE) for one in values
    )


def _lines(name: str) -> list[dict[str, Any]]:
    lines = (FOLDER / f"{name}.jsonl").read_text("utf-8").splitlines()
    return [json.loads(line) for line in lines]
