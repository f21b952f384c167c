"""Stands before every route: nobody gets behind it whom the route's declaration (`doors.py`) does not name.

Also what holds for all of them: requests from other sites change nothing, one person's open page is nobody
else's, keys are not guessed and not used too fast. Knows nothing of what the pages show.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from urllib.parse import quote, urlsplit

from anyio import to_thread
from fastapi import Request
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.datastructures import MutableHeaders
from starlette.requests import HTTPConnection
from starlette.routing import BaseRoute, Mount
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from assistant import doors
from assistant.accounts import Account, Accounts
from assistant.api_errors import error_body
from assistant.audit import DOOR
from assistant.doors import Door
from assistant.limits import Limits, TooMany
from assistant.ui import paper
from assistant.ui.owners import Owners, TooLarge
from assistant.ui.words import sentence
from feedback.database import DatabaseUnavailable
from feedback.records import Role

log = logging.getLogger(__name__)

COOKIE = "apprentice_session"
READING = ("GET", "HEAD", "OPTIONS")
# Of gradio's own addresses those that a page of ours needs; it brings many more, and all of them stay shut.
_GRADIO = re.compile(
    r"/(?:config|theme\.css|robots\.txt|favicon\.ico|manifest\.json|(?:assets|static|svelte)/.+"
    r"|gradio_api/(?:info|app_id|startup-events|theme\.css|queue/(?:join|data)|cancel|reset|heartbeat/[^/]+))?/?"
)
_FILES = re.compile(r"/gradio_api/(?:upload|upload_progress|file=.+)")
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
    account = request.scope.get(doors.ACCOUNT)
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


def address_of(request: HTTPConnection) -> str:
    """From where a request comes."""
    return request.client.host if request.client else ""


class Gate:
    """ASGI middleware, the outermost one: asks the declaration of the route that will answer."""

    def __init__(
        self,
        app: ASGIApp,
        accounts: Accounts,
        routes: Sequence[BaseRoute],
        limits: Limits | None = None,
        guests: bool = False,
    ) -> None:
        self._app = app
        self._accounts = accounts
        self._routes = routes
        self._limits = limits or Limits()
        self._guests = guests
        self._owners = Owners()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the request through, with the person whose it is; or answer why not."""
        if scope["type"] == "websocket":
            # There is none behind it.
            await send({"type": "websocket.close", "code": 1008})
            return
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        route = doors.matching(self._routes, scope)
        if route is None:
            await self._app(scope, receive, send)
            return
        connection = HTTPConnection(scope)
        try:
            refusal = await self._asked(connection, scope, route)
        except DatabaseUnavailable as problem:
            # Outside of what turns our errors into answers
            refusal = _program(503, str(problem))
        if refusal is not None:
            await refusal(scope, receive, send)
            return
        if isinstance(route, Mount):
            await self._behind(connection, scope, receive, _with_headers(send))
        else:
            await self._app(scope, receive, send)

    async def _asked(self, connection: HTTPConnection, scope: Scope, route: BaseRoute) -> Response | None:
        """Why the request is refused, or None."""
        if isinstance(route, Mount) and scope["path"].startswith("/v1/"):
            # What no route for programs takes is no page either.
            return _shut(connection, 404)
        door = doors.declared(route)
        if door is None:
            log.error("%s declares no role, so nobody gets there", doors.name(route))
            return _shut(connection, 403)
        refusal = None if door.by == "session" else await self._by_key(connection, scope, door)
        if refusal is None and door.by != "key":
            refusal = await self._by_session(connection, scope, door, route)
        return refusal

    # -- programs ----------------------------------------------------------------------------------

    async def _by_key(self, connection: HTTPConnection, scope: Scope, door: Door) -> Response | None:
        """A key that is sent is looked at, also where none is needed: nowhere may keys be tried uncounted."""
        needed, address = door.by == "key", address_of(connection)
        scheme, _, key = connection.headers.get("authorization", "").partition(" ")
        key = key.strip() if scheme.lower() == "bearer" else ""
        if not key:
            return _no_key() if needed else None
        try:
            self._limits.key(address)
            account = await to_thread.run_sync(self._accounts.by_key, key)
            if account is None:
                self._limits.wrong_key(key, address)
                return _no_key() if needed else None
            if door.role is not None and not account.may(door.role):
                return _program(403, f"this needs the role {door.role}; {account.name} has {account.role}")
            self._limits.api(account)
        except TooMany as problem:
            return _program(429, str(problem), {"retry-after": str(problem.seconds)})
        scope[doors.KEYED] = account
        return None

    # -- people ------------------------------------------------------------------------------------

    async def _by_session(
        self, connection: HTTPConnection, scope: Scope, door: Door, route: BaseRoute
    ) -> Response | None:
        DOOR.set("page")
        reading = scope["method"] in READING
        path = scope["path"].removeprefix(route.path) if isinstance(route, Mount) else ""
        page = reading and path in ("", "/")
        if door.by == "session" and door.role is not None:
            account = await to_thread.run_sync(account_of, connection, self._accounts)
            refusal = self._refusal(connection, account, door.role, page)
            if refusal is not None:
                return refusal
            scope[doors.ACCOUNT] = account
        if not reading and not same_origin(connection):
            return JSONResponse({"error": "This request came from another site."}, 403)
        if isinstance(route, Mount) and not (_GRADIO.fullmatch(path) or (door.files and _FILES.match(path))):
            return _shut(connection, 404)
        return None

    def _refusal(
        self, connection: HTTPConnection, account: Account | None, role: Role, page: bool
    ) -> Response | None:
        if account is None:
            if page:
                way = "guest" if self._guests and role == "guest" else "login"
                return RedirectResponse(f"/{way}?next={quote(_address(connection))}", 303)
            return JSONResponse({"error": "You are signed out. Reload the page to sign in."}, 401)
        if not account.may(role):
            return (
                _not_yours(account, role)
                if page
                else JSONResponse({"error": f"This needs the role {role}."}, 403)
            )
        return None

    async def _behind(self, connection: HTTPConnection, scope: Scope, receive: Receive, send: Send) -> None:
        """Into one of gradio's pages, unless the open page that is spoken for is somebody else's."""
        account: Account = scope[doors.ACCOUNT]
        try:
            said, receive = await self._owners.named(connection, receive)
        except TooLarge as problem:
            await _program(413, str(problem))(scope, receive, send)
            return
        if not all(self._owners.claim(page, account.id) for page in said):
            refusal = JSONResponse({"error": "This page belongs to somebody else. Reload it."}, 403)
            await refusal(scope, receive, send)
            return
        await self._app(scope, receive, send)


