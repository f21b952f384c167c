"""Signing in by OpenID Connect, against a real provider on loopback that the tests run themselves."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from httpx import Response
from joserfc.jwk import RSAKey
from sqlalchemy import select

from assistant.accounts import credentials
from assistant.entry import OidcSection
from assistant.people import People
from assistant.ui import oidc
from assistant.ui.gate import COOKIE, account_of
from tests.assistant.ui.oidc_provider import CLIENT, SECRET, Provider, provider
from tests.assistant.ui.scripted import House


@pytest.fixture(scope="module")
def running() -> Iterator[Provider]:
    with provider() as found:
        yield found


@pytest.fixture
def service(running: Provider) -> Provider:
    """The provider as if it had just been started."""
    vars(running).update(vars(Provider(url=running.url, key=running.key)))
    return running


@pytest.fixture
def section(service: Provider) -> OidcSection:
    return OidcSection(service.url, CLIENT, SECRET, name="the shop")


def client(house: House, section: OidcSection) -> TestClient:
    app = FastAPI()
    oidc.install(app, People(house.accounts), section)

    @app.get("/who")
    def who(request: oidc.Request) -> list[str] | None:
        found = account_of(request, house.accounts)
        return [found.name, found.role] if found else None

    @app.get("/proof")
    def shown(request: oidc.Request) -> str:
        return oidc.proof(request)

    return TestClient(app, follow_redirects=False)


def sign_in(http: TestClient, **query: str) -> Response:
    """The way of a browser: to us, to the provider, and back."""
    there = http.get("/oidc/login", params=query)
    assert there.status_code == 302, there.text
    back = httpx.get(there.headers["location"], follow_redirects=False)
    return http.get(back.headers["location"])


def test_who_is_known_there_comes_in_here(house: House, service: Provider, section: OidcSection) -> None:
    http = client(house, section)
    answer = sign_in(http, next="/?chat=conv-1")
    assert (answer.status_code, answer.headers["location"]) == (303, "/?chat=conv-1")
    assert http.get("/who").json() == ["mia", "user"]
    asked = service.asked[0]
    assert asked["redirect_uri"] == "http://testserver/oidc/callback"
    assert min(len(asked[name]) for name in ("state", "nonce", "code_challenge")) >= 20
    # Nothing of it stays in the browser but our own session.
    assert [cookie.name for cookie in http.cookies.jar] == [COOKIE]


def test_the_second_time_it_is_the_same_person_whatever_they_are_called(
    house: House, service: Provider, section: OidcSection
) -> None:
    sign_in(client(house, section))
    first = house.accounts.get("mia")
    service.claims = {"sub": "17", "preferred_username": "maria", "email": "other@example.org"}
    http = client(house, section)
    sign_in(http)
    assert http.get("/who").json() == ["mia", "user"]
    assert house.accounts.get("mia") == first


def test_a_name_that_is_somebody_elses_here_gives_nothing_of_theirs(
    house: House, service: Provider, section: OidcSection
) -> None:
    service.claims = {"sub": "666", "preferred_username": "ana", "email": "ana@example.org"}
    http = client(house, section)
    sign_in(http)
    assert http.get("/who").json() == ["ana-2", "user"]


def test_groups_there_are_roles_here_each_time_one_comes(
    house: House, service: Provider, section: OidcSection
) -> None:
    section = replace(section, role_claim="realm.roles", roles="it=admin,support=staff")
    http = client(house, section)
    for told, role in ((["support"], "staff"), (["x", "it", "support"], "admin"), (["support"], "staff")):
        service.claims = {"sub": "17", "preferred_username": "mia", "realm": {"roles": told}}
        sign_in(http)
        assert http.get("/who").json() == ["mia", role]
    service.claims["realm"] = {"roles": ["sales"]}
    http.cookies.clear()
    answer = sign_in(http)
    assert answer.status_code == 403
    assert "has no role here" in answer.text
    assert http.get("/who").json() is None
    # Neither by what was theirs before.
    assert house.accounts.get("mia").disabled


def test_who_is_locked_out_here_stays_out(house: House, section: OidcSection) -> None:
    http = client(house, section)
    sign_in(http)
    house.accounts.disable("mia")
    answer = sign_in(http)
    assert answer.status_code == 403
    assert "locked out" in answer.text
    assert http.get("/who").json() is None


def test_the_session_is_as_long_as_told(house: House, section: OidcSection) -> None:
    answer = sign_in(client(house, replace(section, session_hours=2)))
    cookie = next(one for one in answer.headers.get_list("set-cookie") if one.startswith(COOKIE))
    assert "Max-Age=7200" in cookie
    assert "HttpOnly" in cookie
    with house.accounts.database.read() as connection:
        expires = connection.execute(select(credentials.c.expires_at)).scalar_one()
    assert timedelta(minutes=115) < expires - datetime.now(UTC) <= timedelta(hours=2)


@pytest.mark.parametrize(
    "lie",
    [
        {"nonce": "another"},
        {"nonce": None},
        {"iss": "https://evil.example"},
        {"aud": "another-client"},
        {"aud": None},
        {"exp": 1_000_000_000},
        {"exp": None},
        {"sub": None},
    ],
    ids=str,
)
def test_a_token_that_is_not_for_this_sign_in_opens_nothing(
    house: House, service: Provider, section: OidcSection, lie: dict[str, Any]
) -> None:
    service.lie = lie
    refused(house, section)


def test_a_token_that_somebody_else_signed_opens_nothing(
    house: House, service: Provider, section: OidcSection
) -> None:
    service.shown = RSAKey.generate_key(2048, {"kid": "one"})
    refused(house, section)


def test_a_provider_that_is_down_silent_or_another_one_is_said_in_words(
    house: House, service: Provider, section: OidcSection
) -> None:
    service.without_id_token = True
    refused(house, section)
    service.down = True
    answer = client(house, section).get("/oidc/login")
    assert answer.status_code == 502
    assert "The shop did not confirm who you are." in answer.text
    nobody = replace(section, issuer="http://127.0.0.1:9")
    assert client(house, nobody).get("/oidc/login").status_code == 502


def test_a_wrong_secret_of_ours_opens_nothing(house: House, section: OidcSection) -> None:
    refused(house, replace(section, client_secret="another"))


def refused(house: House, section: OidcSection) -> None:
    http = client(house, section)
    before = house.accounts.all()
    answer = sign_in(http)
    assert answer.status_code == 502
    assert "Signing in did not work" in answer.text
    assert http.get("/who").json() is None
    assert house.accounts.all() == before


def test_an_answer_that_this_browser_did_not_ask_for_opens_nothing(
    house: House, service: Provider, section: OidcSection
) -> None:
    """Else somebody could have another person chat in an account that the somebody can read."""
    attacker, victim = client(house, section), client(house, section)
    there = attacker.get("/oidc/login")
    back = httpx.get(there.headers["location"], follow_redirects=False).headers["location"]
    assert victim.get(back).status_code == 502
    victim.get("/oidc/login")
    assert victim.get(back).status_code == 502
    state = parse_qs(urlsplit(back).query)["state"][0]
    assert victim.get("/oidc/callback", params={"state": state, "error": "access_denied"}).status_code == 502
    assert victim.get("/oidc/callback").status_code == 502
    assert victim.get("/who").json() is None


def test_an_answer_is_good_once(house: House, section: OidcSection) -> None:
    http = client(house, section)
    back = httpx.get(http.get("/oidc/login").headers["location"], follow_redirects=False)
    assert http.get(back.headers["location"]).status_code == 303
    assert http.get(back.headers["location"]).status_code == 502


def test_one_lands_only_on_this_server(house: House, section: OidcSection) -> None:
    http = client(house, section)
    assert sign_in(http, next="//evil.example").headers["location"] == "/"


def as_person(house: House, http: TestClient, name: str) -> str:
    """Sign in here, and the proof that stands in the link on one's own page."""
    http.cookies.set(COOKIE, house.accounts.new_session(house.accounts.get(name)))
    found: str = http.get("/proof").json()
    return found


