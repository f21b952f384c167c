"""What a comparison says in words, sentence by sentence."""

from __future__ import annotations

import doctest
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training import comparison_verdict
from training.comparison import Cell, Contrast, Estimate, Judge
from training.comparison_verdict import MARGIN, figures, money, signed, standing, verdict

BARE, PROMPT, ADAPTER, RETRIEVAL = Cell(), Cell(prompt=True), Cell(adapter=True), Cell(retrieval=True)
JUDGE = Judge("a model of the votes")
NONE = Estimate(0.0, -0.1, 0.1)


def look(
    kind: Any, cell: Cell, other: Cell, gain: tuple[float, float, float] | None, **more: Any
) -> Contrast:
    found = {"questions": 40, "gain": gain and Estimate(*gain), "seconds": NONE}
    return Contrast(kind, cell, other, **{**found, **more})


def test_the_examples_in_the_docstrings_hold() -> None:
    assert doctest.testmod(comparison_verdict).failed == 0


@pytest.mark.parametrize(
    ("gain", "expected"),
    [
        ((0.2, 0.1, 0.3), "better"),
        ((-0.2, -0.3, -0.1), "worse"),
        ((0.0, -0.05, 0.05), "same"),
        ((0.0, -0.05, 0.15), "unknown"),
        ((0.1, 0.0, 0.2), "unknown"),
    ],
)
def test_what_an_interval_allows_to_say(gain: tuple[float, float, float], expected: str) -> None:
    assert standing(Estimate(*gain)) == expected
    assert standing(None) == "unknown"


@given(st.floats(-1, 1), st.floats(0, 1))
def test_what_overlaps_zero_is_never_said_to_help_or_harm(value: float, reach: float) -> None:
    found = standing(Estimate(value, value - reach, value + reach))
    if value - reach <= 0 <= value + reach:
        assert found in ("same", "unknown")
        assert (found == "same") == (abs(value) + reach <= MARGIN or (value - reach, value + reach) == (0, 0))
    else:
        assert found == ("better" if value > 0 else "worse")


def test_the_answer_comes_first_then_each_with_its_cost() -> None:
    said = verdict(
        [
            look("against base", PROMPT, BARE, (0.05, -0.06, 0.16), prompt_tokens=412.4),
            look("against base", ADAPTER, BARE, (0.46, 0.37, 0.55)),
            look("against base", RETRIEVAL, BARE, (-0.3, -0.4, -0.2), seconds=Estimate(0.21, 0.1, 0.3)),
            look("against base", Cell(True, True), BARE, (0.5, 0.4, 0.6)),
        ],
        JUDGE,
    )
    assert said == [
        "Helps here: the adapter. Harms here: retrieval. Not enough evidence: the long prompt.",
        "Not enough evidence whether the long prompt by itself helps (+0.05, −0.06 to 0.16). "
        "It reads 412 tokens more a question.",
        "The adapter helps: +0.46 (0.37 to 0.55) against the bare base. It costs nothing that can be seen.",
        "Retrieval harms: −0.30 (−0.40 to −0.20) against the bare base. It takes 0.21 s longer an answer.",
    ]


@pytest.mark.parametrize(
    ("gain", "sentence"),
    [
        ((-0.02, -0.09, 0.05), "is as good as the base with it (−0.02, −0.09 to 0.05) and reads"),
        ((0.1, -0.05, 0.25), "is as good as the base with it"),
        ((0.2, 0.05, 0.35), "is better than the base with it"),
        ((-0.2, -0.35, -0.05), "is worse than the base with it"),
    ],
)
def test_the_adapter_may_stand_in_for_the_prompt(gain: tuple[float, float, float], sentence: str) -> None:
    said = verdict([look("instead", ADAPTER, PROMPT, gain, prompt_tokens=-412)], JUDGE)[-1]
    assert said.startswith(f"The adapter without the long prompt {sentence}")
    assert said.endswith("reads 412 tokens less a question.")


def test_what_may_be_worse_by_more_than_the_margin_is_not_called_as_good() -> None:
    said = verdict([look("instead", ADAPTER, PROMPT, (0.0, -0.2, 0.2), prompt_tokens=-9)], JUDGE)[-1]
    assert said == (
        "Not enough evidence whether the adapter without the long prompt is as good as the base with it "
        "(0.00, −0.20 to 0.20); it reads 9 tokens less a question."
    )
    other = verdict([look("instead", RETRIEVAL, PROMPT, (0.0, -0.05, 0.05))], JUDGE)[-1]
    assert other.startswith(
        "Retrieval without the long prompt is as good as the long prompt without retrieval ("
    )


@pytest.mark.parametrize(
    ("gain", "words"),
    [
        (
            (0.2, 0.1, 0.3),
            "On top of the adapter, the long prompt adds to it (+0.20, 0.10 to 0.30); it reads 9",
        ),
        ((-0.2, -0.3, -0.1), "On top of the adapter, the long prompt takes away from it"),
        ((0.0, -0.1, 0.1), "On top of the adapter, the long prompt makes no difference that counts"),
        ((0.0, -0.2, 0.2), "Not enough evidence whether the long prompt adds anything on top of the adapter"),
    ],
)
def test_what_one_adds_to_the_others(gain: tuple[float, float, float], words: str) -> None:
    said = verdict([look("on top", Cell(True, True), ADAPTER, gain, prompt_tokens=9)], JUDGE)[-1]
    assert said.startswith(words)


def test_a_judge_that_abstains_leaves_the_costs() -> None:
    found = look(
        "against base", PROMPT, BARE, None, prompt_tokens=412, seconds=Estimate(0.2, 0.1, 0.3), cost=2e-5
    )
    said = verdict([found, look("instead", ADAPTER, PROMPT, None)], Judge("x", abstains="too few votes"))
    assert said == [
        "Nobody can say which answers are better: too few votes. What each costs stands nonetheless.",
        "The long prompt reads 412 tokens more a question, takes 0.20 s longer "
        "and costs 0.00002 more an answer.",
    ]


def test_longer_answers_cost_too() -> None:
    given = {"prompt_tokens": 2.0, "seconds": NONE}
    for written, words in (
        (Estimate(10.2, 4.0, 16.0), "reads 2 tokens more a question and writes 10 tokens more an answer."),
        (Estimate(-10.2, -16.0, -4.0), "reads 2 tokens more a question and writes 10 tokens less an answer."),
        (Estimate(10.2, -4.0, 24.0), "It reads 2 tokens more a question."),
    ):
        said = verdict(
            [look("against base", ADAPTER, BARE, (0.5, 0.4, 0.6), answer_tokens=written, **given)], JUDGE
        )
        assert said[1].endswith(words)


def test_too_few_questions_are_said_so() -> None:
    said = verdict([look("against base", PROMPT, BARE, None, questions=4)], JUDGE)
    assert said == [
        "Not enough evidence: the long prompt.",
        "Not enough evidence whether the long prompt by itself helps: "
        "only 4 questions were answered both ways, 10 are needed.",
    ]


def test_numbers_have_real_signs() -> None:
    assert [signed(value) for value in (0.004, -0.004, 0.2, -0.2)] == ["0.00", "0.00", "+0.20", "−0.20"]
    assert figures(Estimate(0.2, -0.1, 0.5)) == "+0.20 (−0.10 to 0.50)"
    assert [money(value) for value in (0.0, 2e-5, 0.5)] == ["0", "0.00002", "0.5"]
