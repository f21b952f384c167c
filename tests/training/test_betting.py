"""Bets against a null: how often chance wins, how often what is better is seen."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.betting import Bet, Differences


def test_looking_after_every_value_does_not_win_by_luck() -> None:
    rng, lucky = random.Random(5), 0
    for _ in range(1000):
        bet = Bet(0.0, -1.0, 1.0)
        bet.extend(rng.choice((-1.0, 0.0, 1.0)) for _ in range(300))
        lucky += bet.proven(0.05)
    assert lucky <= 65


def test_a_true_difference_is_proven_in_time_and_stays_proven() -> None:
    rng, seen = random.Random(6), 0
    for _ in range(200):
        bet = Bet(0.0, -1.0, 1.0)
        bet.extend(1.0 if rng.random() < 0.65 else -1.0 for _ in range(300))
        seen += bet.proven(0.05)
        bet.extend([-1.0] * 20)
        assert bet.proven(0.05) or bet.highest < 20
    assert seen >= 180


@given(st.lists(st.floats(-1, 1), max_size=60), st.floats(-0.9, 0.9))
def test_capital_is_never_lost_for_good_nor_made_of_nothing(values: list[float], null: float) -> None:
    bet = Bet(null, -1.0, 1.0)
    bet.extend(values)
    assert bet.capital > 0
    assert math.isfinite(bet.capital)
    assert bet.count == len(values)


def test_values_and_nulls_out_of_range_are_refused() -> None:
    with pytest.raises(ValueError, match="range"):
        Bet(1.0, 0.0, 1.0)
    with pytest.raises(ValueError, match="between"):
        Bet(0.0, -1.0, 1.0).add(1.5)


def test_a_difference_is_given_out_as_soon_as_both_arms_wait() -> None:
    found = Differences()
    assert found.add(True, 1.0) is None
    assert found.add(False, 0.0) == 1.0
    assert [found.add(False, value) for value in (1.0, 0.0, 1.0, 0.0)] == [None] * 4
    assert found.add(True, 1.0) == 0.5
    assert found.add(True, 0.0) is None
    assert found.add(True, 1.0) is None
    assert found.add(False, 1.0) == -0.5


@given(st.lists(st.tuples(st.booleans(), st.floats(0, 1)), max_size=60))
def test_what_was_given_out_never_changes_and_lies_in_range(values: list[tuple[bool, float]]) -> None:
    whole, part = Differences(), Differences()
    first = [whole.add(*value) for value in values]
    again = [part.add(*value) for value in values[: len(values) // 2]]
    assert first[: len(again)] == again
    assert all(one is None or -1 <= one <= 1 for one in first)
