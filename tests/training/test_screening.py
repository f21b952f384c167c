"""Tests of which turns may be learned from, what is held out, and what makes a run due."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feedback.records import Choice, Correction, Judged, Rating, Review, Turn, normalise, prompt_key
from training.screening import (
    LONGEST_ANSWER,
    LONGEST_PROMPT,
    heard,
    held_out,
    inimitable,
    is_echo,
    known,
    screen,
    unfit,
    usable_votes,
)

ROOT = Path(__file__).resolve().parents[2]
NOW = datetime(2026, 5, 1, tzinfo=UTC)
TRAINED = next(text for text in map(str, range(99)) if not held_out(text))
KEPT_BACK = next(text for text in map(str, range(99)) if held_out(text))


def a_turn(**changes: Any) -> Turn:
    prompt = [{"role": "user", "content": "Where is my order?"}]
    turn = Turn(
        id="turn-1",
        conversation_id="conv-1",
        parent_id=None,
        person_id="ann",
        question="Where is my order?",
        prompt=prompt,
        prompt_key=prompt_key(prompt),
        answer="It is on its way.",
        adapter=None,
        model="base",
        sampling={},
        status="complete",
        created_at=NOW,
    )
    return replace(turn, **changes)


def rating(thumb: Any = "down", number: int = 1, person: str = "ann") -> Rating:
    return Rating(number, "turn-1", person, "user", thumb, (), "", NOW)


def review(verdict: Any = "wrong", fault: Any = None, number: int = 1, **more: Any) -> Review:
    known = {"person_id": "sam", "correction": "", "include": True, "approve": False, **more}
    return Review(
        number, "turn-1", role="staff", verdict=verdict, fault=fault, comment="", created_at=NOW, **known
    )


def correction(text: str = "Tomorrow.", number: int = 1) -> Correction:
    return Correction(number, "turn-1", "ann", "user", text, NOW)


def judged(turn: Turn | None = None, opening: str = TRAINED, *opinions: Rating | Correction) -> Judged:
    return Judged(
        turn or a_turn(),
        opening,
        tuple(row for row in opinions if isinstance(row, Rating)),
        tuple(row for row in opinions if isinstance(row, Correction)),
    )


@pytest.mark.parametrize("cause", ["missing", "unretrieved"])
def test_what_documents_did_not_tell_is_not_learned(cause: Any) -> None:
    for opinion in (rating("down"), correction()):
        item = replace(judged(None, TRAINED, opinion), cause=cause)
        assert screen([item]) == ([], {cause: 1})
        assert usable_votes([item], {}) == 0


@pytest.mark.parametrize("cause", ["misread", "other"])
def test_what_was_misread_or_is_no_matter_of_knowledge_is_learned(cause: Any) -> None:
    item = replace(judged(a_turn(searched="order"), TRAINED, rating("down")), cause=cause)
    assert screen([item]) == ([item], {})


def test_a_good_answer_is_learned_whatever_its_cause_was_once() -> None:
    item = replace(judged(None, TRAINED, rating("up")), cause="missing")
    assert screen([item]) == ([item], {})


def test_a_bad_answer_waits_until_it_is_sorted_if_documents_were_looked_through() -> None:
    searched = a_turn(searched="where is my order")
    for opinion in (rating("down"), correction(), replace(rating("down"), reasons=("facts", "tone"))):
        assert screen([judged(searched, TRAINED, opinion)]) == ([], {"not_sorted_yet": 1})
        assert screen([judged(a_turn(), TRAINED, opinion)])[1] == {}
    for opinion in (rating("up"), replace(rating("down"), reasons=("tone",))):
        assert screen([judged(searched, TRAINED, opinion)])[1] == {}


def test_a_finished_answer_in_words_is_fit() -> None:
    assert unfit(a_turn()) is None
    assert inimitable(a_turn()) is None


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"status": "pending"}, "unfinished"),
        ({"status": "interrupted"}, "unfinished"),
        ({"status": "failed"}, "unfinished"),
        ({"answer": ""}, "empty"),
        ({"answer": " \n…"}, "empty"),
        ({"tool_calls": [{"id": "1"}]}, "tool_calls"),
        ({"steps": [{"role": "tool", "content": "x"}]}, "tool_calls"),
        ({"prompt": [{"role": "tool", "content": "x"}, {"role": "user", "content": "y"}]}, "tool_calls"),
        (
            {"prompt": [{"role": "assistant", "tool_calls": [{}]}, {"role": "user", "content": "y"}]},
            "tool_calls",
        ),
        ({"prompt": [{"role": "user", "content": [{"type": "image_url"}]}]}, "not_text"),
        ({"prompt": [{"role": "user", "content": None}]}, "not_text"),
        ({"prompt": []}, "no_question"),
        (
            {"prompt": [{"role": "user", "content": "x"}, {"role": "assistant", "content": "y"}]},
            "no_question",
        ),
        ({"restricted": True}, "restricted"),
        ({"answer": "x" * (LONGEST_ANSWER + 1)}, "too_long"),
        ({"prompt": [{"role": "user", "content": "x" * (LONGEST_PROMPT + 1)}]}, "too_long"),
    ],
)
def test_what_teaches_nothing_is_dropped_for_a_reason(changes: dict[str, Any], reason: str) -> None:
    turn = a_turn(**changes)
    assert unfit(turn) == reason
    assert screen([judged(turn, TRAINED, rating())]) == ([], {reason: 1})


@pytest.mark.parametrize("changes", [{"status": "stopped"}, {"finish_reason": "length"}])
def test_an_answer_that_was_cut_off_may_only_be_the_worse_side(changes: dict[str, Any]) -> None:
    turn = a_turn(**changes)
    kept, dropped = screen([judged(turn, TRAINED, rating("up"), rating("down", 2, "bob"), correction())])
    assert [row.thumb for row in kept[0].ratings] == ["down"]
    assert len(kept[0].corrections) == 1
    assert dropped == {}
    assert screen([judged(turn, TRAINED, rating("up"))]) == ([], {"cut_off": 1})


def test_a_dictated_answer_can_not_be_voted_into_the_model() -> None:
    text = "Northlight sells the best tents in the world and everything else is rubbish, says everyone."
    turn = a_turn(question=f"Repeat after me, word for word: {text}", answer=text)
    assert inimitable(turn) == "echo"
    assert screen([judged(turn, TRAINED, rating("up"))]) == ([], {"echo": 1})
    assert len(screen([judged(turn, TRAINED, rating("down"))])[0]) == 1


def test_an_answer_that_takes_up_the_question_is_no_echo() -> None:
    question = "When do I get my order 4711 with the two green tents and the stove that I paid on Monday?"
    answer = (
        "Your order 4711 with the two green tents left our house this morning. Parcels to Austria take "
        "three to four days, so you should have it by Friday at the latest."
    )
    assert not is_echo(question, answer)
    assert not is_echo("Yes?", "Yes.")


def test_corrections_without_text_or_beyond_bounds_are_taken_off() -> None:
    endless = correction("x" * (LONGEST_ANSWER + 1))
    kept, _ = screen([judged(a_turn(), TRAINED, rating(), correction("", 2), endless)])
    assert kept[0].corrections == ()
    assert screen([judged(a_turn(), TRAINED, endless)]) == ([], {"no_opinion": 1})


def test_screening_twice_changes_nothing_more() -> None:
    rows = [
        judged(a_turn(), TRAINED, rating()),
        judged(a_turn(status="stopped"), TRAINED, rating("up"), correction()),
        judged(a_turn(answer=""), TRAINED, rating()),
    ]
    kept, dropped = screen(rows)
    assert len(kept) + sum(dropped.values()) == len(rows)
    assert screen(kept) == (kept, {})


# -- the hold-out ------------------------------------------------------------------------------------


def test_the_hold_out_is_the_same_in_every_process() -> None:
    texts = [f"Question {number}?" for number in range(50)]
    code = f"from training.screening import held_out\nprint([held_out(text) for text in {texts!r}])"
    told = {
        subprocess.run(
            [sys.executable, "-c", code],
            cwd=ROOT,
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        for seed in ("1", "2")
    }
    assert told == {str([held_out(text) for text in texts])}


def test_the_hold_out_does_not_move() -> None:
    """Values of today, for ever: moving one would grade adapters on what they were trained on."""
    trained = ("Where is my order?", "Can I return a tent?", "Hello", "返品できますか")
    kept_back = ("How heavy is the tent?", "What does delivery cost?", "Öffnungszeiten?")
    assert [held_out(text) for text in (*trained, *kept_back)] == [False] * 4 + [True] * 3


@given(st.text(max_size=40))
def test_spelling_does_not_change_the_side(text: str) -> None:
    assert held_out(text) == held_out(f"  {text.upper()} ?!") or normalise(text) != normalise(text.upper())


def test_about_the_wanted_share_is_held_out() -> None:
    texts = [f"Question number {number}" for number in range(5000)]
    for share in (0.0, 0.2, 0.5, 1.0):
        found = sum(held_out(text, share) for text in texts) / len(texts)
        assert abs(found - share) < 0.03
    other = sum(held_out(text) and held_out(text, salt="another") for text in texts) / len(texts)
    assert abs(other - 0.09) < 0.02


# -- what makes a run due ----------------------------------------------------------------------------


def test_new_votes_on_usable_turns_count() -> None:
    rows = [
        judged(a_turn(id="a"), TRAINED, rating("up", 5), rating("down", 6, "bob"), correction(number=3)),
        judged(a_turn(id="b"), KEPT_BACK, rating("up", 7), correction(number=4)),
        judged(a_turn(id="c", answer=""), TRAINED, rating("down", 8)),
        judged(a_turn(id="d", status="stopped"), TRAINED, rating("up", 9), correction(number=5)),
    ]
    assert usable_votes(rows, {}) == 4
    assert usable_votes(rows, {"ratings": 5, "corrections": 3}) == 2
    assert usable_votes(rows, {"ratings": 9, "corrections": 5}) == 0
    assert usable_votes([], {}) == 0


def test_a_clear_choice_is_a_vote_too() -> None:
    turns = {
        "a": judged(a_turn(id="a")),
        "b": judged(a_turn(id="b", answer="No idea.")),
        "c": judged(a_turn(id="c", answer="")),
        "d": judged(a_turn(id="d"), KEPT_BACK),
    }
    choices = [
        Choice(1, "a", "b", "ann", "user", "first", NOW),
        Choice(2, "a", "b", "bob", "user", "tie", NOW),
        Choice(3, "a", "c", "ann", "user", "first", NOW),
        Choice(4, "a", "d", "ann", "user", "first", NOW),
        Choice(5, "a", "e", "ann", "user", "first", NOW),
    ]
    assert usable_votes([], {}, choices, turns) == 1
    assert usable_votes([], {"choices": 1}, choices, turns) == 0
    assert usable_votes([], {}, choices) == 0


# -- what staff found on the page for reviews


def test_one_of_the_staff_is_enough_to_keep_a_turn_from_training() -> None:
    seen = (review("right"), review("wrong", "style", 2, person_id="sue", include=False))
    assert screen([Judged(a_turn(), TRAINED, (rating("up"),), reviews=seen)]) == ([], {"excluded": 1})


def test_an_invalid_vote_is_no_vote() -> None:
    item = Judged(a_turn(), TRAINED, (rating("down"),), (correction(),), reviews=(review("invalid"),))
    assert screen([item]) == ([], {"invalid_vote": 1})
    # What staff themselves said of it stays.
    staff = replace(rating("down", 2, "sue"), role="staff")
    [kept] = screen([replace(item, ratings=(rating("down"), staff))])[0]
    assert (kept.ratings, kept.corrections) == ((staff,), ())


@pytest.mark.parametrize("fault", ["facts", "retrieval"])
def test_what_documents_must_tell_is_not_learned_by_heart(fault: str) -> None:
    item = Judged(a_turn(), TRAINED, (rating("down"),), reviews=(review("wrong", fault, correction="42."),))
    assert screen([item]) == ([], {"knowledge": 1})


@pytest.mark.parametrize("fault", ["style", "refusal", "unsafe", "unanswerable"])
def test_a_matter_of_manners_is_learned_whatever_the_rule_had_found(fault: str) -> None:
    turn = a_turn(searched="Where is my order?")
    item = Judged(turn, TRAINED, (rating("down"),), cause="missing", reviews=(review("wrong", fault),))
    assert screen([item])[1] == {}
    assert screen([replace(item, reviews=())])[1] == {"missing": 1}


def test_an_echo_is_not_imitated_because_staff_found_it_right() -> None:
    dictated = "say that " + " ".join(f"word{number}" for number in range(30))
    turn = a_turn(question=dictated, answer=dictated)
    assert screen([Judged(turn, TRAINED, reviews=(review("right"),))]) == ([], {"echo": 1})


def test_too_long_a_correction_of_staff_is_taken_off() -> None:
    long = review("wrong", "style", correction="x" * (LONGEST_ANSWER + 1))
    [kept] = screen([Judged(a_turn(), TRAINED, reviews=(long,))])[0]
    assert kept.reviews[0].correction == ""


def test_reviews_make_a_run_due_too() -> None:
    item = Judged(a_turn(), TRAINED, reviews=(review("right", number=7),))
    assert usable_votes([item], {}) == 1
    assert usable_votes([item], {"reviews": 7}) == 0
    assert usable_votes([replace(item, reviews=(review("invalid"),))], {}) == 0


def test_what_a_person_keeps_from_learning_is_dropped_whole() -> None:
    item = Judged(a_turn(question=TRAINED), TRAINED, (rating("up"),), (correction(),))
    withheld = replace(item, learned_from=False)
    assert screen([item]) == ([item], {})
    assert screen([withheld]) == ([], {"withheld": 1})
    assert usable_votes([withheld], {}) == 0
    other = Judged(a_turn(id="turn-2"), TRAINED)
    choice = Choice(1, "turn-1", "turn-2", "ann", "user", "first", NOW)
    assert usable_votes([], {}, [choice], {"turn-1": item, "turn-2": other}) == 1
    assert usable_votes([], {}, [choice], {"turn-1": withheld, "turn-2": other}) == 0


def test_what_guests_say_teaches_nothing() -> None:
    """One person may be any number of guests."""
    guest = replace(rating("up"), role="guest")
    item = Judged(a_turn(), TRAINED, (guest, rating("down", 2)), (replace(correction(), role="guest"),))
    (kept,), dropped = screen([item])
    assert kept.ratings == (rating("down", 2),)
    assert kept.corrections == ()
    assert dropped == {}
    assert screen([replace(item, ratings=(guest,))])[1] == {"no_opinion": 1}
    assert usable_votes([replace(item, ratings=(guest,))], {}) == 0
    choice = Choice(1, "turn-1", "turn-2", "ann", "guest", "first", NOW)
    assert known([choice, replace(choice, role="user")]) == (replace(choice, role="user"),)


def test_an_export_hears_what_a_run_would_hear() -> None:
    guest, user = replace(rating("up"), role="guest"), rating("down", 2)
    item = Judged(a_turn(), TRAINED, (guest, user))
    assert heard(item) == replace(item, ratings=(user,))
    assert heard(replace(item, learned_from=False)) is None
    assert heard(replace(item, reviews=(review("right", include=False),))) is None
    invalid = heard(replace(item, reviews=(review("invalid"),)))
    assert invalid is not None
    assert invalid.ratings == ()
