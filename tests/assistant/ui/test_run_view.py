"""The next run, its preview and one run's facts, as text."""

from __future__ import annotations

from dataclasses import replace

from assistant.ui import run_view
from tests.assistant.ui.test_admin_views import BAD, run
from tests.assistant.ui.turns import NOON
from training import recipes
from training.due import Due
from training.preview import Preview
from training.records import Example

PAIR = Example(
    [{"role": "user", "content": f"How long? {BAD}"}],
    f"Four days. {BAD}",
    BAD,
    "siblings",
    ["rating:1"],
    [BAD],
    "how",
)
RECIPE = recipes.choose(base="b", parameters=8_700_000, examples=40, device="cpu")
PREVIEW = Preview(
    NOON, 90, {"siblings": 40, "correction": 2}, 12, {"too_long": 3, BAD: 1}, 7, 8, 21, [PAIR], RECIPE
)


def test_due_or_not_and_why() -> None:
    html = run_view.due(Due(12, 32, False, None))
    assert "12 of 32 new usable votes" in html
    assert "Due with 20 more votes, or when you start one." in html
    assert "A run is due" in run_view.due(Due(33, 32, False, None))
    assert "A run waits or trains" in run_view.due(Due(33, 32, True, None))
    assert "The schedule looks at" in run_view.due(Due(0, 32, False, NOON))


def test_the_preview_counts_sources_and_what_is_left_out_and_added() -> None:
    html = run_view.preview(PREVIEW)
    assert "42 examples from 90 judged answers, and 12 more held out for the gate" in html
    assert "<td>40</td><td>from siblings</td>" in html
    assert "<td>3</td><td>too long</td>" in html
    assert "7 questions, 8 fresh answers each" in html
    assert "about 21 right answers of the base, rehearsed" in html
    assert "Read 1 example" in html
    assert "<script>" not in html
    assert "problem" not in html


def test_too_few_examples_are_told_before_a_run_fails() -> None:
    few = replace(PREVIEW, sources={"siblings": 1})
    assert "it depends on the fresh answers" in run_view.preview(few)
    assert "the run would fail" in run_view.preview(replace(few, to_draw=0))


def test_the_recipe_has_its_reasons_and_steps() -> None:
    html = run_view.recipe(RECIPE, 40)
    assert f"About {recipes.steps_of(RECIPE, 40)} steps" in html
    assert html.count("<li>") == len(RECIPE.reasons)


def test_the_facts_of_a_run() -> None:
    html = run_view.facts(
        run(
            worker=BAD,
            wishes={"rank": 8},
            counts={"judged_turns": 90, "vote_model_auc": 0.81},
            seconds={"gather": 7.0},
        )
    )
    for text in ("rank 8", "90", "81 % of pairs", "gather 7 s"):
        assert text in html
    assert "<script>" not in html
