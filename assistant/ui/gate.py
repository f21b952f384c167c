"""Stands before each of gradio's apps: nobody gets behind it without a session and the app's role.

Gradio checks a login on many of its routes but not on all (`/cancel`, `/heartbeat`, assets …), so every path
is refused here first. Knows nothing of what the pages show.
"""

from __future__ import annotations

from urllib.parse import quote, urlsplit

from anyio import to_thread
from fastapi import Request
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.datastructures import MutableHeaders
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from assistant.accounts import Account, Accounts
from assistant.ui import paper
from feedback.records import Role

COOKIE = "apprentice_session"
_ACCOUNT = "apprentice.account"
_READING = ("GET", "HEAD", "OPTIONS")
# Gradio builds functions from templates, hence 'unsafe-eval'; nothing may come from or go to elsewhere.
_HEADERS = {
    "content-security-policy": (
        "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; "
        "style-src 'self' 'unsafe-inline'; "
        "img-src 'self' data: blob:; font-src 'self' data:; worker-src 'self' blob:; "
        "frame-ancestors 'none'; base-uri 'self'; form-action 'self'"
    ),
    "referrer-policy": "same-origin",
    "x-content-type-options": "nosniff",
}


def account_of(request: HTTPConnection, accounts: Accounts) -> Account | None:
    """The account of the request's session cookie, if the session is still good."""
    token = request.cookies.get(COOKIE)
    return accounts.by_session(token) if token else None


def admitted(request: Request) -> str | None:
    """Gradio's `auth_dependency`: the name of whom the gate let through."""
    account = request.scope.get(_ACCOUNT)
    return account.name if isinstance(account, Account) else None


def same_origin(request: HTTPConnection) -> bool:
    """Whether a request that changes something was made by a page of ours (or by no page at all).

    Browsers say where a request comes from in `Sec-Fetch-Site`, older ones in `Origin`; programs in neither.
    """
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site in ("same-origin", "none")
    origin = request.headers.get("origin")
    return origin is None or urlsplit(origin).netloc == request.headers.get("host")


class Gate:
    """ASGI middleware that lets only accounts with `role` through."""

    def __init__(self, app: ASGIApp, accounts: Accounts, role: Role) -> None:
        self._app = app
        self._accounts = accounts
        self._role = role

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            # There is none behind it.
            await send({"type": "websocket.close", "code": 1008})
            return
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        connection = HTTPConnection(scope)
        account = await to_thread.run_sync(account_of, connection, self._accounts)
        refusal = self._refusal(connection, scope, account)
        if refusal is not None:
            await refusal(scope, receive, send)
            return
        await self._app({**scope, _ACCOUNT: account}, receive, _with_headers(send))

    def _refusal(self, connection: HTTPConnection, scope: Scope, account: Account | None) -> Response | None:
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        page = path in ("", "/") and scope["method"] in _READING
        if account is None:
            if page:
                return RedirectResponse(f"/login?next={quote(_address(connection))}", 303)
            return JSONResponse({"error": "You are signed out. Reload the page to sign in."}, 401)
        if not account.may(self._role):
            return (
                _not_yours(account, self._role)
                if page
                else JSONResponse({"error": f"This needs the role {self._role}."}, 403)
            )
        if scope["method"] not in _READING and not same_origin(connection):
            return JSONResponse({"error": "This request came from another site."}, 403)
        return None


def _address(connection: HTTPConnection) -> str:
    query = connection.url.query
    return connection.url.path + (f"?{query}" if query else "")


def _not_yours(account: Account, role: Role) -> HTMLResponse:
    text = f"It is for the role {role}. You are signed in as {account.name}, whose role is {account.role}."
    return paper.sheet("Not for this account", text, paper.link("/", "Back to the chat"), status=403)


def _with_headers(send: Send) -> Send:
    async def wrapped(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in _HEADERS.items():
                headers.setdefault(name, value)
        await send(message)

    return wrapped
