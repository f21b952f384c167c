"""Tests of the gate: what is bad is rejected by name, what is unknown never passes, and luck seldom does."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.evidence import Mean, clustered
from training.gate import OTHER_TOKENS, Evidence, Guard, Measured, Thresholds, decide


def gain(mean: float, spread: float = 0.05, p: float = 0.001) -> Mean:
    return Mean(mean, mean - spread, mean + spread, p, 40, 10)


def guard(lost: float = 0.0, spread: float = 0.05, name: str = "forgetting") -> Guard:
    return Guard(name, 48, 0.8, 0.8, 0.8 - lost, gain(-lost, spread), gain(-lost, spread), ("What is 2?",))


def evidence(mean: float, p: float = 0.001, spread: float = 0.05, name: str = "held-out votes") -> Evidence:
    return Evidence(name, gain(mean, spread, p), "ranks 80% right")


GOOD = Measured(
    sound=12,
    parity=0.02,
    drift=0.3,
    gibberish=0.4,
    missing=(0.0, 0.0),
    length_ratio=1.1,
    length_to_base=1.2,
    guards=(guard(),),
    evidence=(evidence(0.3),),
    health={
        "rows_in": 90,
        "rows_used": 90,
        "rewards/chosen": 1.5,
        "rewards/rejected": -1,
        "rewards/accuracies": 1,
    },
)


def names(found: Measured, passed: bool | None, place: int = 1) -> list[str]:
    return [check.name for check in decide(found, place=place)[1] if check.passed is passed]


def test_a_better_candidate_passes_and_each_check_is_named_with_its_figure() -> None:
    outcome, checks = decide(GOOD)
    assert outcome == "passed"
    assert {check.name: check.passed for check in checks} == dict.fromkeys(
        (
            "loads",
            "sound answers",
            "readable text",
            "drift from the base",
            "whole answers",
            "length",
            "safe text",
            "personal data",
            "served as trained",
            "training health",
            "forgetting",
            "better answers",
        ),
        True,
    )
    said = " ".join(check.detail for check in checks)
    assert all(figure in said for figure in ("12 of 12", "0.020", "1.10", "80%", "+0.30", "p = 0.001"))


HEALTHY = GOOD.health


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("sound answers", {"bad_answers": ["'Hello!': empty"] * 2}),
        ("readable text", {"gibberish": 3.1}),
        ("readable text", {"gibberish": math.nan}),
        ("drift from the base", {"drift": 2.1}),
        ("whole answers", {"missing": (0.3, 0.1)}),
        ("length", {"length_ratio": 2.01}),
        ("length", {"length_ratio": 0.2}),
        ("length", {"length_ratio": 1.9, "length_to_base": 3.1}),
        ("safe text", {"unsafe": ["You idiot."]}),
        ("personal data", {"personal": ["ann@example.org"]}),
        ("served as trained", {"parity": 0.16}),
        ("served as trained", {"parity": math.nan}),
        ("served as trained", {"parity": OTHER_TOKENS}),
        ("training health", {"health": {**HEALTHY, "rewards/chosen": -2.0, "rewards/rejected": -3.0}}),
        ("training health", {"health": {**HEALTHY, "rewards/accuracies": 0.3}}),
        ("training health", {"health": {**HEALTHY, "rows_used": 30}}),
        ("forgetting", {"guards": (guard(0.25),)}),
        ("better answers", {"evidence": (evidence(0.0),)}),
        ("better answers", {"evidence": (evidence(-0.2),)}),
        ("better answers", {"evidence": (evidence(0.3), evidence(-0.1, 0.9, name="fresh answers"))}),
    ],
)
def test_each_fault_is_rejected_by_the_check_that_is_named_for_it(name: str, change: dict[str, Any]) -> None:
    found = replace(GOOD, **change)
    assert decide(found)[0] == "rejected"
    assert names(found, False) == [name]


ABSTAINS = Evidence("fresh answers", None, "the judge abstains")


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("sound answers", {"sound": 0}),
        ("served as trained", {"parity": None}),
        ("length", {"length_ratio": None}),
        ("forgetting", {"guards": (guard(0.09, 0.12),)}),
        ("forgetting", {"guards": (replace(guard(), to_base=None, to_live=None),)}),
        ("better answers", {"evidence": ()}),
        ("better answers", {"evidence": (ABSTAINS,)}),
        ("better answers", {"evidence": (evidence(0.1, p=0.03),)}),
    ],
)
def test_what_could_not_be_shown_is_not_enough_evidence(name: str, change: dict[str, Any]) -> None:
    found = replace(GOOD, **change)
    assert decide(found)[0] == "not_enough_evidence"
    assert names(found, None) == [name]


def test_nothing_measured_at_all_does_not_pass() -> None:
    assert decide(Measured())[0] == "not_enough_evidence"


def test_a_regression_counts_for_more_than_missing_evidence() -> None:
    assert decide(replace(GOOD, evidence=(), parity=3.0))[0] == "rejected"


def test_what_does_not_load_is_rejected_with_the_engines_reason_and_nothing_else_is_said() -> None:
    outcome, checks = decide(replace(GOOD, load_error="rank 64 is more than 32"))
    assert outcome == "rejected"
    assert [(check.name, check.passed, check.detail) for check in checks] == [
        ("loads", False, "rank 64 is more than 32")
    ]


def test_faults_that_the_live_adapter_has_too_do_not_count_against_the_candidate() -> None:
    found = replace(GOOD, bad_answers=["'Hello!': empty"] * 3, live_bad_answers=2)
    assert decide(found)[0] == "passed"


def test_a_judge_that_abstains_leaves_the_word_to_the_votes() -> None:
    assert decide(replace(GOOD, evidence=(evidence(0.3), ABSTAINS)))[0] == "passed"


def test_what_is_rehearsed_does_not_count_as_wrong() -> None:
    half = {**HEALTHY, "rewards/accuracies": 0.48, "rehearsed": 0.5}
    assert decide(replace(GOOD, health=half))[0] == "passed"
    assert "96% of the last pairs right" in next(
        check.detail for check in decide(replace(GOOD, health=half))[1] if check.name == "training health"
    )
    assert names(replace(GOOD, health={**half, "rewards/accuracies": 0.2}), False) == ["training health"]


def test_the_oftener_one_looks_the_more_it_takes() -> None:
    found = replace(GOOD, evidence=(evidence(0.1, p=0.005),))
    assert [decide(found, place=place)[0] for place in (1, 2, 3, 9)] == [
        "passed",
        "passed",
        "not_enough_evidence",
        "not_enough_evidence",
    ]
    assert "look 9 of this month" in decide(found, place=9)[1][-1].detail


def test_the_limits_themselves_are_allowed() -> None:
    edge = Thresholds(parity=0.1, longest_ratio=1.5)
    assert decide(replace(GOOD, parity=0.1, length_ratio=1.5), edge)[0] == "passed"


figures = st.none() | st.floats(0, 3) | st.sampled_from([math.nan, math.inf, OTHER_TOKENS])
means = st.floats(-1, 1)


@given(
    sound=st.integers(0, 3),
    bad=st.integers(0, 3),
    live_bad=st.integers(0, 3),
    parity=figures,
    length=figures,
    lost=st.floats(-0.5, 0.5),
    better=st.lists(st.tuples(means, st.floats(0, 1)), max_size=2),
    place=st.integers(1, 30),
)
def test_whatever_passed_was_measured_in_full_and_is_better(
    sound: int,
    bad: int,
    live_bad: int,
    parity: float | None,
    length: float | None,
    lost: float,
    better: list[tuple[float, float]],
    place: int,
) -> None:
    found = Measured(
        sound=sound,
        bad_answers=["bad"] * bad,
        live_bad_answers=live_bad,
        parity=parity,
        length_ratio=length,
        guards=(guard(lost),),
        evidence=[evidence(mean, p) for mean, p in better],
    )
    outcome, checks = decide(found, place=place)
    if outcome == "passed":
        assert all(check.passed for check in checks)
        assert sound > 0
        assert bad <= live_bad + 1
        assert parity is not None
        assert length is not None
        assert lost < 0.2
        assert parity <= 0.15
        assert length <= 2
        assert any(mean > 0 and p <= 0.05 for mean, p in better)
        assert all(mean >= -0.05 for mean, _ in better)
    else:
        assert any(not check.passed for check in checks)


# -- how often luck wins, and merit ---------------------------------------------------------------------


def comparisons(noise: np.random.Generator, wins: float, people: int, each: int) -> list[tuple[float, int]]:
    """Won (1) or lost (-1), with the person: everybody's own chance lies around `wins`."""
    chances = np.clip(noise.normal(wins, 0.1, people), 0, 1)
    won = np.where(noise.random((people, each)) < chances[:, None], 1.0, -1.0)
    return [(float(won[person, place]), person) for place in range(each) for person in range(people)]


