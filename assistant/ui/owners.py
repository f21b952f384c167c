"""Whose open page is whose: gradio takes a page's name (its session hash) from whoever sends it.

Without this, who knows or guesses the name of somebody's open page could read its events, end its answers and
act on its state. The first person who speaks for a page owns it. Knows nothing of roles.
"""

from __future__ import annotations

import hashlib
import json
from collections import OrderedDict

from starlette.requests import HTTPConnection
from starlette.types import Message, Receive

from assistant.errors import AssistantError

MOST = 50_000
"""Pages that are remembered; the one that was longest unused is forgotten."""
LARGEST = 8_000_000
"""Bytes of an event."""
_LONGEST = 64
"""Letters of a page's name that are kept as they are; gradio's own have a dozen."""
_IN_BODY = ("/gradio_api/queue/join", "/gradio_api/cancel", "/gradio_api/reset")
_IN_PATH = "/gradio_api/heartbeat/"


class TooLarge(AssistantError):
    """No event of a page is as large as this."""


class Owners:
    """The open pages of one process."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._owners: OrderedDict[str, str] = OrderedDict()

    def claim(self, page: str, account_id: str) -> bool:
        """Whether this is the person's page, or nobody's until now."""
        if len(page) > _LONGEST:
            page = hashlib.sha256(page.encode(errors="replace")).hexdigest()
        owner = self._owners.setdefault(page, account_id)
        self._owners.move_to_end(page)
        if len(self._owners) > self._most:
            self._owners.popitem(last=False)
        return owner == account_id

    async def named(self, connection: HTTPConnection, receive: Receive) -> tuple[list[str], Receive]:
        """The pages that a request speaks for, and its body to be read again. Raises `TooLarge`."""
        path = connection.url.path.rstrip("/")
        said = connection.query_params.getlist("session_hash")
        if _IN_PATH in path:
            said.append(path.rpartition("/")[2])
        if connection.scope["method"] == "POST" and path.endswith(_IN_BODY):
            body = await _body(receive)
            try:
                found = json.loads(body)
            except ValueError:
                # Gradio refuses it too.
                found = None
            if isinstance(found, dict) and isinstance(found.get("session_hash"), str):
                said.append(found["session_hash"])
            receive = _again(body, receive)
        return said, receive


async def _body(receive: Receive) -> bytes:
    parts, size, more = [], 0, True
    while more:
        message = await receive()
        part = message.get("body", b"")
        size += len(part)
        if size > LARGEST:
            raise TooLarge(f"the request is larger than {LARGEST} bytes")
        parts.append(part)
        more = message.get("more_body", False) and message["type"] == "http.request"
    return b"".join(parts)


def _again(body: bytes, receive: Receive) -> Receive:
    given = False

    async def again() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again
