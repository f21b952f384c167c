"""Tests of the knowledge base's service: who sees what, what comes in, what is found."""

from __future__ import annotations

import asyncio
import io
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from assistant import library as module
from assistant.accounts import Account, Accounts
from assistant.library import INSTALL, Library
from assistant.settings import read
from feedback.database import Database
from retrieval.records import EVERYBODY, Document, NotFound, Refused, Unavailable, Unreadable
from tests.retrieval.books import Books


@pytest.fixture
def books(sqlite: Database) -> Books:
    return Books(sqlite)


@pytest.fixture
def library(sqlite: Database, books: Books) -> Iterator[Library]:
    """Not started yet."""
    found = Library(sqlite, read(model="org/model", documents={"largest_mb": 0.01}), books)
    yield found
    found.close()


@pytest.fixture
def people(sqlite: Database) -> dict[str, Account]:
    """`sam` is in the group sales, `uwe` in none, `stella` is staff and in none."""
    accounts = Accounts(sqlite)
    for name, role in (("sam", "user"), ("uwe", "user"), ("stella", "staff")):
        accounts.add(name, role)  # type: ignore[arg-type]
    accounts.set_groups("sam", ["sales"])
    return {account.name: account for account in accounts.all()}


def until(condition: Callable[[], Any]) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end, "it never came to that"
        time.sleep(0.01)


def settled(library: Library) -> None:
    """Wait until nothing waits."""
    until(lambda: not library.shelf.has_work())


async def texts(library: Library, question: str, account: Account, **more: Any) -> list[str]:
    return [hit.passage.text for hit in await library.find(question, account, **more)]


async def test_what_is_added_is_found(library: Library, people: dict[str, Account]) -> None:
    library.start()
    library.add("a.md", b"returns take thirty days\n\nshoes are red", EVERYBODY, "stella")
    settled(library)
    assert await texts(library, "how many days", people["uwe"]) == ["returns take thirty days"]
    assert await texts(library, "how many days", people["uwe"], floor=0.9) == []
    assert await texts(library, "  ", people["uwe"]) == []


async def test_nothing_is_opened_before_there_is_something_to_do(
    library: Library, books: Books, people: dict[str, Account]
) -> None:
    library.start()
    assert library.empty
    assert library.ready() is None
    assert await library.find("anything", people["uwe"]) == []
    assert books.opened == 0


async def test_a_question_waits_for_the_index_to_be_opened(
    library: Library, books: Books, people: dict[str, Account], sqlite: Database
) -> None:
    books.index.put("doc-x", [])
    library.start()
    library.add("a.md", b"red shoes", EVERYBODY, "stella")
    settled(library)
    library.close()
    books.may_open.clear()
    again = Library(sqlite, read(model="org/model"), books)
    again.start()
    assert again.ready() == "the knowledge base is being opened"
    finding = asyncio.ensure_future(texts(again, "red shoes", people["uwe"]))
    books.may_open.set()
    assert await finding == ["red shoes"]
    assert again.ready() is None
    again.close()
    assert books.index.closed


async def test_while_the_index_can_not_be_opened_questions_hear_why(
    library: Library, books: Books, people: dict[str, Account]
) -> None:
    books.fails = Unavailable("the index is in use by another process")
    library.add("a.md", b"red shoes", EVERYBODY, "stella")
    books.index.put("doc-y", [])
    library.start()
    until(lambda: library.problem)
    with pytest.raises(Unavailable, match="in use"):
        library.embed(["a"])
    books.fails = None
    settled(library)
    assert library.problem is None
    assert len(library.embed(["a", "bcd"])) == 2


def test_an_index_of_another_model_is_built_again_first(library: Library, books: Books) -> None:
    books.index.is_stale = True
    library.add("a.md", b"red shoes", EVERYBODY, "stella")
    library.start()
    settled(library)
    assert not books.index.is_stale
    assert library.rebuilding is None


# -- who may see what


@pytest.fixture
def shelf(library: Library) -> dict[str, Document]:
    """One document for everybody, one for sales, one for nobody who is here."""
    found = {
        name: library.add(f"{name or 'all'}.md", f"secret word of {name or 'all'}".encode(), name, "stella")
        for name in ("", "sales", "board")
    }
    library.start()
    settled(library)
    return {name: library.shelf.get(one.id) for name, one in found.items()}


async def test_people_find_what_is_for_them(
    library: Library, shelf: dict[str, Document], people: dict[str, Account]
) -> None:
    said = {name: sorted(await texts(library, "secret word", who)) for name, who in people.items()}
    everybody = "secret word of all"
    assert said["uwe"] == [everybody]
    assert said["sam"] == [everybody, "secret word of sales"]
    # Staff see every document, but their chat is theirs.
    assert said["stella"] == [everybody]


def test_people_list_and_open_what_is_for_them(
    library: Library, shelf: dict[str, Document], people: dict[str, Account]
) -> None:
    seen = {name: {one.audience for one in library.documents(who)} for name, who in people.items()}
    assert seen == {"uwe": {""}, "sam": {"", "sales"}, "stella": {"", "sales", "board"}}
    assert library.document(shelf["sales"].id, people["sam"]) == shelf["sales"]
    for name, group in (("uwe", "sales"), ("sam", "board")):
        with pytest.raises(NotFound) as hidden:
            library.document(shelf[group].id, people[name])
        with pytest.raises(NotFound) as missing:
            library.document("doc-x", people[name])
        assert str(hidden.value).replace(shelf[group].id, "") == str(missing.value).replace("doc-x", "")


