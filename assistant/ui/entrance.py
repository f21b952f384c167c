"""The way in and out: sign in, sign out, and the one-time link that makes the first admin.

Plain forms without script. Sessions and passwords belong to `accounts.py`, how often to `limits.py`; here are
the pages and the cookie. Other ways in are in `joining.py` and `oidc.py`.
"""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from urllib.parse import quote

from anyio import to_thread
from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from assistant.accounts import SESSION_DAYS, SHORTEST_PASSWORD, AccountError
from assistant.credentials import digest
from assistant.doors import opens
from assistant.entry import AccountsSection, OidcSection
from assistant.limits import Limits, TooMany
from assistant.people import People
from assistant.ui import paper
from assistant.ui.gate import COOKIE, account_of, address_of, same_origin
from assistant.ui.words import browser, sentence

__all__ = ["account_of", "let_in", "router"]


def router(
    people: People,
    limits: Limits | None = None,
    section: AccountsSection | None = None,
    oidc: OidcSection | None = None,
) -> APIRouter:
    """The routes `/login`, `/logout`, `/setup`. `section` and `oidc` say which other ways in are offered."""
    routes = APIRouter(include_in_schema=False)
    doors = _Doors(people, limits or Limits(), section or AccountsSection(), oidc or OidcSection())
    routes.add_api_route("/login", doors.login_page, methods=["GET"], response_class=HTMLResponse)
    routes.add_api_route("/login", doors.login, methods=["POST"], response_class=HTMLResponse)
    routes.add_api_route("/logout", doors.logout, methods=["POST"], response_class=HTMLResponse)
    routes.add_api_route("/setup", doors.setup_page, methods=["GET"], response_class=HTMLResponse)
    routes.add_api_route("/setup", doors.setup, methods=["POST"], response_class=HTMLResponse)
    return routes


class _Doors:
    """The handlers behind the routes."""

    def __init__(self, people: People, limits: Limits, section: AccountsSection, oidc: OidcSection) -> None:
        self._people, self._accounts = people, people.accounts
        self._limits = limits
        self._section = section
        self._oidc = oidc

    @opens(None)
    async def login_page(self, request: Request) -> Response:
        after = inside(request.query_params.get("next", "/"))
        found = await to_thread.run_sync(account_of, request, self._accounts)
        # A guest is in already and comes here to be somebody.
        if found is not None and found.role != "guest":
            return RedirectResponse(after, 303)
        return await self._login_sheet(after)

    @opens(None)
    async def login(self, request: Request) -> Response:
        if not same_origin(request):
            return foreign()
        form = await request.form()
        name, password = str(form.get("name", "")), str(form.get("password", ""))
        after = inside(str(form.get("next", "/")))
        address = address_of(request)
        try:
            with self._limits.password(name, address) as guess:
                label = browser(request.headers.get("user-agent", ""))
                try:
                    token = await to_thread.run_sync(self._accounts.sign_in, name, password, label)
                    guess.right = token is not None
                except AccountError:
                    guess.right = True  # it waits for approval, which only the right password learns
                    raise
        except TooMany as problem:
            sheet = await self._login_sheet(after, name, sentence(problem), 429)
            sheet.headers["retry-after"] = str(problem.seconds)
            return sheet
        except AccountError as problem:
            # The password was right: to say more than "wrong" tells nothing to whoever guesses.
            return await self._login_sheet(after, name, sentence(problem), 403)
        if token is None:
            return await self._login_sheet(after, name, "The name or the password is wrong.", 401)
        return let_in(request, token, after)

    @opens(None)
    async def logout(self, request: Request) -> Response:
        if not same_origin(request):
            return foreign()
        token = request.cookies.get(COOKIE)
        if token:
            await to_thread.run_sync(self._accounts.sign_out, token)
        response = RedirectResponse("/login", 303)
        response.delete_cookie(COOKIE, path="/", httponly=True, samesite="lax")
        return response

    @opens(None)
    async def setup_page(self, request: Request) -> Response:
        token = request.query_params.get("token", "")
        if not await to_thread.run_sync(self._accounts.link_is_good, token):
            return _spent()
        return _setup_sheet(token)

    @opens(None)
    async def setup(self, request: Request) -> Response:
        if not same_origin(request):
            return foreign()
        form = await request.form()
        token, name, password, again = (
            str(form.get(key, "")) for key in ("token", "name", "password", "again")
        )
        if not await to_thread.run_sync(self._accounts.link_is_good, token):
            return _spent()
        if password != again:
            return _setup_sheet(token, name, "The two passwords are not the same.")
        try:
            make = partial(self._people.make_first_admin, token, name, password)
            account = await to_thread.run_sync(make)
        except AccountError as problem:
            return _setup_sheet(token, name, sentence(problem))
        session = await to_thread.run_sync(self._accounts.new_session, account)
        return let_in(request, session, "/")

    async def _login_sheet(
        self, after: str, name: str = "", problem: str = "", status: int = 200
    ) -> HTMLResponse:
        fresh = not await to_thread.run_sync(self._accounts.any)
        text = (
            "Nobody has an account yet. Open the link that the terminal shows: it makes the first admin."
            if fresh
            else "Use the name and password that you got from your admin."
        )
        fields = paper.form(
            "/login",
            "Sign in",
            paper.field("name", "Name", value=name, fill="username", focus=not name),
            paper.field("password", "Password", kind="password", fill="current-password", focus=bool(name)),
            hidden={"next": after},
        )
        others = ""
        if self._oidc.on:
            where = f"/oidc/login?next={quote(after)}"
            others += paper.other(where, f"Sign in with {self._oidc.name}")
        if self._section.sign_up == "approval" and not fresh:
            others += paper.other("/signup", "Ask for an account")
        return paper.sheet("Sign in", text, fields + others, problem=problem, status=status)


