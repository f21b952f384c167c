"""Tests of approved answers as rows."""

from __future__ import annotations

import pytest

from feedback.approved import LONGEST_ANSWER, Approval, Approved
from feedback.database import Database
from feedback.records import Invalid, NotFound
from feedback.store import Ending, NewTurn, Store, Verdict


@pytest.fixture
def rows(database: Database) -> Approved:
    return Approved(database)


def turn_of(database: Database, question: str = "Is it free?") -> str:
    store = Store(database)
    conversation = store.start_conversation("ann", question).id
    turn = store.begin(NewTurn(conversation, None, "ann", question, [], "m", None, {}))
    store.end(turn, Ending("complete", "No."))
    return turn.id


def approved(rows: Approved, turn: str, question: str = "Is it free?", audience: str = "") -> Approval:
    return rows.add(turn, question, "Yes, always.", audience, "stella", 20)


def test_what_is_approved_is_open_until_it_ends(rows: Approved, database: Database) -> None:
    made = approved(rows, turn_of(database))
    assert rows.get(made.id) == made
    assert rows.open() == [made]
    rows.end([made.id], "stella", "wrong")
    rows.end([made.id], "root", "again")
    ended = rows.get(made.id)
    assert (ended.ended_by, ended.reason) == ("stella", "wrong")
    assert rows.open() == []
    assert rows.all() == [ended]


def test_the_same_question_is_known_in_any_spelling_but_for_other_people(
    rows: Approved, database: Database
) -> None:
    turn = turn_of(database)
    first = approved(rows, turn, "Is it  FREE")
    group = approved(rows, turn, "Is it free?", "sales")
    assert rows.same(approved(rows, turn)) == [first]
    assert rows.same(group) == []


@pytest.mark.parametrize(
    ("question", "answer"), [("", "Yes."), ("What?", "  "), ("What?", "x" * (LONGEST_ANSWER + 1))]
)
def test_empty_and_endless_texts_are_refused(
    rows: Approved, database: Database, question: str, answer: str
) -> None:
    with pytest.raises(Invalid):
        rows.add(turn_of(database), question, answer, "", "stella", 1)


def test_an_unknown_turn_or_approval_is_not_found(rows: Approved) -> None:
    with pytest.raises(NotFound):
        approved(rows, "turn-none")
    with pytest.raises(NotFound):
        rows.get("appr-none")


def test_an_adapter_that_learned_it_needs_it_no_more_and_any_other_does(
    rows: Approved, database: Database
) -> None:
    made = approved(rows, turn_of(database))
    rows.asked(made.id, "lora-1", True, "as well without it")
    found = rows.get(made.id)
    assert not found.needed_by("lora-1")
    assert found.needed_by("lora-2")
    assert found.needed_by(None)
    rows.served([made.id], [])
    rows.served([], [made.id])
    rows.served([], [made.id])
    assert rows.counts("lora-1") == {"examples": 0, "learned": 1, "tokens_saved": 40}
    assert rows.counts(None) == {"examples": 1, "learned": 0, "tokens_saved": 40}
    assert (rows.get(made.id).used, rows.get(made.id).spared) == (1, 2)


def test_the_opinions_on_a_turn_are_named_as_adapters_name_them(rows: Approved, database: Database) -> None:
    turn, other = turn_of(database), turn_of(database, "And that?")
    store = Store(database)
    store.judge(turn, "ann", "user", Verdict("down", correction="Yes."))
    store.judge(other, "ann", "user", Verdict("up"))
    assert rows.votes(turn) == {"rating:1", "correction:1"}
