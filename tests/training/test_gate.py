"""Tests of the gate: what is bad is rejected by name, what is unknown never passes."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.gate import OTHER_TOKENS, Measured, Thresholds, decide

GOOD = Measured(
    probes=12,
    parity=0.02,
    pairs=20,
    preferred=18,
    preferred_by_live=9,
    margin_gain=0.4,
    length_ratio=1.1,
)


def names(found: Measured, passed: bool | None) -> list[str]:
    return [check.name for check in decide(found)[1] if check.passed is passed]


def test_a_better_candidate_passes_and_each_check_is_named_with_its_figure() -> None:
    outcome, checks = decide(GOOD)
    assert outcome == "passed"
    assert {check.name: check.passed for check in checks} == {
        "loads": True,
        "sound answers": True,
        "served as trained": True,
        "length": True,
        "held-out preference": True,
    }
    said = " ".join(check.detail for check in checks)
    assert all(figure in said for figure in ("12 of 12", "0.020", "1.10", "18 of 20", "in 9"))


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("sound answers", {"bad_answers": ["'Hello!': empty"]}),
        ("served as trained", {"parity": 0.16}),
        ("served as trained", {"parity": math.nan}),
        ("served as trained", {"parity": OTHER_TOKENS}),
        ("length", {"length_ratio": 2.01}),
        ("held-out preference", {"preferred": 9}),
        ("held-out preference", {"preferred": 3}),
    ],
)
def test_each_regression_is_rejected_by_the_check_that_is_named_for_it(
    name: str, change: dict[str, Any]
) -> None:
    found = replace(GOOD, **change)
    assert decide(found)[0] == "rejected"
    assert names(found, False) == [name]


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("sound answers", {"probes": 0}),
        ("served as trained", {"parity": None}),
        ("length", {"length_ratio": None}),
        ("held-out preference", {"pairs": 7, "preferred": 7, "preferred_by_live": 0}),
        ("held-out preference", {"pairs": 0, "preferred": 0, "preferred_by_live": 0}),
        ("held-out preference", {"preferred": 12, "preferred_by_live": 10}),
    ],
)
def test_what_could_not_be_measured_is_not_enough_evidence(name: str, change: dict[str, Any]) -> None:
    found = replace(GOOD, **change)
    assert decide(found)[0] == "not_enough_evidence"
    assert names(found, None) == [name]


def test_nothing_measured_at_all_does_not_pass() -> None:
    assert decide(Measured())[0] == "not_enough_evidence"


def test_a_regression_counts_for_more_than_missing_evidence() -> None:
    assert decide(replace(GOOD, pairs=0, parity=3.0))[0] == "rejected"


def test_what_does_not_load_is_rejected_with_the_engines_reason_and_nothing_else_is_said() -> None:
    outcome, checks = decide(replace(GOOD, load_error="rank 64 is more than 32"))
    assert outcome == "rejected"
    assert [(check.name, check.passed, check.detail) for check in checks] == [
        ("loads", False, "rank 64 is more than 32")
    ]


def test_faults_that_the_live_adapter_has_too_do_not_count_against_the_candidate() -> None:
    found = replace(GOOD, bad_answers=["'Hello!': empty"], live_bad_answers=1)
    assert decide(found)[0] == "passed"


def test_the_limits_themselves_are_allowed() -> None:
    edge = Thresholds(parity=0.1, fewest_pairs=5, longest_ratio=1.5)
    found = replace(GOOD, parity=0.1, pairs=5, preferred=5.0, preferred_by_live=4, length_ratio=1.5)
    assert decide(found, edge)[0] == "passed"


figures = st.none() | st.floats(0, 3) | st.sampled_from([math.nan, math.inf, OTHER_TOKENS])


@given(
    probes=st.integers(0, 3),
    bad=st.integers(0, 3),
    live_bad=st.integers(0, 3),
    parity=figures,
    pairs=st.integers(0, 12),
    preferred=st.integers(0, 12),
    by_live=st.integers(0, 12),
    length=figures,
)
def test_whatever_passed_was_measured_in_full_and_is_better(
    probes: int,
    bad: int,
    live_bad: int,
    parity: float | None,
    pairs: int,
    preferred: int,
    by_live: int,
    length: float | None,
) -> None:
    found = Measured(
        probes=probes,
        bad_answers=["bad"] * bad,
        live_bad_answers=live_bad,
        parity=parity,
        pairs=pairs,
        preferred=preferred,
        preferred_by_live=by_live,
        length_ratio=length,
    )
    outcome, checks = decide(found)
    if outcome == "passed":
        assert all(check.passed for check in checks)
        assert probes > 0
        assert bad <= live_bad
        assert parity is not None
        assert length is not None
        assert pairs >= 8
        assert preferred > by_live
        assert parity <= 0.15
        assert length <= 2
    else:
        assert any(not check.passed for check in checks)