async def test_staff_may_look_with_the_eyes_of_a_group(library: Library, shelf: dict[str, Document]) -> None:
    hits = await library.search("secret word", {"board"})
    assert {hit.passage.audience for hit in hits} == {"", "board"}


async def test_who_leaves_a_group_finds_nothing_of_it_any_more(
    library: Library, shelf: dict[str, Document], people: dict[str, Account], sqlite: Database
) -> None:
    account = Accounts(sqlite).set_groups("sam", [])
    assert await texts(library, "secret word", account) == ["secret word of all"]
    with pytest.raises(NotFound):
        library.document(shelf["sales"].id, account)


async def test_what_was_removed_is_not_found_even_while_the_index_still_has_it(
    library: Library, shelf: dict[str, Document], people: dict[str, Account], books: Books
) -> None:
    library.close()
    again = Library(library._database, read(model="org/model"), books)
    again.shelf.remove(shelf[""].id)
    hits = again._still_there(books().search.find("secret word", {""}), {""})
    assert hits == []
    with pytest.raises(NotFound):
        again.document(shelf[""].id, people["uwe"])


def test_users_see_no_document_that_was_refused(library: Library, people: dict[str, Account]) -> None:
    bad = library.add("b.md", b"broken", EVERYBODY, "stella")
    library.start()
    settled(library)
    assert library.documents(people["uwe"]) == []
    assert [one.reason for one in library.documents(people["stella"])] == ["it is broken"]
    with pytest.raises(NotFound):
        library.document(bad.id, people["uwe"])


# -- in and out


def test_the_same_file_again_says_so(library: Library, tmp_path: Path) -> None:
    file = tmp_path / "a.md"
    file.write_text("one")
    first, change = library.bring_in("a.md", file, EVERYBODY, "stella")
    assert change == "new"
    assert library.bring_in("a.md", io.BytesIO(b"one"), EVERYBODY, "uwe") == (first, "unchanged")
    assert library.bring_in("a.md", b"two", EVERYBODY, "uwe")[1] == "replaced"
    assert library.file(library.shelf.get(first.id)).read_bytes() == b"two"


@pytest.mark.parametrize(
    ("name", "content", "audience", "problem"),
    [
        ("a.md", b"", "", Unreadable),
        ("a.md", b"x" * 10_001, "", Unreadable),
        ("a.md", Path("/nowhere/a.md"), "", Unreadable),
        ("..", b"x", "", Unreadable),
        ("a.md", b"x", "no group!", Refused),
    ],
)
def test_what_is_refused_leaves_nothing(
    library: Library, name: str, content: Any, audience: str, problem: type[Exception]
) -> None:
    with pytest.raises(problem):
        library.add(name, content, audience, "stella")
    assert library.shelf.all() == []
    assert not list(library._files.folder.glob("*doc*")) + list(library._files.folder.glob("*.part"))


def test_removing_reaches_index_file_and_row(library: Library, books: Books) -> None:
    document = library.add("a.md", b"one", EVERYBODY, "stella")
    library.start()
    settled(library)
    file = library.file(library.shelf.get(document.id))
    library.remove(document.id, "stella")
    settled(library)
    assert (library.shelf.all(), books.index.held, file.exists(), library.empty) == ([], {}, False, True)


def test_the_log_says_who_added_and_removed(library: Library, caplog: pytest.LogCaptureFixture) -> None:
    # Commands in this process may have made it quieter.
    caplog.set_level("INFO", "assistant.library")
    document = library.add("a.md", b"one", EVERYBODY, "stella")
    library.remove(document.id, "ana")
    assert f"stella added a.md ({document.id}" in caplog.text
    assert f"ana removed a.md ({document.id}" in caplog.text


# -- approved answers


async def test_an_approved_answer_is_found_at_once_by_those_it_is_for(
    library: Library, people: dict[str, Account]
) -> None:
    library.start()
    library.put_answer("apr-1", "when do you open", "At ten.", "sales")
    assert await texts(library, "when do you open", people["sam"], kinds=("answer",)) == ["At ten."]
    assert await texts(library, "when do you open", people["uwe"], kinds=("answer",)) == []
    assert await texts(library, "when do you open", people["sam"]) == []
    library.drop_answer("apr-1")
    assert await texts(library, "when do you open", people["sam"], kinds=("answer",)) == []


# -- without


def test_without_the_extra_it_says_how_to_install_it(
    sqlite: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    library = Library(sqlite, read(model="org/model"))
    library.start()
    assert (library.enabled, library.empty, library.ready()) == (False, True, None)
    for call in (
        lambda: library.add("a.md", b"one", EVERYBODY, "stella"),
        lambda: library.embed(["a"]),
        lambda: library.put_answer("apr-1", "q", "a"),
    ):
        with pytest.raises(Unavailable) as said:
            call()
        assert str(said.value) == INSTALL
    library.close()


async def test_switched_off_it_finds_nothing(sqlite: Database, people: dict[str, Account]) -> None:
    library = Library(sqlite, read(model="org/model", documents={"enabled": False}))
    library.start()
    assert await library.find("anything", people["uwe"]) == []
    assert library.disabled is not None
    assert "switched off" in library.disabled
