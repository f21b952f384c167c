"""Signing up, the link that chooses a password, and going without an account, through real HTTP."""

from __future__ import annotations

import pytest
from fastapi import FastAPI, Request
from fastapi.testclient import TestClient
from httpx import Response

from assistant.entry import AccountsSection
from assistant.limits import Limits
from assistant.people import People
from assistant.ui import joining
from assistant.ui.gate import COOKIE, account_of
from tests.assistant.ui.scripted import PASSWORD, House


def client(house: House, **settings: object) -> TestClient:
    app = FastAPI()
    section = AccountsSection(**settings)  # type: ignore[arg-type]
    app.include_router(joining.router(People(house.accounts), Limits(section), section))

    @app.get("/who")
    def who(request: Request) -> str | None:
        found = account_of(request, house.accounts)
        return found.role if found else None

    return TestClient(app, follow_redirects=False)


def sign_up(http: TestClient, name: str = "wim", **fields: str) -> Response:
    return http.post("/signup", data={"name": name, "password": PASSWORD, "again": PASSWORD, **fields})


def test_nobody_signs_up_where_it_is_off(house: House) -> None:
    http = client(house)
    assert http.get("/signup").status_code == 404
    assert sign_up(http).status_code == 404
    assert [one.name for one in house.accounts.all()] == ["ana", "uwe"]


def test_who_signs_up_is_told_to_wait_and_is_not_in(house: House) -> None:
    http = client(house, sign_up="approval")
    assert "<script" not in http.get("/signup").text
    answer = sign_up(http)
    assert answer.status_code == 200
    assert "has to approve" in answer.text
    assert "set-cookie" not in answer.headers
    wim = house.accounts.get("wim")
    assert (wim.role, wim.pending) == ("user", True)
    assert sign_up(http, role="admin", name="eve").status_code == 200
    assert house.accounts.get("eve").role == "user"


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"again": "another"}, "The two passwords are not the same."),
        ({"password": "short", "again": "short"}, "A password has at least 8 characters."),
        ({"name": "ana"}, "There is an account named ana already."),
        ({"name": "<b>"}, "A name has 1 to 60 letters"),
    ],
)
def test_a_wrong_form_says_why(house: House, fields: dict[str, str], said: str) -> None:
    answer = sign_up(client(house, sign_up="approval"), **fields)
    assert answer.status_code == 400
    assert said in answer.text
    assert "<b>" not in answer.text


def test_sign_ups_from_one_place_are_few(house: House) -> None:
    http = client(house, sign_up="approval")
    for number in range(5):
        assert sign_up(http, f"name{number}").status_code == 200
    answer = sign_up(http, "one-more")
    assert answer.status_code == 429
    assert int(answer.headers["retry-after"]) > 3000


@pytest.mark.parametrize("path", ["/signup", "/password"])
def test_other_sites_can_not_send_these_forms(house: House, path: str) -> None:
    http = client(house, sign_up="approval")
    headers = {"sec-fetch-site": "cross-site"}
    form = {"name": "wim", "password": PASSWORD, "again": PASSWORD}
    assert http.post(path, data=form, headers=headers).status_code == 403
    assert len(house.accounts.all()) == 2


def test_a_link_lets_its_person_choose_a_password_once(house: House) -> None:
    http, people = client(house), People(house.accounts)
    token = people.reset_link("uwe", "ana")
    page = http.get("/password", params={"token": token})
    assert page.status_code == 200
    assert "the account uwe" in page.text
    assert page.headers["referrer-policy"] == "no-referrer"
    form = {"token": token, "password": PASSWORD, "again": "another"}
    assert http.post("/password", data=form).status_code == 400
    short = {"token": token, "password": "short", "again": "short"}
    assert "at least 8" in http.post("/password", data=short).text
    answer = http.post("/password", data=form | {"again": PASSWORD})
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    assert http.get("/who").json() == "user"
    assert house.accounts.sign_in("uwe", PASSWORD)
    assert http.post("/password", data=form | {"again": PASSWORD}).status_code == 410
    assert http.get("/password", params={"token": token}).status_code == 410
    assert http.get("/password").status_code == 410


def test_a_guest_gets_a_session_of_their_own(house: House) -> None:
    one, two = client(house, guests=True), client(house, guests=True)
    answer = one.get("/guest", params={"next": "/?chat=1"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/?chat=1")
    assert "Max-Age=604800" in answer.headers["set-cookie"]
    two.get("/guest")
    assert one.get("/who").json() == "guest"
    assert one.cookies[COOKIE] != two.cookies[COOKIE]
    first = one.cookies[COOKIE]
    one.get("/guest")
    assert one.cookies[COOKIE] == first


def test_there_are_no_guests_where_they_are_off(house: House) -> None:
    http = client(house)
    assert http.get("/guest").headers["location"] == "/login"
    assert http.get("/who").json() is None


def test_guests_from_one_place_are_not_without_end(house: House) -> None:
    app = client(house, guests=True).app
    for _ in range(60):
        assert TestClient(app, follow_redirects=False).get("/guest").status_code == 303
    answer = TestClient(app, follow_redirects=False).get("/guest")
    assert answer.status_code == 429
    assert "retry-after" in answer.headers


def test_somebody_who_is_signed_in_does_not_become_a_guest(house: House) -> None:
    http = client(house, guests=True)
    http.cookies.set(COOKIE, house.accounts.new_session(house.accounts.get("uwe")))
    http.get("/guest")
    assert http.get("/who").json() == "user"
