"""Sign in, sign out, and the one-time link, through real HTTP."""

from __future__ import annotations

import re

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from httpx import Response

from assistant.entry import AccountsSection, OidcSection
from assistant.limits import Limits
from assistant.people import People
from assistant.ui import entrance
from assistant.ui.entrance import account_of
from tests.assistant.ui.scripted import PASSWORD, House

COOKIE = "apprentice_session"


@pytest.fixture
def people(house: House) -> House:
    house.accounts.add("mia", "user", PASSWORD)
    return house


def client(house: House, scheme: str = "http") -> TestClient:
    app = FastAPI()
    app.include_router(entrance.router(People(house.accounts)))

    @app.get("/who")
    def who(request: entrance.Request) -> str | None:
        found = account_of(request, house.accounts)
        return found.name if found else None

    return TestClient(app, base_url=f"{scheme}://testserver", follow_redirects=False)


def sign_in(http: TestClient, name: str = "mia", password: str = PASSWORD, **more: str) -> Response:
    return http.post("/login", data={"name": name, "password": password, **more})


def test_the_right_password_lets_in(people: House) -> None:
    http = client(people)
    answer = sign_in(http)
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie
    assert "Path=/" in cookie
    assert "Secure" not in cookie
    assert http.get("/who").json() == "mia"
    assert http.get("/login").status_code == 303


def test_over_https_the_cookie_stays_there(people: House) -> None:
    assert "Secure" in sign_in(client(people, "https")).headers["set-cookie"]


@pytest.mark.parametrize(
    ("name", "password"), [("mia", "wrong"), ("nobody", PASSWORD), ("", ""), ("uwe", "")]
)
def test_anything_else_does_not(people: House, name: str, password: str) -> None:
    answer = sign_in(client(people), name, password)
    assert answer.status_code == 401
    assert answer.text.count("The name or the password is wrong.") == 1
    assert "set-cookie" not in answer.headers


def test_a_name_is_shown_again_as_text(people: House) -> None:
    answer = sign_in(client(people), '"><script>alert(1)</script>', "wrong")
    assert "<script" not in answer.text


def test_after_too_many_wrong_tries_there_is_a_pause(people: House) -> None:
    http = client(people)
    for _ in range(10):
        assert sign_in(http, password="wrong").status_code == 401
    answer = sign_in(http)
    assert answer.status_code == 429
    assert "Too many wrong tries; wait" in answer.text
    assert 0 < int(answer.headers["retry-after"]) <= 300
    # It is theirs alone: others come in.
    assert sign_in(http, name="uwe").status_code == 401


def test_who_waits_for_approval_is_told_so(people: House) -> None:
    people.accounts.add("wim", "user", PASSWORD, pending=True)
    answer = sign_in(client(people), "wim")
    assert answer.status_code == 403
    assert "Your account waits until an admin approves it." in answer.text
    assert "set-cookie" not in answer.headers
    assert "waits" not in sign_in(client(people), "wim", "wrong").text


def test_other_ways_in_are_offered_where_there_are_any(people: House) -> None:
    assert 'href="/signup"' not in client(people).get("/login").text
    app = FastAPI()
    app.include_router(
        entrance.router(
            People(people.accounts),
            Limits(),
            AccountsSection(sign_up="approval"),
            OidcSection("https://id.example.org", "us", name="<the shop>"),
        )
    )
    text = TestClient(app).get("/login", params={"next": "/?chat=1&x=2"}).text
    assert 'href="/signup"' in text
    assert 'href="/oidc/login?next=/%3Fchat%3D1%26x%3D2"' in text
    assert "Sign in with &lt;the shop&gt;" in text


def test_a_guest_may_sign_in(people: House) -> None:
    http = client(people)
    http.cookies.set(COOKIE, people.accounts.new_guest())
    assert http.get("/login").status_code == 200


@pytest.mark.parametrize(
    ("after", "goes_to"),
    [
        ("/admin", "/admin"),
        ("/?chat=conv-1", "/?chat=conv-1"),
        ("https://evil.example", "/"),
        ("//evil.example", "/"),
        ("/\\evil.example", "/"),
        ("/a\r\nset-cookie: x", "/"),
    ],
)
def test_one_lands_where_one_wanted_to_go_on_this_server(people: House, after: str, goes_to: str) -> None:
    assert sign_in(client(people), next=after).headers["location"] == goes_to


