"""Progress and lists: each person sees one look a turn, and never what they must not know yet."""

from __future__ import annotations

from feedback.database import Database
from feedback.review_reading import ReviewReader
from feedback.review_records import Draft, Filters
from feedback.store import Store, Verdict
from tests.feedback.reviewed import answered, queue

RIGHT = Draft("right")


def states(reader: ReviewReader, person: str, **chosen: object) -> list[str]:
    return [one.task.state for one in reader.listed(person, Filters(**chosen), 50)]  # type: ignore[arg-type]


def test_progress_of_mine_and_of_all(database: Database, store: Store) -> None:
    reviews, reader = queue(database, [answered(store) for _ in range(4)], twice=[0]), ReviewReader(database)
    first = reviews.claim("sam")
    assert first is not None
    reviews.finish(first.id, "sam", "staff", RIGHT)
    second = reviews.claim("sam")
    assert second is not None
    reviews.keep(second.id, "sam", RIGHT)
    found = reader.progress("sam")
    assert found.mine == {"open": 0, "draft": 1, "done": 1, "skipped": 0}
    assert found.all == {"open": 3, "draft": 1, "done": 1, "skipped": 0}
    assert found.waiting_for_others == 1
    assert reader.progress("sue").waiting_for_others == 0


def test_a_list_shows_one_look_a_turn_and_gives_no_second_one_away(database: Database, store: Store) -> None:
    reviews, reader = queue(database, [answered(store)], twice=[0]), ReviewReader(database)
    task = reviews.claim("sam")
    assert task is not None
    reviews.finish(task.id, "sam", "staff", RIGHT)
    [mine] = reader.listed("sam", Filters(), 50)
    assert (mine.task.state, mine.verdict) == ("done", "right")
    [theirs] = reader.listed("sue", Filters(), 50)
    assert (theirs.task.state, theirs.task.person_id, theirs.verdict) == ("open", None, None)
    assert states(reader, "sue", state="done") == []
    own = reviews.claim("sue")
    assert own is not None
    reviews.finish(own.id, "sue", "staff", Draft("wrong", "style"))
    [seen] = reader.listed("sid", Filters(), 50)
    assert seen.task.person_id == "sam"


def test_a_look_that_somebody_else_has_or_put_aside_is_shown_before_what_was_found(
    database: Database, store: Store
) -> None:
    reviews, reader = queue(database, [answered(store)], twice=[0]), ReviewReader(database)
    first, second = reviews.claim("sam"), reviews.claim("sue")
    assert first is not None
    assert second is not None
    reviews.finish(first.id, "sam", "staff", RIGHT)
    for state in ("open", "draft", "skipped"):
        if state == "draft":
            reviews.keep(second.id, "sue", RIGHT)
        if state == "skipped":
            reviews.skip(second.id, "sue")
        [seen] = reader.listed("sid", Filters(), 50)
        assert (seen.task.id, seen.task.state, seen.verdict) == (second.id, state, None)
        assert states(reader, "sid", state="done") == []
        assert not reader.is_closed(first.turn_id)
    # It may be theirs now.
    reviews.open(second.id, "sid")
    reviews.finish(second.id, "sid", "staff", RIGHT)
    assert reader.is_closed(first.turn_id)
    [seen] = reader.listed("sue", Filters(), 50)
    assert (seen.task.id, seen.verdict) == (first.id, "right")


def test_filters_by_state_kind_adapter_and_mine(database: Database, store: Store) -> None:
    turns = [answered(store, adapter="lora-1"), answered(store), answered(store)]
    reviews, reader = queue(database, turns), ReviewReader(database)
    task = reviews.claim("sam")
    assert task is not None
    reviews.finish(task.id, "sam", "staff", RIGHT)
    assert states(reader, "sam", mine=True) == ["done"]
    assert states(reader, "sam", state="open") == ["open", "open"]
    assert states(reader, "sam", kind="random") == ["done", "open", "open"]
    assert states(reader, "sam", kind="novel") == []
    assert states(reader, "sam", adapter="lora-1") == ["done"]
    assert states(reader, "sam", adapter="base") == ["open", "open"]
    assert set(reader.adapters()) == {"lora-1", None}
    assert len(reader.listed("sam", Filters(), 2)) == 2


def test_what_people_said_is_what_is_live(database: Database, store: Store) -> None:
    turn = answered(store)
    store.judge(turn.id, "ann", "user", Verdict("up"))
    store.judge(turn.id, "ann", "user", Verdict("down", ["facts"], "no", "Yes."))
    rated, corrected = ReviewReader(database).opinions([turn.id])
    assert [(row.thumb, row.comment) for row in rated] == [("down", "no")]
    assert [row.text for row in corrected] == ["Yes."]
    store.judge(turn.id, "ann", "user", Verdict(None))
    assert ReviewReader(database).opinions([turn.id]) == ([], [])


def test_what_was_found_is_among_what_is_judged(database: Database, store: Store) -> None:
    turn = answered(store)
    reviews = queue(database, [turn])
    task = reviews.claim("sam")
    assert task is not None
    assert store.judged() == []
    reviews.finish(task.id, "sam", "staff", RIGHT)
    [item] = store.judged()
    assert [(row.verdict, row.thumb, row.include) for row in item.reviews] == [("right", "up", True)]
    assert store.newest()["reviews"] == 1
    reviews.undo("sam", "staff")
    assert store.judged() == []
