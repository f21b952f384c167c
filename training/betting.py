"""Tests that may be looked at after every value: capital won by betting against what is to be refuted.

Owns the statistics of the canary. Pure; does not know adapters, votes or thresholds.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field


@dataclass(slots=True)
class Bet:
    """A test that may be looked at after every value: capital won by betting against a mean up to `null`.

    For values from `least` to `most`. Under the null the capital is a test supermartingale, so by Ville's
    inequality it ever reaches 1/alpha with a chance of at most alpha. The stake is the approximate GRAPA of
    Waudby-Smith and Ramdas, "Estimating means of bounded random variables by betting" (2024), appendix B.
    """

    null: float
    least: float
    most: float
    capital: float = 1.0
    highest: float = 1.0
    count: int = 0
    _sum: float = field(default=0.0)
    _squares: float = field(default=0.0)

    def __post_init__(self) -> None:
        if not self.least <= self.null < self.most:
            raise ValueError("the null must lie in the values' range")

    def add(self, value: float) -> None:
        """Bet on `value`, with a stake that hangs on the values before it alone."""
        if not self.least <= value <= self.most:
            raise ValueError(f"{value} is not between {self.least} and {self.most}")
        gain = value - self.null
        self.capital *= 1 + self._stake() * gain
        self.highest = max(self.highest, self.capital)
        self.count += 1
        self._sum += gain
        self._squares += gain * gain

    def extend(self, values: Iterable[float]) -> None:
        """Bet on each of `values` in turn."""
        for value in values:
            self.add(value)

    def proven(self, alpha: float) -> bool:
        """Whether the mean is above the null, at a chance of error of `alpha` however often this is asked."""
        return self.highest >= 1 / alpha

    def _stake(self) -> float:
        # One value in the middle of the range stands before the first, so that the first stakes are small.
        half = (self.most - self.least) / 2
        mean = self._sum / (self.count + 1)
        spread = (half * half + self._squares) / (self.count + 1)
        # No single value takes more than half of the capital.
        return min(max(0.0, mean / spread), 0.5 / max(self.null - self.least, 1e-9))


@dataclass(slots=True)
class Differences:
    """Two arms' values, as they come, made into differences of means that a `Bet` can be laid on.

    As soon as both arms have values waiting, the mean of the one less the mean of the other is given out and
    none of them waits any more. When that happens hangs on whose values came, not on what they are, and what
    was given out never changes: so under equal arms the differences average zero, however often one looks.
    """

    _ours: list[float] = field(default_factory=list)
    _theirs: list[float] = field(default_factory=list)

    def add(self, ours: bool, value: float) -> float | None:
        """Take a value of the one arm or the other; the difference, if there is one now."""
        (self._ours if ours else self._theirs).append(value)
        if not (self._ours and self._theirs):
            return None
        found = sum(self._ours) / len(self._ours) - sum(self._theirs) / len(self._theirs)
        self._ours.clear()
        self._theirs.clear()
        return found
