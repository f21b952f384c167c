"""Bounds what a request to `/v1` or a form may bring: said too large it is refused, and cut off if it is.

Knows no route but by its path.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from fastapi import HTTPException
from starlette.types import ASGIApp, Receive, Scope, Send

from assistant.api_errors import error_body

FORMS = ("/login", "/logout", "/setup", "/signup", "/password", "/account", "/guest", "/oidc/")
"""What the paths of plain forms begin with; some are open to everybody."""
LARGEST_FORM = 64_000


class BodyLimit:
    """Refuses a request that says it is larger than `largest` bytes, or turns out to be.

    `larger` gives the paths that may take more. Forms may take LARGEST_FORM.
    """

    def __init__(self, app: ASGIApp, largest: int, larger: Mapping[str, int] | None = None) -> None:
        self._app = app
        self._largest = largest
        self._larger = dict(larger or {})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, unless it is one of ours and too large."""
        largest = self._bound(scope["path"]) if scope["type"] == "http" else None
        if largest is None:
            await self._app(scope, receive, send)
            return
        length = dict(scope["headers"]).get(b"content-length", b"0")
        if length.isdigit() and int(length) > largest:
            await _refuse(send, largest)
            return
        seen = 0

        async def counted() -> dict[str, object]:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > largest:
                raise HTTPException(413, _too_large(largest))
            return dict(message)

        await self._app(scope, counted, send)

    def _bound(self, path: str) -> int | None:
        if path.startswith("/v1/"):
            return self._larger.get(path, self._largest)
        return LARGEST_FORM if path.startswith(FORMS) else None


def _too_large(largest: int) -> str:
    return f"the request is larger than {largest} bytes"


async def _refuse(send: Send, largest: int) -> None:
    body = json.dumps(error_body(413, _too_large(largest))).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 413, "headers": headers})
    await send({"type": "http.response.body", "body": body})
