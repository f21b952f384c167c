"""Tests of the search by words: what it finds, for whom, and how it keeps up without being waited for."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from feedback.database import Database, DatabaseUnavailable
from retrieval import lexical
from retrieval.index import Index, open_index
from retrieval.lexical import Lexical, build, load, save, tokens
from retrieval.records import EVERYBODY
from tests.retrieval.word_vectors import WordVectors, many, passage

DOCUMENT = ("document",)


@pytest.fixture
def index(sqlite: Database, tmp_path: Path) -> Iterator[Index]:
    opened = open_index("", tmp_path / "index", sqlite, WordVectors())
    yield opened
    opened.close()


@pytest.fixture
def words(index: Index) -> Iterator[Lexical]:
    opened = Lexical(index)
    yield opened
    opened.close()


def test_words_are_found_by_their_stems_and_without_those_that_are_everywhere() -> None:
    assert tokens(["The parcels are returned", ""]) == [["parcel", "return"], []]


def test_the_best_match_comes_first() -> None:
    members = [passage("returning a parcel costs nothing"), passage("a parcel"), passage("opening hours")]
    found = build(members).find("How do I return parcels?", [EVERYBODY], DOCUMENT, 5)
    assert found == [members[0].id, members[1].id]


def test_each_tells_how_much_of_the_question_it_shares(tmp_path: Path) -> None:
    members = [passage("the valve NL-4821 of a stove"), passage("a stove"), passage("a stove and a pot")]
    built = build(members)
    save(built, tmp_path)
    for words in (built, load(tmp_path)):
        whole = words.covering("stove NL-4821", [EVERYBODY], DOCUMENT, 5)
        assert list(whole) == words.find("stove NL-4821", [EVERYBODY], DOCUMENT, 5)
        assert whole[members[0].id] == pytest.approx(1.0)
        assert 0 < whole[members[1].id] < 0.3, "a word that is everywhere tells little"
        half = words.covering("NL-4821 zebra", [EVERYBODY], DOCUMENT, 5)
        assert half[members[0].id] < 0.7, "a word that is nowhere is missed"
    assert built.covering("zebra", [EVERYBODY], DOCUMENT, 5) == {}


def test_other_audiences_and_kinds_are_not_found() -> None:
    members = [
        passage("the salary of the board", audience="board"),
        passage("the salary of staff"),
        passage("salary", "apr-1", kind="answer", title="what is the salary"),
    ]
    words = build(members)
    assert words.find("salary", [EVERYBODY], DOCUMENT, 5) == [members[1].id]
    assert words.find("salary", ["board"], DOCUMENT, 5) == [members[0].id]
    assert words.find("salary", [EVERYBODY], ("answer",), 5) == [members[2].id]
    assert len(words.find("salary", ["board", EVERYBODY], ("answer", "document"), 5)) == 3
    assert words.find("salary", ["owners"], DOCUMENT, 5) == []


@pytest.mark.parametrize("question", ["", "the", "???", "zebra"])
def test_a_question_without_a_known_word_finds_nothing(question: str) -> None:
    members = [passage("the shop"), passage(""), passage("!!!")]
    assert build(members).find(question, [EVERYBODY], DOCUMENT, 5) == []


@pytest.mark.parametrize("texts", [[], [""], ["the", "?"]])
def test_passages_without_words_are_no_error(texts: list[str], tmp_path: Path) -> None:
    words = build([passage(text) for text in texts])
    save(words, tmp_path)
    for one in (words, load(tmp_path)):
        assert one.find("shop", [EVERYBODY], DOCUMENT, 5) == []


def test_what_was_saved_finds_the_same(tmp_path: Path) -> None:
    members = [*many(50), passage("word7 of the board", audience="board")]
    words = build(members)
    save(words, tmp_path)
    for question in ("word7", "word7 and word21"):
        for audiences in ([EVERYBODY], ["board"], [EVERYBODY, "board"]):
            expected = words.find(question, audiences, DOCUMENT, 3)
            assert expected
            assert load(tmp_path).find(question, audiences, DOCUMENT, 3) == expected


def test_changes_are_found_a_little_later(index: Index, words: Lexical) -> None:
    index.put("doc-1", [passage("parcels take three days")])
    assert words.settled(120)
    assert len(words.find("parcel", [EVERYBODY], DOCUMENT, 5)) == 1
    index.drop("doc-1")
    assert words.settled(120)
    assert words.find("parcel", [EVERYBODY], DOCUMENT, 5) == []


def test_many_are_built_by_another_process(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lexical, "SMALL", 20)
    (index.folder / "words-of-a-killed-process").mkdir()
    index.put("doc-1", [*many(21), passage("parcels take three days")])
    words = Lexical(index)
    try:
        assert words.settled(120)
        assert len(words.find("parcel", [EVERYBODY], DOCUMENT, 5)) == 1
        assert list(index.folder.glob("words-*")) == []
    finally:
        words.close()


def test_a_search_takes_what_was_built_last_while_the_next_is_built(
    index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    index.put("doc-1", [passage("parcels take three days")])
    words = Lexical(index)
    assert words.settled(120)
    begun, may_end, plain = threading.Event(), threading.Event(), lexical.build

    def slow(members: list[object]) -> object:
        begun.set()
        assert may_end.wait(30)
        return plain(members)  # type: ignore[arg-type]

    monkeypatch.setattr(lexical, "build", slow)
    index.put("doc-2", [passage("parcels of another kind", "doc-2")])
    assert begun.wait(30)
    assert len(words.find("parcel", [EVERYBODY], DOCUMENT, 5)) == 1
    may_end.set()
    assert words.settled(120)
    assert len(words.find("parcel", [EVERYBODY], DOCUMENT, 5)) == 2
    words.close()


def test_a_build_that_fails_keeps_the_last_and_is_tried_again_by_itself(
    index: Index, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(lexical, "_AGAIN_SECONDS", 0.1)
    index.put("doc-1", [passage("parcels take three days")])
    words = Lexical(index)
    assert words.settled(120)
    with monkeypatch.context() as broken:
        broken.setattr(lexical, "build", lambda members: 1 / 0)
        index.put("doc-2", [passage("parcels of another kind", "doc-2")])
        assert not words.settled(1)
        assert len(words.find("parcel", [EVERYBODY], DOCUMENT, 5)) == 1
    assert "could not be indexed" in caplog.text
    assert words.settled(120)
    assert len(words.find("parcel", [EVERYBODY], DOCUMENT, 5)) == 2
    words.close()


@pytest.mark.parametrize("shared", [False, True])
def test_a_database_that_was_busy_once_does_not_end_the_search_by_words(
    index: Index, monkeypatch: pytest.MonkeyPatch, shared: bool
) -> None:
    monkeypatch.setattr(lexical, "_AGAIN_SECONDS", 0.1)
    monkeypatch.setattr(lexical, "_LOOK_SECONDS", 0.1)
    index.shared = shared
    words = Lexical(index)
    assert words.settled(120)
    state, failed = index.state, threading.Event()

    def busy() -> tuple[int, float]:
        if not failed.is_set():
            failed.set()
            raise DatabaseUnavailable("the database is busy")
        return state()

    monkeypatch.setattr(index, "state", busy)
    if shared:
        # The look for what other processes changed
        assert failed.wait(30)
    index.put("doc-1", [passage("parcels take three days")])
    assert failed.wait(30)
    assert words.settled(30)
    assert len(words.find("parcel", [EVERYBODY], DOCUMENT, 5)) == 1
    words.close()


def test_closing_ends_a_build(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lexical, "SMALL", 0)
    index.put("doc-1", [passage("parcels take three days")])
    words = Lexical(index)
    words.close()
    assert not words._thread.is_alive()
    assert list(index.folder.glob("words-*")) == []
