"""Scores with their intervals, and what the time from a vote to an answer is made of."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.outcomes import examples_of, parts_of, score

RATES = st.lists(st.lists(st.floats(0, 1), max_size=4), max_size=20)


@given(RATES)
def test_a_score_lies_in_its_interval(rates: list[list[float]]) -> None:
    found = score(rates, seed=0)
    assert found == score(rates, seed=0)
    if found is None:
        assert not any(rates)
        return
    assert -1e-4 <= found.low <= found.high <= 1 + 1e-4
    if len(rates) == 1:
        assert found.low == found.mean == found.high


def test_the_interval_is_that_of_the_mean() -> None:
    rng = random.Random(0)
    rates = [[float(rng.random() < 0.4)] for _ in range(400)]
    found = score(rates, seed=0)
    assert found is not None
    # 1.96 standard errors of a share of 0.4 in 400
    assert found.high - found.low == pytest.approx(2 * 1.96 * (0.4 * 0.6 / 400) ** 0.5, rel=0.15)


def test_answers_to_one_prompt_count_as_one() -> None:
    once = score([[1.0], [0.0], [1.0], [0.0]], seed=0)
    often = score([[1.0] * 50, [0.0] * 50, [1.0] * 50, [0.0] * 50], seed=0)
    assert once == often


def test_examples_are_those_trained_on() -> None:
    assert examples_of({"counts": {"training": 42, "held_out": 8, "examples": {"siblings": 50}}}) == 42
    assert examples_of({"counts": {}}) is None
    assert examples_of({}) is None


def test_the_parts_add_up() -> None:
    run = {
        "created_at": "2026-01-01T00:00:00+00:00",
        "started_at": "2026-01-01T00:00:01.500000+00:00",
        "seconds": {"gather": 10.0, "train": 20.0},
    }
    found = parts_of(run, promote=0.25, answer=0.5, total=34.0)
    assert found == {
        "queue": 1.5,
        "gather": 10.0,
        "train": 20.0,
        "promote": 0.25,
        "answer": 0.5,
        "other": 1.75,
    }
    assert parts_of({}, 0.0, 1.0, 1.0) == {"queue": 0.0, "promote": 0.0, "answer": 1.0, "other": 0.0}
