"""The way in and out: sign in, sign out, and the one-time link that makes the first admin.

Plain forms without script. Sessions and passwords belong to `accounts.py`; here are the pages, the cookie,
and the pause after too many wrong tries.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from functools import partial

from anyio import to_thread
from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from assistant.accounts import SESSION_DAYS, SHORTEST_PASSWORD, AccountError, Accounts
from assistant.ui import paper
from assistant.ui.gate import COOKIE, account_of, same_origin
from assistant.ui.words import sentence

__all__ = ["Tries", "account_of", "router"]

MOST_WRONG = 10
PAUSE_SECONDS = 300.0
_MOST_REMEMBERED = 10_000


class Tries:
    """Counts wrong passwords by name and address: after `MOST_WRONG` in `PAUSE_SECONDS` none is looked at."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._wrong: dict[tuple[str, str], deque[float]] = {}
        self._lock = threading.Lock()

    def allowed(self, name: str, address: str) -> bool:
        """Whether a password may be tried now."""
        with self._lock:
            times = self._wrong.get((name, address))
            while times and times[0] < self._clock() - PAUSE_SECONDS:
                times.popleft()
            return not times or len(times) < MOST_WRONG

    def wrong(self, name: str, address: str) -> None:
        """Note a wrong password."""
        with self._lock:
            if len(self._wrong) >= _MOST_REMEMBERED:
                # Names that somebody makes up must not fill the memory; the oldest are forgotten.
                self._wrong.pop(next(iter(self._wrong)))
            self._wrong.setdefault((name, address), deque()).append(self._clock())

    def right(self, name: str, address: str) -> None:
        """Forget the wrong ones: the right one came."""
        with self._lock:
            self._wrong.pop((name, address), None)


def router(accounts: Accounts) -> APIRouter:
    """The routes `/login`, `/logout` and `/setup`."""
    routes = APIRouter(include_in_schema=False)
    doors = _Doors(accounts, Tries())
    routes.add_api_route("/login", doors.login_page, methods=["GET"], response_class=HTMLResponse)
    routes.add_api_route("/login", doors.login, methods=["POST"], response_class=HTMLResponse)
    routes.add_api_route("/logout", doors.logout, methods=["POST"], response_class=HTMLResponse)
    routes.add_api_route("/setup", doors.setup_page, methods=["GET"], response_class=HTMLResponse)
    routes.add_api_route("/setup", doors.setup, methods=["POST"], response_class=HTMLResponse)
    return routes


class _Doors:
    """The handlers behind the routes."""

    def __init__(self, accounts: Accounts, tries: Tries) -> None:
        self._accounts = accounts
        self._tries = tries

    async def login_page(self, request: Request) -> Response:
        after = _inside(request.query_params.get("next", "/"))
        if await to_thread.run_sync(account_of, request, self._accounts):
            return RedirectResponse(after, 303)
        return await self._login_sheet(after)

    async def login(self, request: Request) -> Response:
        if not same_origin(request):
            return _foreign()
        form = await request.form()
        name, password = str(form.get("name", "")), str(form.get("password", ""))
        after = _inside(str(form.get("next", "/")))
        address = request.client.host if request.client else ""
        if not self._tries.allowed(name, address):
            return await self._login_sheet(
                after, name, "Too many wrong tries. Wait five minutes, then try again.", 429
            )
        token = await to_thread.run_sync(self._accounts.sign_in, name, password)
        if token is None:
            self._tries.wrong(name, address)
            return await self._login_sheet(after, name, "The name or the password is wrong.", 401)
        self._tries.right(name, address)
        return _let_in(request, token, after)

    async def logout(self, request: Request) -> Response:
        if not same_origin(request):
            return _foreign()
        token = request.cookies.get(COOKIE)
        if token:
            await to_thread.run_sync(self._accounts.sign_out, token)
        response = RedirectResponse("/login", 303)
        response.delete_cookie(COOKIE, path="/", httponly=True, samesite="lax")
        return response

    async def setup_page(self, request: Request) -> Response:
        token = request.query_params.get("token", "")
        if not await to_thread.run_sync(self._accounts.link_is_good, token):
            return _spent()
        return _setup_sheet(token)

    async def setup(self, request: Request) -> Response:
        if not same_origin(request):
            return _foreign()
        form = await request.form()
        token, name, password, again = (
            str(form.get(key, "")) for key in ("token", "name", "password", "again")
        )
        if not await to_thread.run_sync(self._accounts.link_is_good, token):
            return _spent()
        if password != again:
            return _setup_sheet(token, name, "The two passwords are not the same.")
        try:
            make = partial(self._accounts.make_first_admin, token, name, password)
            account = await to_thread.run_sync(make)
        except AccountError as problem:
            return _setup_sheet(token, name, sentence(problem))
        session = await to_thread.run_sync(self._accounts.new_session, account)
        return _let_in(request, session, "/")

    async def _login_sheet(
        self, after: str, name: str = "", problem: str = "", status: int = 200
    ) -> HTMLResponse:
        fresh = not await to_thread.run_sync(self._accounts.all)
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
        return paper.sheet("Sign in", text, fields, problem=problem, status=status)


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


def _foreign() -> HTMLResponse:
    text = "It came from another site. Open the page here and try again."
    return paper.sheet("This request was refused", text, paper.link("/login", "Sign in"), status=403)


def _let_in(request: Request, token: str, address: str) -> RedirectResponse:
    response = RedirectResponse(address, 303)
    response.set_cookie(
        COOKIE,
        token,
        max_age=SESSION_DAYS * 86_400,
        path="/",
        httponly=True,
        samesite="lax",
        secure=request.url.scheme == "https",
    )
    return response


def _inside(address: str) -> str:
    """An address on this server; anything else becomes the chat."""
    safe = address.startswith("/") and not address.startswith(("//", "/\\")) and address.isprintable()
    return address if safe and "\\" not in address else "/"
