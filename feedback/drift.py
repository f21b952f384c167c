"""Whether figures have moved: a time against the time before it, with a correction for many looks.

Pure. Shares are compared by the two-proportion z test, or by Fisher's exact one where cases are few; times
and lengths by Mann and Whitney's rank test on their histograms. Votes of one person are taken for
independent, which they are not quite. What is worth an alert is decided by whoever asks.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from feedback.figures import Figures, Histogram, quantile

_FEW = 10.0
"""Expected cases in a cell below which the normal approximation is not trusted."""

_SHARES: Mapping[str, Callable[[Figures], tuple[int, int]]] = {
    "satisfied_asked": lambda f: (f.asked_ups, f.asked_ups + f.asked_downs),
    "satisfied_unasked": lambda f: (f.ups, f.ups + f.downs),
    "corrected": lambda f: (min(f.corrections, f.answers), f.answers),
    "regenerated": lambda f: (f.regenerations, f.answers),
    "stopped": lambda f: (f.stopped, f.answers),
    "failed": lambda f: (f.failed, f.answers),
    "refused": lambda f: (f.refusals, f.complete),
}
_SPREADS: Mapping[str, Callable[[Figures], Histogram]] = {
    "first_token_median": lambda f: f.waits,
    "length_median": lambda f: f.lengths,
}


@dataclass(frozen=True, slots=True)
class Change:
    """One figure then and now. A share is 0 to 1; `first_token_median` milliseconds, `length_median`
    characters. `p` is two-sided and, once it comes out of `changes`, corrected for all that was looked at."""

    name: str
    adapter: str
    before: float
    now: float
    p: float
    count: int
    """Cases now."""


def changes(now: Mapping[str, Figures], before: Mapping[str, Figures], fewest: int = 20) -> list[Change]:
    """Every figure of every adapter that has at least `fewest` cases in both times, in a fixed order."""
    found = []
    for adapter in sorted(now.keys() & before.keys()):
        for name, cases in _SHARES.items():
            (a, m), (b, n) = cases(now[adapter]), cases(before[adapter])
            if min(m, n) >= fewest:
                found.append(Change(name, adapter, b / n, a / m, of_shares(a, m, b, n), m))
        for name, spread in _SPREADS.items():
            mine, theirs = spread(now[adapter]), spread(before[adapter])
            m, n = sum(mine.values()), sum(theirs.values())
            if min(m, n) >= fewest:
                middle, then = quantile(mine, 0.5) or 0.0, quantile(theirs, 0.5) or 0.0
                found.append(Change(name, adapter, then, middle, of_spreads(mine, theirs), m))
    corrected = holm([change.p for change in found])
    return [replace(change, p=p) for change, p in zip(found, corrected, strict=True)]


def of_shares(a: int, m: int, b: int, n: int) -> float:
    """Two-sided p that a of m and b of n are of one share: pooled z, or Fisher's where cases are few."""
    both, cases = m + n, a + b
    if cases in (0, both):
        return 1.0
    least = min(m, n) * min(cases, both - cases) / both
    if least < _FEW:
        return _fisher(a, m, cases, both)
    pooled = cases / both
    z = (a / m - b / n) / math.sqrt(pooled * (1 - pooled) * (1 / m + 1 / n))
    return _two_sided(z)


def _fisher(a: int, m: int, cases: int, both: int) -> float:
    """The sum of all tables that are no likelier than the one that was seen."""

    def likelihood(k: int) -> float:
        return math.exp(_choose(cases, k) + _choose(both - cases, m - k) - _choose(both, m))

    seen = likelihood(a) * (1 + 1e-9)
    tables = (likelihood(k) for k in range(max(0, m - (both - cases)), min(m, cases) + 1))
    return min(1.0, sum(chance for chance in tables if chance <= seen))


def _choose(n: int, k: int) -> float:
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)


def of_spreads(one: Histogram, other: Histogram) -> float:
    """Two-sided p that both histograms come from one spread: Mann and Whitney's U in its normal
    approximation, with ties (everything in one bucket) taken into account.

    Mann, Whitney, On a test of whether one of two random variables is stochastically larger (1947).
    """
    m, n = sum(one.values()), sum(other.values())
    both = m + n
    below, u, ties = 0, 0.0, 0.0
    for step in sorted(one.keys() | other.keys()):
        mine, theirs = one.get(step, 0), other.get(step, 0)
        u += mine * (below + theirs / 2)
        below += theirs
        ties += (mine + theirs) ** 3 - (mine + theirs)
    variance = m * n / 12 * (both + 1 - ties / (both * (both - 1))) if both > 1 else 0.0
    return _two_sided((u - m * n / 2) / math.sqrt(variance)) if variance > 0 else 1.0


def holm(ps: Sequence[float]) -> list[float]:
    """The ps corrected for their number, in the same order: a level then holds for all of them at once.

    Holm, A simple sequentially rejective multiple test procedure (1979).
    """
    corrected, highest = [1.0] * len(ps), 0.0
    for rank, place in enumerate(sorted(range(len(ps)), key=lambda index: ps[index])):
        highest = max(highest, min(1.0, (len(ps) - rank) * ps[place]))
        corrected[place] = highest
    return corrected


def _two_sided(z: float) -> float:
    return math.erfc(abs(z) / math.sqrt(2))
