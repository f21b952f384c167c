"""Recipes: always within bounds, enough steps for few pairs, an end in time for many, reasons in words."""

from __future__ import annotations

import json
import math
import re
import struct
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.tiny_model import make
from training import recipes
from training.records import Recipe, Refused

STARTER = 5_532_928


def choose(examples: int = 250, parameters: int | None = STARTER, **given: Any) -> Recipe:
    given = {"base": "starter", "device": "cpu"} | given
    return recipes.choose(parameters=parameters, examples=examples, **given)


def steps(recipe: Recipe, examples: int) -> int:
    return math.ceil(recipe.epochs * examples / recipe.batch_size)


@given(
    st.none() | st.integers(1, 10**12),
    st.integers(1, 10**6),
    st.sampled_from(["cpu", "cuda"]),
    st.integers(0, 2**32 - 1),
    st.integers(0, 64),
)
def test_every_choice_is_valid(
    parameters: int | None, examples: int, device: recipes.Device, seed: int, threads: int
) -> None:
    recipe = choose(examples, parameters, device=device, seed=seed, threads=threads)
    recipes.validate(recipe)
    recipes.validate(Recipe.from_dict(json.loads(json.dumps(recipe.as_dict()))))
    assert steps(recipe, examples) >= 1
    assert (recipe.seed, recipe.threads) == (seed, threads)
    assert recipe.reasons
    assert all(reason.endswith(".") for reason in recipe.reasons)


@pytest.mark.parametrize("examples", [60, 120, 250, 400])
def test_few_pairs_are_seen_often_enough(examples: int) -> None:
    assert 80 <= steps(choose(examples), examples) <= 160


def test_a_handful_is_not_seen_without_end() -> None:
    assert choose(8).epochs <= 12


def test_many_pairs_are_seen_once_and_end_in_time() -> None:
    assert choose(1000).epochs == 1
    endless = choose(1_000_000)
    assert endless.epochs < 1
    assert "minutes" in endless.reasons[-1]


def test_larger_models_take_smaller_steps() -> None:
    rates = [
        choose(parameters=size).learning_rate for size in (5 * 10**6, 500 * 10**6, 7 * 10**9, 70 * 10**9)
    ]
    assert rates == sorted(rates, reverse=True)
    assert choose(parameters=None).learning_rate == rates[1]
    assert choose(parameters=7 * 10**9, device="cuda").gradient_checkpointing


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"method": "ppo"}, "method"),
        ({"base": ""}, "base"),
        ({"rank": 12}, "rank"),
        ({"rank": 64}, "rank"),
        ({"dtype": "float16"}, "dtype"),
        ({"target_modules": []}, "target_modules"),
        ({"target_modules": ["lm_head"]}, "head"),
        ({"learning_rate": 0.5}, "learning_rate"),
        ({"learning_rate": float("nan")}, "learning_rate"),
        ({"learning_rate": "1e-4"}, "learning_rate"),
        ({"beta": 0}, "beta"),
        ({"label_smoothing": 0.5}, "label_smoothing"),
        ({"sft_weight": -1}, "sft_weight"),
        ({"epochs": 0}, "epochs"),
        ({"epochs": float("inf")}, "epochs"),
        ({"batch_size": 0}, "batch_size"),
        ({"batch_size": 2.5}, "batch_size"),
        ({"batch_size": True}, "batch_size"),
        ({"max_length": 1}, "max_length"),
        ({"checkpoint_steps": 0}, "checkpoint_steps"),
        ({"threads": -1}, "threads"),
        ({"seed": -1}, "seed"),
    ],
)
def test_what_can_not_be_trained_is_refused(changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(Refused, match=reason):
        recipes.validate(replace(choose(), **changes))


@given(
    st.sampled_from([field.name for field in fields(Recipe) if field.name not in ("reasons",)]),
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3) | st.lists(st.integers()),
)
def test_no_value_breaks_the_check(name: str, value: Any) -> None:
    try:
        recipes.validate(replace(choose(), **{name: value}))
    except Refused as error:
        sentence = str(error)
        assert sentence.startswith("The recipe is not usable: ")


def test_weights_are_counted_from_headers_alone(tmp_path: Path) -> None:
    folder = make(tmp_path / "model")
    counted = recipes.parameters_of(folder)
    assert counted is not None
    assert 100_000 < counted < 1_000_000
    (folder / "model-2.safetensors").write_bytes(
        struct.pack("<Q", 54) + b'{"a":{"dtype":"F32","shape":[3,5],"data_offsets":[0,60]}}'[:54].ljust(54)
    )
    assert recipes.parameters_of(folder) is None


@pytest.mark.parametrize(
    "raw", [b"", b"\xff" * 16, struct.pack("<Q", 4) + b"[1] ", struct.pack("<Q", 2) + b"{}"]
)
def test_what_does_not_tell_its_size(tmp_path: Path, raw: bytes) -> None:
    (tmp_path / "model.safetensors").write_bytes(raw)
    assert recipes.parameters_of(tmp_path) is None
    assert recipes.parameters_of(tmp_path / "absent") is None


def test_the_device_is_found_without_torch() -> None:
    assert recipes.device() in ("cpu", "cuda")


def test_what_a_person_wants_otherwise_is_in_the_recipe_with_its_reason() -> None:
    chosen = recipes.choose(base="b", parameters=8_700_000, examples=48, device="cpu")
    found = recipes.adjust(chosen, {"rank": 8, "epochs": 2.0})
    assert (found.rank, found.alpha, found.epochs) == (8, 16, 2.0)
    assert found.reasons[-1] == "Chosen by hand: rank 8, epochs 2.0."
    assert recipes.adjust(chosen, {}) is chosen


@pytest.mark.parametrize(
    ("texts", "why"),
    [
        ({"rank": "7"}, "the rank is 7, not one of"),
        ({"rank": "8.5"}, "rank is '8.5', not a whole number"),
        ({"epochs": "900"}, "epochs is 900.0, not within 1e-06 and 50"),
        ({"epochs": "nan"}, "epochs is nan, not within"),
        ({"learning_rate": "fast"}, "learning rate is 'fast', not a number"),
        ({"method": "ppo"}, "the method is 'ppo', not one of"),
        ({"base": "x"}, "'base' can't be chosen"),
    ],
)
def test_what_can_not_be_trained_is_refused_in_one_sentence(texts: dict[str, str], why: str) -> None:
    chosen = recipes.choose(base="b", parameters=8_700_000, examples=48, device="cpu")
    with pytest.raises(Refused, match=re.escape(why)):
        recipes.wanted(texts, chosen)


def test_texts_of_a_form_want_only_what_differs() -> None:
    chosen = recipes.choose(base="b", parameters=8_700_000, examples=48, device="cpu")
    texts = {
        "rank": "16",
        "epochs": " 2 ",
        "beta": "",
        "method": "dpo",
        "learning_rate": f"{chosen.learning_rate}",
    }
    assert recipes.wanted(texts, chosen) == {"epochs": 2.0}
    assert recipes.steps_of(chosen, 0) == 0
    assert recipes.steps_of(recipes.adjust(chosen, {"epochs": 2.0}), 48) == 2 * 48 // chosen.batch_size
    assert all(recipes.bounds(name) for name in recipes.CHOOSABLE)
