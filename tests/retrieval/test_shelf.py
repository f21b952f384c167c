"""Tests of the rows of documents: queue, claims under a lease, fencing."""

from __future__ import annotations

from datetime import timedelta

import pytest

from feedback.database import Database
from retrieval.records import EVERYBODY, NotFound, Refused
from retrieval.shelf import Lost, NewDocument, Shelf, as_json, check_removable, in_order, new_id


@pytest.fixture
def shelf(database: Database) -> Shelf:
    return Shelf(database)


def new(name: str = "a.md", digest: str = "1", audience: str = EVERYBODY, **more: object) -> NewDocument:
    return NewDocument(new_id(), name, audience, digest, 10, "ana", **more)  # type: ignore[arg-type]


def test_the_same_bytes_again_change_nothing(shelf: Shelf) -> None:
    first, change = shelf.add(new())
    assert (change, first.state, first.progress) == ("new", "waiting", 0.0)
    again, change = shelf.add(new())
    assert (change, again) == ("unchanged", first)


def test_other_bytes_take_the_place_of_what_has_the_name(shelf: Shelf) -> None:
    first, _ = shelf.add(new())
    held = shelf.claim(alone=True)
    assert held is not None
    shelf.ready(held, "A", 3)
    second, change = shelf.add(new(digest="2"))
    assert (change, second.id, second.state, second.digest) == ("replaced", first.id, "waiting", "2")
    # Until it has been indexed, its earlier passages are there.
    assert second.passages == 3


def test_a_name_may_stand_once_for_each_audience(shelf: Shelf) -> None:
    shelf.add(new())
    shelf.add(new(audience="sales"))
    assert [one.audience for one in shelf.all()] == [EVERYBODY, "sales"]
    assert [one.audience for one in shelf.all({"sales"})] == ["sales"]
    assert shelf.audiences() == {EVERYBODY, "sales"}
    found = shelf.named("a.md", "sales")
    assert found is not None
    assert shelf.named("a.md", "other") is None
    assert set(shelf.some({found.id, "doc-x"})) == {found.id}


def test_what_was_refused_is_tried_again_when_it_is_added_again(shelf: Shelf) -> None:
    shelf.add(new())
    held = shelf.claim(alone=True)
    assert held is not None
    assert shelf.refuse(held, "it is broken").reason == "it is broken"
    again, change = shelf.add(new())
    assert (change, again.state, again.reason) == ("replaced", "waiting", None)


def test_what_will_never_be_read_is_refused_at_once_and_stays_so(shelf: Shelf) -> None:
    first, _ = shelf.add(new(refused="it is too large"))
    assert (first.state, first.reason) == ("refused", "it is too large")
    assert shelf.add(new(refused="it is too large"))[1] == "unchanged"
    assert not shelf.has_work()


def test_what_is_refused_in_the_place_of_what_was_indexed_is_work_until_nothing_of_it_is_left(
    shelf: Shelf,
) -> None:
    shelf.add(new())
    held = shelf.claim(alone=True)
    assert held is not None
    # Nothing was counted yet, but there may be passages of one before it
    shelf.progress(held, passages=0)
    shelf.add(new(digest="2", refused="it is too large"))
    assert shelf.has_work()
    assert shelf.hidden({held.id, "doc-x"}) == {held.id}
    left = shelf.claim(alone=True)
    assert left is not None
    assert (left.state, left.passages) == ("refused", 1)
    shelf.refuse(left, "it is too large")
    assert not shelf.has_work()
    assert shelf.claim(alone=True) is None
    # Nothing is left of it, so another refusal is no work
    assert shelf.add(new(digest="3", refused="it is empty"))[1] == "replaced"
    assert not shelf.has_work()


def test_claims_give_each_document_to_one(shelf: Shelf) -> None:
    shelf.add(new("a"))
    shelf.add(new("b"))
    first, second = shelf.claim(alone=False), shelf.claim(alone=False)
    assert first is not None
    assert second is not None
    assert {first.name, second.name} == {"a", "b"}
    assert shelf.claim(alone=False) is None
    assert shelf.has_work()


def test_what_was_left_in_the_middle_is_taken_when_its_lease_has_ended_or_nobody_else_is_there(
    database: Database,
) -> None:
    shelf, late = Shelf(database), Shelf(database, lease=timedelta(seconds=-1))
    shelf.add(new())
    first = shelf.claim(alone=False)
    assert first is not None
    assert shelf.claim(alone=False) is None
    taken = late.claim(alone=False)
    assert taken is not None
    # The twin that wakes up late changes nothing.
    with pytest.raises(Lost):
        shelf.progress(first, passages=1)
    assert shelf.claim(alone=True) is not None


def test_removals_come_first_and_what_was_begun_before_what_is_new(shelf: Shelf) -> None:
    for name in ("a", "b", "c"):
        shelf.add(new(name))
    begun = shelf.claim(alone=True)
    assert begun is not None
    last = next(one for one in shelf.all() if one.name == "c")
    shelf.remove(last.id)
    first = shelf.claim(alone=True)
    assert first is not None
    assert (first.name, first.state) == ("c", "removing")
    assert shelf.forget(first)
    second = shelf.claim(alone=True)
    assert second is not None
    assert second.id == begun.id


def test_a_holder_goes_on_writing_until_the_document_is_replaced_or_removed(shelf: Shelf) -> None:
    shelf.add(new())
    held = shelf.claim(alone=True)
    assert held is not None
    held = shelf.progress(held, passages=1, expected=4)
    held = shelf.progress(held, passages=2)
    assert held.progress == 0.5
    shelf.add(new(digest="2"))
    with pytest.raises(Lost):
        shelf.ready(held, "A", 4)
    held = shelf.claim(alone=True)
    assert held is not None
    shelf.remove(held.id)
    with pytest.raises(Lost):
        shelf.progress(held, passages=1)


def test_one_that_is_added_again_while_it_is_removed_stays(shelf: Shelf) -> None:
    first, _ = shelf.add(new())
    shelf.remove(first.id)
    gone = shelf.claim(alone=True)
    assert gone is not None
    again, change = shelf.add(new())
    assert (change, again.id, again.state) == ("replaced", first.id, "waiting")
    assert not shelf.forget(gone)
    assert shelf.get(first.id).state == "waiting"


def test_one_that_is_given_back_waits(shelf: Shelf) -> None:
    shelf.add(new())
    held = shelf.claim(alone=False)
    assert held is not None
    shelf.put_back(held)
    assert shelf.counts() == {"waiting": 1}


def test_what_is_not_there_is_said(shelf: Shelf) -> None:
    for call in (shelf.get, shelf.remove):
        with pytest.raises(NotFound, match="there is no document doc-x"):
            call("doc-x")


def test_a_file_of_the_watched_folder_goes_with_its_file(shelf: Shelf) -> None:
    document, _ = shelf.add(new(watched=True))
    with pytest.raises(Refused, match="remove the file there"):
        check_removable(document)


def test_programs_see_groups_and_progress(shelf: Shelf) -> None:
    document, _ = shelf.add(new(audience="sales"))
    shown = as_json(document)
    assert (shown["group"], shown["progress"], shown["state"]) == ("sales", 0.0, "waiting")


def test_people_see_first_what_needs_them(shelf: Shelf) -> None:
    for name in ("Zoo", "ant"):
        shelf.add(new(name))
        held = shelf.claim(alone=True)
        assert held is not None
        shelf.ready(held, name, 1)
    shelf.add(new("bad", refused="it is empty"))
    shelf.add(new("late"))
    assert [one.name for one in in_order(shelf.all())] == ["late", "bad", "ant", "Zoo"]
