"""Tests of the way from opinions to examples: each source, and what must hold whatever people say."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from itertools import count
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from feedback.records import Choice, Correction, Judged, Message, Rating, Turn, normalise, prompt_key
from training.pairs import Built, Limits, build, held_out, needs_draws
from training.records import Example
from training.screening import screen
from training.settling import context_key, settle, strays

NOW = datetime(2026, 5, 1, tzinfo=UTC)
NUMBERS = count(1)
OPENINGS = [f"Question {number}?" for number in range(200)]
TRAINED = [text for text in OPENINGS if not held_out(text)]
KEPT_BACK = [text for text in OPENINGS if held_out(text)]
QUESTION = TRAINED[0]


def a_turn(answer: str, question: str = QUESTION, person: str = "ann", **more: Any) -> Turn:
    prompt = more.pop("prompt", [{"role": "user", "content": question}])
    return Turn(
        id=more.pop("id", f"turn-{next(NUMBERS):06}"),
        conversation_id=f"conv-{person}",
        parent_id=None,
        person_id=person,
        question=question,
        prompt=prompt,
        prompt_key=prompt_key(prompt),
        answer=answer,
        adapter=None,
        model="base",
        sampling={},
        status="complete",
        created_at=NOW,
        **more,
    )


def voted(answer: str, thumb: str, question: str = QUESTION, person: str = "ann", **more: Any) -> Judged:
    """An answer that its asker voted on; `correction`, `role` and `opening` as wanted."""
    text, role = more.pop("correction", ""), more.pop("role", "user")
    opening = more.pop("opening", question)
    turn = a_turn(answer, question, person, **more)
    number = next(NUMBERS)
    value: Any = thumb or None
    ratings = (Rating(number, turn.id, person, role, value, (), "", NOW),) if thumb else ()
    corrections = (Correction(number, turn.id, person, role, text, NOW),) if text else ()
    return Judged(turn, opening, ratings, corrections)


def sides(examples: Sequence[Example]) -> list[tuple[str, str, str]]:
    return [(example.source, example.chosen, example.rejected) for example in examples]


# -- the sources -------------------------------------------------------------------------------------


def test_a_correction_stands_against_the_answer_it_corrects() -> None:
    item = voted("Dunno.", "down", correction=" It left this morning. ")
    built = build([item])
    [example] = built.examples
    assert sides(built.examples) == [("correction", "It left this morning.", "Dunno.")]
    assert example.votes == (f"correction:{item.corrections[0].id}", f"rating:{item.ratings[0].id}")
    assert (example.people, example.weight, example.held_out) == (("ann",), 1.0, False)
    assert example.prompt == ({"role": "user", "content": QUESTION},)
    assert example.question == normalise(QUESTION)
    assert built.counts == {"correction": 1, "held_out": 0}


def test_a_choice_stands_between_the_answers_shown() -> None:
    first, second = Judged(a_turn("A."), QUESTION), Judged(a_turn("B."), QUESTION)
    choice = Choice(7, first.turn.id, second.turn.id, "ann", "user", "second", NOW)
    built = build([], [choice], {item.turn.id: item for item in (first, second)})
    assert sides(built.examples) == [("choice", "B.", "A.")]
    assert built.examples[0].votes == ("choice:7",)


def test_an_example_names_who_asked_beside_who_judged() -> None:
    first, second = (Judged(a_turn(text), QUESTION) for text in ("A.", "B."))
    choice = Choice(7, first.turn.id, second.turn.id, "sam", "staff", "first", NOW)
    words = Correction(next(NUMBERS), first.turn.id, "sam", "staff", "C.", NOW)
    shown = {one.turn.id: one for one in (first, second)}
    built = build([replace(first, corrections=(words,))], [choice], shown)
    assert [(one.people, one.askers) for one in built.examples] == [(("sam",), ("ann",))] * 2
    # Of all with the same question and answer those whose answer was voted on.
    asked = [voted("Good.", "", person="zoe"), voted("Bad.", "down", person="ann")]
    asked += [voted("Good.", "up", person=person) for person in ("bob", "eve")]
    [example] = build(asked).examples
    assert example.askers == ("ann", "bob", "eve")


def test_siblings_with_opposite_votes_make_a_pair() -> None:
    built = build([voted("Bad.", "down"), voted("Good.", "up")])
    assert sides(built.examples) == [("siblings", "Good.", "Bad.")]
    assert len(built.examples[0].votes) == 2


def test_the_same_question_of_two_people_makes_a_weaker_pair() -> None:
    built = build([voted("Bad.", "down", person="ann"), voted("Good.", "up", f" {QUESTION.upper()}!", "bob")])
    assert sides(built.examples) == [("same_question", "Good.", "Bad.")]
    assert built.examples[0].people == ("ann", "bob")
    assert built.examples[0].weight < 1


def test_other_context_or_other_passages_make_no_pair() -> None:
    prompt = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": QUESTION}]
    bad = voted("Bad.", "down", person="ann")
    assert not build([bad, voted("Good.", "up", person="bob", prompt=prompt)]).examples
    assert not build([bad, voted("Good.", "up", person="bob", passages=({"id": "p"},))]).examples


def test_siblings_come_before_strangers_and_nothing_is_multiplied() -> None:
    ups = [voted(f"Good {number}.", "up", person=f"p{number}") for number in range(5)]
    downs = [voted(f"Bad {number}.", "down", person=f"p{number}") for number in range(3)]
    built = build([*ups, *downs], limits=Limits(per_question=99))
    assert Counter(example.source for example in built.examples) == {"siblings": 3}
    assert {(example.chosen[-2], example.rejected[-2]) for example in built.examples} == {
        ("0", "0"),
        ("1", "1"),
        ("2", "2"),
    }


def by_length(prompt: Sequence[Message], answer: str) -> float:
    return min(1.0, len(answer) / 100)


def drawn_for(item: Judged, *lengths: int) -> dict[str, list[str]]:
    return {item.turn.prompt_key: [chr(ord("a") + place) * size for place, size in enumerate(lengths)]}


def test_fresh_answers_are_paired_from_the_ends_inwards_while_the_margin_is_clear() -> None:
    item = voted("x" * 45, "up")
    drawn = drawn_for(item, 95, 10, 80, 20, 60, 40, 50)
    built = build([item], drawn=drawn, score=by_length, limits=Limits(margin=0.3))
    # The voted answer (45) comes first on its side, since 45 - 10 is clear.
    assert [(len(example.chosen), len(example.rejected)) for example in built.examples] == [
        (45, 10),
        (95, 20),
        (80, 40),
    ]
    assert {example.source for example in built.examples} == {"ranked"}
    assert all(example.votes == (f"rating:{item.ratings[0].id}",) for example in built.examples)
    fewer = build([item], drawn=drawn, score=by_length, limits=Limits(margin=0.5, per_question=9))
    assert [(len(example.chosen), len(example.rejected)) for example in fewer.examples] == [
        (95, 10),
        (80, 20),
    ]


def test_a_voted_answer_is_a_side_only_where_the_ranking_agrees() -> None:
    down = voted("x" * 90, "down")
    built = build([down], drawn=drawn_for(down, 95, 10), score=by_length)
    assert [(len(example.chosen), len(example.rejected)) for example in built.examples] == [(95, 10)]
    down = voted("x" * 30, "down")
    built = build([down], drawn=drawn_for(down, 95, 50), score=by_length)
    assert [(len(example.chosen), len(example.rejected)) for example in built.examples] == [(95, 30)]


def test_without_a_clear_margin_draws_or_a_score_nothing_is_ranked() -> None:
    item = voted("x" * 50, "up")
    assert not build([item], drawn=drawn_for(item, 55, 50, 45), score=by_length).examples
    assert not build([item], drawn=drawn_for(item, 95, 5)).examples
    assert not build([item], score=by_length).examples
    assert not build([item], drawn={item.turn.prompt_key: ["", "…", "y" * 9999]}, score=by_length).examples


def test_votes_with_a_partner_are_not_ranked() -> None:
    pair = [voted("Bad.", "down"), voted("Good.", "up")]
    mended = voted("Wrong.", "down", TRAINED[1], correction="Right.")
    drawn = drawn_for(pair[0], 95, 5) | drawn_for(mended, 95, 5)
    built = build([*pair, mended], drawn=drawn, score=by_length)
    assert Counter(example.source for example in built.examples) == {"siblings": 1, "correction": 1}
    assert needs_draws([*pair, mended]) == []


# -- what is dropped ---------------------------------------------------------------------------------


def test_contradictory_votes_cancel() -> None:
    rows = [voted("Same.", "up", person="ann"), voted("same", "down", person="bob"), voted("Bad.", "down")]
    built = build(rows)
    assert built.examples == ()
    assert built.dropped["cancelled"] == 1


def test_near_identical_sides_are_dropped() -> None:
    long = " ".join(f"word{number}" for number in range(60))
    rows = [
        voted("It is here.", "down", correction="it is HERE"),
        voted(long, "down", TRAINED[1], correction=f"{long} indeed"),
    ]
    built = build(rows)
    assert built.examples == ()
    assert built.dropped == {"alike": 2}


def test_a_pair_is_kept_once_from_its_best_source() -> None:
    bad, good = voted("Bad.", "down", correction="Good."), voted("Good.", "up")
    built = build([bad, good])
    assert sides(built.examples) == [("correction", "Good.", "Bad.")]
    assert built.dropped == {"duplicate": 1}


def test_equal_corrections_of_two_people_are_one_example_with_both_votes() -> None:
    rows = [voted("Bad.", "down", person=who, correction="Good.") for who in ("ann", "bob")]
    [example] = build(rows).examples
    assert example.people == ("ann", "bob")
    assert len(example.votes) == 4


def test_the_better_source_wins_a_contradiction_and_equals_lose_both() -> None:
    bad, good = voted("B.", "down", correction="A."), voted("A.", "up")
    choice = Choice(1, bad.turn.id, good.turn.id, "bob", "user", "first", NOW)
    turns = {item.turn.id: item for item in (bad, good)}
    built = build([bad, good], [choice], turns)
    assert sides(built.examples) == [("correction", "A.", "B.")]
    assert built.dropped == {"contradiction": 1, "duplicate": 1}
    crossed = [voted("A.", "", correction="B."), voted("B.", "", person="bob", correction="A.")]
    built = build(crossed)
    assert built.examples == ()
    assert built.dropped == {"contradiction": 2}


def test_unscreened_turns_are_screened() -> None:
    cut = replace(voted("Half an", "up"), turn=a_turn("Half an", finish_reason="length"))
    built = build([voted("Bad.", "down"), cut, voted("", "down", TRAINED[1])])
    assert built.examples == ()
    assert built.dropped == {"cut_off": 1, "empty": 1}


# -- caps --------------------------------------------------------------------------------------------


def test_one_person_makes_up_no_more_than_their_share_and_others_are_not_pushed_out() -> None:
    eager = [
        voted(f"Bad {n}.", "down", question, "eager", correction=f"Much better answer {n}.")
        for n, question in enumerate(TRAINED[:20])
    ]
    quiet = [voted("Bad.", "down", TRAINED[30], "quiet", correction="A good one.")]
    built = build([*eager, *quiet], limits=Limits(per_person=5))
    assert Counter(example.people[0] for example in built.examples) == {"eager": 5, "quiet": 1}
    assert built.dropped == {"person_full": 15}
    # The newest of the eager one, and person by person in turn.
    assert [example.people[0] for example in built.examples][:2] == ["eager", "quiet"]
    assert built.examples[0].rejected == "Bad 19."


def test_one_question_makes_up_no_more_than_its_share() -> None:
    rows = [
        voted(f"Bad {n}.", "down", person=f"p{n}", correction=f"Entirely other words number {n}.")
        for n in range(9)
    ]
    built = build(rows)
    assert len(built.examples) == 3
    assert built.dropped == {"question_full": 6}


def test_better_sources_take_the_places_first() -> None:
    rows = [voted(f"Bad {n}.", "down", person=f"a{n}") for n in range(4)]
    rows += [voted(f"Good {n}.", "up", person=f"b{n}") for n in range(4)]
    rows += [voted("Wrong.", "down", person="z", correction="Right.")]
    built = build(rows, limits=Limits(per_question=2))
    assert [example.source for example in built.examples] == ["correction", "same_question"]


# -- the hold-out ------------------------------------------------------------------------------------


def test_held_out_questions_are_flagged_and_counted_apart() -> None:
    built = build([voted("Bad.", "down", KEPT_BACK[0]), voted("Good.", "up", KEPT_BACK[0])])
    assert [example.held_out for example in built.examples] == [True]
    assert built.counts == {"held_out": 1}
    assert (built.training, built.kept_back) == ([], list(built.examples))


def test_a_later_question_is_on_the_side_of_its_conversation() -> None:
    prompt = [
        {"role": "user", "content": KEPT_BACK[0]},
        {"role": "assistant", "content": "Hi."},
        {"role": "user", "content": "And?"},
    ]
    rows = [
        voted(answer, thumb, "And?", opening=KEPT_BACK[0], prompt=prompt)
        for answer, thumb in (("Bad.", "down"), ("Good.", "up"))
    ]
    assert [example.held_out for example in build(rows).examples] == [True]


def test_a_question_asked_on_both_sides_makes_examples_on_one() -> None:
    common = TRAINED[3]
    rows = [
        voted("Bad.", "down", common, opening=common, correction="Good."),
        voted("Poor.", "down", common, opening=KEPT_BACK[0], correction="Fine."),
    ]
    built = build(rows)
    assert sides(built.examples) == [("correction", "Good.", "Bad.")]
    assert built.dropped == {"on_both_sides": 1}


# -- what fresh answers are needed for ---------------------------------------------------------------


def test_lonely_votes_need_draws_once_a_question_the_newest_first_and_in_turn() -> None:
    rows = [voted("Bad.", "down", question, "ann") for question in TRAINED[:4]]
    rows += [voted("Worse.", "down", TRAINED[0], "ann"), voted("Bad.", "down", KEPT_BACK[0], "bob")]
    found = needs_draws(rows)
    assert [(item.turn.question, item.turn.person_id) for item in found] == [
        (TRAINED[0], "ann"),
        (KEPT_BACK[0], "bob"),
        (TRAINED[3], "ann"),
        (TRAINED[2], "ann"),
        (TRAINED[1], "ann"),
    ]
    assert found[0].turn.answer == "Worse."
    assert needs_draws(rows, limit=2) == found[:2]


def test_a_turn_with_a_clear_choice_needs_no_draws() -> None:
    item = voted("Bad.", "down")
    for preference, lonely in (("first", 0), ("second", 0), ("tie", 1)):
        choice = Choice(1, item.turn.id, "turn-x", "ann", "user", preference, NOW)  # type: ignore[arg-type]
        assert len(needs_draws([item], [choice])) == lonely


# -- whatever people say -----------------------------------------------------------------------------

ANSWERS = ["Yes.", "yes", "No.", "It depends on the day.", "Ask me tomorrow, please.", "Maybe so."]
QUESTIONS = [*TRAINED[:2], TRAINED[0].upper(), *KEPT_BACK[:2]]
PEOPLE = ["ann", "bob", "carl", "dora"]


@st.composite
def worlds(draw: Any) -> tuple[list[Judged], list[Choice], dict[str, Judged], dict[str, list[str]]]:
    """A few people who ask, vote, correct and choose at will, on both sides of the split."""
    judged = []
    for place in range(draw(st.integers(0, 14))):
        question = draw(st.sampled_from(QUESTIONS))
        opening = question if draw(st.booleans()) else draw(st.sampled_from(QUESTIONS))
        turn = a_turn(
            draw(st.sampled_from(ANSWERS)), question, draw(st.sampled_from(PEOPLE)), id=f"turn-{place:03}"
        )
        voters = draw(st.lists(st.sampled_from(PEOPLE), max_size=3))
        roles = st.sampled_from(["user", "user", "user", "staff"])
        ratings = tuple(
            Rating(
                place * 10 + n, turn.id, who, draw(roles), draw(st.sampled_from(["up", "down"])), (), "", NOW
            )
            for n, who in enumerate(voters)
        )
        corrections = tuple(
            Correction(place * 10 + n, turn.id, who, draw(roles), draw(st.sampled_from(ANSWERS)), NOW)
            for n, who in enumerate(draw(st.lists(st.sampled_from(PEOPLE), max_size=1)))
        )
        judged.append(Judged(turn, opening, ratings, corrections))
    turns = {item.turn.id: item for item in judged}
    choices = []
    for number in range(draw(st.integers(0, 3)) if len(judged) > 1 else 0):
        one, other = draw(st.lists(st.sampled_from(sorted(turns)), min_size=2, max_size=2, unique=True))
        said = draw(st.sampled_from(["first", "second", "tie"]))
        choices.append(Choice(number, one, other, draw(st.sampled_from(PEOPLE)), "user", said, NOW))
    drawn = {
        item.turn.prompt_key: draw(st.lists(st.sampled_from([*ANSWERS, "Fresh words.", "Other words here."])))
        for item in judged
    }
    return judged, choices, turns, drawn


def taste(prompt: Sequence[Message], answer: str) -> float:
    """Some fixed opinion of every text."""
    return random.Random(answer).random()


def one_sided(judged: Sequence[Judged]) -> list[Judged]:
    """The turns that are looked at: with an opinion, and on the right side of the split."""
    kept, _ = screen(judged)
    return [item for item in kept if item.turn.id not in strays(kept)]


LIMITS = Limits(per_person=3, per_question=2, margin=0.1)


def made(world: tuple[list[Judged], list[Choice], Mapping[str, Judged], Mapping[str, list[str]]]) -> Built:
    judged, choices, turns, drawn = world
    return build(judged, choices, turns, drawn, taste, LIMITS)


@given(worlds(), st.randoms())
@settings(max_examples=80, deadline=None)
def test_the_order_of_the_facts_does_not_matter(world: Any, chance: random.Random) -> None:
    judged, choices, turns, drawn = world
    before = made(world)
    mixed = [
        replace(item, ratings=tuple(reversed(item.ratings)), corrections=tuple(reversed(item.corrections)))
        for item in judged
    ]
    chance.shuffle(mixed)
    chance.shuffle(choices)
    turns = dict(sorted(turns.items(), reverse=True))
    drawn = {key: sorted(texts) for key, texts in reversed(list(drawn.items()))}
    assert made((mixed, choices, turns, drawn)) == before
    assert [item.turn.id for item in needs_draws(mixed, choices)] == [
        item.turn.id for item in needs_draws(judged, choices)
    ]


@given(worlds())
@settings(max_examples=80, deadline=None)
def test_no_question_stands_on_both_sides_and_no_training_example_is_held_out(world: Any) -> None:
    built = made(world)
    questions = [{example.question for example in side} for side in (built.training, built.kept_back)]
    assert not questions[0] & questions[1]
    openings: dict[str, set[bool]] = {}
    for item in world[0]:
        openings.setdefault(normalise(item.turn.question), set()).add(held_out(item.opening))
    for example in built.examples:
        assert example.held_out in openings[example.question]


@given(worlds())
@settings(max_examples=80, deadline=None)
def test_caps_hold(world: Any) -> None:
    built = made(world)
    people = Counter((example.held_out, person) for example in built.examples for person in example.people)
    # Texts of a question in one context: the worlds have no other.
    questions = Counter(example.question for example in built.examples)
    assert all(number <= LIMITS.per_person for number in people.values())
    assert all(number <= LIMITS.per_question for number in questions.values())


@given(worlds())
@settings(max_examples=80, deadline=None)
def test_votes_are_never_multiplied(world: Any) -> None:
    wide = Limits(per_person=999, per_question=999)
    built = build(world[0], limits=wide)
    settled, _ = settle(one_sided(world[0]))
    for key in {answer.key for answer in settled}:
        here = [answer for answer in settled if answer.key == key]
        question = normalise(here[0].turn.question)
        pairs = [
            example
            for example in built.examples
            if example.source in ("siblings", "same_question") and example.question == question
        ]
        ups = sum(answer.up for answer in here)
        assert len(pairs) <= min(ups, len(here) - ups)
        for side in ("chosen", "rejected"):
            texts = [normalise(getattr(example, side)) for example in pairs]
            assert len(texts) == len(set(texts))


@given(worlds())
@settings(max_examples=80, deadline=None)
def test_examples_do_not_contradict_each_other_and_have_two_sides(world: Any) -> None:
    built = made(world)
    found = [(e.question, normalise(e.chosen), normalise(e.rejected)) for e in built.examples]
    assert len(found) == len(set(found))
    for question, chosen, rejected in found:
        assert (question, rejected, chosen) not in found
        assert chosen
        assert rejected
        assert chosen != rejected


@given(worlds())
@settings(max_examples=80, deadline=None)
def test_every_example_names_live_votes_of_the_people_it_names(world: Any) -> None:
    judged, choices, _, _ = world
    people = {f"rating:{row.id}": row.person_id for item in judged for row in item.ratings}
    people |= {f"correction:{row.id}": row.person_id for item in judged for row in item.corrections}
    people |= {f"choice:{row.id}": row.person_id for row in choices}
    for example in made(world).examples:
        assert example.votes
        assert {people[vote] for vote in example.votes} == set(example.people)
        assert 0 < example.weight <= 1
        assert Example.from_row(example.as_row()) == example


@given(worlds())
@settings(max_examples=80, deadline=None)
def test_draws_are_asked_for_once_a_question_and_only_for_settled_votes(world: Any) -> None:
    found = needs_draws(world[0], world[1], limits=LIMITS)
    keys = [context_key(item.turn) for item in found]
    assert len(keys) == len(set(keys))
    verdicts = {turn_id for answer in settle(one_sided(world[0]))[0] for turn_id in answer.turn_ids}
    assert all(item.turn.id in verdicts for item in found)
