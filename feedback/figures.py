"""What answers and the opinions on them come to: figures that can be added, so that days make weeks.

Pure. Owns what counts as a refusal, a quantile, a cost. Knows no database: `days.py` reads the rows and keeps
the sums; `drift.py` compares them.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from itertools import chain
from typing import Any, NamedTuple

Histogram = Mapping[int, int]
"""How many values fell into each bucket; bucket b stands for 2 ** (b / 4), so neighbours are 19 % apart."""

_STEPS = 4
_DICTIONARIES = ("statuses", "waits", "lengths")
_FAILED = ("failed", "interrupted")
OPENING = 200
"""Characters at the beginning of an answer in which a refusal is looked for: one refuses at once."""

# A turning down by the assistant itself ("I can't …"), not a No to the question ("You can't return it").
_REFUSAL = re.compile(
    r"\bI(?:'m| am) (?:not able|unable|not allowed) to\b"
    r"|\bI (?:can't|cannot|can not|won't|will not|am not going to) "
    r"(?:help|assist|answer|do|give|provide|share|tell|discuss|say|support|make|write|create|fulfil|comply)"
    r"|\b(?:I|we) (?:don't|do not) have (?:that|this|any) information\b"
    r"|\bas an AI\b",
    re.IGNORECASE,
)


class Share(NamedTuple):
    """A share with its 95 % interval, all 0 to 1, and the number of cases that it is a share of."""

    mean: float
    low: float
    high: float
    of: int


@dataclass(frozen=True, slots=True)
class Answer:
    """What is counted of one turn. `wait` is in milliseconds, from the question to the first token."""

    status: str
    asked: bool
    again: bool
    """Whether it is a regeneration: the same prompt had been answered before."""
    grounded: bool
    """Whether passages were found for it."""
    opening: str
    length: int
    """Characters."""
    wait: float | None
    seconds: float | None
    """From the question to the last token."""
    prompt_tokens: int
    completion_tokens: int


@dataclass(frozen=True, slots=True)
class Figures:
    """Sums over answers. `ups` and `downs` are thumbs given unasked; those asked for stand apart."""

    statuses: Mapping[str, int] = field(default_factory=dict)
    asked: int = 0
    regenerations: int = 0
    refusals: int = 0
    grounded: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    seconds: float = 0.0
    """Of generation, of those that ended by themselves or were stopped."""
    waits: Histogram = field(default_factory=dict)
    lengths: Histogram = field(default_factory=dict)
    ups: int = 0
    downs: int = 0
    asked_ups: int = 0
    asked_downs: int = 0
    corrections: int = 0

    def __add__(self, other: Figures) -> Figures:
        sums: dict[str, Any] = {}
        for item in fields(self):
            mine, theirs = getattr(self, item.name), getattr(other, item.name)
            merged = item.name in _DICTIONARIES
            sums[item.name] = dict(Counter(mine) + Counter(theirs)) if merged else mine + theirs
        return Figures(**sums)

    def plain(self) -> dict[str, Any]:
        """As JSON keeps it; zeros are left out."""
        values = {item.name: getattr(self, item.name) for item in fields(self)}
        values["seconds"] = round(self.seconds, 3)
        return {
            name: {str(key): count for key, count in value.items()} if name in _DICTIONARIES else value
            for name, value in values.items()
            if value
        }

    @classmethod
    def of(cls, plain: Mapping[str, Any]) -> Figures:
        """From what `plain` gave; names of a later version are passed over."""
        known: dict[str, Any] = {name: plain[name] for name in cls.__dataclass_fields__ if name in plain}
        for name in {"waits", "lengths"} & known.keys():
            known[name] = {int(key): count for key, count in known[name].items()}
        return cls(**known)

    @property
    def complete(self) -> int:
        """Answers that were said to their end."""
        return self.statuses.get("complete", 0)

    @property
    def stopped(self) -> int:
        """Answers that their reader stopped."""
        return self.statuses.get("stopped", 0)

    @property
    def failed(self) -> int:
        """Answers that broke off or never began."""
        return sum(self.statuses.get(name, 0) for name in _FAILED)

    @property
    def answers(self) -> int:
        """Answers that have ended, whichever way."""
        return self.complete + self.stopped + self.failed

    @property
    def misses(self) -> int | None:
        """Complete answers for which no passage was found; None where nothing was retrieved at all."""
        return max(0, self.complete - self.grounded) if self.grounded else None


def total(found: Iterable[Figures]) -> Figures:
    """The sum of all."""
    parts = list(found)
    sums: dict[str, Any] = {}
    for item in fields(Figures):
        values = [getattr(part, item.name) for part in parts]
        if item.name in _DICTIONARIES:
            counts: Counter[Any] = Counter()
            for key, count in chain.from_iterable(value.items() for value in values):
                counts[key] += count
            sums[item.name] = dict(counts)
        else:
            sums[item.name] = sum(values)
    return Figures(**sums)


def count(answers: Iterable[Answer]) -> Figures:
    """The figures of these answers, without any opinion on them."""
    statuses, waits, lengths = Counter[str](), Counter[int](), Counter[int]()
    asked = again = refusals = grounded = prompt_tokens = completion_tokens = 0
    seconds = 0.0
    for answer in answers:
        statuses[answer.status] += 1
        asked += answer.asked
        again += answer.again
        prompt_tokens += answer.prompt_tokens
        completion_tokens += answer.completion_tokens
        if answer.wait is not None:
            waits[bucket(answer.wait)] += 1
        if answer.status in ("complete", "stopped"):
            seconds += answer.seconds or 0.0
        if answer.status == "complete":
            grounded += answer.grounded
            if answer.length:
                lengths[bucket(answer.length)] += 1
                refusals += refused(answer.opening)
    return Figures(
        statuses=dict(statuses),
        asked=asked,
        regenerations=again,
        refusals=refusals,
        grounded=grounded,
        prompt_tokens=prompt_tokens,
        completion_tokens=completion_tokens,
        seconds=seconds,
        waits=dict(waits),
        lengths=dict(lengths),
    )


def refused(answer: str) -> bool:
    """Whether an answer turns its question down, by a few English turns of phrase in its first characters.

    A rough measure, meant to be compared with itself: it misses refusals in other words and languages.

    >>> refused("I'm sorry, but I can't help with that."), refused("You can't return it after 30 days.")
    (True, False)
    """
    return _REFUSAL.search(answer[:OPENING].replace("’", "'")) is not None


def bucket(value: float) -> int:
    """The bucket of a histogram for a value; everything below 1 counts as 1."""
    return round(_STEPS * math.log2(max(value, 1.0)))


def quantile(histogram: Histogram, share: float) -> float | None:
    """The value below which `share` of all lie, evenly spread inside a bucket; None of an empty one.

    It is at most a bucket's width (19 %) off.
    """
    number = sum(histogram.values())
    if not number:
        return None
    wanted, below = share * number, 0
    last = max(histogram)
    for step in sorted(histogram):
        inside = histogram[step]
        if below + inside >= wanted or step == last:
            return float(2 ** ((step - 0.5 + min(1.0, (wanted - below) / inside)) / _STEPS))
        below += inside
    return None


def share(cases: int, of: int) -> Share | None:
    """A share with Wilson's 95 % interval; None of nothing.

    Wilson, Probable inference, the law of succession, and statistical inference (JASA 1927).
    """
    if of <= 0:
        return None
    z = 1.959964
    mean, spread = cases / of, z * z / of
    middle = (mean + spread / 2) / (1 + spread)
    half = z / (1 + spread) * math.sqrt(mean * (1 - mean) / of + spread / (4 * of))
    return Share(mean, max(0.0, middle - half), min(1.0, middle + half), of)


def cost(figures: Figures, per_hour: float) -> float | None:
    """What one answer costs on a machine of this price per hour; None without a price or an answer.

    By the seconds of its generation, as if each answer had the machine for itself: answers that are written
    side by side cost less, and a machine that idles costs more than all of them.
    """
    ended = figures.complete + figures.stopped
    return per_hour * figures.seconds / 3600 / ended if per_hour and ended else None


def summary(figures: Figures, per_hour: float = 0.0) -> dict[str, Any]:
    """The figures as people and programs read them. Shares have `mean`, `low`, `high`, `of`; times are
    seconds, lengths characters; what can't be said is None, what is not asked for is left out."""
    waits = [quantile(figures.waits, part) for part in (0.5, 0.9)]
    median, ninth = (None if wait is None else round(wait / 1000, 3) for wait in waits)
    length, price = quantile(figures.lengths, 0.5), cost(figures, per_hour)
    each = figures.complete or None
    found: dict[str, Any] = {
        "answers": figures.answers,
        "asked": figures.asked,
        "satisfied_asked": share(figures.asked_ups, figures.asked_ups + figures.asked_downs),
        "satisfied_unasked": share(figures.ups, figures.ups + figures.downs),
        "corrected": share(min(figures.corrections, figures.answers), figures.answers),
        "regenerated": share(figures.regenerations, figures.answers),
        "stopped": share(figures.stopped, figures.answers),
        "failed": share(figures.failed, figures.answers),
        "refused": share(figures.refusals, figures.complete),
        "first_token_median": median,
        "first_token_p90": ninth,
        "length_median": None if length is None else round(length),
        "tokens_per_answer": each and round(figures.completion_tokens / each, 1),
        "prompt_tokens": figures.prompt_tokens,
        "completion_tokens": figures.completion_tokens,
        "seconds": round(figures.seconds, 1),
    }
    if per_hour:
        found["cost_per_answer"] = price
    if figures.misses is not None:
        found["retrieval_missed"] = share(figures.misses, figures.complete)
    return {
        name: {part: round(number, 4) for part, number in value._asdict().items()}
        if isinstance(value, Share)
        else value
        for name, value in found.items()
    }
