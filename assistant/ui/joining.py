"""How somebody gets an account or goes without one: `/signup`, the link that chooses a password, `/guest`.

Plain forms without script. What an account is belongs to `people.py`, how often to `limits.py`.
"""

from __future__ import annotations

from datetime import timedelta

from anyio import to_thread
from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from assistant.accounts import GUEST_DAYS, SHORTEST_PASSWORD, AccountError
from assistant.doors import opens
from assistant.entry import AccountsSection
from assistant.limits import Limits, TooMany
from assistant.people import People
from assistant.ui import paper
from assistant.ui.entrance import account_of, foreign, inside, let_in
from assistant.ui.gate import address_of, same_origin
from assistant.ui.words import browser, sentence


def router(people: People, limits: Limits, section: AccountsSection) -> APIRouter:
    """The routes; those of a way in that is off say so."""
    routes, ways = APIRouter(include_in_schema=False), _Ways(people, limits, section)
    for path, read, write in (
        ("/signup", ways.sign_up_page, ways.sign_up),
        ("/password", ways.password_page, ways.password),
    ):
        routes.add_api_route(path, read, methods=["GET"], response_class=HTMLResponse)
        routes.add_api_route(path, write, methods=["POST"], response_class=HTMLResponse)
    routes.add_api_route("/guest", ways.guest, methods=["GET"], response_class=HTMLResponse)
    return routes


class _Ways:
    """The handlers behind the routes."""

    def __init__(self, people: People, limits: Limits, section: AccountsSection) -> None:
        self._people = people
        self._limits = limits
        self._section = section

    # -- an account, once an admin approves it -----------------------------------------------------

    @opens(None)
    async def sign_up_page(self, request: Request) -> Response:
        return _sign_up_sheet() if self._section.sign_up == "approval" else _shut()

    @opens(None)
    async def sign_up(self, request: Request) -> Response:
        if not same_origin(request):
            return foreign()
        if self._section.sign_up != "approval":
            return _shut()
        name, password, again = await _said(request, "name", "password", "again")
        if password != again:
            return _sign_up_sheet(name, "The two passwords are not the same.")
        try:
            self._limits.sign_up(address_of(request))
            await to_thread.run_sync(self._people.sign_up, name, password)
        except TooMany as problem:
            return _wait(_sign_up_sheet(name, sentence(problem), 429), problem)
        except AccountError as problem:
            return _sign_up_sheet(name, sentence(problem))
        text = "An admin has to approve your account. Once that is done you can sign in here."
        return paper.sheet("Almost there", text, paper.link("/login", "Sign in"))

    # -- a password by a one-time link -------------------------------------------------------------

    @opens(None)
    async def password_page(self, request: Request) -> Response:
        token = request.query_params.get("token", "")
        account = await to_thread.run_sync(self._people.by_link, token)
        return _spent() if account is None else _password_sheet(token, account.name)

    @opens(None)
    async def password(self, request: Request) -> Response:
        if not same_origin(request):
            return foreign()
        token, password, again = await _said(request, "token", "password", "again")
        account = await to_thread.run_sync(self._people.by_link, token)
        if account is None:
            return _spent()
        if password != again:
            return _password_sheet(token, account.name, "The two passwords are not the same.")
        try:
            account = await to_thread.run_sync(self._people.spend_link, token, password)
        except AccountError as problem:
            return _password_sheet(token, account.name, sentence(problem))
        label = browser(request.headers.get("user-agent", ""))
        session = await to_thread.run_sync(self._people.accounts.new_session, account, label)
        return let_in(request, session, "/")

    # -- without an account ------------------------------------------------------------------------

    @opens(None)
    async def guest(self, request: Request) -> Response:
        after = inside(request.query_params.get("next", "/"))
        if not self._section.guests:
            return RedirectResponse("/login", 303)
        if await to_thread.run_sync(account_of, request, self._people.accounts):
            return RedirectResponse(after, 303)
        try:
            self._limits.guest(address_of(request))
        except TooMany as problem:
            way = paper.link("/login", "Sign in")
            return _wait(paper.sheet("Not now", sentence(problem), way, status=429), problem)
        token = await to_thread.run_sync(self._people.accounts.new_guest)
        return let_in(request, token, after, timedelta(days=GUEST_DAYS))


async def _said(request: Request, *names: str) -> tuple[str, ...]:
    form = await request.form()
    return tuple(str(form.get(name, "")) for name in names)


def _sign_up_sheet(name: str = "", problem: str = "", status: int = 0) -> HTMLResponse:
    fields = paper.form(
        "/signup",
        "Ask for an account",
        paper.field("name", "Name", value=name, fill="username", focus=True),
        *_new_password(),
    )
    text = "An admin has to approve it before you can sign in."
    way = paper.other("/login", "I have an account")
    return paper.sheet(
        "New account", text, fields + way, problem=problem, status=status or (400 if problem else 200)
    )


def _password_sheet(token: str, name: str, problem: str = "") -> HTMLResponse:
    fields = paper.form("/password", "Save and sign in", *_new_password(), hidden={"token": token})
    text = f"This link works once. It is for the account {name}."
    return paper.sheet("Choose a password", text, fields, problem=problem, status=400 if problem else 200)


def _new_password() -> tuple[str, str]:
    hint = f"At least {SHORTEST_PASSWORD} characters."
    return (
        paper.field("password", "Password", kind="password", fill="new-password", hint=hint),
        paper.field("again", "The same password again", kind="password", fill="new-password"),
    )


def _wait(sheet: HTMLResponse, problem: TooMany) -> HTMLResponse:
    sheet.headers["retry-after"] = str(problem.seconds)
    return sheet


def _shut() -> HTMLResponse:
    text = "Accounts here are made by an admin."
    return paper.sheet("Nobody can sign up here", text, paper.link("/login", "Sign in"), status=404)


def _spent() -> HTMLResponse:
    text = "It has been used, or there is a newer one. Ask your admin for another."
    return paper.sheet("This link no longer works", text, paper.link("/login", "Sign in"), status=410)