def test_somebody_with_an_account_connects_it(house: House, service: Provider, section: OidcSection) -> None:
    http = client(house, section)
    shown = as_person(house, http, "uwe")
    assert sign_in(http, connect=shown).headers["location"] == "/account"
    http.cookies.clear()
    sign_in(http)
    assert http.get("/who").json() == ["uwe", "user"]
    # The same identity at another account is refused.
    http.cookies.clear()
    answer = sign_in(http, connect=as_person(house, http, "ana"))
    assert answer.status_code == 403
    assert "another account already" in answer.text


def test_another_site_can_not_have_its_own_sign_in_connected(
    house: House, service: Provider, section: OidcSection
) -> None:
    http = client(house, section)
    as_person(house, http, "uwe")
    for guess in ("1", "x" * 32, "ü"):
        assert http.get("/oidc/login", params={"connect": guess}).status_code == 403
    assert service.asked == []


def test_without_a_session_there_is_nothing_to_connect(house: House, section: OidcSection) -> None:
    http = client(house, section)
    assert sign_in(http, connect="1").headers["location"] == "/"
    assert http.get("/who").json() == ["mia", "user"]


def test_its_pages_need_nothing_from_elsewhere(house: House, section: OidcSection) -> None:
    text = client(house, replace(section, issuer="http://127.0.0.1:9")).get("/oidc/login").text
    assert not re.findall(r'(?:src|href)="(?!data:|/)', text)
