"""Tests of opening a document's file: by whom, and as what."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from assistant.library import Library
from assistant.settings import read
from assistant.ui import document_file
from assistant.ui.gate import COOKIE
from feedback.database import Database
from tests.assistant.ui.scripted import House
from tests.retrieval.books import Books


@pytest.fixture
def library(sqlite: Database) -> Iterator[Library]:
    found = Library(sqlite, read(model="org/model"), Books(sqlite))
    yield found
    found.close()


@pytest.fixture
def app(house: House, library: Library) -> FastAPI:
    """The route, with `sam` of sales and `uwe` of no group."""
    house.accounts.add("sam", "user")
    house.accounts.set_groups("sam", ["sales"])
    found = FastAPI()
    found.include_router(document_file.router(house.accounts, library))
    return found


def client(app: FastAPI, house: House, name: str | None) -> TestClient:
    http = TestClient(app, follow_redirects=False)
    if name is not None:
        http.cookies.set(COOKIE, house.accounts.new_session(house.accounts.get(name)))
    return http


@pytest.mark.parametrize(
    ("name", "kind", "shown"),
    [
        ("a.md", "text/plain; charset=utf-8", "inline"),
        ("a.HTML", "text/plain; charset=utf-8", "inline"),
        ("a.pdf", "application/pdf", "inline"),
        ("a.docx", "application/octet-stream", "attachment"),
        ("a.svg", "application/octet-stream", "attachment"),
        ("a", "application/octet-stream", "attachment"),
    ],
)
def test_nothing_in_a_file_may_act_here(
    app: FastAPI, house: House, library: Library, name: str, kind: str, shown: str
) -> None:
    document = library.add(f"folder/{name}", b"<script>alert(1)</script>", "", "ana")
    answer = client(app, house, "uwe").get(f"/documents/{document.id}")
    assert answer.status_code == 200
    assert answer.content == b"<script>alert(1)</script>"
    assert answer.headers["content-type"] == kind
    assert answer.headers["content-disposition"] == f'{shown}; filename="{name}"'
    assert answer.headers["x-content-type-options"] == "nosniff"
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert ("sandbox" in policy) == (kind != "application/pdf")
    assert "no-store" in answer.headers["cache-control"]


@pytest.mark.parametrize(("name", "status"), [("sam", 200), ("ana", 200), ("uwe", 404), (None, 303)])
def test_only_the_group_and_staff_open_a_document(
    app: FastAPI, house: House, library: Library, name: str | None, status: int
) -> None:
    document = library.add("a.md", b"secret", "sales", "ana")
    http = client(app, house, name)
    answer = http.get(f"/documents/{document.id}")
    assert answer.status_code == status
    assert ("secret" in answer.text) == (status == 200)
    if status == 404:
        # What is for others and what is not there look the same.
        assert answer.text == http.get("/documents/doc-x").text
    if status == 303:
        assert answer.headers["location"] == f"/login?next=/documents/{document.id}"


def test_a_removed_one_does_not_open(app: FastAPI, house: House, library: Library) -> None:
    document = library.add("a.md", b"one", "", "ana")
    library.remove(document.id, "ana")
    assert client(app, house, "uwe").get(f"/documents/{document.id}").status_code == 404


def test_addresses_lead_nowhere_else(app: FastAPI, house: House, library: Library) -> None:
    http = client(app, house, "ana")
    for path in ("/documents/doc-..%2F..%2Fetc%2Fpasswd", "/documents/config", "/documents/doc-%00"):
        assert http.get(path).status_code == 404
