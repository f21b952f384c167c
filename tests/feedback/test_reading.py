"""Tests of the reads that learning, figures and exports live on, on SQLite and on PostgreSQL alike."""

from __future__ import annotations

import pytest

from feedback import reading
from feedback.database import Database
from feedback.past import Past
from feedback.records import Thumb, Turn
from feedback.store import Ending, NewTurn, Store, Verdict


def asked(
    store: Store, person: str = "ann", conversation: str | None = None, for_a_vote: bool = False
) -> Turn:
    conversation = conversation or store.start_conversation(person, "Hello?").id
    prompt = [{"role": "user", "content": "Hello?"}]
    new = NewTurn(conversation, None, person, "Hello?", prompt, "base", None, {}, asked=for_a_vote)
    turn = store.begin(new)
    return store.end(turn, Ending("complete", "Hi."))


def test_an_empty_store_reads_as_nothing(store: Store) -> None:
    assert store.judged() == []
    assert store.judged([]) == []
    assert store.choices() == []
    assert list(store.histories()) == []
    assert store.newest() == {"ratings": 0, "corrections": 0, "choices": 0, "reviews": 0}


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


def test_every_opinion_withdrawal_and_deletion_is_told_and_no_question(
    store: Store, database: Database
) -> None:
    first, second, past = asked(store), asked(store), Past(database)
    found = [store.standing()]
    asked(store)
    assert store.standing() == found[0]
    for change in (
        lambda: store.judge(first.id, "ann", "user", Verdict("up")),
        lambda: store.judge(second.id, "ann", "user", Verdict("down")),
        lambda: past.learn(first.conversation_id, "ann", False),
        lambda: past.learn(first.conversation_id, "ann", True),
        lambda: past.delete(first.conversation_id, "ann"),
    ):
        change()
        assert store.standing() != found[-1]
        found.append(store.standing())


def test_the_figures_count_what_is_live(store: Store) -> None:
    turns = [asked(store) for _ in range(4)]
    thumbs: list[Thumb | None] = ["up", "down", "down", None]
    for turn, thumb in zip(turns, thumbs, strict=True):
        store.judge(turn.id, "ann", "user", Verdict("up"))
        last = store.judge(turn.id, "ann", "user", Verdict(thumb, (), "", "Better." if thumb else ""))
    assert store.counts() == {"turns": 4, "up": 1, "down": 2, "corrections": 3, "choices": 0}
    assert store.newest()["ratings"] == last.id


def test_votes_stand_as_they_were_given_after_a_mark(store: Store) -> None:
    first, second = asked(store), asked(store)
    mark = store.judge(first.id, "ann", "user", Verdict("up")).id
    store.judge(second.id, "ann", "user", Verdict("down"))
    store.judge(second.id, "ann", "user", Verdict(None))
    store.judge(first.id, "ann", "user", Verdict("down"))
    found = store.votes(mark)
    assert [(vote.conversation_id, vote.thumb) for vote in found] == [
        (second.conversation_id, "down"),
        (first.conversation_id, "down"),
    ]
    assert (found[0].adapter, found[0].answered_at) == (None, second.created_at)
    assert len(store.votes(0)) == 3


def test_who_is_satisfied_is_told_apart_by_who_was_asked(store: Store) -> None:
    nobody = store.satisfaction()
    assert (nobody.asked.share, nobody.unasked.share, nobody.questions) == (None, None, 0)
    chosen = [asked(store, for_a_vote=True) for _ in range(4)]
    others = [asked(store) for _ in range(3)]
    thumbs: list[Thumb | None] = ["up", "up", None, "down", "down", "down"]
    for turn, thumb in zip([*chosen[:3], *others], thumbs, strict=True):
        store.judge(turn.id, "ann", "user", Verdict("up"))
        store.judge(turn.id, "ann", "user", Verdict(thumb))
    found = store.satisfaction()
    assert (found.asked.up, found.asked.count, found.questions) == (2, 2, 4)
    assert (found.unasked.up, found.unasked.count) == (0, 3)


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


def test_opening_turns_come_newest_first_page_by_page(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "_PAGE", 2)
    assert list(store.opening_turns()) == []
    first, second = asked(store), asked(store)
    prompt = [{"role": "user", "content": "And then?"}]
    new = NewTurn(first.conversation_id, first.id, "ann", "And then?", prompt, "base", None, {})
    store.begin(new)
    again = asked(store, conversation=first.conversation_id)
    found = list(store.opening_turns())
    assert [turn.id for turn, _ in found] == [again.id, second.id, first.id]
    assert {opening for _, opening in found} == {"Hello?"}


def test_votes_of_guests_are_kept_and_count_for_nothing(store: Store) -> None:
    """One person may be any number of guests."""
    turn = asked(store)
    rating = store.judge(turn.id, "ann", "guest", Verdict("up"))
    assert store.votes(0) == []
    assert [history.ratings[0].role for history in store.histories()] == ["guest"]
    store.judge(turn.id, "ann", "user", Verdict("up"))
    assert len(store.votes(rating.id)) == 1
