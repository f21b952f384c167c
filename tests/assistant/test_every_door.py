"""Walks the whole application as it runs: every route and every address of gradio's, for everybody there is.

Fails on a route that declares no role, that declares another one than the list here, or that answers somebody
it should not. A new route belongs into `OPEN` or `RULES` if no line there fits it.
"""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy import update
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount
from starlette.types import Receive, Scope, Send

from assistant import doors
from assistant.accounts import accounts as table
from assistant.app import House, open_house, web
from assistant.entry import AccountsSection
from assistant.limits import Limits
from assistant.settings import read
from assistant.ui.gate import _FILES, _GRADIO, COOKIE, READING, Gate
from assistant.ui.page import Page
from feedback.records import Role
from tests.assistant.ui import scripted

RANK = {"nobody": -1, "disabled": -1, "guest": 0, "user": 1, "staff": 2, "admin": 3}
EVERYBODY = tuple(RANK)

# Addresses that answer anybody, each because it looks at who it is by itself or has nothing to hide
OPEN = (
    r"/healthz|/readyz",
    r"/metrics",  # a key, or this machine: test_api.py
    r"/login|/logout|/setup",  # test_entrance.py
    r"/signup|/password|/guest",  # test_joining.py
    r"/oidc/(login|callback)",  # test_oidc.py
)
# For the others the first line that fits says the least role. Programs show theirs by a key, people by a
# session; of a route for programs that no line names, its own declaration counts.
RULES: tuple[tuple[str, Role], ...] = (
    (r"(GET|POST) /v1/runs", "admin"),
    (r"POST /v1/adapters/canary-stop", "staff"),
    (r"\w+ /v1/adapters.*", "admin"),
    (r"\w+ /v1/approvals.*", "staff"),
    (r"(POST|DELETE|PUT|PATCH) /v1/documents.*", "staff"),
    (r"GET /v1/(documents.*|models)", "user"),
    (r"POST /v1/(chat/completions|feedback)", "user"),
    (r"\w+ /v1/feedback/(export|import)", "admin"),
    (r"GET /v1/deletions", "admin"),
    (r"GET /v1/(feedback|conversations(/.*)?|me/export)|DELETE /v1/me", "user"),
    (r"\w+ /admin(/.*)?", "admin"),
    (r"\w+ /review(/.*)?", "staff"),
    (r"\w+ /documents/doc-.*", "user"),
    (r"\w+ /documents(/.*)?", "staff"),
    (r"\w+ /account(/.*)?", "user"),
)
HOW = (
    "declares no role. A route for programs: Depends(api.bearer(accounts, ROLE)). A page's own route: "
    "@opens(ROLE) of assistant.doors on its function. A page of gradio's: mount it by _mount of ui/mount.py."
)


@dataclass(frozen=True)
class Address:
    """One method of one route, with made-up values for its parameters."""

    method: str
    path: str
    route: BaseRoute
    inner: str | None = None
    """Behind a mount: the path there."""

    def __str__(self) -> str:
        return f"{self.method} {self.path}"

    @property
    def scope(self) -> Scope:
        """As the application sees a request for it."""
        return {"type": "http", "method": self.method, "path": self.path, "headers": []}

    @property
    def door(self) -> doors.Door:
        found = doors.declared(self.route)
        assert found is not None, f"{doors.name(self.route)} {HOW}"
        return found

    @property
    def shut(self) -> bool:
        """Whether it is an address of gradio's that no page of ours needs."""
        if self.inner is None:
            return False
        return not (_GRADIO.fullmatch(self.inner) or (self.door.files and _FILES.match(self.inner)))


@dataclass
class Walk:
    """The application, and what everybody comes with."""

    app: FastAPI
    house: House
    sessions: dict[str, str]
    keys: dict[str, str]
    addresses: list[Address]

    def client(self, who: str, app: Any = None) -> TestClient:
        http = TestClient(app or self.app, follow_redirects=False, raise_server_exceptions=False)
        if who in self.sessions:
            http.cookies.set(COOKIE, self.sessions[who])
        return http

    def headers(self, who: str, address: Address) -> dict[str, str]:
        key = self.keys.get(who) if address.door.by == "key" else None
        return {"authorization": f"Bearer {key}"} if key else {}

    def gate(self) -> Gate:
        """The gate alone, before an application that says only that it was reached."""
        none = Limits(AccountsSection(api_limit=""))
        return Gate(_reached, self.house.accounts, self.app.routes, none, guests=True)


async def _reached(scope: Scope, receive: Receive, send: Send) -> None:
    await Response(status_code=299)(scope, receive, send)


