"""Tests of `apprentice documents`: alone, and beside a web process of the same home. No library is loaded."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi import FastAPI

from assistant import api, api_errors, app, documents_api, librarian, library
from assistant.app import House
from assistant.files import write_json
from assistant.library import Library
from tests.assistant.commands.conftest import Cli
from tests.assistant.serving import served
from tests.retrieval.books import Books


@pytest.fixture
def books(house: House, monkeypatch: pytest.MonkeyPatch) -> Books:
    """The commands open this in place of the real index."""
    found = Books(house.database)
    monkeypatch.setattr(app, "library_of", lambda home: Library(home.database, home.settings, found))
    return found


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """A folder of files, one of them bad."""
    folder = tmp_path / "shop"
    (folder / "deep").mkdir(parents=True)
    (folder / "returns.md").write_text("returns take thirty days")
    (folder / "deep" / "shoes.md").write_text("red shoes")
    (folder / "bad.md").write_text("broken")
    (folder / ".hidden").write_text("no")
    return folder


def test_a_folder_comes_in_and_what_is_refused_is_named(cli: Cli, books: Books, shop: Path) -> None:
    done = cli("documents", "add", str(shop))
    assert done.status == 1
    assert "ready      deep/shoes.md (1 passage)" in done.out
    assert "ready      returns.md" in done.out
    assert "refused    bad.md: it is broken" in done.err
    assert "hidden" not in done.out + done.err
    assert books.index.closed
    (shop / "bad.md").unlink()
    done = cli("documents", "add", str(shop))
    assert (done.status, done.out.count("unchanged")) == (0, 2)
    rows = {row["name"]: row for row in json.loads(cli("documents", "list", "--json").out)}
    assert rows["bad.md"]["reason"] == "it is broken"
    assert rows["returns.md"]["state"] == "ready"
    assert "everybody" in cli("documents", "list").out


def test_files_that_can_not_be_read_are_refused_and_the_others_come_in(
    cli: Cli, books: Books, tmp_path: Path
) -> None:
    (tmp_path / "empty.md").touch()
    (tmp_path / "good.md").write_text("one")
    paths = [str(tmp_path / name) for name in ("empty.md", "missing.md", "good.md")]
    done = cli("documents", "add", *paths)
    assert done.status == 1
    assert "empty.md: it is empty" in done.err
    assert "missing.md: it can't be opened: no such file or directory" in done.err
    assert "ready      good.md" in done.out


def test_what_is_for_a_group_is_found_by_it_alone(cli: Cli, books: Books, shop: Path) -> None:
    cli("documents", "add", str(shop / "returns.md"), "--group", "sales")
    assert cli("documents", "search", "thirty days").out == "nothing found\n"
    (hit,) = json.loads(cli("documents", "search", "thirty days", "--group", "sales", "--json").out)
    assert (hit["name"], hit["group"]) == ("returns.md", "sales")
    assert "[1] 1.00  returns.md" in cli("documents", "search", "thirty days", "--group", "sales").out


def test_alone_it_waits_for_the_words_and_says_when_they_are_not_there(
    cli: Cli, books: Books, shop: Path
) -> None:
    cli("documents", "add", str(shop / "returns.md"))
    assert cli("documents", "search", "thirty days").err == ""
    assert books.words.waited == 120
    books.words.done = False
    done = cli("documents", "search", "thirty days", "--json")
    assert "found by meaning alone" in done.err
    assert [hit["name"] for hit in json.loads(done.out)] == ["returns.md"]


def test_removing_reaches_all_of_it(cli: Cli, books: Books, house: House, shop: Path) -> None:
    cli("documents", "add", str(shop / "returns.md"))
    (row,) = json.loads(cli("documents", "list", "--json").out)
    assert cli("documents", "remove", row["id"]).out == "returns.md is gone\n"
    assert cli("documents", "list").out == "no documents yet: apprentice documents add PATH\n"
    assert books.index.held == {}
    assert not list((house.settings.home / "documents" / "files").glob("doc-*"))
    done = cli("documents", "remove", row["id"])
    assert (done.status, done.err) == (1, f"apprentice: there is no document {row['id']}\n")


def test_without_waiting_it_is_left_to_the_next_start(cli: Cli, books: Books, shop: Path) -> None:
    done = cli("documents", "add", str(shop / "returns.md"), "--no-wait")
    assert done.out.startswith("waiting    returns.md (doc-")
    assert books.opened == 0
    assert cli("documents", "add", str(shop / "returns.md")).out.startswith("ready      returns.md")


def test_an_index_that_can_not_be_opened_is_said(cli: Cli, books: Books, shop: Path) -> None:
    from retrieval.records import Unavailable

    books.fails = Unavailable("the index is in use by another process")
    done = cli("documents", "add", str(shop / "returns.md"))
    assert (done.status, done.err.splitlines()[-1]) == (
        1,
        "apprentice: the index is in use by another process",
    )


def test_without_the_extra_it_says_how_to_install_it(
    cli: Cli, house: House, shop: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(library, "find_spec", lambda name: None)
    for arguments in (("add", str(shop)), ("search", "red")):
        done = cli("documents", *arguments)
        assert done.status == 1
        assert done.err == "apprentice: documents need the extra: pip install 'apprentice[documents]'\n"
    assert cli("documents", "list").status == 0


@pytest.fixture
def web(house: House, books: Books) -> Iterator[Library]:
    """A web process of the home, which holds the index."""
    held = Library(house.database, house.settings, books)
    held.start()
    served_app = FastAPI()
    served_app.add_api_route("/healthz", lambda: {"status": "alive"})
    api_errors.install(served_app)
    keys = api.bearer(house.accounts, "user"), api.bearer(house.accounts, "staff")
    served_app.include_router(documents_api.router(held, *keys))
    with served(served_app) as url:
        write_json(house.settings.home / "run" / "web.json", {"url": url, "pid": os.getpid()})
        yield held
    held.close()


def test_beside_a_web_process_that_one_does_the_work(
    cli: Cli, web: Library, books: Books, house: House, shop: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object) -> None:
        raise AssertionError("two processes must not open one index")

    monkeypatch.setattr(Library, "start", never)
    assert cli("documents", "add", str(shop / "returns.md")).out.startswith("ready      returns.md")
    done = cli("documents", "search", "thirty days", "--json")
    assert [hit["name"] for hit in json.loads(done.out)] == ["returns.md"]
    # Nothing is left of the account that asked.
    assert house.accounts.all() == []
    (row,) = json.loads(cli("documents", "list", "--json").out)
    assert cli("documents", "remove", row["id"]).status == 0
    assert books.opened == 1


def test_what_holds_the_web_process_up_is_said_and_ends_the_waiting(
    cli: Cli, web: Library, books: Books, shop: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from retrieval.records import Unavailable

    def away(*_: object) -> None:
        raise Unavailable("the embedding server is of no use: it answered 401")

    monkeypatch.setattr(librarian, "_RETRY_SECONDS", 0.05)
    assert cli("documents", "add", str(shop / "deep" / "shoes.md")).status == 0
    books.index.before_batch = away
    monkeypatch.setattr(books.index, "drop", away)
    (row,) = json.loads(cli("documents", "list", "--json").out)
    for arguments in (("add", str(shop / "returns.md")), ("remove", row["id"])):
        done = cli("documents", *arguments)
        assert done.status == 1
        assert done.err.count("the web process is held up: the embedding server is of no use") == 1
        assert "401; the web process does the work once it can" in done.err.splitlines()[-1]
    assert "the embedding server is of no use: it answered 401" in cli("status").out


def test_groups_of_people(cli: Cli, house: House) -> None:
    cli("user", "add", "sam")
    assert cli("user", "groups", "sam", "sales", "board").out == "sam is in board, sales\n"
    (row,) = json.loads(cli("user", "list", "--json").out)
    assert row["groups"] == ["board", "sales"]
    assert "board, sales" in cli("user", "list").out
    assert cli("user", "groups", "sam").out == "sam is in no group\n"
    assert cli("user", "groups", "sam", "no group!").status == 1
    assert cli("user", "groups", "nobody", "sales").err == "apprentice: there is no account named nobody\n"
