"""The share of satisfied people and its interval."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feedback.satisfaction import Liked


def test_the_interval_is_wilson_s() -> None:
    stats = pytest.importorskip("scipy.stats")
    for up, count in ((0, 10), (7, 10), (10, 10), (150, 400)):
        expected = stats.binomtest(up, count).proportion_ci(method="wilson")
        assert Liked(up, count).interval == pytest.approx((expected.low, expected.high), abs=1e-6)


@given(st.integers(0, 500), st.integers(1, 500))
def test_the_interval_holds_the_share_and_lies_within_bounds(up: int, count: int) -> None:
    found = Liked(min(up, count), count)
    low, high = found.interval
    assert found.share is not None
    assert 0 <= low <= found.share + 1e-9
    assert found.share - 1e-9 <= high <= 1


def test_it_holds_the_truth_as_often_as_it_says() -> None:
    rng = random.Random(1)
    drawn = [Liked(sum(rng.random() < 0.7 for _ in range(60)), 60).interval for _ in range(1000)]
    assert 930 <= sum(low <= 0.7 <= high for low, high in drawn) <= 970


def test_without_votes_nothing_is_known() -> None:
    nothing = Liked(0, 0)
    assert (nothing.share, nothing.interval, str(nothing)) == (None, (0.0, 1.0), "no votes")
    assert str(Liked(7, 10)) == "70% of 10 (40% to 89%)"
