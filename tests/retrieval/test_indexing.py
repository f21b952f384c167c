"""Tests of the way of one document, killed and disturbed at many places."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest

from feedback.database import Database
from retrieval.files import Files
from retrieval.indexing import Indexing, Stopped
from retrieval.records import Document, Unavailable
from retrieval.shelf import NewDocument, Shelf, new_id
from tests.retrieval.books import FakeIndex, cut, read


class Killed(BaseException):
    """As if the process ended here."""


class Desk:
    """A shelf with files, and somebody who indexes."""

    def __init__(self, database: Database, folder: Path) -> None:
        self.shelf, self.files, self.index = Shelf(database), Files(folder, 10_000), FakeIndex(database)
        self.stopping = False
        self.indexing = Indexing(
            self.shelf, self.files, self.index, read, cut, stopping=lambda: self.stopping
        )

    def add(self, name: str, text: str) -> Document:
        with self.files.arriving(io.BytesIO(text.encode())) as arrived, self.files.held():
            before = self.shelf.named(name, "")
            key = before.id if before else new_id()
            self.files.keep(arrived, key)
            return self.shelf.add(NewDocument(key, name, "", arrived.digest, arrived.size, "ana"))[0]

    def work(self) -> None:
        while self.indexing.step(alone=True):
            pass

    def texts(self) -> set[str]:
        return {one.text for held in self.index.held.values() for one in held.values()}


@pytest.fixture
def desk(sqlite: Database, tmp_path: Path) -> Desk:
    return Desk(sqlite, tmp_path / "files")


def fail_at(place: int, problem: BaseException) -> object:
    def before(start: int) -> None:
        if start == place:
            raise problem

    return before


def test_documents_come_in_one_after_the_other(desk: Desk) -> None:
    one, two = desk.add("a.md", "one\n\ntwo\n\nthree"), desk.add("b.md", "four")
    desk.work()
    one, two = desk.shelf.get(one.id), desk.shelf.get(two.id)
    assert (one.state, one.passages, one.expected, one.title) == ("ready", 3, 3, "a.md")
    assert two.state == "ready"
    assert desk.texts() == {"one", "two", "three", "four"}


def test_a_changed_document_replaces_only_what_changed(desk: Desk) -> None:
    desk.add("a.md", "one\n\ntwo")
    desk.work()
    document = desk.add("a.md", "one\n\nthree")
    desk.work()
    assert desk.texts() == {"one", "three"}
    assert len(desk.index.embedded) == 3
    assert len(list(desk.files.folder.glob(f"{document.id}-*"))) == 1


@pytest.mark.parametrize("text", ["broken", "surprise", "  \n\n "])
def test_a_bad_file_is_refused_with_the_reason_and_disturbs_nothing(desk: Desk, text: str) -> None:
    desk.add("a.md", "one")
    bad = desk.add("b.md", text)
    desk.add("c.md", "two")
    desk.work()
    found = desk.shelf.get(bad.id)
    assert found.state == "refused"
    assert found.reason in (
        "it is broken",
        "there is no text in it",
        "something went wrong while it was indexed; the log says what",
    )
    assert desk.texts() == {"one", "two"}


@pytest.mark.parametrize("text", ["broken", "surprise"])
def test_what_an_earlier_version_said_is_not_found_when_the_new_one_is_refused(desk: Desk, text: str) -> None:
    document = desk.add("a.md", "one")
    desk.work()
    desk.add("a.md", text)
    desk.work()
    assert desk.texts() == set()
    found = desk.shelf.get(document.id)
    assert (found.state, found.passages) == ("refused", 0)


def test_one_that_is_refused_before_it_is_read_is_found_no_more_though_the_index_is_away_at_first(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.add("a.md", "one\n\ntwo")
    desk.work()
    document, _ = desk.shelf.add(NewDocument("", "a.md", "", "1", 0, "ana", refused="it is empty"))

    def away(index: FakeIndex, source: str) -> None:
        raise Unavailable("the server is away")

    with monkeypatch.context() as patch:
        patch.setattr(FakeIndex, "drop", away)
        with pytest.raises(Unavailable):
            desk.work()
    assert desk.texts() == {"one", "two"}
    desk.work()
    found = desk.shelf.get(document.id)
    assert (desk.texts(), found.state, found.reason, found.passages) == (set(), "refused", "it is empty", 0)


@pytest.mark.parametrize("place", [0, 2, 4])
def test_killed_in_the_middle_it_goes_on_where_it_was(desk: Desk, place: int) -> None:
    document = desk.add("a.md", "1\n\n2\n\n3\n\n4\n\n5")
    desk.index.before_batch = fail_at(place, Killed())  # type: ignore[assignment]
    with pytest.raises(Killed):
        desk.work()
    assert desk.shelf.get(document.id).state == "indexing"
    assert desk.texts() == set("12345"[:place])
    desk.index.before_batch = lambda start: None
    desk.work()
    assert desk.shelf.get(document.id).state == "ready"
    assert len(desk.index.embedded) == 5


def test_a_process_that_is_ended_gives_its_document_back(desk: Desk) -> None:
    document = desk.add("a.md", "1\n\n2\n\n3")
    desk.stopping = True
    with pytest.raises(Stopped):
        desk.work()
    assert desk.shelf.get(document.id).state == "waiting"


def test_while_the_index_is_away_a_document_waits(desk: Desk) -> None:
    document = desk.add("a.md", "1\n\n2\n\n3")
    desk.index.before_batch = fail_at(2, Unavailable("the server is away"))  # type: ignore[assignment]
    with pytest.raises(Unavailable):
        desk.work()
    assert desk.shelf.get(document.id).state == "waiting"


def test_one_that_is_replaced_while_it_is_indexed_is_indexed_again(desk: Desk) -> None:
    desk.add("a.md", "1\n\n2\n\n3")

    def replace(start: int) -> None:
        desk.index.before_batch = lambda start: None
        desk.add("a.md", "4")

    desk.index.before_batch = replace
    desk.work()
    assert desk.texts() == {"4"}


def test_one_that_is_replaced_when_it_becomes_ready_is_indexed_again(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    document = desk.add("a.md", "1")
    ready = Shelf.ready

    def ready_and_replaced(shelf: Shelf, *values: Any) -> Document:
        # The file of the new one was in place already; its row follows before anybody sweeps
        found = ready(shelf, *values)
        desk.add("a.md", "2")
        return found

    with monkeypatch.context() as patch:
        patch.setattr(Shelf, "ready", ready_and_replaced)
        desk.indexing.step(alone=True)
    desk.work()
    assert desk.shelf.get(document.id).state == "ready"
    assert desk.texts() == {"2"}
    assert len(list(desk.files.folder.glob("doc-*"))) == 1


def test_one_that_is_removed_while_it_is_indexed_leaves_nothing(desk: Desk) -> None:
    document = desk.add("a.md", "1\n\n2\n\n3")

    def remove(start: int) -> None:
        desk.shelf.remove(document.id)

    desk.index.before_batch = remove
    desk.work()
    assert desk.texts() == set()
    assert desk.shelf.all() == []
    assert list(desk.files.folder.glob("doc-*")) == []


def test_of_one_that_another_process_is_removing_nothing_stays(desk: Desk) -> None:
    document = desk.add("a.md", "1\n\n2\n\n3")

    def dropped_by_another(start: int) -> None:
        desk.index.before_batch = lambda start: None
        desk.shelf.remove(document.id)
        desk.index.drop(document.id)

    desk.index.before_batch = dropped_by_another
    desk.indexing.step(alone=False)
    # Now the other one deletes the row, and looks at the index no more
    assert desk.shelf.get(document.id).state == "removing"
    assert desk.texts() == set()


@pytest.mark.parametrize("dies_in", ["drop", "delete", "forget"])
def test_a_removal_that_was_killed_is_finished_by_the_next(
    desk: Desk, dies_in: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    document = desk.add("a.md", "1")
    desk.work()
    desk.shelf.remove(document.id)

    def die(*_: object) -> None:
        raise Killed

    owner = {"drop": FakeIndex, "delete": Files, "forget": Shelf}[dies_in]
    with monkeypatch.context() as patch:
        patch.setattr(owner, dies_in, die)
        with pytest.raises(Killed):
            desk.work()
    assert desk.shelf.get(document.id).state == "removing"
    desk.work()
    assert (desk.shelf.all(), desk.texts(), list(desk.files.folder.glob("doc-*"))) == ([], set(), [])


def test_one_that_is_added_again_while_it_is_removed_stays(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    document = desk.add("a.md", "1")
    desk.work()
    desk.shelf.remove(document.id)
    drop = FakeIndex.drop

    def drop_and_add(index: FakeIndex, source: str) -> None:
        drop(index, source)
        desk.add("a.md", "1")

    with monkeypatch.context() as patch:
        patch.setattr(FakeIndex, "drop", drop_and_add)
        desk.indexing.step(alone=True)
    desk.work()
    assert desk.shelf.get(document.id).state == "ready"
    assert desk.texts() == {"1"}
