"""Tests of the watched folder: what comes, changes, grows and goes."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from assistant.library import Library
from assistant.settings import Settings, read
from feedback.database import Database
from retrieval.records import EVERYBODY
from retrieval.watching import Watching
from tests.retrieval.books import Books


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    found = tmp_path / "watched"
    found.mkdir()
    return found


@pytest.fixture
def settings(folder: Path) -> Settings:
    return read(model="org/model", documents={"folder": folder, "largest_mb": 0.001})


@pytest.fixture
def library(sqlite: Database, settings: Settings) -> Library:
    return Library(sqlite, settings, Books(sqlite))


@pytest.fixture
def watching(library: Library, folder: Path) -> Watching:
    return Watching(folder, library.shelf, library.bring_in, library.take_out)


def looked(watching: Watching, library: Library) -> list[tuple[str, str, str]]:
    """What there is after two looks, which is what a quiet file takes."""
    watching.look()
    watching.look()
    return [(one.name, one.audience, one.state) for one in library.shelf.all()]


def test_files_are_for_everybody_and_those_of_a_subfolder_for_its_group(
    watching: Watching, library: Library, folder: Path
) -> None:
    (folder / "a.md").write_text("one")
    (folder / "sales" / "deep").mkdir(parents=True)
    (folder / "sales" / "deep" / "b.md").write_text("two")
    assert looked(watching, library) == [("a.md", EVERYBODY, "waiting"), ("deep/b.md", "sales", "waiting")]
    assert {(one.watched, one.added_by) for one in library.shelf.all()} == {(True, "the watched folder")}


def test_a_name_that_no_page_can_show_holds_up_no_other(
    watching: Watching, library: Library, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (folder / "\u200b").write_text("one")
    (folder / "a.md").write_text("two")
    assert looked(watching, library) == [("a.md", EVERYBODY, "waiting")]
    assert caplog.text.count("it has no name") == 1


def test_a_file_that_still_grows_waits(watching: Watching, library: Library, folder: Path) -> None:
    file = folder / "a.md"
    for text in ("o", "on", "one"):
        file.write_text(text)
        watching.look()
    assert library.shelf.all() == []
    watching.look()
    assert [one.size for one in library.shelf.all()] == [3]


def test_a_changed_file_is_replaced_and_a_touched_one_is_not(
    watching: Watching, library: Library, folder: Path
) -> None:
    file = folder / "a.md"
    file.write_text("one")
    looked(watching, library)
    (first,) = library.shelf.all()
    os.utime(file, (1, 1))
    looked(watching, library)
    assert library.shelf.all() == [first]
    file.write_text("two")
    looked(watching, library)
    (second,) = library.shelf.all()
    assert (second.id, second.digest == first.digest) == (first.id, False)


def test_a_document_goes_with_its_file_and_no_other_does(
    watching: Watching, library: Library, folder: Path
) -> None:
    by_hand = library.add("b.md", b"two", EVERYBODY, "ana")
    (folder / "a.md").write_text("one")
    looked(watching, library)
    (folder / "a.md").unlink()
    assert looked(watching, library) == [("a.md", EVERYBODY, "removing"), ("b.md", EVERYBODY, "waiting")]
    assert library.shelf.get(by_hand.id).state == "waiting"


def test_a_folder_that_is_not_there_takes_nothing_away(
    watching: Watching, library: Library, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (folder / "a.md").write_text("one")
    looked(watching, library)
    folder.rename(folder.with_name("elsewhere"))
    assert looked(watching, library) == [("a.md", EVERYBODY, "waiting")]
    assert caplog.text.count("is not there") == 1


def test_a_folder_that_is_empty_as_a_disk_is_not_mounted_takes_nothing_away(
    watching: Watching, library: Library, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("a.md", "b.md"):
        (folder / name).write_text("one")
    before = looked(watching, library)
    folder.rename(folder.with_name("elsewhere"))
    folder.mkdir()
    assert looked(watching, library) == before
    assert caplog.text.count("is empty; its documents stay") == 1
    (folder / "b.md").write_text("one")
    assert looked(watching, library) == [("a.md", "", "removing"), ("b.md", "", "waiting")]


@pytest.mark.parametrize(("away", "goes"), [("", []), ("sales", ["a.md"]), ("sales/deep", ["a.md"])])
def test_what_can_not_be_listed_takes_nothing_away(
    watching: Watching,
    library: Library,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    away: str,
    goes: list[str],
) -> None:
    (folder / "sales" / "deep").mkdir(parents=True)
    for name in ("a.md", "b.md", "sales/c.md", "sales/deep/d.md"):
        (folder / name).write_text("one")
    looked(watching, library)
    (folder / "a.md").unlink()
    scandir = os.scandir

    def refused(path: Path | str) -> Any:
        if Path(path) == folder / away:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return scandir(path)

    with monkeypatch.context() as patch:
        patch.setattr(os, "scandir", refused)
        found = looked(watching, library)
    assert [name for name, _, state in found if state == "removing"] == goes
    assert caplog.text.count("can't be read, and its documents stay") == 1


def test_a_file_that_can_not_be_looked_at_keeps_its_document(
    watching: Watching, library: Library, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a.md", "b.md"):
        (folder / name).write_text("one")
    before = looked(watching, library)
    lstat = Path.lstat

    def broken(path: Path) -> os.stat_result:
        if path.name == "a.md":
            raise OSError(errno.EIO, "Input/output error", str(path))
        return lstat(path)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "lstat", broken)
        assert looked(watching, library) == before


def test_what_can_not_be_taken_in_is_shown_and_is_not_tried_again(
    watching: Watching, library: Library, folder: Path
) -> None:
    (folder / "large.md").write_bytes(b"x" * 1001)
    (folder / "empty.md").touch()
    assert looked(watching, library) == [("empty.md", "", "refused"), ("large.md", "", "refused")]
    before = library.shelf.all()
    assert before[1].reason == "it is larger than 0.001 MB"
    looked(watching, library)
    assert library.shelf.all() == before


def test_hidden_half_and_linked_files_and_odd_groups_are_left_out(
    watching: Watching, library: Library, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name in (".hidden.md", "~lock.docx", "a.md.part", "b.md~"):
        (folder / name).write_text("x")
    (folder / "link.md").symlink_to("/etc/passwd")
    (folder / "odd group!").mkdir()
    (folder / "odd group!" / "a.md").write_text("x")
    (folder / ".git").mkdir()
    (folder / ".git" / "a.md").write_text("x")
    assert looked(watching, library) == []
    looked(watching, library)
    assert caplog.text.count("a group's name has") == 1
