"""Signing in by OpenID Connect: `/oidc/login` goes to the service, which sends back to `/oidc/callback`.

Authlib speaks the protocol: discovery, PKCE, state and nonce, the id token's signature and claims. Whose
account it is, is for `identities.py` to say.
"""

from __future__ import annotations

import hashlib
import logging
import secrets
from datetime import timedelta
from functools import partial
from typing import Any

import httpx2
from anyio import to_thread
from authlib.common.errors import AuthlibBaseError
from authlib.integrations.starlette_client import OAuth
from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from joserfc.errors import JoseError
from starlette.middleware.sessions import SessionMiddleware

from assistant import identities
from assistant.accounts import Account, AccountError
from assistant.doors import opens
from assistant.entry import OidcSection
from assistant.people import People
from assistant.ui import paper
from assistant.ui.entrance import account_of, foreign, inside, let_in, proof
from assistant.ui.words import browser, sentence

log = logging.getLogger(__name__)

_COOKIE = "apprentice_oidc"
_SECONDS = 600
"""How long somebody may take to sign in there."""
# What a service that is down, slow, or not what it says may do to us
_TROUBLE = (AuthlibBaseError, JoseError, httpx2.HTTPError, ValueError, RuntimeError, KeyError)


def install(app: FastAPI, people: People, section: OidcSection) -> None:
    """Add the routes, and the signed cookie that holds state, nonce and verifier while somebody is there."""
    # The same in every process of ours and after a restart; without a secret, good for this process.
    secret = section.client_secret or secrets.token_urlsafe(32)
    key = hashlib.sha256(f"apprentice oidc\x00{secret}".encode()).hexdigest()
    app.add_middleware(
        SessionMiddleware, key, session_cookie=_COOKIE, max_age=_SECONDS, path="/oidc", same_site="lax"
    )
    app.include_router(router(people, section))


def router(people: People, section: OidcSection) -> APIRouter:
    """The two routes; they need `request.session`."""
    routes, ways = APIRouter(include_in_schema=False), _Ways(people, section)
    for path, name, handler in (
        ("/oidc/login", "oidc_login", ways.login),
        ("/oidc/callback", "oidc_callback", ways.callback),
    ):
        routes.add_api_route(path, handler, methods=["GET"], response_class=HTMLResponse, name=name)
    return routes


def client(section: OidcSection) -> Any:
    """Authlib's client of the service, which asks it nothing before somebody signs in."""
    options: dict[str, Any] = {
        "scope": section.scopes,
        "code_challenge_method": "S256",
        "timeout": 10,
    }
    if not section.client_secret:
        options["token_endpoint_auth_method"] = "none"
    return OAuth().register(
        "service",
        server_metadata_url=f"{section.issuer}/.well-known/openid-configuration",
        client_id=section.client_id,
        client_secret=section.client_secret or None,
        client_kwargs=options,
    )


class _Ways:
    """The handlers behind the routes."""

    def __init__(self, people: People, section: OidcSection) -> None:
        self._people = people
        self._section = section
        self._client = client(section)

    @opens(None)
    async def login(self, request: Request) -> Response:
        account = await to_thread.run_sync(account_of, request, self._people.accounts)
        request.session["next"] = inside(request.query_params.get("next", "/"))
        request.session.pop("connect", None)
        shown = request.query_params.get("connect", "")
        if shown and account is not None and account.role != "guest":
            if not secrets.compare_digest(shown.encode(), proof(request).encode()):
                return foreign()
            request.session["connect"] = account.id
        try:
            where = request.url_for("oidc_callback")
            found: Response = await self._client.authorize_redirect(request, where)
        except _TROUBLE as problem:
            return self._failed(problem)
        return found

    @opens(None)
    async def callback(self, request: Request) -> Response:
        after = inside(str(request.session.get("next", "/")))
        connect = request.session.get("connect")
        try:
            claims = await self._claims(request)
        except _TROUBLE as problem:
            return self._failed(problem)
        finally:
            request.session.clear()
        issuer = str(claims["iss"])
        try:
            if connect:
                return await self._connect(request, connect, issuer, str(claims["sub"]))
            account = await to_thread.run_sync(identities.enter, self._people, issuer, claims, self._section)
        except AccountError as problem:
            way = paper.link("/login", "Back")
            return paper.sheet("You can't come in", sentence(problem), way, status=403)
        return await self._let_in(request, account, after)

    async def _claims(self, request: Request) -> dict[str, Any]:
        """What the id token says, once all of it is checked."""
        metadata = await self._client.load_server_metadata()
        told = str(metadata.get("issuer", ""))
        if told.rstrip("/") != self._section.issuer:
            raise ValueError(f"it says that it is {told!r}")
        options = {
            # The very words of the issuer count, which may end with a slash.
            "iss": {"essential": True, "value": told},
            "aud": {"essential": True, "value": self._section.client_id},
            "sub": {"essential": True},
            "exp": {"essential": True},
        }
        token = await self._client.authorize_access_token(request, claims_options=options)
        if not token.get("userinfo"):
            raise ValueError("it sent no id token")
        return dict(token["userinfo"])

    async def _connect(self, request: Request, account_id: str, issuer: str, subject: str) -> Response:
        """Let a person who is signed in here sign in by the service from now on."""
        account = await to_thread.run_sync(account_of, request, self._people.accounts)
        if account is None or account.id != account_id:
            raise AccountError("you are not signed in any more; sign in and try again")
        await to_thread.run_sync(self._people.connect, account, issuer, subject)
        return RedirectResponse("/account", 303)

    async def _let_in(self, request: Request, account: Account, after: str) -> Response:
        life = timedelta(hours=self._section.session_hours)
        label = browser(request.headers.get("user-agent", ""))
        new = partial(self._people.accounts.new_session, account, label, life)
        return let_in(request, await to_thread.run_sync(new), after, life)

    def _failed(self, problem: Exception) -> HTMLResponse:
        log.warning("signing in by %s failed: %s: %s", self._section.issuer, type(problem).__name__, problem)
        text = f"{self._section.name[:1].upper()}{self._section.name[1:]} did not confirm who you are."
        return paper.sheet("Signing in did not work", text, paper.link("/login", "Try again"), status=502)
