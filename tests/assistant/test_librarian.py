"""Tests of the thread that owns the index: when it opens it, and what it does about trouble."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from assistant import librarian as module
from assistant.files import write_json
from assistant.librarian import Librarian, RealParts, spare_memory
from assistant.settings import read
from feedback.database import Database
from retrieval.files import Files
from retrieval.records import EVERYBODY, Unavailable
from retrieval.shelf import NewDocument, Shelf
from tests.retrieval.books import Books
from tests.retrieval.word_vectors import WordVectors, passage


@pytest.fixture
def books(sqlite: Database) -> Books:
    return Books(sqlite)


@pytest.fixture
def note(tmp_path: Path) -> Path:
    return tmp_path / "rebuilding.json"


@pytest.fixture
def librarian(sqlite: Database, books: Books, tmp_path: Path, note: Path) -> Iterator[Librarian]:
    found = Librarian(Shelf(sqlite), Files(tmp_path / "files", 1_000), books, note, alone=True)
    yield found
    found.close()


def until(condition: Callable[[], Any]) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end, "it never came to that"
        time.sleep(0.01)


def test_who_needs_the_parts_gets_them_though_nothing_waits(librarian: Librarian, books: Books) -> None:
    librarian.start()
    librarian.start()
    assert librarian.parts().index is books.index
    assert librarian.is_open
    librarian.close()
    assert books.index.closed
    assert not librarian.is_open


def test_one_that_was_not_started_opens_nothing(librarian: Librarian, books: Books) -> None:
    with pytest.raises(Unavailable, match="not open"):
        librarian.parts()
    assert books.opened == 0


@pytest.mark.parametrize(
    ("fails", "said"),
    [
        (Unavailable("the index is in use"), "the index is in use"),
        (OSError("no space left"), "the knowledge base can't be opened: no space left"),
    ],
)
async def test_trouble_is_said_once_in_the_log_and_to_whoever_asks_and_tried_again(
    librarian: Librarian, books: Books, caplog: pytest.LogCaptureFixture, fails: Exception, said: str
) -> None:
    books.fails = fails
    librarian.start()
    for _ in range(2):
        with pytest.raises(Unavailable, match=said):
            librarian.parts()
    with pytest.raises(Unavailable, match=said):
        await librarian.opened()
    assert [record.message for record in caplog.records if record.levelname == "WARNING"] == [said]
    books.fails = None
    librarian.parts()
    assert librarian.problem is None


def test_what_fails_at_every_try_is_in_trouble_until_one_succeeds(
    librarian: Librarian,
    sqlite: Database,
    books: Books,
    note: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(module, "_RETRY_SECONDS", 0.01)
    shelf, files, said = Shelf(sqlite), Files(tmp_path / "files", 1_000), "the embedding server is of no use"
    other = Librarian(shelf, files, books, note, alone=True)
    seen: list[tuple[str | None, str | None]] = []

    def fail(start: int) -> None:
        trouble = other.trouble
        seen.append((librarian.problem, trouble.said if trouble else None))
        if len(seen) <= 3:
            raise Unavailable(said)

    books.index.before_batch = fail
    with files.arriving(io.BytesIO(b"one")) as arrived:
        files.keep(arrived, "doc-1")
        shelf.add(NewDocument("doc-1", "a.md", "", arrived.digest, 3, "ana"))
    librarian.start()
    until(lambda: shelf.get("doc-1").state == "ready" and librarian.problem is None)
    assert seen == [(None, None), *[(said, said)] * 3]
    until(lambda: other.trouble is None)
    assert [record.message for record in caplog.records if record.levelname == "WARNING"] == [said]


def test_trouble_of_a_process_that_is_gone_is_no_trouble(librarian: Librarian, note: Path) -> None:
    for age, there in ((0.0, True), (1_000.0, False)):
        write_json(note.with_name("trouble.json"), {"said": "it is away", "at": time.time() - age})
        assert (librarian.trouble is not None) == there


def test_trouble_is_past_when_a_long_document_has_gone_on_since(
    librarian: Librarian, books: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    books.fails = Unavailable("the server is away")
    librarian.start()
    with pytest.raises(Unavailable):
        librarian.parts()
    assert librarian.problem == "the server is away"
    monkeypatch.setattr(module, "_OLD_SECONDS", -1.0)
    assert librarian.problem is None


def test_an_index_that_is_behind_is_built_again_while_it_can_be_searched(
    librarian: Librarian, books: Books, note: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[bool, float | None]] = []

    def rebuild(tell: Callable[[float], None]) -> None:
        tell(0.5)
        seen.append((librarian.is_open, librarian.rebuilding))
        books.index.is_stale = False

    books.index.is_stale = True
    monkeypatch.setattr(books.index, "rebuild", rebuild)
    librarian.start()
    librarian.parts()
    until(lambda: seen and not note.exists())
    assert seen == [(True, 0.0)]
    assert librarian.rebuilding is None


def test_what_another_process_builds_again_is_seen_here(librarian: Librarian, note: Path) -> None:
    write_json(note, {"share": 0.25})
    assert librarian.rebuilding == 0.25


def test_what_spares_memory_does_no_harm_where_it_can_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(module.sys.modules, "triton", module)
    spare_memory()
    monkeypatch.setattr(module.ctypes, "CDLL", lambda name: object())
    spare_memory()


def test_what_is_refused_or_removed_takes_no_place_among_what_is_found(
    sqlite: Database, tmp_path: Path
) -> None:
    shelf, parts = Shelf(sqlite), RealParts(sqlite, read(home=tmp_path, model="org/model"))
    parts._embedder = WordVectors()
    opened = parts()
    try:
        for key in ("doc-1", "doc-2", "doc-3"):
            shelf.add(NewDocument(key, key, "", key, 3, "ana"))
        for key in ("doc-1", "doc-2"):
            nearest = [passage(f"the shop opens at nine {number}", key) for number in range(20)]
            opened.index.put(key, nearest)
        opened.index.put("doc-3", [passage("the shop opens late on some days", "doc-3")])
        shelf.remove("doc-1")
        shelf.add(NewDocument("", "doc-2", "", "0", 0, "ana", refused="it is empty"))
        found = opened.search.find("the shop opens at nine", [EVERYBODY], floor=-1)
        assert [hit.passage.source_id for hit in found] == ["doc-3"]
    finally:
        opened.search.close()
        opened.index.close()


def test_a_row_without_its_file_is_refused_and_the_next_one_comes_in(
    librarian: Librarian, sqlite: Database, tmp_path: Path
) -> None:
    shelf = Shelf(sqlite)
    shelf.add(NewDocument("doc-1", "lost.md", "", "0" * 64, 3, "ana"))
    librarian.start()
    until(lambda: not shelf.has_work())
    assert shelf.get("doc-1").state == "refused"
