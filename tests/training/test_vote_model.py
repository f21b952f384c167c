"""Tests of the model of the votes: what it learns from few, and that it knows when it knows nothing."""

from __future__ import annotations

import math
import random
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feedback.records import Judged, Rating, Turn, prompt_key
from training.vote_model import FEWEST, VoteModel, auc_lower_bound, fit, fit_answers

ROOT = Path(__file__).resolve().parents[2]
NOW = datetime(2026, 5, 1, tzinfo=UTC)

THINGS = ["tent", "stove", "jacket", "boot", "lamp", "rope", "pack", "bottle", "map", "knife", "mat", "pan"]
OPENINGS = [
    "Thank you for asking!",
    "Happy to help.",
    "What a good question!",
    "Thanks for writing to us.",
    "Sure, gladly!",
]
OFFERS = [
    "Is there anything else I can do?",
    "Let me know if you need more help.",
    "Can I help you with something else?",
    "Feel free to ask if anything is open.",
]
FACTS = [
    "The {t} weighs {n} grams.",
    "You can return the {t} within {n} days.",
    "The {t} costs {n} euros.",
    "We send the {t} to you in {n} days.",
    "Wash the {t} with cold water and let it dry for {n} hours.",
    "Our {t} lasts {n} years.",
]
REST = [
    "It is made of wool.",
    "Most people like it.",
    "There are {n} colours, and you find all of them on the page of the {t}.",
    "Read the page.",
    "Why ask me?",
    "In other words, this is how we have done it for many years, and it works well for most customers.",
]


def question(chance: random.Random) -> str:
    return f"What about the {chance.choice(THINGS)} number {chance.randrange(10_000)}?"


def answer(chance: random.Random, opening: bool | None = None, offer: bool | None = None) -> str:
    said = [chance.choice(FACTS), *chance.sample(REST, chance.randrange(3))]
    body = [text.format(t=chance.choice(THINGS), n=chance.randrange(2, 99)) for text in said]
    if chance.random() < 0.5 if opening is None else opening:
        body.insert(0, chance.choice(OPENINGS))
    if chance.random() < 0.5 if offer is None else offer:
        body.append(chance.choice(OFFERS))
    return " ".join(body)


def likes_manners(text: str) -> bool:
    return text.startswith(tuple(OPENINGS)) and text.endswith(tuple(OFFERS))


def likes_brevity(text: str) -> bool:
    return len(text.split()) <= 14


def judged(text: str, asked: str, up: bool, number: int, person: str = "ann") -> Judged:
    prompt = [{"role": "user", "content": asked}]
    turn = Turn(
        id=f"turn-{number:05}",
        conversation_id="c",
        parent_id=None,
        person_id=person,
        question=asked,
        prompt=prompt,
        prompt_key=prompt_key(prompt),
        answer=text,
        adapter=None,
        model="base",
        sampling={},
        status="complete",
        created_at=NOW,
    )
    rating = Rating(number, turn.id, person, "user", "up" if up else "down", (), "", NOW)
    return Judged(turn, asked, (rating,))


def votes(
    taste: Callable[[str], bool], number: int, seed: int = 0, noise: float = 0.07, people: int = 8
) -> list[Judged]:
    chance = random.Random(f"votes {seed}")
    rows = []
    for place in range(number):
        text = answer(chance)
        up = taste(text) != (chance.random() < noise)
        rows.append(judged(text, question(chance), up, place, f"p{place % people}"))
    return rows


def right_order(model: VoteModel, taste: Callable[[str], bool], seed: int = 99) -> float:
    """How often a fresh answer that pleases is scored above one that does not: the true AUC."""
    chance = random.Random(f"fresh {seed}")
    prompt = [{"role": "user", "content": question(chance)}]
    texts = [answer(chance) for _ in range(300)]
    scores = [[model.score(prompt, text) for text in texts if taste(text) == up] for up in (True, False)]
    pairs = [(good > bad) + 0.5 * (good == bad) for good in scores[0] for bad in scores[1]]
    return sum(pairs) / len(pairs)


@pytest.mark.parametrize("taste", [likes_manners, likes_brevity])
def test_a_taste_is_found_in_few_votes(taste: Callable[[str], bool]) -> None:
    model = fit(votes(taste, 96))
    assert model is not None
    assert model.trusted
    assert right_order(model, taste) > 0.9


def test_many_votes_make_a_sure_model() -> None:
    model = fit(votes(likes_manners, 320))
    assert model is not None
    assert model.auc_low > 0.8
    assert right_order(model, likes_manners) > 0.95


def test_votes_by_coin_are_not_trusted() -> None:
    chance = random.Random(5)
    models = [fit(votes(lambda _: chance.random() < 0.4, 96, seed)) for seed in range(4)]
    assert all(model is not None and not model.trusted for model in models)


def test_too_few_votes_give_no_model() -> None:
    chance = random.Random(3)
    rows = [judged(answer(chance), question(chance), up < FEWEST - 1, up) for up in range(40)]
    assert fit(rows) is None
    assert fit([]) is None
    rows.append(judged("One more.", "And this?", True, 99))
    assert fit(rows) is not None


def test_votes_on_one_question_can_not_be_cross_validated() -> None:
    chance = random.Random(4)
    assert fit([judged(answer(chance), "The same?", up % 2 == 0, up) for up in range(40)]) is None


