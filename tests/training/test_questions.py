"""Prompts, the part held out, who asks what, and the general questions."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training import questions, starter
from training.probes import holds
from training.questions import (
    HELD_OUT,
    NoPrompts,
    as_prompts,
    deal,
    enough,
    is_held_out,
    opening,
    split,
)


def ask(text: str) -> questions.Prompt:
    return ({"role": "user", "content": text},)


@given(st.text(max_size=60), st.text(max_size=60))
def test_the_hold_out_hangs_on_the_opening_question_alone(question: str, later: str) -> None:
    longer = (
        {"role": "system", "content": later},
        *ask(question),
        {"role": "assistant", "content": later},
        {"role": "user", "content": later},
    )
    assert is_held_out(ask(question)) == is_held_out(longer)
    assert is_held_out(ask(question)) == is_held_out(ask(f"  {question} \n"))


def test_the_hold_out_is_the_same_for_ever() -> None:
    """Figures of different versions can be compared only while these stay where they are."""
    asked = [f"Question number {number}" for number in range(40)]
    assert [n for n, text in enumerate(asked) if is_held_out(ask(text))] == [15, 16, 17, 22, 25, 32, 36]


def test_the_same_question_in_other_clothes_is_on_the_same_side() -> None:
    for question in starter.questions(50, seed=3):
        assert is_held_out(ask(question)) == is_held_out(ask(question.upper() + "?!"))


def test_about_the_stated_share_is_held_out() -> None:
    prompts = as_prompts(starter.questions(2000, seed=1))
    assert sum(map(is_held_out, prompts)) / 2000 == pytest.approx(HELD_OUT, abs=0.04)


def test_it_is_not_the_trainer_s_hold_out() -> None:
    pairs = pytest.importorskip("training.pairs")
    asked = starter.questions(2000, seed=2)
    ours = {text for text in asked if is_held_out(ask(text))}
    theirs = {text for text in asked if pairs.held_out(text)}
    # Independent: of what is held out here the trainer holds out as many as of everything.
    assert len(ours & theirs) / len(ours) == pytest.approx(len(theirs) / len(asked), abs=0.06)


@given(st.lists(st.text("abcde ", min_size=1, max_size=4), min_size=30, max_size=120))
def test_no_prompt_is_on_both_sides(texts: list[str]) -> None:
    try:
        training, held_out = split([ask(text) for text in texts])
    except NoPrompts:
        return
    openings = [{opening(prompt) for prompt in part} for part in (training, held_out)]
    assert not openings[0] & openings[1]
    assert openings[0] | openings[1] == set(texts)
    assert len(training) + len(held_out) == len(set(texts))


def test_a_score_is_taken_over_a_limited_sample() -> None:
    assert len(split(as_prompts(starter.questions(2000, seed=1)))[1]) == questions.SAMPLES


def test_too_few_prompts_are_refused() -> None:
    held = next(text for text in starter.questions(50, seed=0) if is_held_out(ask(text)))
    free = next(text for text in starter.questions(50, seed=0) if not is_held_out(ask(text)))
    with pytest.raises(NoPrompts, match="of 1 prompts none is left to vote on"):
        split([ask(held), ask(held)])
    with pytest.raises(NoPrompts, match="none is held out"):
        split([ask(free)])
    with pytest.raises(NoPrompts):
        split([])


@pytest.mark.parametrize(("rounds", "votes"), [(1, 48), (3, 96), (10, 200)])
def test_enough_questions_are_made_up(rounds: int, votes: int) -> None:
    training, held_out = split(as_prompts(starter.questions(enough(rounds, votes), seed=0)))
    assert len(training) >= rounds * votes
    assert len(held_out) >= 0.9 * questions.SAMPLES


def test_prompts_are_read_from_jsonl() -> None:
    dialogue = [
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Hello!"},
        {"role": "user", "content": [{"type": "text", "text": "Where is it?"}]},
    ]
    text = "\n".join(["", json.dumps({"messages": dialogue, "id": 3}), " "])
    assert [list(prompt) for prompt in questions.read(text)] == [dialogue]
    assert opening([{"role": "user", "content": [{"type": "text", "text": "a"}, {"text": "b"}]}]) == "a b"


@pytest.mark.parametrize(
    "line",
    [
        "Where is it?",
        '"Where is it?"',
        "{}",
        '{"messages": []}',
        '{"messages": "Hi"}',
        '{"messages": ["Hi"]}',
        '{"messages": [{"role": "user", "content": "?!"}]}',
        '{"messages": [{"role": "user"}]}',
        '{"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]}',
    ],
)
def test_a_bad_line_is_named(line: str) -> None:
    good = '{"messages": [{"role": "user", "content": "Hi"}]}'
    with pytest.raises(NoPrompts, match=r"^line 2"):
        questions.read(f"{good}\n{line}\n")


@given(st.integers(1, 60), st.integers(1, 12), st.integers(0, 5))
def test_everybody_asks_their_own(count: int, people: int, seed: int) -> None:
    prompts = as_prompts([str(number) for number in range(count)])
    dealt = deal(prompts, people, seed)
    assert dealt == deal(prompts, people, seed)
    assert len(dealt) == people
    assert all(dealt)
    if count >= people:
        assert sorted(opening(prompt) for mine in dealt for prompt in mine) == sorted(map(opening, prompts))


def test_another_seed_deals_otherwise() -> None:
    prompts = as_prompts([str(number) for number in range(40)])
    assert deal(prompts, 4, 0) != deal(prompts, 4, 1)


@pytest.mark.parametrize(
    ("question", "right", "wrong"),
    [
        ("What is 2 plus 3?", "It is 5.", "It is 15."),
        ("What is 61 plus 37?", "61 plus 37 is 98.", "89"),
        ("Sort fox, cup and ant alphabetically.", "In order: ant, cup and fox.", "ant, fox, cup"),
        ("Spell lamp backwards, letter by letter.", "p-m-a-l.", "l-a-m-p"),
        ("Which day comes after Monday?", "Tuesday comes next.", "Monday"),
        ("How many days has a week?", "A week has seven days.", "70 days"),
        ("Is ice colder than steam?", "Yes, it is. No doubt.", "No"),
        ("Can a spoon talk?", "no", "Certainly"),
    ],
)
def test_right_and_wrong_answers_to_the_general_questions(question: str, right: str, wrong: str) -> None:
    expected = dict(questions.GENERAL)[question]
    assert holds(right, expected)
    assert not holds(wrong, expected)


def test_the_general_probe_is_a_share_of_what_was_answered() -> None:
    silence: list[str | None] = [None] * (len(questions.GENERAL) - 2)
    assert questions.percent_right(["It is 5.", "no idea", *silence]) == 50
    assert questions.percent_right([None, None, *silence]) is None
    assert len(dict(questions.GENERAL)) == len(questions.GENERAL) >= 40


def test_yes_or_no_is_what_is_said_first() -> None:
    assert holds("Well, yes. There is no doubt.", "yes")
    assert not holds("Nobody knows.", "no")
