"""Tests of what people together say: who counts, what cancels, and which later word replaces which."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from itertools import count
from typing import Any

import pytest

from feedback.records import Choice, Correction, Judged, Rating, Review, Turn, prompt_key
from training.screening import held_out
from training.settling import (
    context_key,
    named,
    question_text,
    settle,
    settle_choices,
    settle_corrections,
    strays,
)

NOW = datetime(2026, 5, 1, tzinfo=UTC)
TRAINED = next(text for text in map(str, range(99)) if not held_out(text))
KEPT_BACK = next(text for text in map(str, range(99)) if held_out(text))
NUMBERS = count(1)


def a_turn(answer: str = "It is on its way.", question: str = "Where is my order?", **more: Any) -> Turn:
    prompt = more.pop("prompt", [{"role": "user", "content": question}])
    return Turn(
        id=more.pop("id", f"turn-{next(NUMBERS):04}"),
        conversation_id="conv-1",
        parent_id=None,
        person_id=more.pop("person", "ann"),
        question=question,
        prompt=prompt,
        prompt_key=prompt_key(prompt),
        answer=answer,
        adapter=None,
        model="base",
        sampling={},
        status=more.pop("status", "complete"),
        created_at=NOW,
        **more,
    )


def judged(turn: Turn, *thumbs: str, opening: str = TRAINED) -> Judged:
    """A turn with ratings written `person:thumb` or `person:thumb:role`, the oldest first."""
    ratings = []
    for text in thumbs:
        person, thumb, role = [*text.split(":"), "user"][:3]
        value: Any = None if thumb == "none" else thumb
        ratings.append(Rating(next(NUMBERS), turn.id, person, role, value, (), "", NOW))  # type: ignore[arg-type]
    return Judged(turn, opening, tuple(ratings))


def verdicts(*items: Judged) -> list[bool]:
    return [answer.up for answer in settle(items)[0]]


@pytest.mark.parametrize(
    ("thumbs", "expected"),
    [
        (["ann:up"], [True]),
        (["ann:down"], [False]),
        ([], []),
        (["ann:up", "bob:down"], []),
        (["ann:up", "bob:down", "carl:down"], [False]),
        (["ann:up", "bob:up", "carl:down"], [True]),
        (["ann:up", "ann:down"], [False]),
        (["ann:down", "ann:none"], []),
        (["ann:up", "bob:up", "carl:up", "sam:down:staff"], [False]),
        (["ann:down", "sam:up:admin"], [True]),
        (["sam:up:staff", "sue:down:staff", "ann:up"], []),
    ],
)
def test_what_the_votes_on_one_answer_come_to(thumbs: list[str], expected: list[bool]) -> None:
    assert verdicts(judged(a_turn(), *thumbs)) == expected


def test_cancelled_answers_are_counted_and_silent_ones_are_not() -> None:
    assert settle([judged(a_turn(), "ann:up", "bob:down")])[1] == 1
    assert settle([judged(a_turn(), "ann:none"), judged(a_turn("Other."))])[1] == 0


def test_only_the_votes_that_back_the_verdict_are_named() -> None:
    item = judged(a_turn(), "ann:up", "bob:down", "carl:up")
    [answer] = settle([item])[0]
    assert answer.people == ("ann", "carl")
    assert answer.votes == (f"rating:{item.ratings[0].id}", f"rating:{item.ratings[2].id}")


def test_equal_answers_to_the_same_question_are_one_answer() -> None:
    first = judged(a_turn("It is on its way."), "ann:up")
    second = judged(a_turn("it is on its WAY!", "where is my order", person="bob"), "bob:down")
    assert verdicts(first, second) == []
    later = judged(a_turn("It is on its way"), "ann:down")
    [answer] = settle([first, later])[0]
    assert not answer.up
    assert answer.turn == later.turn
    assert answer.turn_ids == frozenset({first.turn.id, later.turn.id})


def test_the_context_is_part_of_the_question() -> None:
    question = "And then?"
    one = a_turn(
        question=question, prompt=[{"role": "user", "content": "A"}, {"role": "user", "content": question}]
    )
    other = a_turn(
        question=question, prompt=[{"role": "user", "content": "B"}, {"role": "user", "content": question}]
    )
    spelt = a_turn(
        question="and then",
        prompt=[{"role": "user", "content": "A"}, {"role": "user", "content": "and then"}],
    )
    read = a_turn(question=question, prompt=one.prompt, passages=({"id": "p1"},))
    assert context_key(one) == context_key(spelt)
    assert len({context_key(turn) for turn in (one, other, read)}) == 3


def test_questions_of_signs_alone_are_told_apart() -> None:
    assert question_text(a_turn(question="???")) == "???"
    keys = {context_key(a_turn(question=text)) for text in ("???", "!!!")}
    assert len(keys) == 2


def test_siblings_share_a_prompt_and_a_person() -> None:
    mine, again, staffs = a_turn("A."), a_turn("B."), a_turn("C.", person="bob")
    settled, _ = settle(
        [judged(mine, "ann:up"), judged(again, "sam:down:staff"), judged(staffs, "sam:down:staff")]
    )
    by_answer = {answer.turn.answer: answer.circles for answer in settled}
    assert by_answer["A."] & by_answer["B."]
    assert by_answer["B."] & by_answer["C."]
    assert not by_answer["A."] & by_answer["C."]


# -- the split ---------------------------------------------------------------------------------------


def test_a_question_asked_on_both_sides_stays_on_the_side_of_its_own_hash() -> None:
    on_train = judged(a_turn(question=KEPT_BACK), opening=TRAINED)
    on_test = judged(a_turn(question=KEPT_BACK), opening=KEPT_BACK)
    assert strays([on_train, on_test]) == {on_train.turn.id}
    assert strays([on_train]) == frozenset()
    also_train = judged(a_turn(question=TRAINED), opening=TRAINED)
    also_test = judged(a_turn(question=f" {TRAINED}?"), opening=KEPT_BACK)
    assert strays([also_train, also_test, on_test]) == {also_test.turn.id}


# -- corrections -------------------------------------------------------------------------------------


def corrected(turn: Turn, *texts: str, thumbs: tuple[str, ...] = ()) -> Judged:
    """A turn with corrections written `person:text` or `person:text:role`."""
    rows = []
    for told in texts:
        person, text, role = [*told.split(":"), "user"][:3]
        rows.append(Correction(next(NUMBERS), turn.id, person, role, text, NOW))  # type: ignore[arg-type]
    rated = judged(turn, *thumbs)
    return Judged(turn, TRAINED, rated.ratings, tuple(rows))


@pytest.mark.parametrize(
    ("texts", "thumbs", "expected"),
    [
        (["ann:Better."], (), ["Better."]),
        (["ann:Better.", "bob:Best."], (), ["Better.", "Best."]),
        (["ann:Better.", "ann:Best."], (), ["Best."]),
        (["ann:Better.", "sam:Right.:staff"], (), ["Right."]),
        (["ann:Better."], ("sam:up:staff",), []),
        (["ann:Better."], ("sam:down:staff",), ["Better."]),
        (["ann:Better."], ("bob:up",), ["Better."]),
    ],
)
def test_which_corrections_stand(texts: list[str], thumbs: tuple[str, ...], expected: list[str]) -> None:
    found = settle_corrections([corrected(a_turn(), *texts, thumbs=thumbs)])
    assert [row.text for _, row in found] == expected


def test_corrections_of_the_same_answer_are_settled_together() -> None:
    first = corrected(a_turn("Hm."), "ann:Better.")
    second = corrected(a_turn("hm", person="bob"), "sam:Right.:staff")
    assert [(item, row.text) for item, row in settle_corrections([first, second])] == [(second, "Right.")]


# -- choices -----------------------------------------------------------------------------------------


A, B = a_turn("A.", id="a"), a_turn("B.", id="b")
SHOWN = {"a": Judged(A, TRAINED), "b": Judged(B, TRAINED)}


def chosen(*told: str, first: str = "a", second: str = "b") -> list[Choice]:
    """Choices written `person:preference` or `person:preference:role`, the oldest first."""
    rows = []
    for text in told:
        person, preference, role = [*text.split(":"), "user"][:3]
        rows.append(Choice(next(NUMBERS), first, second, person, role, preference, NOW))  # type: ignore[arg-type]
    return rows


@pytest.mark.parametrize(
    ("told", "winner"),
    [
        (["ann:first"], "a"),
        (["ann:second"], "b"),
        (["ann:tie"], None),
        (["ann:both_bad"], None),
        (["ann:first", "bob:second"], None),
        (["ann:first", "bob:second", "carl:second"], "b"),
        (["ann:first", "ann:second"], "b"),
        (["ann:first", "ann:tie"], None),
        (["ann:first", "bob:first", "sam:second:staff"], "b"),
        (["ann:first", "sam:tie:staff"], "a"),
    ],
)
def test_what_choices_come_to(told: list[str], winner: str | None) -> None:
    found, dropped = settle_choices(chosen(*told), SHOWN)
    assert [one.winner.turn.id for one in found] == ([winner] if winner else [])
    assert dropped == ({} if winner else {"choice_undecided": 1})
    for one in found:
        assert one.loser.turn.id == {"a": "b", "b": "a"}[one.winner.turn.id]


def test_the_order_on_the_screen_does_not_matter() -> None:
    rows = [*chosen("ann:first"), *chosen("bob:first", first="b", second="a")]
    assert settle_choices(rows, SHOWN)[1] == {"choice_undecided": 1}
    rows = [*chosen("ann:first"), *chosen("ann:first", first="b", second="a")]
    assert [one.winner.turn.id for one in settle_choices(rows, SHOWN)[0]] == ["b"]


def test_choices_between_what_can_not_be_compared_are_counted() -> None:
    shown = SHOWN | {
        "empty": Judged(a_turn("", id="empty"), TRAINED),
        "other": Judged(a_turn("C.", "Another?", id="other"), TRAINED),
        "cut": Judged(a_turn("Cut o", id="cut", status="stopped"), TRAINED),
    }
    for other in ("empty", "other", "gone"):
        assert settle_choices(chosen("ann:first", second=other), shown) == ([], {"choice_unfit": 1})
    assert settle_choices(chosen("ann:second", second="cut"), shown) == ([], {"cut_off": 1})
    [one] = settle_choices(chosen("ann:first", second="cut"), shown)[0]
    assert one.loser.turn.id == "cut"


# -- what staff found on the page for reviews


def reviewed(item: Judged, *found: str, correction: str = "") -> Judged:
    """The same with reviews written `person:verdict`, the oldest first."""
    rows = []
    for text in found:
        person, verdict = text.split(":")
        rows.append(
            Review(
                next(NUMBERS), item.turn.id, person, "staff", verdict, None, correction, True, False, "", NOW
            )  # type: ignore[arg-type]
        )
    return replace(item, reviews=tuple(rows))


def test_staff_win_over_users_and_over_their_own_thumb() -> None:
    users = judged(a_turn(), "ann:up", "bob:up", "sam:up:staff")
    [answer] = settle([reviewed(users, "sam:wrong")])[0]
    assert (answer.up, answer.people) == (False, ("sam",))
    assert answer.votes[0].startswith("review:")


def test_two_staff_of_two_minds_cancel_and_an_invalid_vote_says_nothing() -> None:
    assert settle([reviewed(judged(a_turn(), "ann:up"), "sam:right", "sue:wrong")]) == ([], 1)
    assert verdicts(reviewed(judged(a_turn()), "sam:right", "sue:invalid")) == [True]


def test_a_reviewers_correction_stands_above_those_of_users() -> None:
    item = reviewed(judged(a_turn(), "ann:down"), "sam:wrong", correction="Better.")
    item = replace(item, corrections=(Correction(1, item.turn.id, "ann", "user", "Worse.", NOW),))
    [(found, row)] = settle_corrections([item])
    assert (found.turn.id, row.text, named(row)) == (item.turn.id, "Better.", f"review:{row.id}")


def test_a_user_corrects_nothing_that_a_reviewer_found_right() -> None:
    item = reviewed(judged(a_turn()), "sam:right")
    item = replace(item, corrections=(Correction(1, item.turn.id, "ann", "user", "Worse.", NOW),))
    assert settle_corrections([item]) == []


def test_a_choice_of_an_excluded_answer_comes_to_nothing() -> None:
    first, second = judged(a_turn("One.")), judged(a_turn("Two."))
    out = reviewed(second, "sam:wrong")
    out = replace(out, reviews=tuple(replace(row, include=False) for row in out.reviews))
    choice = Choice(1, first.turn.id, second.turn.id, "ann", "user", "first", NOW)
    turns = {first.turn.id: first, second.turn.id: second}
    assert len(settle_choices([choice], turns)[0]) == 1
    assert settle_choices([choice], {**turns, second.turn.id: out}) == ([], {"choice_unfit": 1})
