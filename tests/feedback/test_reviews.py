"""Who is given which task, what is kept of a draft, and what undoing leaves, on both databases."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select, update

from feedback.database import Database
from feedback.records import Invalid, NotFound
from feedback.review_order import Place
from feedback.review_reading import ReviewReader
from feedback.review_records import Draft, Filters, Task
from feedback.reviews import Reviews, Taken, check
from feedback.schema import review_tasks
from feedback.schema import reviews as rows
from feedback.store import Store
from tests.feedback.reviewed import answered, queue

RIGHT, STYLE = Draft("right"), Draft("wrong", "style", "Better.")


def lapse(database: Database) -> None:
    """As if a long time had passed."""
    with database.write() as connection:
        past = datetime.now(UTC) - timedelta(minutes=1)
        connection.execute(update(review_tasks).values(held_until=past))


def claimed(reviews: Reviews, person: str) -> Task:
    task = reviews.claim(person)
    assert task is not None
    return task


def test_nobody_is_given_what_somebody_has_in_hand(database: Database, store: Store) -> None:
    turns = [answered(store) for _ in range(2)]
    reviews = queue(database, turns)
    first, second = claimed(reviews, "sam"), claimed(reviews, "sue")
    assert [first.turn_id, second.turn_id] == [turn.id for turn in turns]
    # Who comes back, in another window too, has the same in hand.
    assert claimed(reviews, "sam").id == first.id
    assert reviews.claim("sid") is None


def test_a_lease_ends_and_who_comes_late_is_told(database: Database, store: Store) -> None:
    reviews = queue(database, [answered(store)])
    task = claimed(reviews, "sam")
    lapse(database)
    # Nobody wanted it meanwhile: it is still theirs.
    reviews.keep(task.id, "sam", Draft(comment="hm"))
    assert reviews.claim("sue") is None
    lapse(database)
    taken = claimed(reviews, "sue")
    assert (taken.id, taken.state) == (task.id, "open")
    with pytest.raises(Taken):
        reviews.keep(task.id, "sam", RIGHT)
    with pytest.raises(Taken):
        reviews.finish(task.id, "sam", "staff", RIGHT)
    with pytest.raises(Taken):
        reviews.skip(task.id, "sam")
    # What they had typed is theirs still, and nobody else's.
    assert reviews.draft(task.id, "sam") == Draft(comment="hm")
    assert reviews.draft(task.id, "sue") is None


def test_two_looks_are_for_two_people(database: Database, store: Store) -> None:
    reviews = queue(database, [answered(store)], twice=[0])
    first, second = claimed(reviews, "sam"), claimed(reviews, "sue")
    assert (first.turn_id, first.seat, second.seat) == (second.turn_id, 0, 1)
    reviews.finish(first.id, "sam", "staff", RIGHT)
    assert reviews.claim("sam") is None
    lapse(database)
    assert reviews.claim("sam") is None


def test_many_at_once_get_one_each(database: Database, store: Store) -> None:
    reviews = queue(database, [answered(store) for _ in range(6)], twice=[0, 1])
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(reviews.claim, [f"person-{number}" for number in range(8)]))
    ids = [task.id for task in found if task is not None]
    assert len(ids) == len(set(ids)) == 8


def test_a_draft_is_kept_and_gone_when_it_is_a_verdict(database: Database, store: Store) -> None:
    reviews = queue(database, [answered(store)])
    task = claimed(reviews, "sam")
    for text in ("B", "Be", "Better."):
        reviews.keep(task.id, "sam", Draft("wrong", None, text))
    assert reviews.draft(task.id, "sam") == Draft("wrong", None, "Better.")
    assert claimed(reviews, "sam").state == "draft"
    assert reviews.finish(task.id, "sam", "staff", STYLE).correction == "Better."
    assert reviews.draft(task.id, "sam") is None
    assert reviews.claim("sam") is None


def test_undoing_is_a_row_and_gives_back_what_was_typed(database: Database, store: Store) -> None:
    turn = answered(store)
    reviews, reader = queue(database, [turn]), ReviewReader(database)
    assert reviews.undo("sam", "staff") is None
    task = claimed(reviews, "sam")
    reviews.finish(task.id, "sam", "staff", STYLE)
    assert [row.fault for row in reader.found([turn.id])] == ["style"]
    again = reviews.undo("sam", "staff")
    assert again is not None
    assert (again.id, again.state) == (task.id, "draft")
    assert reader.found([turn.id]) == []
    assert reviews.draft(task.id, "sam") == STYLE
    reviews.finish(task.id, "sam", "staff", RIGHT)
    assert [row.verdict for row in reader.history(turn.id)] == ["wrong", None, "right"]
    assert [row.verdict for row in reader.found([turn.id])] == ["right"]
    # Nobody undoes what others did.
    assert reviews.undo("sue", "staff") is None


def test_a_changed_mind_is_another_row(database: Database, store: Store) -> None:
    turn = answered(store)
    reviews, reader = queue(database, [turn]), ReviewReader(database)
    task = claimed(reviews, "sam")
    reviews.finish(task.id, "sam", "staff", RIGHT)
    assert reviews.open(task.id, "sam").state == "done"
    reviews.keep(task.id, "sam", STYLE)
    # A draft of another verdict changes nothing yet.
    assert [row.verdict for row in reader.found([turn.id])] == ["right"]
    reviews.finish(task.id, "sam", "staff", STYLE)
    assert [row.verdict for row in reader.history(turn.id)] == ["right", "wrong"]


def test_skipping_puts_aside_and_can_be_undone_or_taken_up(database: Database, store: Store) -> None:
    reviews = queue(database, [answered(store)])
    task = claimed(reviews, "sam")
    reviews.skip(task.id, "sam")
    assert reviews.claim("sam") is None
    assert reviews.claim("sue") is None
    undone = reviews.undo("sam", "staff")
    assert undone is not None
    assert (undone.id, undone.state) == (task.id, "open")
    reviews.skip(task.id, "sam")
    taken = reviews.open(task.id, "sue")
    assert (taken.person_id, taken.state) == ("sue", "open")
    with pytest.raises(Taken):
        reviews.keep(task.id, "sam", RIGHT)


def test_what_is_opened_from_the_list_is_taken_if_it_is_free(database: Database, store: Store) -> None:
    reviews = queue(database, [answered(store), answered(store)])
    first = claimed(reviews, "sam")
    seen = reviews.open(first.id, "sue")
    assert seen.person_id == "sam"
    with pytest.raises(Taken):
        reviews.finish(first.id, "sue", "staff", RIGHT)
    reviews.put_back(first.id, "sam")
    assert reviews.open(first.id, "sue").person_id == "sue"
    with pytest.raises(NotFound):
        reviews.open(999, "sam")


def test_a_begun_task_is_not_put_back(database: Database, store: Store) -> None:
    reviews = queue(database, [answered(store)])
    task = claimed(reviews, "sam")
    reviews.keep(task.id, "sam", RIGHT)
    reviews.put_back(task.id, "sam")
    assert claimed(reviews, "sam").id == task.id


def test_whoever_may_still_look_is_not_led_to_what_was_found(database: Database, store: Store) -> None:
    reviews = queue(database, [answered(store)], twice=[0])
    first = claimed(reviews, "sam")
    reviews.finish(first.id, "sam", "staff", RIGHT)
    own = reviews.open(first.id, "sue")
    assert (own.person_id, own.seat) == ("sue", 1)
    reviews.finish(own.id, "sue", "staff", STYLE)
    # A third one may see what both found: no look is left.
    assert reviews.open(first.id, "sid").id == first.id


def test_what_is_said_after_seeing_the_other_is_marked(database: Database, store: Store) -> None:
    reviews = queue(database, [answered(store)], twice=[0])
    first, second = claimed(reviews, "sam"), claimed(reviews, "sue")
    reviews.finish(first.id, "sam", "staff", RIGHT)
    reviews.finish(second.id, "sue", "staff", STYLE)
    reviews.reveal(first.id, "sam")
    reviews.finish(first.id, "sam", "staff", STYLE)
    with database.read() as connection:
        informed = list(connection.execute(select(rows.c.informed).order_by(rows.c.id)).scalars())
    assert informed == [False, False, True]
    looks = {(look.person_id, look.verdict) for look in ReviewReader(database).looks()}
    assert looks == {("sam", "right"), ("sue", "wrong")}


def test_the_queue_is_filled_anew_and_what_was_seen_stays(database: Database, store: Store) -> None:
    turns = [answered(store) for _ in range(4)]
    reviews, reader = queue(database, turns[:3], twice=[2]), ReviewReader(database)
    held = claimed(reviews, "sam")
    assert reader.untouched() == 2
    new = reviews.fill([Place(turns[3].id, "novel", False), Place(turns[2].id, "disputed", True)])
    assert new == 1
    assert reader.untouched() == 2
    reviews.finish(held.id, "sam", "staff", RIGHT)
    following = claimed(reviews, "sam")
    assert (following.turn_id, following.kind) == (turns[3].id, "novel")
    reviews.skip(following.id, "sam")
    # Both looks at the turn moved together, and the one that fell out is gone.
    assert [(claimed(reviews, name).turn_id) for name in ("sam", "sue")] == [turns[2].id] * 2
    assert reviews.claim("sid") is None
    assert reviews.fill([Place("turn-of-nobody", "novel", False)]) == 0


def test_the_queue_is_filled_anew_though_somebody_had_begun(database: Database, store: Store) -> None:
    turns = [answered(store) for _ in range(2)]
    reviews, reader = queue(database, turns[:1]), ReviewReader(database)
    task = claimed(reviews, "sam")
    reviews.keep(task.id, "sam", RIGHT)
    lapse(database)
    reviews.open(task.id, "sue")
    reviews.put_back(task.id, "sue")
    assert reviews.fill([Place(turns[1].id, "novel", False)]) == 1
    assert [one.task.turn_id for one in reader.listed("sue", Filters(), 9)] == [turns[1].id]
    assert reviews.draft(task.id, "sam") is None


def test_what_follows_is_owed_until_it_is_settled(database: Database, store: Store) -> None:
    reviews = queue(database, [answered(store)])
    task = claimed(reviews, "sam")
    reviews.finish(task.id, "sam", "staff", RIGHT)
    [owed] = reviews.unsettled()
    reviews.undo("sam", "staff")
    # It was undone while its consequences were drawn: they are owed once more.
    reviews.settle(owed)
    [again] = reviews.unsettled()
    reviews.settle(again)
    assert reviews.unsettled() == []


@pytest.mark.parametrize(
    ("draft", "words"),
    [
        (Draft(), "choose a verdict"),
        (Draft("wrong"), "what is wrong"),
        (replace(RIGHT, correction="x"), "needs no correction"),
        (Draft("wrong", "style", approve=True), "nothing to approve"),
        (Draft("invalid", approve=True), "nothing to approve"),
        (Draft("wrong", "style", "x" * 20_001), "at most"),
        (Draft("right", comment="x" * 4_001), "at most"),
    ],
)
def test_what_is_no_verdict_is_refused_in_one_sentence(draft: Draft, words: str) -> None:
    with pytest.raises(Invalid, match=words):
        check(draft)


@pytest.mark.parametrize(
    "draft", [RIGHT, STYLE, Draft("right", approve=True), Draft("invalid", correction="x")]
)
def test_what_is_a_verdict_is_taken(draft: Draft) -> None:
    check(draft)
