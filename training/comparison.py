"""Prompt, retrieval or fine-tuning? The cells, and what the answers of each came to, with intervals.

Pure. A cell is one way to be asked: with or without the long prompt, the live adapter, retrieval. Knows
nobody who asks, and no screen. scipy is imported when an interval is taken, never to read a comparison.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from itertools import combinations, product
from statistics import fmean, median, stdev
from typing import Any, Literal, NamedTuple

from feedback.records import Turn, as_said, normalise
from training import screening
from training.records import Message

Helper = Literal["prompt", "adapter", "retrieval"]
HELPERS: tuple[Helper, ...] = ("prompt", "adapter", "retrieval")
FEWEST = 10
"""Questions below which no difference is spoken of: the t interval leans on a mean of several."""
_FAMILY = 0.05
"""Probability that any of the intervals of differences misses."""
_MOST_READ = 20_000
"""Opening turns that are looked through for questions: it bounds the time where all ask the same."""


class Cell(NamedTuple):
    """One way to be asked."""

    prompt: bool = False
    adapter: bool = False
    retrieval: bool = False

    @property
    def helpers(self) -> tuple[Helper, ...]:
        """What stands by the base model in this cell."""
        return tuple(name for name, there in zip(HELPERS, self, strict=True) if there)

    @property
    def name(self) -> str:
        """In words: `base`, `adapter + long prompt`."""
        extra = [
            word for word, there in (("long prompt", self.prompt), ("retrieval", self.retrieval)) if there
        ]
        return " + ".join(["adapter" if self.adapter else "base", *extra])


BARE = Cell()


@dataclass(frozen=True, slots=True)
class Answered:
    """What came of one question in one cell. Times in seconds from the moment that it was asked."""

    question: int
    cell: Cell
    liked: float | None
    """The probability, 0 to 1, of a thumbs-up; None: nobody judged."""
    prompt_tokens: int
    answer_tokens: int
    characters: int
    first_token: float
    seconds: float
    faulty: bool


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean with its interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Row:
    """What a cell came to: means over its answers, and times in seconds."""

    cell: Cell
    answers: int
    failed: int
    """Questions without an answer in this cell."""
    liked: Estimate | None
    """Share of answers that get a thumbs-up; a 95 % interval of its own."""
    gain: Estimate | None
    """Difference of that to the bare base, paired by question; one of the intervals that hold together."""
    prompt_tokens: float | None
    answer_tokens: float | None
    characters: float | None
    first_token: float | None
    """Median."""
    first_token_p90: float | None
    seconds: float | None
    cost: float | None
    """Of one answer, in the currency of the price of an hour."""
    faulty: float | None


@dataclass(frozen=True, slots=True)
class Contrast:
    """What a cell gives and costs against another one, by the questions that both answered."""

    kind: Literal["against base", "on top", "instead"]
    cell: Cell
    other: Cell
    questions: int = 0
    gain: Estimate | None = None
    prompt_tokens: float = 0.0
    answer_tokens: Estimate | None = None
    seconds: Estimate | None = None
    cost: float | None = None


@dataclass(frozen=True, slots=True)
class Judge:
    """Who says what people would like. `abstains` is the reason, if they don't."""

    name: str
    detail: str = ""
    abstains: str | None = None


@dataclass(frozen=True, slots=True)
class Comparison:
    """Everything that was found out, as it is kept."""

    made_at: datetime
    model: str
    adapter: str | None
    source: str
    questions: int
    judge: Judge
    rows: Sequence[Row]
    contrasts: Sequence[Contrast]
    verdict: Sequence[str]
    notes: Sequence[str]

    def as_dict(self) -> dict[str, Any]:
        """Plain values, as JSON takes them; a cell is an object of three flags."""
        plain = asdict(self)
        plain["made_at"] = self.made_at.isoformat()
        for one in plain["rows"]:
            one["cell"] = one["cell"]._asdict()
        for one in plain["contrasts"]:
            one["cell"], one["other"] = one["cell"]._asdict(), one["other"]._asdict()
        return plain

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Comparison:
        """The inverse of `as_dict`. Raises `KeyError`, `TypeError` or `ValueError` for anything else."""
        rows = [Row(**_read(row, ("cell",), ("liked", "gain"))) for row in plain["rows"]]
        means = ("gain", "answer_tokens", "seconds")
        contrasts = [Contrast(**_read(one, ("cell", "other"), means)) for one in plain["contrasts"]]
        named = {name: plain[name] for name in ("model", "adapter", "source", "questions")}
        return cls(
            made_at=datetime.fromisoformat(plain["made_at"]),
            judge=Judge(**plain["judge"]),
            rows=tuple(rows),
            contrasts=tuple(contrasts),
            verdict=tuple(map(str, plain["verdict"])),
            notes=tuple(map(str, plain["notes"])),
            **named,
        )


def _read(plain: Mapping[str, Any], cells: Collection[str], estimates: Collection[str]) -> dict[str, Any]:
    found = dict(plain)
    found |= {name: Cell(**plain[name]) for name in cells}
    return found | {name: plain[name] and Estimate(**plain[name]) for name in estimates}


# -- what is asked -----------------------------------------------------------------------------------


def held_out_questions(opening_turns: Iterable[tuple[Turn, str]], most: int) -> list[list[Message]]:
    """Dialogues up to the first question of conversations that are held out, each opening once.

    `opening_turns` are first turns with their conversation's opening, the newest first. System prompts are
    taken off, and so are passages: whether there are any is what the cells differ in.
    """
    found: dict[str, list[Message]] = {}
    for number, (turn, opening) in enumerate(opening_turns):
        if len(found) >= most or number >= _MOST_READ:
            break
        # Only the question counts here: how its answer ended then does not matter.
        if screening.held_out(opening) and not screening.unfit(
            replace(turn, status="complete", answer="any")
        ):
            said = [message for message in as_said(turn.prompt) if message.get("role") != "system"]
            found.setdefault(normalise(opening), said)
    return list(found.values())