def test_signing_out_ends_the_session(people: House) -> None:
    http = client(people)
    sign_in(http)
    token = http.cookies[COOKIE]
    answer = http.post("/logout")
    assert (answer.status_code, answer.headers["location"]) == (303, "/login")
    http.cookies.set(COOKIE, token)
    assert http.get("/who").json() is None


def test_a_locked_account_is_out_at_once(people: House) -> None:
    http = client(people)
    sign_in(http)
    people.accounts.disable("mia")
    assert http.get("/who").json() is None
    assert sign_in(http).status_code == 401


@pytest.mark.parametrize(
    "headers",
    [
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"origin": "https://evil.example"},
        {"origin": "null"},
    ],
)
@pytest.mark.parametrize("path", ["/login", "/logout", "/setup"])
def test_other_sites_can_not_send_our_forms(people: House, path: str, headers: dict[str, str]) -> None:
    http = client(people)
    sign_in(http)
    form = {"name": "mia", "password": PASSWORD}
    answer = http.post(path, data=form, headers=headers)
    assert answer.status_code == 403
    assert "came from another site" in answer.text
    assert http.get("/who").json() == "mia"


@pytest.mark.parametrize("headers", [{"sec-fetch-site": "same-origin"}, {"origin": "http://testserver"}])
def test_our_own_pages_can(people: House, headers: dict[str, str]) -> None:
    form = {"name": "mia", "password": PASSWORD}
    assert client(people).post("/login", data=form, headers=headers).status_code == 303


# -- the first start -----------------------------------------------------------------------------------


@pytest.fixture
def fresh(house: House) -> House:
    """A house without accounts."""
    house.accounts.delete("uwe")
    # The only admin can't be deleted, so that this one goes through the back door.
    with house.accounts._database.write() as connection:
        from assistant.accounts import accounts

        connection.execute(accounts.delete())
    return house


def set_up(http: TestClient, token: str | None, **fields: str) -> Response:
    form = {"token": token or "", "name": "root", "password": PASSWORD, "again": PASSWORD, **fields}
    return http.post("/setup", data=form)


def test_the_link_makes_the_admin_and_signs_them_in(fresh: House) -> None:
    http, token = client(fresh), fresh.accounts.first_link()
    page = http.get("/setup", params={"token": str(token)})
    assert page.status_code == 200
    assert str(token) in page.text
    assert page.headers["referrer-policy"] == "no-referrer"
    answer = set_up(http, token)
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    assert http.get("/who").json() == "root"
    assert fresh.accounts.get("root").role == "admin"


def test_the_link_works_once(fresh: House) -> None:
    http, token = client(fresh), fresh.accounts.first_link()
    set_up(http, token)
    assert set_up(http, token, name="second").status_code == 410
    page = http.get("/setup", params={"token": str(token)})
    assert page.status_code == 410
    assert "no longer works" in page.text


@pytest.mark.parametrize("token", ["", "guessed"])
def test_a_wrong_link_makes_nobody(fresh: House, token: str) -> None:
    fresh.accounts.first_link()
    assert set_up(client(fresh), token).status_code == 410
    assert fresh.accounts.all() == []


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"again": "another one"}, "The two passwords are not the same."),
        ({"password": "short", "again": "short"}, "A password has at least 8 characters."),
        ({"name": "no spaces"}, "A name has 1 to 60 letters"),
    ],
)
def test_a_wrong_form_says_why_and_the_link_stays_good(
    fresh: House, fields: dict[str, str], said: str
) -> None:
    http, token = client(fresh), fresh.accounts.first_link()
    answer = set_up(http, token, **fields)
    assert answer.status_code == 400
    assert said in answer.text
    assert PASSWORD not in answer.text
    assert set_up(http, token).status_code == 303


def test_someone_who_comes_too_early_is_told_about_the_link(fresh: House, people: House) -> None:
    assert "the link that the terminal shows" not in client(people).get("/login").text
    people.accounts.delete("mia")
    assert "the link that the terminal shows" in client(fresh).get("/login").text


def test_the_pages_need_nothing_from_elsewhere(people: House) -> None:
    html = client(people).get("/login").text
    assert not re.findall(r'(?:src|href)="(?!data:|/)', html)
    assert "<script" not in html
    for name in ("name", "password"):
        assert f'<label for="{name}">' in html
        assert f'id="{name}"' in html
