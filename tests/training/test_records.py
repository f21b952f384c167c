"""An example keeps its identity and its origin through a file; a recipe comes back as it was written."""

from __future__ import annotations

import json
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from tests.training.rig import example
from training.records import Check, Example, Recipe
from training.records import Evaluation as Found

WORDS = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)


@given(WORDS, WORDS, WORDS, st.booleans())
def test_an_example_survives_a_file(question: str, chosen: str, rejected: str, held_out: bool) -> None:
    one = replace(
        example(1, held_out),
        prompt=({"role": "user", "content": question},),
        chosen=chosen,
        rejected=rejected,
    )
    back = Example.from_row(json.loads(json.dumps(one.as_row())))
    assert back == one
    assert back.id == one.id


def test_an_examples_id_is_what_is_learned_from_and_not_where_it_came_from() -> None:
    one = example(1)
    assert replace(one, votes=("rating:99",), weight=0.5).id == one.id
    assert replace(one, chosen="another").id != one.id
    assert replace(one, chosen=one.rejected, rejected=one.chosen).id != one.id


def test_a_recipe_survives_a_file_of_a_newer_version() -> None:
    recipe = Recipe("dpo", "some/base", rank=8, reasons=("since it is small",))
    plain = json.loads(json.dumps(recipe.as_dict() | {"of_tomorrow": 1}))
    assert Recipe.from_dict(plain) == recipe


def test_an_evaluation_names_its_failures_first() -> None:
    from datetime import UTC, datetime

    checks = (Check("a", True, "fine"), Check("b", None, "too few"), Check("c", False, "bad"))
    found = Found("lora-0", None, "rejected", checks, {}, datetime.now(UTC))
    assert found.reasons == ["c: bad", "b: too few", "a: fine"]
