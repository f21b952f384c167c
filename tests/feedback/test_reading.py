"""Tests of the reads that learning, figures and exports live on, on SQLite and on PostgreSQL alike."""

from __future__ import annotations

import pytest

from feedback import reading
from feedback.records import Thumb, Turn
from feedback.store import Ending, NewTurn, Store, Verdict


def asked(store: Store, person: str = "ann", conversation: str | None = None) -> Turn:
    conversation = conversation or store.start_conversation(person, "Hello?").id
    prompt = [{"role": "user", "content": "Hello?"}]
    turn = store.begin(NewTurn(conversation, None, person, "Hello?", prompt, "base", None, {}))
    return store.end(turn, Ending("complete", "Hi."))


def test_an_empty_store_reads_as_nothing(store: Store) -> None:
    assert store.judged() == []
    assert store.judged([]) == []
    assert store.choices() == []
    assert list(store.histories()) == []
    assert store.newest() == {"ratings": 0, "corrections": 0, "choices": 0}


def test_judged_turns_come_in_turn_order_with_live_opinions_only(store: Store) -> None:
    first, second, third = (asked(store) for _ in range(3))
    store.judge(third.id, "ann", "user", Verdict("up"))
    store.judge(first.id, "ann", "user", Verdict("up"))
    store.judge(first.id, "ann", "user", Verdict("down", (), "", "Hi there."))
    store.judge(second.id, "ann", "user", Verdict("up"))
    store.judge(second.id, "ann", "user", Verdict(None))
    found = store.judged()
    assert [item.turn.id for item in found] == [first.id, third.id]
    assert [rating.thumb for rating in found[0].ratings] == ["down"]
    assert [correction.text for correction in found[0].corrections] == ["Hi there."]


def test_named_turns_come_whether_judged_or_not(store: Store) -> None:
    first, second = asked(store), asked(store)
    store.judge(second.id, "ann", "user", Verdict("up"))
    found = store.judged([second.id, first.id, "turn-none"])
    assert [(item.turn.id, len(item.ratings)) for item in found] == [(first.id, 0), (second.id, 1)]
    assert found[0].opening == "Hello?"


def test_the_newest_choice_between_two_turns_counts_whichever_stood_first(store: Store) -> None:
    first, second = asked(store), asked(store)
    store.choose(first.id, second.id, "ann", "user", "first")
    store.choose(first.id, second.id, "sam", "staff", "tie")
    last = store.choose(second.id, first.id, "ann", "user", "first")
    assert [(choice.person_id, choice.preference) for choice in store.choices()] == [
        ("sam", "tie"),
        ("ann", "first"),
    ]
    assert store.newest()["choices"] == last.id
    assert store.counts()["choices"] == 2


def test_the_figures_count_what_is_live(store: Store) -> None:
    turns = [asked(store) for _ in range(4)]
    thumbs: list[Thumb | None] = ["up", "down", "down", None]
    for turn, thumb in zip(turns, thumbs, strict=True):
        store.judge(turn.id, "ann", "user", Verdict("up"))
        last = store.judge(turn.id, "ann", "user", Verdict(thumb, (), "", "Better." if thumb else ""))
    assert store.counts() == {"turns": 4, "up": 1, "down": 2, "corrections": 3, "choices": 0}
    assert store.newest()["ratings"] == last.id


def test_histories_hold_everything_page_by_page(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "_PAGE", 2)
    turns = [asked(store) for _ in range(5)]
    conversation = store.start_conversation("ann", "Still going?")
    prompt = [{"role": "user", "content": "Still going?"}]
    store.begin(NewTurn(conversation.id, None, "ann", "Still going?", prompt, "base", None, {}))
    store.judge(turns[0].id, "ann", "user", Verdict("up"))
    store.judge(turns[0].id, "ann", "user", Verdict(None))
    choice = store.choose(turns[4].id, turns[1].id, "ann", "user", "tie")
    found = list(store.histories())
    assert [item.turn for item in found] == turns
    assert [rating.thumb for rating in found[0].ratings] == ["up", None]
    assert [list(item.choices) for item in found] == [[], [], [], [], [choice]]
    assert found[0].title == found[0].opening == "Hello?"
