"""Tests of what the store promises, on SQLite and on PostgreSQL alike."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import func, select

from feedback import schema
from feedback.database import Database
from feedback.records import (
    PASSAGES,
    Invalid,
    NotFound,
    Turn,
    prompt_key,
    thread_key,
)
from feedback.store import Ending, NewTurn, Store, Verdict

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)


def asked(
    store: Store,
    person: str = "ann",
    question: str = "Where is my order?",
    answer: str | None = "It is on its way.",
    conversation: str | None = None,
    parent: str | None = None,
    **more: Any,
) -> Turn:
    """A turn of `person`, complete unless `answer` is None."""
    conversation = conversation or store.start_conversation(person, question).id
    prompt = [{"role": "user", "content": question}]
    turn = store.begin(NewTurn(conversation, parent, person, question, prompt, "base", None, {}, **more))
    return turn if answer is None else store.end(turn, Ending("complete", answer))


def rows(database: Database, table: Any) -> int:
    with database.read() as connection:
        return int(connection.execute(select(func.count()).select_from(table)).scalar_one())


# -- conversations -----------------------------------------------------------------------------------


def test_a_conversation_is_titled_by_its_opening(store: Store) -> None:
    short = store.start_conversation("ann", "  Where is\nmy order? ")
    long = store.start_conversation("ann", "word " * 100)
    assert short.title == "Where is my order?"
    assert len(long.title) <= 60
    assert long.title.endswith("…")


def test_a_foreign_conversation_is_as_good_as_none(store: Store) -> None:
    mine = store.start_conversation("ann", "Hello?")
    assert store.conversation(mine.id, "ann").id == mine.id
    for conversation_id, person in ((mine.id, "bob"), ("conv-none", "ann")):
        with pytest.raises(NotFound, match="no such conversation"):
            store.conversation(conversation_id, person)


def test_conversations_are_listed_newest_first_and_a_new_turn_brings_one_up(store: Store) -> None:
    first, second = (store.start_conversation("ann", text) for text in ("one", "two"))
    store.start_conversation("bob", "three")
    assert [item.id for item in store.conversations("ann")] == [second.id, first.id]
    asked(store, conversation=first.id)
    assert [item.id for item in store.conversations("ann")] == [first.id, second.id]
    assert [item.id for item in store.conversations("ann", limit=1)] == [first.id]


# -- turns -------------------------------------------------------------------------------------------


def test_a_turn_is_there_before_its_answer(store: Store) -> None:
    turn = asked(store, answer=None)
    found = store.turn(turn.id, "ann")
    assert (found.status, found.answer, found.question) == ("pending", "", "Where is my order?")
    assert found.prompt == [{"role": "user", "content": "Where is my order?"}]
    assert found.created_at == turn.created_at


def test_a_turn_keeps_everything_it_was_given(store: Store) -> None:
    conversation = store.start_conversation("ann", "Hi")
    sampling = {"temperature": 0.7, "stop": ["x"]}
    passages = ({"id": "p1", "text": "Parcels take three days."},)
    prompt = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Hi"}]
    turn = store.begin(
        NewTurn(conversation.id, None, "ann", "Hi", prompt, "base", "lora-1", sampling, passages)
    )
    ending = Ending("stopped", "Hel", "lora-2", NOW, 11, 3, "abort", None, ({"id": "call"},))
    found = store.end(turn, ending)
    assert (found.adapter, found.first_token_at, found.prompt_tokens) == ("lora-2", NOW, 11)
    assert (found.sampling, list(found.passages), list(found.tool_calls)) == (
        sampling,
        list(passages),
        [{"id": "call"}],
    )
    assert found.ended_at is not None
    assert found.prompt_key == prompt_key(prompt)


def test_the_end_of_a_turn_is_written_once(store: Store) -> None:
    turn = asked(store, answer=None)
    first = store.end(turn, Ending("complete", "The whole answer."))
    second = store.end(turn, Ending("interrupted", "The who", error="late"))
    assert second == first == store.turn(turn.id)


def test_nobody_writes_into_the_conversation_of_another(store: Store, database: Database) -> None:
    mine = store.start_conversation("ann", "Hello?")
    for conversation in (mine.id, "conv-none"):
        with pytest.raises(NotFound, match="no such conversation"):
            asked(store, person="bob", conversation=conversation)
    assert rows(database, schema.turns) == 0


def test_the_turn_before_must_stand_in_the_same_conversation(store: Store, database: Database) -> None:
    elsewhere = asked(store)
    here = store.start_conversation("ann", "Another")
    for parent in (elsewhere.id, "turn-none"):
        with pytest.raises(NotFound, match="not in this conversation"):
            asked(store, conversation=here.id, parent=parent)
    assert rows(database, schema.turns) == 1
    assert store.turns(here.id) == []


def test_a_foreign_turn_is_as_good_as_none(store: Store) -> None:
    turn = asked(store)
    for turn_id, person in ((turn.id, "bob"), ("turn-none", "ann")):
        with pytest.raises(NotFound, match="no such turn"):
            store.turn(turn_id, person)


def test_turns_come_oldest_first_with_every_branch(store: Store) -> None:
    root = asked(store)
    again = asked(store, conversation=root.conversation_id)
    edited = asked(store, conversation=root.conversation_id, question="Where is my parcel?")
    after = asked(store, conversation=root.conversation_id, parent=again.id)
    assert [turn.id for turn in store.turns(root.conversation_id)] == [root.id, again.id, edited.id, after.id]


def test_what_was_pending_when_its_process_died_is_marked(store: Store) -> None:
    left, done = asked(store, answer=None), asked(store)
    assert store.interrupt_pending(datetime.now(UTC) - timedelta(hours=1)) == 0
    assert store.interrupt_pending(datetime.now(UTC) + timedelta(seconds=1)) == 1
    assert store.turn(left.id).status == "interrupted"
    assert store.turn(done.id).status == "complete"


def test_a_client_that_sends_its_whole_history_goes_on_where_it_was(store: Store) -> None:
    turn = asked(store)
    history = [*turn.prompt, {"role": "assistant", "content": "It is on its way."}]
    found = store.answered_before("ann", history)
    assert found is not None
    assert found.id == turn.id
    with_system = [{"role": "system", "content": "Be kind."}, *history]
    assert store.answered_before("ann", with_system) == found
    assert store.answered_before("bob", history) is None
    assert store.answered_before("ann", turn.prompt) is None
    assert store.answered_before("ann", []) is None
    assert store.answered_before("ann", [*turn.prompt, {"role": "assistant", "content": "\ud800"}]) is None


def test_the_same_prompt_again_is_found(store: Store) -> None:
    asked(store)
    newest = asked(store)
    found = store.asked_before("ann", newest.prompt)
    assert found is not None
    assert found.id == newest.id
    assert store.asked_before("bob", newest.prompt) is None


def test_a_thread_key_passes_over_the_system_prompt_only() -> None:
    user = {"role": "user", "content": "hi"}
    assert thread_key([user], "yo") == thread_key([{"role": "system", "content": "x"}, user], "yo")
    assert thread_key([user], "yo") != thread_key([user], "yo!")


# -- opinions ----------------------------------------------------------------------------------------


def test_one_live_rating_a_person_and_turn_with_the_history_kept(store: Store, database: Database) -> None:
    turn = asked(store)
    for verdict in (Verdict("up"), Verdict("down", ["wrong"], "no", "In the post."), Verdict("down")):
        store.judge(turn.id, "ann", "user", verdict)
    [judged] = store.judged()
    assert [rating.thumb for rating in judged.ratings] == ["down"]
    assert judged.corrections == ()
    assert judged.opening == "Where is my order?"
    assert rows(database, schema.ratings) == 3
    assert rows(database, schema.corrections) == 2
    assert store.opinion([turn.id], "ann") == {turn.id: Verdict("down", [], "", "")}


def test_a_rating_taken_back_leaves_no_judgement_but_its_history(store: Store, database: Database) -> None:
    turn = asked(store)
    store.judge(turn.id, "ann", "user", Verdict("down", (), "", "Better."))
    store.judge(turn.id, "ann", "user", Verdict(None))
    assert store.judged() == []
    assert store.counts() == {"turns": 1, "up": 0, "down": 0, "corrections": 0, "choices": 0}
    assert rows(database, schema.ratings) == 2


def test_a_correction_that_is_sent_again_is_not_stored_twice(store: Store, database: Database) -> None:
    turn = asked(store)
    for _ in range(2):
        store.judge(turn.id, "ann", "user", Verdict("down", (), "", "Better."))
    assert rows(database, schema.corrections) == 1


def test_a_foreign_turn_can_not_be_judged(store: Store, database: Database) -> None:
    turn = asked(store)
    for turn_id, person in ((turn.id, "bob"), ("turn-none", "ann")):
        with pytest.raises(NotFound):
            store.judge(turn_id, person, "user", Verdict("up"))
    assert rows(database, schema.ratings) == 0
    assert store.opinion([turn.id], "bob") == {}


def test_an_answer_still_being_written_can_not_be_judged(store: Store) -> None:
    turn = asked(store, answer=None)
    with pytest.raises(Invalid, match="still being written"):
        store.judge(turn.id, "ann", "user", Verdict("up"))


@pytest.mark.parametrize(
    "verdict",
    [
        Verdict("sideways"),  # type: ignore[arg-type]
        Verdict("down", ["x"] * 11),
        Verdict("down", ["x" * 101]),
        Verdict("down", (), "x" * 4_001),
        Verdict("down", (), "", "x" * 20_001),
    ],
)
def test_an_opinion_that_can_not_be_stored_leaves_nothing(
    store: Store, database: Database, verdict: Verdict
) -> None:
    turn = asked(store)
    store.judge(turn.id, "ann", "user", Verdict("up"))
    with pytest.raises(Invalid):
        store.judge(turn.id, "ann", "user", verdict)
    assert store.opinion([turn.id], "ann")[turn.id].thumb == "up"
    assert rows(database, schema.ratings) == 1


def test_two_threads_that_judge_at_once_leave_one_live_rating(store: Store) -> None:
    turn = asked(store)
    barrier = threading.Barrier(4)

    def judge(thumb: Any) -> None:
        barrier.wait()
        for _ in range(5):
            store.judge(turn.id, "ann", "user", Verdict(thumb))

    threads = [threading.Thread(target=judge, args=(thumb,)) for thumb in ("up", "down", None, "up")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(len(item.ratings) for item in store.judged()) <= 1
    assert len(store.opinion([turn.id], "ann")) == 1


def test_a_choice_is_between_two_own_answers_to_the_same_prompt(store: Store) -> None:
    first, second = asked(store), asked(store)
    choice = store.choose(first.id, second.id, "ann", "user", "second")
    assert store.choices() == [choice]
    other = asked(store, question="Another?")
    pending = asked(store, answer=None)
    foreign = asked(store, person="bob")
    for turn_id, error in (
        (first.id, Invalid),
        (other.id, Invalid),
        (pending.id, Invalid),
        (foreign.id, NotFound),
        ("turn-none", NotFound),
    ):
        with pytest.raises(error):
            store.choose(first.id, turn_id, "ann", "user", "first")
    with pytest.raises(Invalid, match="both_bad"):
        store.choose(first.id, second.id, "ann", "user", "neither")  # type: ignore[arg-type]
    assert store.choices() == [choice]


def test_staff_choose_between_the_answers_of_others(store: Store) -> None:
    first, second = asked(store, person="ann"), asked(store, person="bob")
    assert store.choose(first.id, second.id, "sam", "staff", "first").role == "staff"


# -- from elsewhere ----------------------------------------------------------------------------------


def test_documents_are_switched_off_by_the_conversation(store: Store) -> None:
    own = store.start_conversation("ann", "Hi")
    assert own.grounded
    assert not store.start_conversation("ann", "Ho", grounded=False).grounded
    store.ground(own.id, "ann", False)
    assert not store.conversation(own.id, "ann").grounded
    with pytest.raises(NotFound):
        store.ground(own.id, "bob", True)
    assert not store.conversation(own.id, "ann").grounded


def test_what_comes_after_a_restricted_passage_is_restricted_too(store: Store) -> None:
    first = asked(store, passages=[{"id": "p", "audience": ""}])
    there = {"conversation": first.conversation_id}
    closed = asked(store, parent=first.id, passages=[{"id": "q", "audience": "staff"}], **there)
    below = asked(store, parent=closed.id, **there)
    beside = asked(store, parent=first.id, **there)
    assert [turn.restricted for turn in (first, closed, below, beside)] == [False, True, True, False]


def test_what_a_tool_found_for_a_group_restricts_the_turn_and_what_comes_after(store: Store) -> None:
    steps = [{"role": "tool", "tool_call_id": "c", "content": "40 %"}]
    open_to_all = store.end(asked(store, answer=None), Ending("complete", "Free.", steps=steps))
    pending = asked(store, answer=None)
    assert not pending.restricted
    closed = store.end(pending, Ending("complete", "40 %.", steps=[steps[0] | {"audiences": ["sales"]}]))
    below = asked(store, conversation=closed.conversation_id, parent=closed.id)
    assert [turn.restricted for turn in (open_to_all, closed, below)] == [False, True, True]


def test_a_dialogue_is_found_by_what_was_said_whatever_passages_it_was_sent_with(store: Store) -> None:
    conversation = store.start_conversation("ann", "How long?").id
    before, after = PASSAGES
    prompt = [{"role": "user", "content": f"{before}[1] Shipping\n3 days{after}How long?"}]
    turn = store.begin(NewTurn(conversation, None, "ann", "How long?", prompt, "base", None, {}))
    store.end(turn, Ending("complete", "3 days."))
    said = [{"role": "user", "content": "How long?"}, {"role": "assistant", "content": "3 days."}]
    found = store.answered_before("ann", said)
    assert found is not None
    assert found.id == turn.id
    # Answers to other passages are no siblings: it was not the same that they answered.
    assert store.asked_before("ann", said[:1]) is None
    assert store.asked_before("ann", prompt) == found
