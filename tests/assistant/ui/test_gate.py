"""The gate before every route: who comes through by a session or a key, and what other sites can't do."""

from __future__ import annotations

import logging

import pytest
from fastapi import Depends, FastAPI, Request
from fastapi.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from assistant import api, doors
from assistant.accounts import Account, Accounts
from assistant.doors import Door, mark_app, opens
from assistant.entry import AccountsSection
from assistant.limits import Limits
from assistant.ui.gate import COOKIE, Gate, admitted
from feedback.database import DatabaseUnavailable
from tests.assistant.ui.scripted import House


def application(house: House, path: str = "/inner", **options: object) -> FastAPI:
    inner = FastAPI()

    @inner.api_route("/{rest:path}", methods=["GET", "POST"])
    def anything(request: Request) -> str | None:
        return admitted(request)

    mark_app(inner, Door("staff"))
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    user, above = (Depends(api.bearer(house.accounts, role)) for role in ("user", "staff"))  # type: ignore[arg-type]

    @app.get("/v1/who")
    def who(account: Account = user) -> str:
        return account.name

    @app.get("/v1/staff")
    def staff(account: Account = above) -> str:
        return account.name

    @app.post("/anyone")
    @opens(None)
    def anyone() -> str:
        return "done"

    @app.get("/forgotten")
    def forgotten() -> str:
        return "secret"

    app.mount(path, inner)
    app.add_middleware(Gate, accounts=house.accounts, routes=app.routes, **options)  # type: ignore[arg-type]
    return app


def client(house: House, name: str | None, path: str = "/inner", **options: object) -> TestClient:
    http = TestClient(application(house, path, **options), follow_redirects=False)
    if name is not None:
        http.cookies.set(COOKIE, house.accounts.new_session(house.accounts.get(name)))
    return http


def bearer(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"}


# -- by a session --------------------------------------------------------------------------------------


def test_whoever_may_comes_through_with_their_name(house: House) -> None:
    http = client(house, "ana")
    answer = http.get("/inner/config")
    assert answer.json() == "ana"
    assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
    assert http.post("/inner/gradio_api/queue/join", json={}).json() == "ana"


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


def test_a_session_outlives_a_restart(house: House) -> None:
    """It stands in the database: another process with the same one knows it."""
    token = client(house, "ana").cookies[COOKIE]
    again = TestClient(application(house), cookies={COOKIE: token})
    assert again.get("/inner/config").json() == "ana"


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
        for path in ("/inner/gradio_api/queue/join", "/anyone"):
            assert http.post(path, headers=headers).status_code == 403
        # Reading by following a link is what links are for.
        assert http.get("/inner/", headers=headers).status_code == 200
    assert http.post("/anyone", headers={"sec-fetch-site": "same-origin"}).json() == "done"


def test_what_no_page_needs_of_gradio_is_not_there(house: House) -> None:
    http = client(house, "ana")
    for path in ("gradio_api/run/predict", "gradio_api/upload", "gradio_api/file=/etc/passwd", "monitoring"):
        assert http.post(f"/inner/{path}").status_code == 404, path


def test_a_guest_is_somebody_and_gets_no_further(house: House) -> None:
    http = client(house, None, guests=True)
    assert http.get("/inner/").headers["location"].startswith("/login")
    http.cookies.set(COOKIE, house.accounts.new_guest())
    answer = http.get("/inner/")
    assert answer.status_code == 403
    assert "Sign in to see it." in answer.text


def test_a_name_can_not_be_smuggled_in() -> None:
    assert admitted(Request({"type": "http", doors.ACCOUNT: "ana"})) is None
    assert admitted(Request({"type": "http"})) is None


def test_there_is_no_way_in_by_websocket(house: House) -> None:
    with pytest.raises(WebSocketDisconnect), client(house, "ana").websocket_connect("/inner/x"):
        pass


def test_too_large_an_event_is_not_read(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("assistant.ui.owners.LARGEST", 10)
    answer = client(house, "ana").post("/inner/gradio_api/queue/join", content=b"x" * 11)
    assert answer.status_code == 413


# -- by a key ------------------------------------------------------------------------------------------


def test_a_key_opens_what_is_declared_for_keys_and_a_session_does_not(house: House) -> None:
    key, http = house.accounts.new_key("uwe"), client(house, "ana")
    assert http.get("/v1/who", headers=bearer(key)).json() == "uwe"
    answer = http.get("/v1/who")
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert answer.json()["error"]["type"] == "authentication_error"
    answer = http.get("/v1/staff", headers=bearer(key))
    assert (answer.status_code, answer.json()["error"]["type"]) == (403, "permission_error")


def test_a_key_is_looked_up_once(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    key, asked, real = house.accounts.new_key("uwe"), [], Accounts.by_key
    monkeypatch.setattr(Accounts, "by_key", lambda self, key: asked.append(key) or real(self, key))
    assert client(house, None).get("/v1/who", headers=bearer(key)).status_code == 200
    assert asked == [key]


def test_too_many_requests_of_one_person_wait(house: House) -> None:
    http = client(house, None, limits=Limits(AccountsSection(api_limit="2/minute")))
    uwe, ana = house.accounts.new_key("uwe"), house.accounts.new_key("ana")
    other = house.accounts.new_key("uwe")
    assert [http.get("/v1/who", headers=bearer(key)).status_code for key in (uwe, uwe)] == [200, 200]
    answer = http.get("/v1/who", headers=bearer(other))
    assert answer.status_code == 429
    assert 0 < int(answer.headers["retry-after"]) <= 60
    error = answer.json()["error"]
    assert (error["type"], error["code"]) == ("rate_limit_error", 429)
    assert "2 per 1 minute is the limit" in error["message"]
    assert http.get("/v1/who", headers=bearer(ana)).status_code == 200


def test_who_guesses_keys_has_to_wait(house: House) -> None:
    http, good = client(house, None), house.accounts.new_key("uwe")
    for _ in range(30):
        assert http.get("/v1/who", headers=bearer("sk-the-same-old-one")).status_code == 401
    assert http.get("/v1/who", headers=bearer(good)).status_code == 200
    statuses = [http.get("/v1/who", headers=bearer(f"sk-{number}")).status_code for number in range(25)]
    assert statuses == [401] * 19 + [429] * 6  # the old one was the first
    answer = http.get("/v1/who", headers=bearer(good))
    assert answer.status_code == 429
    assert int(answer.headers["retry-after"]) > 200


def test_keys_are_not_tried_uncounted_where_none_is_needed(house: House) -> None:
    http = client(house, None)
    statuses = [http.post("/anyone", headers=bearer(f"sk-{number}")).status_code for number in range(25)]
    assert statuses == [200] * 20 + [429] * 5
    assert http.post("/anyone").status_code == 200


# -- neither -------------------------------------------------------------------------------------------


def test_what_declares_nothing_is_shut(house: House, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR):
        answer = client(house, "ana").get("/forgotten")
    assert answer.status_code == 403
    assert "GET /forgotten declares no role" in caplog.text


def test_a_program_is_told_in_its_own_words_that_there_is_nothing(house: House) -> None:
    answer = client(house, None, "/").get("/v1/embeddings")
    assert answer.status_code == 404
    assert answer.json()["error"]["type"] == "not_found_error"


def test_a_database_that_is_away_is_said_so(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: object) -> None:
        raise DatabaseUnavailable("the database does not answer")

    monkeypatch.setattr(Accounts, "by_key", away)
    answer = client(house, None).get("/v1/who", headers=bearer("sk-x"))
    assert answer.status_code == 503
    assert answer.json()["error"]["message"] == "the database does not answer"
