"""Whose open page is whose."""

from __future__ import annotations

import json
from typing import Any

import pytest
from starlette.requests import HTTPConnection
from starlette.types import Message

from assistant.ui import owners
from assistant.ui.owners import Owners, TooLarge


def asked(path: str, body: bytes = b"", query: str = "", method: str = "POST") -> tuple[HTTPConnection, Any]:
    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "query_string": query.encode(),
        "headers": [(b"host", b"here")],
        "scheme": "http",
        "server": ("here", 80),
    }
    parts = [body[:5], body[5:]]

    async def receive() -> Message:
        if not parts:
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": parts.pop(0), "more_body": bool(parts)}

    return HTTPConnection(scope), receive


def test_the_first_who_speaks_for_a_page_owns_it() -> None:
    found = Owners()
    assert found.claim("one", "mia")
    assert not found.claim("one", "bob")
    assert found.claim("one", "mia")
    assert found.claim("two", "bob")


def test_a_long_name_takes_no_more_room_than_a_short_one() -> None:
    owners = Owners()
    assert owners.claim("x" * 1_000_000, "ann")
    assert not owners.claim("x" * 1_000_000, "bob")
    assert owners.claim("x" * 999_999, "bob")
    assert max(map(len, owners._owners)) <= 64


def test_the_longest_unused_is_forgotten() -> None:
    found = Owners(most=2)
    for page in ("one", "two", "one", "three"):
        found.claim(page, "mia")
    assert found.claim("two", "bob")
    assert not found.claim("three", "bob")


async def test_a_page_is_named_in_the_body_the_query_or_the_path() -> None:
    found = Owners()
    event = json.dumps({"session_hash": "one", "data": []}).encode()
    for path, body, query, method, named in (
        ("/gradio_api/queue/join", event, "", "POST", ["one"]),
        ("/admin/gradio_api/cancel/", event, "", "POST", ["one"]),
        ("/gradio_api/queue/data", b"", "session_hash=two&session_hash=three", "GET", ["two", "three"]),
        ("/gradio_api/heartbeat/four", b"", "", "GET", ["four"]),
        ("/config", b"", "", "GET", []),
        ("/gradio_api/queue/join", b"no json", "", "POST", []),
        ("/gradio_api/queue/join", b"[1]", "", "POST", []),
        ("/gradio_api/queue/join", b'{"session_hash": 5}', "", "POST", []),
    ):
        connection, receive = asked(path, body, query, method)
        said, again = await found.named(connection, receive)
        assert said == named, path
        if method == "POST":
            # What was read is there to be read again, and then the client is heard as before.
            assert (await again())["body"] == body
            assert (await again())["type"] == "http.disconnect"


async def test_an_event_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(owners, "LARGEST", 10)
    connection, receive = asked("/gradio_api/queue/join", b"x" * 11)
    with pytest.raises(TooLarge):
        await Owners().named(connection, receive)
