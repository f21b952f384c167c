"""Cells, figures and intervals of a comparison, and that many looks do not make luck look like help."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from datetime import UTC, datetime
from statistics import fmean
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feedback.records import Turn
from training import comparison, screening
from training.comparison import (
    BARE,
    FEWEST,
    HELPERS,
    Answered,
    Cell,
    Comparison,
    Judge,
    cells,
    contrasts,
    estimate,
    held_out_questions,
    measure,
)
from training.comparison_verdict import standing

THREE = ("prompt", "adapter", "retrieval")
NOW = datetime(2026, 1, 1, tzinfo=UTC)
SHARES = st.lists(st.floats(0, 1), min_size=2, max_size=60)


def answered(number: int, cell: Cell, liked: float | None = 0.5, **more: Any) -> Answered:
    values = {"prompt_tokens": 10, "answer_tokens": 5, "characters": 20, "first_token": 0.1, "seconds": 0.5}
    return Answered(number, cell, liked, **{**values, "faulty": False, **more})


def test_three_helpers_make_eight_cells_and_two_make_four() -> None:
    assert len(set(cells(THREE))) == 8
    assert cells(THREE)[0] == BARE
    assert [cell.name for cell in cells(("prompt", "adapter"))] == [
        "base",
        "adapter",
        "base + long prompt",
        "adapter + long prompt",
    ]
    assert cells(()) == [BARE]


def test_examples_add_two_cells_and_no_more() -> None:
    assert cells(HELPERS) == [*cells(THREE), Cell(examples=True), Cell(adapter=True, examples=True)]
    found = {(one.kind, one.cell.name, one.other.name) for one in contrasts(("adapter", "examples"))}
    assert found == {
        ("against base", "adapter", "base"),
        ("against base", "base + examples", "base"),
        ("against base", "adapter + examples", "base"),
        ("on top", "adapter + examples", "adapter"),
        ("instead", "adapter", "base + examples"),
    }


@pytest.mark.parametrize(
    ("have", "looks"), [(HELPERS, 19), (THREE, 13), (("prompt", "adapter"), 6), (("prompt",), 1)]
)
def test_what_is_looked_at_is_fixed_before(have: Any, looks: int) -> None:
    found = contrasts(have)
    assert len(found) == looks
    assert len({(one.cell, one.other) for one in found}) == looks
    assert all(set(one.cell.helpers) | set(one.other.helpers) <= set(have) for one in found)


@settings(deadline=None)  # scipy is imported at the first call
@given(SHARES)
def test_a_mean_lies_in_its_interval_and_in_its_bounds(shares: list[float]) -> None:
    found = estimate(shares, low=0.0, high=1.0)
    assert found.value == pytest.approx(fmean(shares))
    assert 0.0 <= found.low <= found.value + 1e-9
    assert found.value - 1e-9 <= found.high <= 1.0


@settings(deadline=None)  # scipy is imported at the first call
@given(SHARES)
def test_a_surer_interval_is_wider(shares: list[float]) -> None:
    sure, less = estimate(shares, 0.01), estimate(shares, 0.05)
    assert sure.low <= less.low
    assert less.high <= sure.high


def test_an_interval_is_that_of_the_textbook() -> None:
    # t of 9 degrees of freedom at 97.5 % is 2.262; the deviation of 0 to 9 is 3.0277.
    found = estimate([float(n) for n in range(10)])
    assert (found.low, found.high) == pytest.approx((4.5 - 2.262 * 0.95743, 4.5 + 2.262 * 0.95743), abs=1e-3)


def test_what_was_always_the_same_may_still_change() -> None:
    """The rule of three: of 60 that never failed up to some 5 % may fail."""
    assert estimate([1.0] * 60, low=0.0, high=1.0).low == pytest.approx(1 - 3 / 60, abs=0.002)
    never = estimate([0.0] * 12, 0.05 / 6, -1.0, 1.0)
    assert never.low == pytest.approx(-never.high)
    assert standing(never) == "unknown"


def test_figures_are_means_medians_and_shares() -> None:
    times = [0.1 * (number + 1) for number in range(10)]
    found = [answered(n, BARE, n / 10, seconds=t, first_token=t, faulty=n == 0) for n, t in enumerate(times)]
    (row,), looks = measure(found, (), 12, price=0.01)
    assert looks == []
    assert (row.answers, row.failed, row.faulty) == (10, 2, 0.1)
    assert row.liked is not None
    assert row.liked.value == pytest.approx(0.45)
    assert row.first_token == pytest.approx(0.55)
    assert row.first_token_p90 == pytest.approx(0.9)
    assert row.cost == pytest.approx(0.01 * 0.55)
    assert row.gain is None


def test_a_cell_without_answers_has_no_figures() -> None:
    rows, (look,) = measure([answered(n, BARE) for n in range(12)], ("adapter",), 12)
    assert (rows[1].answers, rows[1].failed, rows[1].liked, rows[1].seconds) == (0, 12, None, None)
    assert (look.questions, look.gain, look.seconds) == (0, None, None)


def test_differences_are_paired_by_question() -> None:
    """Questions differ far more than cells do; who answered only one side is left out."""
    adapter = Cell(adapter=True)
    chance = random.Random(1)
    hard = [chance.random() * 0.8 for _ in range(30)]
    found = [answered(n, BARE, share) for n, share in enumerate(hard)]
    found += [
        answered(n, adapter, share + 0.05 + 0.02 * chance.random(), prompt_tokens=7, seconds=0.4)
        for n, share in enumerate(hard[:25])
    ]
    rows, (look,) = measure(found, ("adapter",), 30, price=2.0)
    assert look.questions == 25
    assert look.gain is not None
    assert look.gain == rows[1].gain
    assert 0.05 < look.gain.low < look.gain.high < 0.08
    assert look.prompt_tokens == pytest.approx(-3)
    assert look.cost == pytest.approx(-0.2)
    assert look.answer_tokens is not None
    assert look.answer_tokens.value == 0


def test_few_questions_allow_no_difference() -> None:
    adapter = Cell(adapter=True)
    few = [answered(n, cell, float(cell.adapter)) for n in range(FEWEST - 1) for cell in (BARE, adapter)]
    assert measure(few, ("adapter",), FEWEST - 1)[1][0].gain is None
    unjudged = [answered(n, cell, None) for n in range(20) for cell in (BARE, adapter)]
    rows, (look,) = measure(unjudged, ("adapter",), 20)
    assert (rows[0].liked, look.gain) == (None, None)
    assert look.seconds is not None


def drawn(chance: random.Random, gains: dict[str, float], questions: int = 40) -> list[Answered]:
    """Answers that are liked or not; each helper adds what `gains` says."""
    found = []
    for number in range(questions):
        ease = chance.uniform(0.1, 0.5)
        for cell in cells(HELPERS):
            share = ease + sum(gains.get(helper, 0.0) for helper in cell.helpers)
            found.append(answered(number, cell, float(chance.random() < share)))
    return found


def test_where_nothing_helps_hardly_any_comparison_says_that_something_does() -> None:
    """13 looks at once: without a correction more than a third of the comparisons would find something."""
    chance, wrong = random.Random(3), 0
    for _ in range(200):
        _, looks = measure(drawn(chance, {}), HELPERS, 40)
        wrong += any(standing(look.gain) in ("better", "worse") for look in looks)
    assert wrong / 200 <= 0.05


def test_what_really_helps_is_found() -> None:
    chance, found = random.Random(4), 0
    for _ in range(50):
        _, looks = measure(drawn(chance, {"adapter": 0.45}), HELPERS, 40)
        alone = next(look for look in looks if look.cell == Cell(adapter=True))
        found += standing(alone.gain) == "better"
    assert found / 50 >= 0.8


def test_a_comparison_is_the_same_after_it_was_kept() -> None:
    rows, looks = measure(drawn(random.Random(5), {"prompt": 0.2}), HELPERS, 40, price=0.1)
    whole = Comparison(
        NOW, "starter", "lora-1", "the store", 40, Judge("x", "y"), tuple(rows), tuple(looks), ("a",), ("b",)
    )
    assert Comparison.from_dict(json.loads(json.dumps(whole.as_dict()))) == whole
    bare = replace(whole, rows=(), contrasts=(), adapter=None, judge=Judge("x", abstains="why"))
    assert Comparison.from_dict(json.loads(json.dumps(bare.as_dict()))) == bare
    for broken in ({}, {**whole.as_dict(), "rows": [{}]}, {**whole.as_dict(), "made_at": "yesterday"}):
        with pytest.raises((KeyError, TypeError, ValueError)):
            Comparison.from_dict(broken)


# -- what is asked -----------------------------------------------------------------------------------


def opened(question: str, **more: Any) -> tuple[Turn, str]:
    prompt = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": question}]
    given = {"prompt": prompt, "status": "complete", "answer": "Yes."} | more
    return Turn("t", "c", None, "p", question, **_rest(given)), question


def _rest(given: dict[str, Any]) -> dict[str, Any]:
    fixed = {"prompt_key": "k", "adapter": None, "model": "m", "sampling": {}, "created_at": NOW}
    return {**fixed, **given}


def test_questions_are_held_out_distinct_and_the_newest() -> None:
    every = [f"Question {number}?" for number in range(200)]
    held = [question for question in every if screening.held_out(question)]
    turns = [opened(question) for question in every for _ in range(2)]
    found = held_out_questions(turns, 10)
    assert [said[-1]["content"] for said in found] == held[:10]
    assert all([message["role"] for message in said] == ["user"] for said in found)
    assert len(held_out_questions(turns, 1000)) == len(held)
    assert held_out_questions([opened(held[0]), opened(held[0].upper())], 9)[0] == found[0]
    assert len(held_out_questions([opened(held[0]), opened(held[0].upper())], 9)) == 1


def test_a_question_counts_whatever_came_of_its_answer_but_not_one_with_tools_or_pictures() -> None:
    held = next(text for text in map(str, range(99)) if screening.held_out(text))
    assert held_out_questions([opened(held, status="failed", answer="")], 9)
    assert not held_out_questions([opened(held, tool_calls=[{"id": "1"}])], 9)
    pictures = [{"role": "user", "content": [{"type": "image_url"}]}]
    assert not held_out_questions([opened(held, prompt=pictures)], 9)


def test_the_search_for_questions_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comparison, "_MOST_READ", 50)
    read = 0

    def same() -> Any:
        nonlocal read
        while True:
            read += 1
            yield opened("The same?")

    held_out_questions(same(), 40)
    assert read == 51