def test_a_question_is_never_on_both_sides_of_the_cross_validation() -> None:
    """Each question is liked or not, whatever is said: learnt by heart it would look like a perfect model."""
    chance = random.Random(6)
    rows = []
    for place in range(240):
        number = place % 24
        text = f"Word{number} and word{number + 100} are what I say. {chance.choice(REST)}"
        rows.append(judged(text, f"Question {number}?", number % 2 == 0, place, f"p{place}"))
    model = fit(rows)
    assert model is not None
    assert model.auc < 0.7
    assert not model.trusted


def test_the_probability_is_calibrated() -> None:
    model = fit(votes(likes_manners, 400, noise=0.1))
    assert model is not None
    chance = random.Random(8)
    prompt = [{"role": "user", "content": question(chance)}]
    for wanted, opening in ((0.9, True), (0.1, False)):
        scores = [model.score(prompt, answer(chance, opening, opening)) for _ in range(100)]
        assert abs(sum(scores) / len(scores) - wanted) < 0.2


def test_the_same_votes_in_any_order_give_the_same_model() -> None:
    rows = votes(likes_manners, 60)
    before = fit(rows)
    random.Random(1).shuffle(rows)
    assert fit(rows) == before


def test_one_diligent_person_does_not_make_everybodys_taste() -> None:
    many = votes(likes_manners, 160, noise=0.0)
    one = [
        replace(
            row,
            turn=replace(row.turn, id=f"x{row.turn.id}"),
            ratings=tuple(replace(r, id=10_000 + r.id, person_id="eager") for r in row.ratings),
        )
        for row in votes(lambda text: not likes_manners(text), 640, seed=2, noise=0.0, people=1)
    ]
    model = fit([*many, *one])
    assert model is not None
    prompt = [{"role": "user", "content": "What about the tent?"}]
    chance = random.Random(9)
    polite = sum(model.score(prompt, answer(chance, True, True)) for _ in range(50))
    plain = sum(model.score(prompt, answer(chance, False, False)) for _ in range(50))
    assert polite > plain


@pytest.fixture(scope="module")
def model() -> VoteModel:
    found = fit(votes(likes_manners, 80))
    assert found is not None
    return found


@given(asked=st.text(max_size=60), text=st.text(max_size=60))
def test_any_text_has_a_probability(model: VoteModel, asked: str, text: str) -> None:
    assert 0 < model.score([{"role": "user", "content": asked}], text) < 1


def test_a_prompt_without_words_has_a_probability(model: VoteModel) -> None:
    for prompt in ([], [{"role": "user", "content": None}], [{"role": "user", "content": [{"type": "x"}]}]):
        assert 0 < model.score(prompt, "Yes.") < 1


def test_a_thousand_votes_are_learnt_in_a_moment() -> None:
    rows = votes(likes_manners, 1000)
    begun = time.process_time()
    assert fit(rows) is not None
    assert time.process_time() - begun < 5


def test_the_module_is_cheap_to_import_and_scores_without_the_library() -> None:
    code = "import sys, training.vote_model; print(sorted({'sklearn', 'numpy', 'scipy'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_weights_count() -> None:
    chance = random.Random(11)
    texts = [answer(chance, place % 2 == 0, place % 2 == 0) for place in range(120)]
    prompts = [[{"role": "user", "content": question(chance)}] for _ in texts]
    labels = [(place % 2 == 0) == (place < 60) for place in range(120)]
    heavy = fit_answers(prompts, texts, labels, [1.0] * 60 + [0.01] * 60)
    light = fit_answers(prompts, texts, labels, [0.01] * 60 + [1.0] * 60)
    assert heavy is not None
    assert light is not None
    name = "last:?"
    assert heavy.weights[name] > 0 > light.weights[name]


# -- the bound ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("auc", "ups", "downs"), [(0.8, 11, 29), (0.95, 40, 60), (0.5, 20, 20), (1.0, 8, 8)])
def test_the_bound_solves_its_equation(auc: float, ups: int, downs: int) -> None:
    low = auc_lower_bound(auc, ups, downs)
    mean = (ups + downs) / 2 - 1
    variance = low * (1 - low) * (1 + mean * ((1 - low) / (2 - low) + low / (1 + low))) / (ups * downs)
    assert auc - low == pytest.approx(1.645 * math.sqrt(variance), abs=1e-6)


def test_the_bound_is_below_the_estimate_and_rises_with_it_and_with_the_votes() -> None:
    lows = [auc_lower_bound(auc / 20, 20, 30) for auc in range(1, 21)]
    assert lows == sorted(lows)
    assert all(0 <= low < auc / 20 for low, auc in zip(lows, range(1, 21), strict=True))
    assert auc_lower_bound(0.8, 10, 10) < auc_lower_bound(0.8, 40, 40) < auc_lower_bound(0.8, 400, 400) < 0.8
    # All ups above all downs, but eight of each only: far from certain.
    assert 0.7 < auc_lower_bound(1.0, 8, 8) < 0.9


@pytest.mark.parametrize(
    ("ups", "downs", "shift"), [(12, 30, 1.2), (40, 40, 0.5), (10, 10, 0.0), (15, 60, 2.0)]
)
def test_the_bound_lies_below_the_truth_nineteen_times_in_twenty(ups: int, downs: int, shift: float) -> None:
    chance = random.Random(f"{ups} {downs} {shift}")
    true = 0.5 * (1 + math.erf(shift / 2))
    held = 0
    for _ in range(400):
        high = sorted(chance.gauss(shift, 1) for _ in range(ups))
        low = [chance.gauss(0, 1) for _ in range(downs)]
        auc = sum(one > other for one in high for other in low) / (ups * downs)
        held += auc_lower_bound(auc, ups, downs) <= true
    assert held / 400 > 0.92
