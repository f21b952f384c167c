"""A name for every request to `/v1`: the client's own or a new one, in the answer's header and in the log.

So a line of the log, an error that somebody reports and a turn can be brought together. Knows no route.
"""

from __future__ import annotations

import logging
import re
import time
from contextvars import ContextVar
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uuid_utils import uuid7

log = logging.getLogger(__name__)

HEADER = "x-request-id"
# What may stand in a log and in a header as it is.
_GOOD = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/+=-]{0,127}")
_current: ContextVar[str] = ContextVar("request_id", default="")


def current() -> str:
    """The id of the request that is being answered; empty outside of one."""
    return _current.get()


class RequestIds:
    """Middleware: gives every request to `/v1` its id, and logs how it ended."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on under its id."""
        if scope["type"] != "http" or not scope["path"].startswith("/v1/"):
            await self._app(scope, receive, send)
            return
        given = dict(scope["headers"]).get(HEADER.encode(), b"").decode("latin-1")
        name = given if _GOOD.fullmatch(given) else f"req-{uuid7().hex}"
        # Also for the handler of bugs, which stands outside of this.
        scope.setdefault("state", {})["request_id"] = name
        begun, status = time.monotonic(), 0

        async def named(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message = {**message, "headers": _with_id(message.get("headers", ()), name)}
            await send(message)

        token = _current.set(name)
        try:
            await self._app(scope, receive, named)
        finally:
            took = time.monotonic() - begun
            # Nothing of what was said: method, path, how it ended.
            log.info("%s %s %s in %.3f s", scope["method"], scope["path"], status or "broke off", took)
            _current.reset(token)


def _with_id(headers: Any, name: str) -> list[tuple[bytes, bytes]]:
    others = [(key, value) for key, value in headers if key.lower() != HEADER.encode()]
    return [*others, (HEADER.encode(), name.encode())]


def log_ids() -> None:
    """Give every line of the log `%(of_request)s`: the id in brackets, or nothing. Call it once there are
    handlers; again it changes nothing."""
    for handler in logging.getLogger().handlers:
        handler.addFilter(_add_id)


def _add_id(record: logging.LogRecord) -> bool:
    record.of_request = f" [{current()}]" if current() else ""
    return True
