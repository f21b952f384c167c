"""A person's own account: sessions, keys and password, through real HTTP."""

from __future__ import annotations

import re

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from assistant.entry import OidcSection
from assistant.limits import Limits
from assistant.people import People
from assistant.ui import account_page
from assistant.ui.gate import COOKIE
from tests.assistant.ui.scripted import PASSWORD, House

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"


@pytest.fixture
def people(house: House) -> People:
    house.accounts.add("mia", "user", PASSWORD)
    return People(house.accounts)


def client(people: People, name: str | None = "mia", oidc: OidcSection | None = None) -> TestClient:
    app = FastAPI()
    app.include_router(account_page.router(people, Limits(), oidc))
    http = TestClient(app, follow_redirects=False)
    if name is not None:
        account = people.accounts.get(name)
        http.cookies.set(COOKIE, people.accounts.new_session(account, "Firefox on Linux"))
    return http


def test_a_new_key_is_shown_once(people: People) -> None:
    http = client(people)
    answer = http.post("/account/key", data={"label": "the <script>"})
    (key,) = re.findall(r"sk-[\w-]{40,}", answer.text)
    assert people.accounts.by_key(key) == people.accounts.get("mia")
    assert answer.headers["cache-control"] == "no-store"
    text = http.get("/account").text
    assert key not in text
    assert f"(…{key[-4:]})" in text
    assert "the &lt;script&gt;" in text


def test_keys_and_sessions_are_ended(people: People) -> None:
    http, mia = client(people), people.accounts.get("mia")
    other = people.accounts.new_session(mia, "Chrome on Android")
    key = people.new_key(mia, "old")
    text = http.get("/account").text
    assert "Chrome on Android" in text
    assert "this one" in text
    (theirs,) = [one for one in people.sessions(mia) if one.label.startswith("Chrome")]
    assert http.post("/account/end-session", data={"id": theirs.id}).status_code == 303
    assert people.accounts.by_session(other) is None
    assert http.post("/account/end-key", data={"id": people.keys(mia)[0].id}).status_code == 303
    assert people.accounts.by_key(key) is None
    people.accounts.new_session(mia)
    people.accounts.new_session(mia)
    assert "2 other sessions ended" in http.post("/account/end-sessions").text
    assert http.get("/account").status_code == 200


def test_nobody_ends_what_is_somebody_elses(people: People) -> None:
    ana = people.accounts.get("ana")
    theirs, key = people.accounts.new_session(ana), people.accounts.new_key("ana")
    http = client(people)
    for path, one in (("end-session", people.sessions(ana)[0]), ("end-key", people.keys(ana)[0])):
        answer = http.post(f"/account/{path}", data={"id": one.id})
        assert answer.status_code == 400
        assert "There is no such" in answer.text
    assert people.accounts.by_session(theirs) is not None
    assert people.accounts.by_key(key) is not None


def test_the_password_is_changed_with_the_present_one(people: People) -> None:
    http, other = client(people), people.accounts.sign_in("mia", PASSWORD)
    form = {"old": PASSWORD, "password": "another horse", "again": "another horse"}
    assert "not the same" in http.post("/account/password", data=form | {"again": "x"}).text
    assert "not your present password" in http.post("/account/password", data=form | {"old": "x"}).text
    assert "is changed" in http.post("/account/password", data=form).text
    assert people.accounts.sign_in("mia", "another horse")
    assert people.accounts.by_session(str(other)) is None
    assert http.get("/account").status_code == 200


def test_who_found_an_open_page_may_not_guess_either(people: People) -> None:
    http = client(people)
    form = {"old": "wrong", "password": "another horse", "again": "another horse"}
    for _ in range(10):
        http.post("/account/password", data=form)
    answer = http.post("/account/password", data=form | {"old": PASSWORD})
    assert "Too many wrong tries" in answer.text
    assert people.accounts.sign_in("mia", PASSWORD)


PATHS = ("password", "key", "end-key", "end-session", "end-sessions")


@pytest.mark.parametrize("path", PATHS)
def test_other_sites_and_strangers_change_nothing(people: People, path: str) -> None:
    mia = people.accounts.get("mia")
    people.accounts.new_session(mia)
    form = {"id": people.sessions(mia)[0].id, "label": "x", "old": PASSWORD, "password": "y" * 9}
    for http, headers in (
        (client(people), {"sec-fetch-site": "cross-site"}),
        (client(people), {"origin": "https://evil.example"}),
        (client(people, None), {}),
    ):
        before = len(people.sessions(mia))
        answer = http.post(f"/account/{path}", data=form | {"again": "y" * 9}, headers=headers)
        assert answer.status_code == 403
        assert len(people.sessions(mia)) == before
        assert people.keys(mia) == []
    assert people.accounts.sign_in("mia", PASSWORD)


def test_a_guest_has_no_account(people: People) -> None:
    http = client(people, None)
    http.cookies.set(COOKIE, people.accounts.new_guest())
    assert http.get("/account").status_code == 303
    assert http.post("/account/key", data={"label": "x"}).status_code == 403


def test_a_sign_in_service_is_offered_or_shown(people: People) -> None:
    service = OidcSection("https://id.example.org", "us", name="the shop")
    http = client(people, "uwe", service)
    text = http.get("/account").text
    assert re.search(r'href="/oidc/login\?connect=[0-9a-f]{32}"', text)
    # Who has no password needs none to choose one.
    assert "Present password" not in text
    people.connect(people.accounts.get("uwe"), service.issuer, "17")
    assert "You can also sign in with the shop." in http.get("/account").text


def test_the_page_needs_no_script_and_nothing_from_elsewhere(people: People) -> None:
    text = client(people).get("/account").text
    assert "<script" not in text
    assert not re.findall(r'(?:src|href)="(?!data:|/)', text)