def _setup_sheet(token: str, name: str = "", problem: str = "") -> HTMLResponse:
    fields = paper.form(
        "/setup",
        "Create account and sign in",
        paper.field("name", "Name", value=name, fill="username", focus=True),
        paper.field(
            "password",
            "Password",
            kind="password",
            fill="new-password",
            hint=f"At least {SHORTEST_PASSWORD} characters.",
        ),
        paper.field("again", "The same password again", kind="password", fill="new-password"),
        hidden={"token": token},
    )
    text = "This link works once. The account that you make here is the admin of this assistant."
    return paper.sheet("Welcome", text, fields, problem=problem, status=400 if problem else 200)


def _spent() -> HTMLResponse:
    text = (
        "It has been used, or there is a newer one. Until there is an admin, the terminal shows the newest."
    )
    return paper.sheet("This link no longer works", text, paper.link("/login", "Sign in"), status=410)


def foreign() -> HTMLResponse:
    """What somebody sees whom another site sent here with a form."""
    text = "It came from another site. Open the page here and try again."
    return paper.sheet("This request was refused", text, paper.link("/login", "Sign in"), status=403)


def let_in(
    request: Request, token: str, address: str, life: timedelta = timedelta(days=SESSION_DAYS)
) -> RedirectResponse:
    """On to an address of ours, with the session's cookie."""
    response = RedirectResponse(address, 303)
    response.set_cookie(
        COOKIE,
        token,
        max_age=round(life.total_seconds()),
        path="/",
        httponly=True,
        samesite="lax",
        secure=request.url.scheme == "https",
    )
    return response


def proof(request: Request) -> str:
    """What only a page of ours for this session knows: for links that begin something, which have no form.

    Else another site could lead somebody who is signed in here through a sign-in of its own choice, and have
    that connected with their account.
    """
    return digest(f"link\x00{request.cookies.get(COOKIE, '')}")[:32]


def inside(address: str) -> str:
    """An address on this server; anything else becomes the chat."""
    safe = address.startswith("/") and not address.startswith(("//", "/\\")) and address.isprintable()
    return address if safe and "\\" not in address else "/"