def _no_key() -> JSONResponse:
    return _program(401, "a valid API key is needed: send `Authorization: Bearer KEY`")


def _program(status: int, message: str, headers: dict[str, str] | None = None) -> JSONResponse:
    headers = {"www-authenticate": "Bearer"} if status == 401 else headers
    return JSONResponse(error_body(status, message), status, headers)


def _shut(connection: HTTPConnection, status: int) -> Response:
    if connection.url.path.startswith("/v1/"):
        return _program(status, "there is no such address" if status == 404 else "this address is shut")
    return JSONResponse({"error": "There is nothing here."}, status)


def _address(connection: HTTPConnection) -> str:
    query = connection.url.query
    return connection.url.path + (f"?{query}" if query else "")


def _not_yours(account: Account, role: Role) -> HTMLResponse:
    way = paper.link("/", "Back to the chat")
    if account.role == "guest":
        text, way = "Sign in to see it.", paper.link("/login", "Sign in")
    else:
        text = sentence(
            f"it is for the role {role}. You are signed in as {account.name}, whose role is {account.role}"
        )
    return paper.sheet("Not for this account", text, way, status=403)


def _with_headers(send: Send) -> Send:
    async def wrapped(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in _HEADERS.items():
                headers.setdefault(name, value)
        await send(message)

    return wrapped
