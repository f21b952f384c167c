"""What a simulation came to: a score with its interval, the base, each round in the words of `--json`.

Pure. Owns the arithmetic of scores and of the time from a vote to an answer. Knows nothing of how rounds
are played.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from statistics import fmean
from typing import Any, NamedTuple

import numpy as np

_RESAMPLES = 4000


class Score(NamedTuple):
    """A mean rate, 0 to 1, with its 95 % interval."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Base:
    """What the bare base model reaches. `general` is percent right; None: not measured."""

    heldout_score: float | None
    heldout_low: float | None
    heldout_high: float | None
    general: float | None
    failed_requests: int


@dataclass(frozen=True, slots=True)
class Round:
    """What one round came to, in the words of `--json`. Times in seconds; what did not happen is None."""

    round: int
    adapter: str | None
    promoted: bool
    verdict: str | None
    reasons: Sequence[str]
    votes: int
    examples: int | None
    train_seconds: float | None
    vote_to_live_seconds: float | None
    heldout_score: float | None
    heldout_low: float | None
    heldout_high: float | None
    forgetting: float | None
    failed_requests: int
    parts: Mapping[str, float] = field(default_factory=dict)
    """What `vote_to_live_seconds` is made of."""

    @property
    def failed(self) -> bool:
        """Whether something that should have happened did not. A refusal by the gate is no failure."""
        return self.verdict is None or (self.verdict == "passed" and self.vote_to_live_seconds is None)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def score(rates: Sequence[Sequence[float]], seed: int) -> Score | None:
    """The mean over prompts of the mean rate of their answers; `rates` holds those of each prompt.

    The interval is a percentile bootstrap over prompts, because answers to one prompt are alike. None
    without any answer.
    """
    means = np.array([fmean(found) for found in rates if found])
    if not len(means):
        return None
    drawn = np.random.default_rng(seed).choice(means, (_RESAMPLES, len(means))).mean(axis=1)
    low, high = np.percentile(drawn, (2.5, 97.5))
    return Score(*(round(float(value), 4) for value in (means.mean(), low, high)))


def examples_of(run: Mapping[str, Any]) -> int | None:
    """How many examples a run gathered to train on; None if it did not come so far."""
    found = (run.get("counts") or {}).get("training")
    return None if found is None else int(found)


def parts_of(run: Mapping[str, Any], promote: float, answer: float, total: float) -> dict[str, float]:
    """What the time from the last vote to the first answer is made of: the run's stages and our clock."""
    parts = {"queue": _between(run.get("created_at"), run.get("started_at"))}
    parts |= {name: float(value) for name, value in (run.get("seconds") or {}).items()}
    parts |= {"promote": promote, "answer": answer}
    # Requests, pauses between two looks, and whatever the run did between its stages.
    parts["other"] = max(0.0, total - sum(parts.values()))
    return {name: round(value, 2) for name, value in parts.items()}


def _between(start: str | None, end: str | None) -> float:
    if not start or not end:
        return 0.0
    return max(0.0, (datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds())
