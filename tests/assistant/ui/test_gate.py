"""The gate before each of gradio's apps."""

from __future__ import annotations

import pytest
from fastapi import FastAPI, Request
from fastapi.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from assistant.ui.gate import COOKIE, Gate, admitted
from tests.assistant.ui.scripted import House


def client(house: House, name: str | None, path: str = "/inner") -> TestClient:
    inner = FastAPI()

    @inner.api_route("/{rest:path}", methods=["GET", "POST"])
    def anything(request: Request) -> str | None:
        return admitted(request)

    inner.add_middleware(Gate, accounts=house.accounts, role="staff")
    app = FastAPI()
    app.mount(path, inner)
    http = TestClient(app, follow_redirects=False)
    if name is not None:
        http.cookies.set(COOKIE, house.accounts.new_session(house.accounts.get(name)))
    return http


def test_whoever_may_comes_through_with_their_name(house: House) -> None:
    http = client(house, "ana")
    answer = http.get("/inner/any/thing")
    assert answer.json() == "ana"
    assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
    assert http.post("/inner/any/thing").json() == "ana"


def test_strangers_are_sent_to_the_way_in(house: House) -> None:
    answer = client(house, None).get("/inner/?chat=conv-1")
    assert answer.status_code == 303
    assert answer.headers["location"] == "/login?next=/inner/%3Fchat%3Dconv-1"
    assert client(house, None, "/").get("/").headers["location"] == "/login?next=/"


@pytest.mark.parametrize("path", ["config", "gradio_api/queue/join", "file=/etc/passwd", "x/"])
def test_everything_else_is_refused_to_strangers(house: House, path: str) -> None:
    for answer in (client(house, None).get(f"/inner/{path}"), client(house, None).post(f"/inner/{path}")):
        assert answer.status_code == 401
        assert answer.json() == {"error": "You are signed out. Reload the page to sign in."}


def test_a_session_that_has_ended_is_no_session(house: House) -> None:
    http = client(house, "ana")
    house.accounts.sign_out(http.cookies[COOKIE])
    assert http.get("/inner/config").status_code == 401
    http.cookies.set(COOKIE, "made up")
    assert http.get("/inner/config").status_code == 401


def test_a_role_below_is_told_so_in_words(house: House) -> None:
    http = client(house, "uwe")
    page = http.get("/inner/")
    assert page.status_code == 403
    assert "for the role staff" in page.text
    assert http.get("/inner/config").status_code == 403
    assert http.post("/inner/gradio_api/queue/join").status_code == 403


def test_other_sites_can_not_act_for_a_person(house: House) -> None:
    http = client(house, "ana")
    for headers in ({"sec-fetch-site": "cross-site"}, {"origin": "https://evil.example"}):
        assert http.post("/inner/gradio_api/queue/join", headers=headers).status_code == 403
        # Reading by following a link is what links are for.
        assert http.get("/inner/", headers=headers).status_code == 200


def test_a_name_can_not_be_smuggled_in() -> None:
    assert admitted(Request({"type": "http", "apprentice.account": "ana"})) is None
    assert admitted(Request({"type": "http"})) is None


def test_there_is_no_way_in_by_websocket(house: House) -> None:
    with pytest.raises(WebSocketDisconnect), client(house, "ana").websocket_connect("/inner/x"):
        pass
