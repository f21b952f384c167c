"""Bad answers are sorted as opinions come in, over what the rows say, and staff have the last word."""

from __future__ import annotations

import pytest

from assistant.causes import Causes
from feedback.database import Database
from feedback.records import Invalid, NotFound
from feedback.store import Store
from retrieval.records import Hit, Passage, as_json
from tests.assistant.knowing import Knowing, asked, judged, passage
from tests.databases import database, location, migrated, shared_postgres
from training import gathering

__all__ = ["database", "location", "migrated", "shared_postgres"]

NORWAY = passage("norway", "Shipping to Norway", "Parcels to Norway take 4 to 6 days.")
RETURNS = passage("returns", "Returns", "You can return things within 45 days.")
QUESTION = "How many days do parcels to Norway take?"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def store(database: Database) -> Store:
    return Store(database)


@pytest.fixture
def library(database: Database) -> Knowing:
    return Knowing(database, NORWAY, RETURNS)


@pytest.fixture
def causes(database: Database, store: Store, library: Knowing) -> Causes:
    return Causes(database, store, library)


def used(*found: Passage) -> list[dict[str, object]]:
    return [as_json(Hit(one, 0.7, 0.0), number) for number, one in enumerate(found, 1)]


async def test_the_four_causes_are_told_apart(store: Store, causes: Causes, library: Knowing) -> None:
    misread = asked(store, QUESTION, "They take 2 days.", passages=used(NORWAY))
    unretrieved = asked(store, QUESTION, "They take 45 days.", passages=used(RETURNS))
    manners = asked(store, QUESTION, "4 to 6. Read it yourself.", passages=used(NORWAY))
    missing = asked(store, "Which colours does the kayak have?", "It is red.")
    for turn in (misread, unretrieved):
        judged(store, turn, correction="Parcels to Norway take 4 to 6 days.")
    judged(store, manners, reasons=["tone"])
    judged(store, missing, correction="The kayak has three colours: white, green and teal.")
    assert len(await causes.sort_new()) == 4
    found = {one.turn.id: one.cause for one in causes.newest()}
    assert found == {
        misread.id: "misread",
        unretrieved.id: "unretrieved",
        manners.id: "other",
        missing.id: "missing",
    }
    assert causes.counts() == {"missing": 1, "unretrieved": 1, "misread": 1, "other": 1}


async def test_only_what_training_can_mend_is_learned_from(store: Store, causes: Causes) -> None:
    told = "Parcels to Norway take 4 to 6 days."
    judged(store, asked(store, QUESTION, "They take 2 days.", passages=used(NORWAY)), correction=told)
    judged(store, asked(store, QUESTION, "They take 45 days.", passages=used(RETURNS)), correction=told)
    assert gathering.from_votes(store).counts["dropped"] == {"not_sorted_yet": 2}
    await causes.sort_new()
    found = gathering.from_votes(store)
    assert found.counts["dropped"] == {"unretrieved": 1}
    assert [example.rejected for example in found.training + found.held_out] == ["They take 2 days."]


async def test_only_what_is_new_is_sorted(store: Store, causes: Causes) -> None:
    turn = asked(store, QUESTION)
    judged(store, turn)
    judged(store, asked(store, QUESTION), thumb="up", reasons=[])
    judged(store, asked(store, QUESTION, searched=None))
    assert await causes.sort_new() == [turn.id]
    assert await causes.sort_new() == []


async def test_a_fresh_process_goes_on_where_the_last_one_was_killed(
    store: Store, causes: Causes, database: Database, library: Knowing
) -> None:
    turns = [asked(store, QUESTION, person=f"person {number}") for number in range(3)]
    for turn in turns:
        judged(store, turn)
    assert await causes.sort_new(most=1) == [turns[0].id]
    await Causes(database, store, library).sort_new()
    assert {one.turn.id for one in causes.newest()} == {turn.id for turn in turns}


async def test_more_that_is_said_sorts_it_again(store: Store, causes: Causes) -> None:
    turn = asked(store, QUESTION, "They take 2 days.", passages=used(NORWAY))
    judged(store, turn, reasons=["tone"])
    await causes.sort_new()
    assert causes.of(turn.id).cause == "other"
    judged(store, turn, correction="Parcels to Norway take 4 to 6 days.")
    await causes.sort_new()
    assert causes.of(turn.id).cause == "misread"


async def test_staff_have_the_last_word(store: Store, causes: Causes, library: Knowing) -> None:
    turn = asked(store, QUESTION)
    judged(store, turn)
    await causes.sort_new()
    causes.overrule(turn.id, "other", "sam")
    judged(store, turn, correction="Parcels to Norway take 4 to 6 days.")
    await causes.sort_new()
    assert (causes.of(turn.id).cause, causes.of(turn.id).decided_by) == ("other", "sam")
    with pytest.raises(Invalid):
        causes.overrule(turn.id, "nonsense", "sam")
    with pytest.raises(NotFound):
        causes.overrule("turn-none", "other", "sam")


async def test_nothing_is_held_back_when_there_are_no_documents_any_more(
    store: Store, causes: Causes, library: Knowing
) -> None:
    turn = asked(store, QUESTION)
    judged(store, turn)
    library.empty = True
    await causes.sort_new()
    assert causes.of(turn.id).cause == "other"
    assert "note" in causes.of(turn.id).evidence


async def test_what_a_person_may_not_see_is_missing_for_them(
    store: Store, database: Database, library: Knowing
) -> None:
    library.passages = [passage("norway", NORWAY.title, NORWAY.text, audience="board"), RETURNS]
    turn = asked(store, QUESTION, "They take 45 days.", passages=used(RETURNS))
    judged(store, turn, correction="Parcels to Norway take 4 to 6 days.")
    await Causes(database, store, library).sort_new()
    assert Causes(database, store, library).of(turn.id).cause == "missing"
    judged(store, turn, correction="Parcels to Norway take 4 to 6 days!")
    await Causes(database, store, library, lambda _: {"", "board"}).sort_new()
    assert Causes(database, store, library).of(turn.id).cause == "unretrieved"


async def test_a_vote_that_was_taken_back_is_not_sorted(store: Store, causes: Causes) -> None:
    turn = asked(store, QUESTION)
    judged(store, turn)
    judged(store, turn, thumb="up", reasons=[])
    await causes.sort_new()
    with pytest.raises(NotFound):
        causes.of(turn.id)
