"""Tests of what answers and opinions come to."""

from __future__ import annotations

import json
import random
from statistics import median
from typing import Any

import pytest
from scipy.stats import binomtest

from feedback import figures as module
from feedback.figures import Answer, Figures, bucket, cost, count, quantile, refused, share, summary, total


def answer(**more: Any) -> Answer:
    values: dict[str, Any] = {
        "status": "complete",
        "asked": False,
        "again": False,
        "grounded": False,
        "opening": "It takes three days.",
        "length": 20,
        "wait": 100.0,
        "seconds": 2.0,
        "prompt_tokens": 30,
        "completion_tokens": 5,
    }
    return Answer(**values | more)


def test_answers_are_counted_by_what_became_of_them() -> None:
    found = count(
        [
            answer(asked=True),
            answer(status="stopped", again=True),
            answer(status="failed", wait=None, seconds=600.0, length=0, opening=""),
            answer(status="interrupted", wait=None, seconds=600.0, length=0, opening=""),
            answer(status="pending", wait=None, seconds=None, length=0, opening=""),
            answer(opening="I'm sorry, but I can't help with that."),
        ]
    )
    assert (found.complete, found.stopped, found.failed, found.answers) == (2, 1, 2, 5)
    assert (found.asked, found.regenerations, found.refusals) == (1, 1, 1)
    assert found.seconds == 6.0, "what broke off may have been noticed hours later"
    assert (found.prompt_tokens, found.completion_tokens) == (180, 30)
    assert found.waits == {bucket(100): 3}
    assert found.lengths == {bucket(20): 2}, "only what was said to its end has a length"


def test_days_can_be_added_and_kept_as_json() -> None:
    one = count([answer(), answer(status="stopped")]) + Figures(ups=2, asked_downs=1)
    two = count([answer(wait=5_000.0)]) + Figures(corrections=1)
    assert Figures.of(json.loads(json.dumps(one.plain()))) == one
    assert total([one, two]) == one + two
    assert total([]) == Figures()
    assert Figures().plain() == {}
    assert Figures.of({"of_a_later_version": 1}) == Figures()


def test_a_quantile_of_a_histogram_is_near_the_true_one() -> None:
    drawn = random.Random(0)
    for spread in (0.1, 0.5, 1.5):
        values = [drawn.lognormvariate(6, spread) for _ in range(5_000)]
        found = quantile(count(answer(wait=value) for value in values).waits, 0.5)
        assert found == pytest.approx(median(values), rel=0.05)
    assert quantile({}, 0.5) is None
    assert quantile({0: 1}, 1.0) == pytest.approx(1.09, abs=0.01)
    assert bucket(0) == bucket(1) == 0


def test_shares_carry_wilsons_interval() -> None:
    found = share(8, 10)
    assert found is not None
    known = binomtest(8, 10).proportion_ci(0.95, "wilson")
    assert found == pytest.approx((0.8, known.low, known.high, 10), rel=1e-6)
    assert share(0, 0) is None
    none, every = share(0, 5), share(5, 5)
    assert none is not None
    assert every is not None
    assert (none.low, every.high) == pytest.approx((0.0, 1.0))
    assert none.low >= 0
    assert every.high <= 1
    assert none.high < 1


@pytest.mark.parametrize(
    "text",
    [
        "I'm sorry, but I can't help with that.",
        "Sorry, I cannot answer questions about other shops.",
        "I’m unable to discuss orders of other people.",
        "I am sorry, I don't have that information.",
        "Unfortunately, I won't share that.",
        "As an AI, I have no opinion.",
    ],
)
def test_turning_a_question_down_is_a_refusal(text: str) -> None:
    assert refused(text)


@pytest.mark.parametrize(
    "text",
    [
        "You can't return it after 30 days.",
        "No, we do not deliver to islands.",
        "I can help with that: it takes three days.",
        "",
        "x" * module.OPENING + " I can't help with that.",
    ],
)
def test_a_no_to_the_question_is_none(text: str) -> None:
    assert not refused(text)


def test_an_answer_costs_its_seconds() -> None:
    found = count([answer(seconds=3.0), answer(status="stopped", seconds=6.0), answer(status="failed")])
    assert cost(found, 4.0) == pytest.approx(4.0 * 4.5 / 3600)
    assert cost(found, 0.0) is None
    assert cost(Figures(), 4.0) is None


def test_what_was_not_found_is_counted_only_where_something_was_looked_for() -> None:
    assert count([answer()]).misses is None
    assert count([answer(), answer(grounded=True)]).misses == 1
    assert "retrieval_missed" not in summary(count([answer()]))


def test_the_summary_says_what_can_be_said() -> None:
    found = summary(count([answer(), answer(status="stopped")]) + Figures(ups=3, downs=1), 3.6)
    assert found["answers"] == 2
    assert found["satisfied_asked"] is None
    assert (found["satisfied_unasked"]["mean"], found["satisfied_unasked"]["of"]) == (0.75, 4)
    assert found["stopped"]["mean"] == 0.5
    assert found["first_token_median"] == pytest.approx(0.1, rel=0.1)
    assert found["cost_per_answer"] == pytest.approx(0.002)
    assert "cost_per_answer" not in summary(Figures())
    json.dumps(found)
