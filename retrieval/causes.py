"""Why an answer was bad, told from what people said of it and what the documents hold. Pure.

Owns the evidence that is weighed and the rule that decides. The texts, scores and opinions are handed in:
it knows no index, no model and no store.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, get_args

from feedback.records import Cause

CAUSES: tuple[Cause, ...] = get_args(Cause)
_WORDS = 0.7
"""What words and numbers count in the support of a correction; the rest is its cosine to the passage."""
OPEN = frozenset({"refused", "off_topic"})
"""Reasons that may come of a document that is missing as well as of bad manners."""

# Fixed on one half of the labelled cases and measured on the other (tests/retrieval/test_causes.py).
TOLD = 0.5
"""Support from which on a passage tells a correction."""
ANSWERS = 0.57
"""Cosine from which on a passage of the prompt holds what was asked for."""
HELPS = 0.45
"""Cosine from which on a passage that was not in the prompt could have helped."""
FAR = 0.33
"""Cosine below which a question has nothing to do with the documents."""
REWORDED = 0.62
"""Share of new words below which a correction says the same in other words."""


@dataclass(frozen=True, slots=True)
class Complaint:
    """A bad answer and all that was said against it. `correction` is what it should have said, or nothing."""

    question: str
    answer: str
    reasons: Collection[str] = ()
    correction: str = ""


@dataclass(frozen=True, slots=True)
class Seen:
    """A passage that was in the prompt (`used`), or could have been. Both scores are cosines."""

    text: str
    used: bool
    to_question: float
    to_correction: float = 0.0


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the decision hangs on; every share is 0 to 1."""

    about: str
    """`facts`, `open`, `manners`, or nothing where no reason was ticked."""
    corrected: bool
    changed: float
    """Share of the correction's words that the answer did not say."""
    values: bool
    """Whether the correction names numbers that the answer did not."""
    told_used: float
    """How well the best passage of the prompt supports the correction: by words, numbers and meaning."""
    told_known: float
    """The same of the best one that was not in it."""
    near_used: float
    """Cosine to the question of the best passage of the prompt."""
    near_known: float

    def as_json(self) -> Mapping[str, Any]:
        """The evidence as it is kept beside the cause."""
        return {
            name: round(value, 3) if isinstance(value, float) else value
            for name, value in asdict(self).items()
        }


def weigh(complaint: Complaint, seen: Sequence[Seen]) -> Evidence:
    """The evidence in a complaint and in the passages that come near its question or its correction."""
    held = [_tokens(one.text) for one in seen]
    weights = _Weights(held)
    asked, said = _tokens(complaint.question), _tokens(complaint.correction)
    new = said - _tokens(complaint.answer)
    # What question and correction both name is what it is about: numbers of another thing do not tell it.
    subject = dict.fromkeys(asked & said, 2.0)
    claim = dict.fromkeys(said, 1.0) | dict.fromkeys(asked, 0.25) | subject

    def best(used: bool, value: Sequence[float]) -> float:
        return max((one for one, which in zip(value, seen, strict=True) if which.used is used), default=0.0)

    told = [
        0.5
        * (1 + weights.share(subject, tokens))
        * (_WORDS * weights.share(claim, tokens) + (1 - _WORDS) * one.to_correction)
        if said
        else 0.0
        for one, tokens in zip(seen, held, strict=True)
    ]
    near = [one.to_question for one in seen]
    return Evidence(
        about=_about(complaint.reasons),
        corrected=bool(said),
        changed=weights.share(dict.fromkeys(said, 1.0), new) if said else 0.0,
        values=any(token[0].isdigit() for token in new),
        told_used=best(True, told),
        told_known=best(False, told),
        near_used=best(True, near),
        near_known=best(False, near),
    )


def decide(evidence: Evidence) -> Cause:
    """The cause that the evidence speaks for.

    A complaint about manners is believed. A correction is looked for in the passages: where it is told best
    says what went wrong. Without one it counts how near the passages come to the question.
    """
    nearest = max(evidence.near_used, evidence.near_known)
    if evidence.about == "manners":
        return "other"
    if not evidence.about and nearest < FAR and not evidence.values:
        return "other"
    if evidence.corrected:
        if max(evidence.told_used, evidence.told_known) >= TOLD:
            return "unretrieved" if evidence.told_known > evidence.told_used else "misread"
        reworded = not evidence.values and evidence.changed < REWORDED
        return "other" if reworded and not evidence.about else "missing"
    if evidence.near_known > evidence.near_used and evidence.near_known >= HELPS:
        return "unretrieved"
    return "misread" if evidence.near_used >= ANSWERS else "missing"


def tells_something(question: str) -> bool:
    """Whether there is anything in a question that a document could tell, beyond a greeting or thanks."""
    return bool(_tokens(question) - _CHAT)


class _Weights:
    """What a word tells: the fewer of the passages hold it, the more; a number twice as much."""

    def __init__(self, held: Sequence[Collection[str]]) -> None:
        self._count = len(held)
        self._holding = Counter(token for tokens in held for token in tokens)

    def of(self, token: str) -> float:
        rare = math.log(1 + (1 + self._count) / (1 + self._holding[token]))
        return 2 * rare if token[0].isdigit() else rare

    def share(self, wanted: Mapping[str, float], held: Collection[str]) -> float:
        """How much of what is wanted is held, 0 to 1; all of it where nothing is wanted."""
        whole = sum(weight * self.of(token) for token, weight in wanted.items())
        found = sum(weight * self.of(token) for token, weight in wanted.items() if token in held)
        return found / whole if whole else 1.0


def _about(reasons: Collection[str]) -> str:
    if "facts" in reasons:
        return "facts"
    if OPEN & set(reasons):
        return "open"
    # "Something else" was ticked where "Not true" stood beside it.
    return "manners" if reasons else ""


_TOKEN = re.compile(r"\d[\d.,]*\d|\d|[^\W\d_]{2,}")
_COMMON = frozenset(
    re.findall(
        r"\w+",
        """about after again all also am an and any are as at be been before but by can could did do does for
        from get had has have he hello her hi him his how if in into is it its just like may me more most my
        no not of on or our out please she should so some tell than thank thanks that the their them then
        there they this to too up us was we were what when where which while who why will with would yes you
        your""",
    )
)


def _tokens(text: str) -> frozenset[str]:
    """Numbers as they are and telling words by their beginning, so that "returns" and "returned" are one."""
    found = (token.casefold() for token in _TOKEN.findall(text))
    return frozenset(one.rstrip("s")[:6] if len(one) > 3 else one for one in found if one not in _COMMON)


_CHAT = _tokens("bye cool fine goodbye good great hey morning evening many nice ok okay see test well")