def looked_at(rows: list[tuple[float, int]], place: int, guards: tuple[Guard, ...] = (guard(),)) -> str:
    found = clustered([value for value, _ in rows], [person for _, person in rows])
    return decide(replace(GOOD, guards=guards, evidence=(Evidence("votes", found, ""),)), place=place)[0]


def test_a_candidate_that_is_no_better_is_promoted_in_one_month_of_twenty_however_often_one_looks() -> None:
    noise, lucky = np.random.default_rng(11), 0
    for _ in range(1000):
        rows = comparisons(noise, 0.5, 20, 8)
        # Eight looks in a month, each with the votes that have come meanwhile.
        lucky += any(looked_at(rows[: 20 * look], look) == "passed" for look in range(1, 9))
    assert lucky <= 50


def test_one_that_wins_sixty_per_cent_is_promoted_within_four_hundred_comparisons() -> None:
    noise, seen = np.random.default_rng(12), 0
    for _ in range(200):
        rows = comparisons(noise, 0.6, 40, 10)
        seen += any(looked_at(rows[: 100 * look], look) == "passed" for look in range(1, 5))
    assert seen >= 160


def test_one_that_pleases_and_lost_what_a_guard_watches_is_never_promoted() -> None:
    noise = np.random.default_rng(13)
    for _ in range(500):
        rows = comparisons(noise, 0.7, 40, 10)
        # Of what the base gets right, a third is lost.
        before = noise.random(48) < 0.9
        after = before & (noise.random(48) < 2 / 3)
        lost = clustered((after.astype(float) - before).tolist(), range(48))
        watched = Guard("flattery", 48, 0.9, 0.9, 0.6, lost, lost)
        assert looked_at(rows, 1, (guard(), watched)) != "passed"