@pytest.fixture(scope="module")
def walk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Walk]:
    """The application with every way in switched on, and one person of each kind."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADIO_TEMP_DIR", "")  # set by the application; given back at the end
        house = open_house(
            read(
                home=tmp_path_factory.mktemp("home"),
                model="org/model",
                accounts={"sign_up": "approval", "guests": True, "api_limit": ""},
                oidc={"issuer": "https://id.example.org", "client_id": "us"},
            )
        )
        app = web(house)
        sessions, keys = {"guest": house.accounts.new_guest()}, {}
        roles: tuple[tuple[str, Role], ...] = (
            ("user", "user"),
            ("staff", "staff"),
            ("admin", "admin"),
            ("disabled", "admin"),
        )
        for who, role in roles:
            account = house.accounts.add(f"marker-{who}", role)
            sessions[who], keys[who] = (
                house.accounts.new_session(account),
                house.accounts.new_key(account.name),
            )
        # Not by `disable`, which would end both: what is still there must open nothing either.
        with house.database.write() as connection:
            connection.execute(update(table).where(table.c.name == "marker-disabled").values(disabled=True))
        found = [one for one in _addresses(app) if doors.matching(app.routes, one.scope) is one.route]
        yield Walk(app, house, sessions, keys, sorted(found, key=str))
        house.close()


def _addresses(app: FastAPI) -> Iterator[Address]:
    for route in app.routes:
        if isinstance(route, Mount):
            for inner in _flat(route.app.routes):  # type: ignore[attr-defined]
                path = _made_up(inner.path)
                yield from (
                    Address(method, route.path + path, route, path) for method in inner.methods or ("GET",)
                )
        else:
            path = _made_up(getattr(route, "path", ""))
            yield from (
                Address(method, path, route) for method in getattr(route, "methods", None) or ("GET",)
            )


def _flat(routes: Any) -> Iterator[Any]:
    for route in routes:
        if hasattr(route, "routes"):
            yield from _flat(route.routes)
        elif hasattr(route, "path"):
            yield route


def _made_up(path: str) -> str:
    return re.sub(r"\{[^}]*\}", "x", path) or "/"


def least(address: Address) -> Role | None:
    """The least role by the list above; None: anybody."""
    if address.inner is None and any(re.fullmatch(pattern, address.path) for pattern in OPEN):
        return None
    for pattern, role in RULES:
        if re.fullmatch(pattern, str(address)):
            return role
    if address.path.startswith("/v1/"):
        return address.door.role
    return "guest"


def hold(wrong: list[str]) -> None:
    if wrong:
        pytest.fail("\n".join(wrong), pytrace=False)


def test_every_route_declares_who_may_open_it(walk: Walk) -> None:
    assert len(walk.addresses) > 200
    hold([f"{doors.name(route)} {HOW}" for route in walk.app.routes if doors.declared(route) is None])


def test_what_is_declared_is_what_the_list_says(walk: Walk) -> None:
    wrong = []
    for address in walk.addresses:
        role, by = least(address), "key" if address.path.startswith("/v1/") else "session"
        declared = (address.door.role, address.door.by)
        if declared != (role, by if role else "nothing"):
            wrong.append(f"{address} is declared for {declared}, and the list here says {(role, by)}")
    hold(wrong)


@pytest.mark.parametrize("who", EVERYBODY)
def test_whoever_may_not_is_refused(walk: Walk, who: str) -> None:
    http, wrong = walk.client(who), []
    for address in walk.addresses:
        role = least(address)
        if role is None or (RANK[who] >= RANK[role] and not address.shut):
            continue
        answer = http.request(address.method, address.path, headers=walk.headers(who, address))
        to_the_way_in = answer.headers.get("location", "").startswith(("/login?", "/guest?"))
        refused = answer.status_code in (401, 403) or (answer.status_code == 303 and to_the_way_in)
        if not refused and not (address.shut and answer.status_code == 404):
            wrong.append(f"{address} answers {who} with {answer.status_code}; it is for {role} and above")
    hold(wrong)


@pytest.mark.parametrize("who", EVERYBODY)
def test_whoever_may_comes_through(walk: Walk, who: str) -> None:
    http, wrong = walk.client(who, walk.gate()), []
    for address in walk.addresses:
        role = least(address)
        if address.shut or (role is not None and RANK[who] < RANK[role]):
            continue
        answer = http.request(address.method, address.path, headers=walk.headers(who, address))
        if answer.status_code != 299:
            wrong.append(f"{address} refuses {who} with {answer.status_code}; it is for {role} and above")
    hold(wrong)


def test_another_site_changes_nothing_with_somebodys_session(walk: Walk) -> None:
    http, wrong = walk.client("admin"), []
    for address in walk.addresses:
        if address.method in READING:
            continue
        for headers in ({"sec-fetch-site": "cross-site"}, {"origin": "https://evil.example"}):
            status = http.request(address.method, address.path, headers=headers).status_code
            # A route for programs does not look at the session at all.
            if status != (401 if address.door.by == "key" else 403):
                wrong.append(f"{address} with {headers} answers {status}")
    hold(wrong)


def test_no_event_of_a_page_is_taken_from_somebody_below_it(walk: Walk) -> None:
    wrong = []
    for route, blocks in _pages(walk.app):
        door = doors.declared(route)
        assert door is not None
        assert door.role is not None
        for who in (who for who in EVERYBODY if RANK[who] < RANK[door.role]):
            http = walk.client(who)
            for index in blocks.fns:
                event = {"fn_index": index, "data": [], "session_hash": "made-up", "event_data": {}}
                status = http.post(f"{route.path}/gradio_api/queue/join", json=event).status_code
                if status not in (401, 403):
                    wrong.append(f"event {index} of {route.path or '/'} answers {who} with {status}")
    hold(wrong)


@pytest.mark.parametrize("who", [None, "marker-disabled", "marker-user"])
async def test_every_handler_looks_once_more_who_it_is(walk: Walk, who: str | None) -> None:
    wrong = []
    for route, blocks in _pages(walk.app):
        door = doors.declared(route)
        assert door is not None
        if who == "marker-user" and door.role in ("guest", "user"):
            continue
        for index, function in blocks.fns.items():
            if function.fn is None:
                continue
            said = await _called(function.fn, who)
            if not re.search(r"signed out|needs the role", said):
                wrong.append(f"event {index} ({function.name}) of {route.path or '/'} says to {who}: {said}")
    hold(wrong)


async def _called(function: Any, who: str | None) -> str:
    """What a handler says to somebody who may not."""
    given = {"request": scripted.request(who), "event": scripted.event(), "page": Page()}
    arguments = [given.get(name, "") for name in inspect.signature(function).parameters]
    try:
        found = function(*arguments)
        if inspect.isasyncgen(found):
            return str([picture async for picture in found])
        return str(await found if inspect.isawaitable(found) else found)
    except Exception as problem:  # noqa: BLE001 - whatever it says is looked at
        return str(getattr(problem, "message", problem))


def test_an_open_page_is_its_persons_alone(walk: Walk) -> None:
    gate = walk.gate()
    theirs, other = walk.client("user", gate), walk.client("staff", gate)
    assert theirs.get("/gradio_api/queue/data", params={"session_hash": "one"}).status_code == 299
    event = {"session_hash": "one", "fn_index": 0, "event_id": "x", "data": []}
    for http, status in ((other, 403), (theirs, 299)):
        assert http.get("/gradio_api/queue/data", params={"session_hash": "one"}).status_code == status
        assert http.get("/gradio_api/heartbeat/one").status_code == status
        for path in ("queue/join", "cancel", "reset"):
            assert http.post(f"/gradio_api/{path}", json=event).status_code == status


def test_the_configuration_of_no_page_holds_data(walk: Walk) -> None:
    """Not even of those that may see it: a page is filled when it loads, for the one who opens it."""
    house = walk.house
    admin = house.accounts.get("marker-admin")
    house.store.start_conversation(admin.id, "marker-question")
    house.runs.queue("dpo", "by hand: marker-run")
    http = walk.client("admin")
    for route, _ in _pages(walk.app):
        for path in ("/config", "/"):
            answer = http.get(route.path + path)
            assert answer.status_code == 200, answer.text
            # Who asks is told their own name.
            text = re.sub(r'"username": ?"marker-admin"', "", answer.text)
            for secret in ("marker-", admin.id, *walk.keys.values(), *walk.sessions.values()):
                assert secret not in text, path
    # The names of all events stand in a script that every page has; bound are those of the page alone.
    bound = json.dumps(walk.client("user").get("/config").json()["dependencies"])
    assert not re.findall(r"run_train|person_approve|adapter_promote", bound)


def test_files_of_this_machine_are_fetched_by_nobody(walk: Walk) -> None:
    secret = Path(walk.house.settings.home) / "apprentice.db"
    for who in EVERYBODY:
        for route, _ in _pages(walk.app):
            for path in (f"/gradio_api/file={secret}", f"/file={secret}", "/static/../../../../etc/passwd"):
                assert walk.client(who).get(route.path + path).status_code in (401, 403, 404)


def test_a_route_that_declares_nothing_is_shut_even_to_admins(walk: Walk) -> None:
    @walk.app.get("/forgotten")
    def forgotten() -> str:
        return "secret"

    # Before the mount at "/", as a route that somebody adds is.
    route = walk.app.router.routes.pop()
    walk.app.router.routes.insert(0, route)
    try:
        answer = walk.client("admin").get("/forgotten")
        assert answer.status_code == 403
        assert "secret" not in answer.text
    finally:
        walk.app.router.routes.remove(route)


def _pages(app: FastAPI) -> Iterator[tuple[Mount, Any]]:
    for route in app.routes:
        if isinstance(route, Mount):
            yield route, route.app.get_blocks()  # type: ignore[attr-defined]
