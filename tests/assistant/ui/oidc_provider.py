"""A small OpenID provider on loopback: discovery, authorize, token and keys, with id tokens really signed.

It checks what a provider has to (client, redirect address, one-time code, PKCE) and notes what it was asked.
`lie` changes what its tokens say, for tests of who does not believe it.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, RedirectResponse
from joserfc import jwt
from joserfc.jwk import RSAKey

from tests.assistant.serving import served

CLIENT, SECRET = "apprentice", "a secret of both"


@dataclass
class Provider:
    """What the provider knows; who signs in there is `claims`."""

    url: str = ""
    claims: dict[str, Any] = field(default_factory=lambda: {"sub": "17", "preferred_username": "mia"})
    lie: dict[str, Any] = field(default_factory=dict)
    """Claims that it puts over the right ones; None takes one away."""
    key: RSAKey = field(default_factory=lambda: RSAKey.generate_key(2048, {"kid": "one"}))
    shown: RSAKey | None = None
    """The key that it publishes, if that is another one."""
    down: bool = False
    without_id_token: bool = False
    asked: list[dict[str, str]] = field(default_factory=list)
    codes: dict[str, dict[str, str]] = field(default_factory=dict)

    def id_token(self, asked: dict[str, str]) -> str:
        now = int(time.time())
        claims = {
            "iss": self.url,
            "aud": asked["client_id"],
            "iat": now,
            "exp": now + 300,
            "nonce": asked["nonce"],
            **self.claims,
            **self.lie,
        }
        told = {name: value for name, value in claims.items() if value is not None}
        return jwt.encode({"alg": "RS256", "kid": "one"}, told, self.key)


@contextmanager
def provider() -> Iterator[Provider]:
    """The provider, running."""
    found, app = Provider(), FastAPI()

    @app.get("/.well-known/openid-configuration")
    def discovery() -> JSONResponse:
        if found.down:
            return JSONResponse({"error": "down"}, 503)
        return JSONResponse(
            {
                "issuer": found.url,
                "authorization_endpoint": f"{found.url}/authorize",
                "token_endpoint": f"{found.url}/token",
                "jwks_uri": f"{found.url}/keys",
                "id_token_signing_alg_values_supported": ["RS256"],
                "code_challenge_methods_supported": ["S256"],
            }
        )

    @app.get("/keys")
    def keys() -> dict[str, Any]:
        return {"keys": [(found.shown or found.key).as_dict(private=False)]}

    @app.get("/authorize")
    def authorize(request: Request) -> RedirectResponse:
        asked = dict(request.query_params)
        assert asked["client_id"] == CLIENT
        assert asked["response_type"] == "code"
        assert asked["code_challenge_method"] == "S256"
        assert "openid" in asked["scope"].split()
        found.asked.append(asked)
        code = secrets.token_urlsafe()
        found.codes[code] = asked
        back = urlencode({"code": code, "state": asked["state"]})
        return RedirectResponse(f"{asked['redirect_uri']}?{back}", 302)

    @app.post("/token")
    async def token(request: Request) -> JSONResponse:
        form = dict(await request.form())
        given = request.headers.get("authorization", "")
        right = "Basic " + base64.b64encode(f"{CLIENT}:{SECRET.replace(' ', '+')}".encode()).decode()
        plain = "Basic " + base64.b64encode(f"{CLIENT}:{SECRET}".encode()).decode()
        asked = found.codes.pop(str(form.get("code")), None)
        verifier = str(form.get("code_verifier", "")).encode()
        challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier).digest()).decode().rstrip("=")
        if (
            asked is None
            or given not in (right, plain)
            or challenge != asked["code_challenge"]
            or form.get("redirect_uri") != asked["redirect_uri"]
        ):
            return JSONResponse({"error": "invalid_grant"}, 400)
        answer = {"access_token": secrets.token_urlsafe(), "token_type": "Bearer", "expires_in": 300}
        if not found.without_id_token:
            answer["id_token"] = found.id_token(asked)
        return JSONResponse(answer)

    with served(app) as url:
        found.url = url
        yield found
