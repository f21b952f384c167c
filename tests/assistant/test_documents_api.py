"""Tests of the routes for documents: who may do what, what is refused, and that groups stay apart."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from assistant import api, api_errors, documents_api
from assistant.accounts import Accounts
from assistant.body_limit import BodyLimit
from assistant.library import Library
from assistant.settings import read
from feedback.database import Database
from feedback.records import Role
from tests.retrieval.books import Books

LARGEST = 20_000


@dataclass
class Desk:
    """The routes over a library, and a client for each person."""

    app: FastAPI
    library: Library
    accounts: Accounts

    def client(self, name: str | None) -> TestClient:
        headers = {} if name is None else {"authorization": f"Bearer {self.accounts.new_key(name)}"}
        return TestClient(self.app, headers=headers)

    def settled(self) -> None:
        end = time.monotonic() + 60
        while self.library.shelf.has_work():
            assert time.monotonic() < end, "it is still at work"
            time.sleep(0.01)

    def add(self, text: str, group: str = "", name: str = "a.md") -> str:
        answer = self.client("stella").post(
            "/v1/documents", files={"file": (name, text.encode())}, data={"group": group}
        )
        assert answer.status_code == 201, answer.text
        self.settled()
        return str(answer.json()["id"])


@pytest.fixture
def desk(sqlite: Database, home: Path) -> Iterator[Desk]:
    library = Library(sqlite, read(model="org/model", documents={"largest_mb": LARGEST / 1e6}), Books(sqlite))
    accounts, app = Accounts(sqlite), FastAPI()
    people: tuple[tuple[str, Role], ...] = (("sam", "user"), ("uwe", "user"), ("stella", "staff"))
    for name, role in people:
        accounts.add(name, role)
    accounts.set_groups("sam", ["sales"])
    api_errors.install(app)
    app.include_router(
        documents_api.router(library, api.bearer(accounts, "user"), api.bearer(accounts, "staff"))
    )
    app.add_middleware(BodyLimit, largest=1_000, larger={"/v1/documents": LARGEST + documents_api.ROOM})
    library.start()
    yield Desk(app, library, accounts)
    library.close()


def test_a_document_comes_in_is_shown_found_and_removed(desk: Desk) -> None:
    http = desk.client("stella")
    answer = http.post("/v1/documents", files={"file": ("a.md", b"red shoes")})
    assert answer.status_code == 201
    made = answer.json()
    assert (made["name"], made["group"], made["change"], made["added_by"]) == ("a.md", None, "new", "stella")
    desk.settled()
    shown = http.get(f"/v1/documents/{made['id']}").json()
    assert (shown["state"], shown["progress"], shown["url"]) == ("ready", 1.0, f"/documents/{made['id']}")
    (hit,) = http.get("/v1/documents/search", params={"q": "red shoes"}).json()["data"]
    assert (hit["name"], hit["text"], hit["score"], hit["number"]) == ("a.md", "red shoes", 1.0, 1)
    again = http.post("/v1/documents", files={"file": ("a.md", b"red shoes")})
    assert (again.status_code, again.json()["change"]) == (200, "unchanged")
    assert http.delete(f"/v1/documents/{made['id']}").json()["deleted"] is True
    desk.settled()
    assert http.get("/v1/documents").json()["data"] == []
    assert http.get(f"/v1/documents/{made['id']}").status_code == 404


def test_a_name_may_be_given(desk: Desk) -> None:
    answer = desk.client("stella").post(
        "/v1/documents", files={"file": ("x", b"one")}, data={"name": "shop/returns.md"}
    )
    assert answer.json()["name"] == "shop/returns.md"


def test_people_of_one_group_get_nothing_of_another(desk: Desk) -> None:
    ours, theirs = desk.add("secret word of sales", "sales"), desk.add("secret word of the board", "board")
    for name, seen in (("uwe", []), ("sam", [ours])):
        http = desk.client(name)
        listed = http.get("/v1/documents").json()["data"]
        assert [one["id"] for one in listed] == seen
        assert all("added_by" not in one for one in listed)
        hits = http.get("/v1/documents/search", params={"q": "secret word"}).json()["data"]
        assert [hit["document"] for hit in hits] == seen
        hidden, missing = http.get(f"/v1/documents/{theirs}"), http.get("/v1/documents/doc-x")
        assert hidden.status_code == missing.status_code == 404
        assert hidden.text.replace(theirs, "") == missing.text.replace("doc-x", "")
        peek = http.get("/v1/documents/search", params={"q": "secret word", "group": "board"})
        assert peek.status_code == 403
    staff = desk.client("stella")
    assert {one["id"] for one in staff.get("/v1/documents").json()["data"]} == {ours, theirs}
    assert staff.get("/v1/documents/search", params={"q": "secret word"}).json()["data"] == []
    peek = staff.get("/v1/documents/search", params={"q": "secret word", "group": "board"})
    assert [hit["document"] for hit in peek.json()["data"]] == [theirs]


def test_only_staff_add_and_remove(desk: Desk) -> None:
    document = desk.add("one")
    for name, status in ((None, 401), ("sam", 403)):
        http = desk.client(name)
        assert http.post("/v1/documents", files={"file": ("b.md", b"two")}).status_code == status
        assert http.delete(f"/v1/documents/{document}").status_code == status
    for path in ("/v1/documents", "/v1/documents/search?q=a", f"/v1/documents/{document}"):
        assert desk.client(None).get(path).status_code == 401
    assert [one.name for one in desk.library.shelf.all()] == ["a.md"]


@pytest.mark.parametrize(
    ("sent", "status", "said"),
    [
        ({"json": {"file": "x"}}, 400, "multipart/form-data"),
        ({"data": {"file": "x"}, "files": {"other": ("a", b"x")}}, 400, "in the field `file`"),
        ({"files": {"file": ("a.md", b"")}}, 400, "it is empty"),
        ({"files": {"file": ("a.md", b"x" * (LARGEST + 1))}}, 400, "larger than 0.02 MB"),
        ({"files": {"file": ("..", b"x")}}, 400, "it has no name"),
        ({"files": {"file": ("a.md", b"x")}, "data": {"group": "no group!"}}, 400, "a group's name"),
        ({"files": [("file", ("a", b"x")), ("file", ("b", b"x"))]}, 400, "Too many files"),
        ({"files": {"file": ("a.md", b"x" * (LARGEST + documents_api.ROOM))}}, 413, "larger than"),
    ],
)
def test_bad_uploads_get_one_clear_sentence_and_leave_nothing(
    desk: Desk, sent: dict[str, Any], status: int, said: str
) -> None:
    answer = desk.client("stella").post("/v1/documents", **sent)
    assert answer.status_code == status, answer.text
    assert said in answer.json()["error"]["message"]
    assert desk.library.shelf.all() == []
    assert not list(desk.library._files.folder.glob("*.part"))


def test_other_routes_keep_their_limit(desk: Desk) -> None:
    answer = desk.client("stella").post("/v1/documents/x", content=b"x" * 2_000)
    assert answer.status_code == 413


@pytest.mark.parametrize("asked", ["", "q=", "q=a&k=0", "q=a&k=51", f"q={'x' * 2_001}"])
def test_bad_searches_get_400(desk: Desk, asked: str) -> None:
    assert desk.client("sam").get(f"/v1/documents/search?{asked}").status_code == 400


def test_without_the_extra_it_says_how_to_install_it(desk: Desk) -> None:
    desk.library.disabled = "documents need the extra: pip install 'apprentice[documents]'"
    http = desk.client("stella")
    for answer in (
        http.post("/v1/documents", files={"file": ("a.md", b"one")}),
        http.get("/v1/documents/search", params={"q": "a"}),
    ):
        assert answer.status_code == 503
        assert "pip install" in answer.json()["error"]["message"]
    assert http.get("/v1/documents").json()["data"] == []
