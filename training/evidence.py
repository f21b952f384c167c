"""What figures prove: means clustered by person, how well votes are ranked, and an error budget over many
candidates.

Owns the statistics of the gate. Pure; does not know adapters, votes or thresholds.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

MANY = 40
"""Ups, and downs, from which on the variance of `ranking` is trusted."""


@dataclass(frozen=True, slots=True)
class Mean:
    """A mean with its one-sided bounds and the chance of one so large if the truth were `null`."""

    mean: float
    low: float
    high: float
    p: float
    count: int
    clusters: int
    """How many stand behind the values, each by itself: what one person says often is said once."""


def clustered(
    values: Sequence[float], clusters: Sequence[Hashable], null: float = 0.0, alpha: float = 0.05
) -> Mean | None:
    """The mean of `values`, with errors that allow all values of one cluster (a person) to hang together.

    Cluster-robust variance of Liang and Zeger, "Longitudinal data analysis using generalized linear models"
    (1986), with the correction G/(G-1) and Student's t of G-1 degrees for G clusters. `low` and `high` are
    each the bound of a one-sided interval at 1 - alpha. None for fewer than two clusters.
    """
    import numpy as np
    from scipy.stats import t

    if len(values) != len(clusters):
        raise ValueError("each value needs its cluster")
    order: dict[Hashable, int] = {}
    group = np.array([order.setdefault(one, len(order)) for one in clusters], dtype=int)
    groups, count = len(order), len(values)
    if groups < 2:
        return None
    held = np.asarray(values, dtype=float)
    mean = float(held.mean())
    sums = np.bincount(group, weights=held - mean)
    error = math.sqrt(groups / (groups - 1) * float(sums @ sums)) / count
    if error < 1e-12 * max(1.0, abs(mean)):
        return _alike(mean, null, count, groups, alpha)
    reach = float(t.ppf(1 - alpha, groups - 1)) * error
    p = float(t.sf((mean - null) / error, groups - 1))
    return Mean(mean, mean - reach, mean + reach, p, count, groups)


def _alike(mean: float, null: float, count: int, groups: int, alpha: float) -> Mean:
    """All clusters say the same: they need not go on to. By the rule of three (alpha**(1/G)) another one may
    say anything in [-1, 1] with the chance that so many in a row leave open."""
    doubt = 1 - alpha ** (1 / groups)
    p = 0.5**groups if mean > null else 1.0
    return Mean(mean, mean - doubt, mean + doubt, p, count, groups)


def ranking(
    ups: Sequence[float], downs: Sequence[float], against: tuple[Sequence[float], Sequence[float]] | None
) -> tuple[list[float], list[float]]:
    """What each up and each down adds to the AUC of their scores, less what it adds to that of `against`.

    The mean of both lists together is the (difference in) AUC: the share of ups above downs, ties half.
    They are the structural components of DeLong, DeLong and Clarke-Pearson, "Comparing the areas under two or
    more correlated ROC curves" (1988), each list weighted by its part of all, so that the variance of the
    mean, clustered by person, is that of Obuchowski, "Nonparametric analysis of clustered ROC curve data"
    (1997). Without `against` they are compared with a coin: 0.5 is taken off.
    """
    first, second, area = _placements(ups, downs)
    if against is None:
        others, other_area = ([0.5] * len(ups), [0.5] * len(downs)), 0.5
    else:
        one, two, other_area = _placements(*against)
        others = one, two
    total, difference = len(ups) + len(downs), area - other_area

    def influence(own: Sequence[float], other: Sequence[float]) -> list[float]:
        weight = total / len(own)
        return [difference + weight * (a - b - difference) for a, b in zip(own, other, strict=True)]

    return influence(first, others[0]), influence(second, others[1])


def by_luck(
    ups: Sequence[float], downs: Sequence[float], against: tuple[Sequence[float], Sequence[float]] | None
) -> float:
    """The chance that scores which know nothing of the votes rank them so well (than `against` does).

    With few votes the variance of `ranking` is too small: five against five pass at 0.025 in 0.040 of all
    cases. This asks of the votes alone: all ways of dealing ups and downs over the scores, or, against other
    scores, of swapping the two ranks of a vote (Venkatraman and Begg, "A distribution-free procedure for
    comparing receiver operating characteristic curves from a paired experiment", 1996). Of more than 99,999
    ways so many are drawn, always the same ones. It takes each vote for somebody's own. From `MANY` of each
    on it says nothing (0.0): there the variance is good, and a chance below 1 in 100,000 can't be drawn.
    """
    import numpy as np
    from scipy.stats import permutation_test, rankdata

    up = len(ups)
    if min(up, len(downs)) >= MANY:
        return 0.0
    ours = rankdata([*ups, *downs])
    if against is None:
        rows: tuple[Any, ...] = (ours[:up], ours[up:])
        kind, statistic = "independent", lambda a, b, axis: np.mean(a, axis) - np.mean(b, axis)
    else:
        rows = (ours, rankdata([*against[0], *against[1]]))
        weights = np.array([1 / up] * up + [-1 / len(downs)] * len(downs))
        kind, statistic = "samples", lambda a, b, axis: np.sum((a - b) * weights, axis)
    found = permutation_test(
        rows,
        statistic,
        permutation_type=kind,
        vectorized=True,
        n_resamples=99_999,
        batch=1_000,
        alternative="greater",
        axis=-1,
        rng=0,
    )
    return float(found.pvalue)


def _placements(ups: Sequence[float], downs: Sequence[float]) -> tuple[list[float], list[float], float]:
    import numpy as np

    above: Any = np.subtract.outer(np.asarray(ups, dtype=float), np.asarray(downs, dtype=float))
    won = np.where(above > 0, 1.0, np.where(above == 0, 0.5, 0.0))
    return won.mean(1).tolist(), won.mean(0).tolist(), float(won.mean())


def share(alpha: float, place: int) -> float:
    """What the `place`-th look of a period (from 1) may spend of the chance `alpha` of a lucky promotion.

    alpha / (k (k + 1)), by Bonferroni's inequality: the shares of ever so many looks add up to all of it.
    """
    if place < 1:
        raise ValueError("looks are counted from 1")
    return alpha / (place * (place + 1))
