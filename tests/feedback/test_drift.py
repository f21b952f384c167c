"""Tests of the comparison of two times, against scipy and against chance."""

from __future__ import annotations

import random

import pytest
from scipy import stats

from feedback.drift import changes, holm, of_shares, of_spreads
from feedback.figures import Figures


@pytest.mark.parametrize(("a", "m", "b", "n"), [(40, 100, 60, 110), (300, 1_000, 2_500, 9_000)])
def test_shares_with_many_cases_are_compared_by_z(a: int, m: int, b: int, n: int) -> None:
    chi = stats.chi2_contingency([[a, m - a], [b, n - b]], correction=False)
    assert of_shares(a, m, b, n) == pytest.approx(chi.pvalue, rel=1e-6)


@pytest.mark.parametrize(("a", "m", "b", "n"), [(8, 200, 0, 1_000), (1, 20, 3, 25), (0, 30, 5, 50_000)])
def test_shares_with_few_cases_are_compared_exactly(a: int, m: int, b: int, n: int) -> None:
    assert of_shares(a, m, b, n) == pytest.approx(stats.fisher_exact([[a, m - a], [b, n - b]])[1], rel=1e-6)


def test_shares_without_any_case_or_any_other_are_no_change() -> None:
    assert of_shares(0, 50, 0, 90) == 1.0
    assert of_shares(50, 50, 90, 90) == 1.0


def test_spreads_are_compared_by_ranks_with_ties() -> None:
    drawn = random.Random(0)
    one = [round(drawn.gauss(20, 3)) for _ in range(200)]
    other = [round(drawn.gauss(21, 3)) for _ in range(300)]
    histograms = [{value: values.count(value) for value in values} for values in (one, other)]
    known = stats.mannwhitneyu(one, other, use_continuity=False, method="asymptotic")
    assert of_spreads(*histograms) == pytest.approx(known.pvalue, rel=1e-6)
    assert of_spreads({5: 10}, {5: 90}) == 1.0
    assert of_spreads({}, {}) == 1.0


def test_looking_at_many_is_paid_for() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([]) == []


def figures(ups: int, downs: int, waits: dict[int, int] | None = None) -> Figures:
    return Figures(statuses={"complete": 500}, ups=ups, downs=downs, waits=waits or {})


def test_only_what_stands_in_both_times_with_enough_cases_is_compared() -> None:
    found = changes({"a": figures(30, 30), "b": figures(60, 0)}, {"a": figures(5, 5), "c": figures(9, 9)})
    assert {change.adapter for change in found} == {"a"}
    assert "satisfied_unasked" not in {change.name for change in found}
    (satisfied,) = (
        change
        for change in changes({"a": figures(30, 30)}, {"a": figures(90, 10)})
        if change.name == "satisfied_unasked"
    )
    assert (satisfied.before, satisfied.now, satisfied.count) == (0.9, 0.5, 60)
    assert satisfied.p < 1e-6


def test_where_nothing_changed_little_is_found() -> None:
    """1,000 looks at five adapters whose every answer is of one kind: at a level of 5 % few find anything."""
    drawn = random.Random(1)

    def week(count: int) -> Figures:
        ups = sum(drawn.random() < 0.7 for _ in range(count))
        waits = {5: sum(drawn.random() < 0.5 for _ in range(count))}
        return figures(ups, count - ups, waits | {6: count - waits[5]})

    alarms = 0
    for _ in range(1_000):
        now, before = ({name: week(count) for name in "abcde"} for count in (40, 120))
        alarms += any(change.p < 0.05 for change in changes(now, before))
    assert alarms <= 65