def cells(have: Collection[Helper]) -> list[Cell]:
    """Every cell that can be made of these helpers, the bare base first."""
    choices = [(False, True) if name in have else (False,) for name in ("retrieval", "prompt", "adapter")]
    return [Cell(prompt, adapter, retrieval) for retrieval, prompt, adapter in product(*choices)]


def contrasts(have: Collection[Helper]) -> list[Contrast]:
    """The differences that are looked at, fixed before anything is measured.

    Each cell against the bare base; each helper on top of all others; and one helper instead of another.
    """
    bare, *others = cells(have)
    found = [Contrast("against base", cell, bare) for cell in others]
    helpers = [name for name in HELPERS if name in have]
    if len(helpers) > 1:
        whole = _cell(helpers)
        found += [Contrast("on top", whole, _cell([h for h in helpers if h != name])) for name in helpers]
    # The adapter stands in for what costs tokens at each question, and retrieval for the long prompt.
    order = [name for name in ("adapter", "retrieval", "prompt") if name in have]
    return found + [Contrast("instead", _cell([a]), _cell([b])) for a, b in combinations(order, 2)]


def _cell(helpers: Collection[str]) -> Cell:
    return Cell(*(name in helpers for name in HELPERS))


# -- figures -----------------------------------------------------------------------------------------


def estimate(
    values: Sequence[float], miss: float = 0.05, low: float = -math.inf, high: float = math.inf
) -> Estimate:
    """The mean of two or more independent values and its t interval, which misses with probability `miss`.

    `low` and `high` are what a value can't leave. Student, Biometrika 6 (1908) 1-25. Where all values are the
    same that interval has no width; then it reaches as far as what was never seen may move the mean (Hanley
    and Lippman-Hand, If nothing goes wrong, is everything all right?, JAMA 249 (1983) 1743-1745).
    """
    from scipy import stats

    mean, spread, count = fmean(values), stdev(values), len(values)
    if spread == 0 and math.isfinite(high - low):
        unseen = 1 - miss ** (1 / count)
        return Estimate(mean, mean - unseen * (mean - low), mean + unseen * (high - mean))
    reach = float(stats.t.ppf(1 - miss / 2, count - 1)) * spread / math.sqrt(count)
    return Estimate(mean, max(low, mean - reach), min(high, mean + reach))


def measure(
    answers: Sequence[Answered], have: Collection[Helper], questions: int, price: float | None = None
) -> tuple[list[Row], list[Contrast]]:
    """Figures of every cell, and of every difference. `price` is what one second of an answer costs.

    Intervals of differences hold together (Bonferroni over all that are looked at): with many looks one
    would otherwise seem to help by luck. Questions that only one side answered are left out of a difference.
    """
    by_cell: dict[Cell, dict[int, Answered]] = {cell: {} for cell in cells(have)}
    for answer in answers:
        by_cell[answer.cell][answer.question] = answer
    looks = contrasts(have)
    miss = _FAMILY / max(1, len(looks))
    differences = [_difference(look, by_cell, miss, price) for look in looks]
    gains = {one.cell: one.gain for one in differences if one.kind == "against base"}
    rows = [
        _row(cell, list(found.values()), questions, gains.get(cell), price) for cell, found in by_cell.items()
    ]
    return rows, differences


def _row(
    cell: Cell, found: Sequence[Answered], questions: int, gain: Estimate | None, price: float | None
) -> Row:
    def mean(value: Callable[[Answered], float]) -> float | None:
        return fmean(map(value, found)) if found else None

    liked = [answer.liked for answer in found if answer.liked is not None]
    first = sorted(answer.first_token for answer in found)
    seconds = mean(lambda answer: answer.seconds)
    return Row(
        cell=cell,
        answers=len(found),
        failed=questions - len(found),
        liked=estimate(liked, low=0.0, high=1.0) if len(liked) > 1 else None,
        gain=gain,
        prompt_tokens=mean(lambda answer: answer.prompt_tokens),
        answer_tokens=mean(lambda answer: answer.answer_tokens),
        characters=mean(lambda answer: answer.characters),
        first_token=median(first) if first else None,
        first_token_p90=first[math.ceil(0.9 * len(first)) - 1] if first else None,
        seconds=seconds,
        cost=None if price is None or seconds is None else price * seconds,
        faulty=mean(lambda answer: answer.faulty),
    )


def _difference(
    look: Contrast, by_cell: Mapping[Cell, Mapping[int, Answered]], miss: float, price: float | None
) -> Contrast:
    ours, theirs = by_cell[look.cell], by_cell[look.other]
    both = [(ours[number], theirs[number]) for number in sorted(ours.keys() & theirs.keys())]
    judged = [a.liked - b.liked for a, b in both if a.liked is not None and b.liked is not None]
    if len(both) < FEWEST:
        return replace(look, questions=len(both))
    seconds = estimate([a.seconds - b.seconds for a, b in both], miss)
    return replace(
        look,
        questions=len(both),
        gain=estimate(judged, miss, -1.0, 1.0) if len(judged) >= FEWEST else None,
        prompt_tokens=fmean(a.prompt_tokens - b.prompt_tokens for a, b in both),
        answer_tokens=estimate([float(a.answer_tokens - b.answer_tokens) for a, b in both], miss),
        seconds=seconds,
        cost=None if price is None else price * seconds.value,
    )
