"""A person's list of conversations: pages, names, pins, the wish not to be learned from, deletion."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from sqlalchemy import func, insert, select

from feedback.database import Database
from feedback.past import MOST_PINNED, Past
from feedback.records import Invalid, NotFound
from feedback.schema import causes, choices, corrections, ratings, search_texts, turns
from feedback.store import Ending, NewTurn, Store, Verdict
from tests.feedback.days import plans_of, watched

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


def start(store: Store, title: str, person: str = "ann") -> str:
    return store.start_conversation(person, title).id


def answer(store: Store, name: str, parent: str | None = None) -> str:
    prompt = [{"role": "user", "content": "Hello?"}]
    turn = store.begin(NewTurn(name, parent, "ann", "Hello?", prompt, "base", None, {}))
    return store.end(turn, Ending("complete", "Hi.")).id


def test_pinned_ones_stand_above_and_the_rest_comes_in_pages(database: Database) -> None:
    store, past = Store(database), Past(database)
    names = [start(store, f"number {count}") for count in range(4)]
    start(store, "not mine", "bob")
    past.pin(names[0], "ann", True)
    listed = past.listed("ann", 2)
    assert [one.id for one in listed.pinned] == [names[0]]
    assert [one.id for one in listed.recent] == [names[3], names[2]]
    assert listed.more
    past.pin(names[0], "ann", False)
    listed = past.listed("ann", 4)
    assert (listed.pinned, len(listed.recent), listed.more) == ([], 4, False)


def test_pins_are_few(database: Database) -> None:
    store, past = Store(database), Past(database)
    for count in range(MOST_PINNED):
        past.pin(start(store, str(count)), "ann", True)
    with pytest.raises(Invalid, match="unpin"):
        past.pin(start(store, "one more"), "ann", True)


def test_a_title_is_given(database: Database) -> None:
    store, past = Store(database), Past(database)
    name = start(store, "What?")
    past.rename(name, "ann", "  My\norder ")
    assert store.conversation(name, "ann").title == "My order"
    assert store.conversation(name, "ann").opening == "What?"
    for bad in (" ", "x" * 201):
        with pytest.raises(Invalid):
            past.rename(name, "ann", bad)


def test_others_have_no_say(database: Database) -> None:
    store, past = Store(database), Past(database)
    name = start(store, "mine")
    for act in (
        lambda: past.rename(name, "bob", "x"),
        lambda: past.pin(name, "bob", True),
        lambda: past.learn(name, "bob", False),
        lambda: past.delete(name, "bob"),
    ):
        with pytest.raises(NotFound):
            act()
    assert store.conversation(name, "ann").learned_from


def test_what_nothing_may_be_learned_from_says_so_to_training(database: Database) -> None:
    store, past = Store(database), Past(database)
    name = start(store, "Hello?")
    turn = answer(store, name)
    store.judge(turn, "ann", "user", Verdict("up"))
    assert [one.learned_from for one in store.judged()] == [True]
    assert len(list(store.opening_turns())) == 1
    past.learn(name, "ann", False)
    assert [one.learned_from for one in store.judged()] == [False]
    assert list(store.opening_turns()) == []
    assert [one.learned_from for one in store.histories()] == [False]
    past.learn(name, "ann", True)
    assert [one.learned_from for one in store.judged()] == [True]


def test_deletion_takes_everything_that_leans_on_it(database: Database) -> None:
    store, past = Store(database), Past(database)
    gone, kept = start(store, "gone"), start(store, "kept")
    first, other = answer(store, gone), answer(store, gone)
    answer(store, gone, first)
    stays = answer(store, kept)
    for turn in (first, stays):
        store.judge(turn, "ann", "user", Verdict("down", ["tone"], "curt", "Better."))
    store.choose(first, other, "ann", "user", "second")
    with database.write() as connection:
        row = {"turn_id": first, "cause": "other", "evidence": {}, "decided_by": "x", "made_at": NOW}
        connection.execute(insert(causes).values(row))
    past.delete(gone, "ann")
    assert [one.turn.id for one in store.judged()] == [stays]
    with pytest.raises(NotFound):
        store.turn(first)
    with database.read() as connection:
        counts = {
            table.name: connection.execute(select(func.count()).select_from(table)).scalar()
            for table in (turns, ratings, corrections, choices, causes, search_texts)
        }
    assert (counts["turns"], counts["ratings"], counts["corrections"], counts["choices"]) == (1, 1, 1, 0)
    assert (counts["causes"], counts["search_texts"]) == (0, 2)


def test_nothing_is_deleted_under_an_answer_that_is_being_written(database: Database) -> None:
    store, past = Store(database), Past(database)
    name = start(store, "Hello?")
    store.begin(NewTurn(name, None, "ann", "Hello?", [], "base", None, {}))
    with pytest.raises(Invalid, match="stop it first"):
        past.delete(name, "ann")
    assert store.conversation(name, "ann")


def test_a_page_of_the_list_is_read_by_the_index(database: Database) -> None:
    """However many there are: a new home has no statistics to plan by."""
    if database.dialect != "sqlite":
        pytest.skip("PostgreSQL plans by statistics")
    with watched(database) as said:
        Past(database).listed("ann")
    plans = plans_of(database, said)
    assert [plan for plan in plans if "SCAN" in plan] == []
    # A whole sort would say `USE TEMP B-TREE FOR ORDER BY`.
    assert not any(plan.endswith("FOR ORDER BY") for plan in plans)
    assert any("ix_conversations_person_id_updated_at" in plan for plan in plans)
    assert any("ix_conversations_pinned" in plan for plan in plans)
