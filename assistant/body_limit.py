"""Bounds what a request to `/v1` may bring: said too large it is refused, and cut off if it turns out to be.

Knows no route but by the paths that it is told of.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from fastapi import HTTPException
from starlette.types import ASGIApp, Receive, Scope, Send

from assistant.api_errors import error_body


class BodyLimit:
    """Refuses a request that says it is larger than `largest` bytes, or turns out to be.

    `larger` gives the paths that may take more.
    """

    def __init__(self, app: ASGIApp, largest: int, larger: Mapping[str, int] | None = None) -> None:
        self._app = app
        self._largest = largest
        self._larger = dict(larger or {})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, unless it is one of ours and too large."""
        if scope["type"] != "http" or not scope["path"].startswith("/v1/"):
            await self._app(scope, receive, send)
            return
        length = dict(scope["headers"]).get(b"content-length", b"0")
        largest = self._larger.get(scope["path"], self._largest)
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


def _too_large(largest: int) -> str:
    return f"the request is larger than {largest} bytes"


async def _refuse(send: Send, largest: int) -> None:
    body = json.dumps(error_body(413, _too_large(largest))).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 413, "headers": headers})
    await send({"type": "http.response.body", "body": body})
