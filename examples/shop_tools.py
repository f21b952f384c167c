"""Tools for the sample shop: what the assistant may call while it answers.

    APPRENTICE_TOOLS=examples/shop_tools.py apprentice up

Every public function is a tool. The model sees its name, its docstring and the types of its arguments, and
chooses when to call it and with what; nothing that a model chooses may be trusted. These two only read.
"""

from __future__ import annotations

import hashlib
import re
from typing import Any

from assistant.tools import Caller

_STATES = ("shipped", "packed", "delayed", "delivered", "returned", "cancelled", "unpaid")
_UNDATED = ("cancelled", "unpaid")
_MONTHS = ("May", "June", "July", "August", "September", "October")


def order_status(order_id: str) -> dict[str, str]:
    """Get the status of an order.

    Args:
        order_id: The order number.
    """
    # An invented book: a real one would also ask whether the order is the caller's.
    number = order_id.strip().upper().removeprefix("#")
    if not re.fullmatch(r"(NL-)?[0-9]{4,6}", number):
        return {"order_id": order_id[:40], "status": "not found"}
    noise = hashlib.sha256(number.encode()).digest()
    if noise[0] < 16:
        return {"order_id": number, "status": "not found"}
    found = {"order_id": number, "status": _STATES[noise[1] % len(_STATES)]}
    if found["status"] not in _UNDATED:
        found["date"] = f"{noise[2] % 28 + 1} {_MONTHS[noise[3] % len(_MONTHS)]}"
    return found


async def search_documents(query: str, caller: Caller) -> list[dict[str, Any]] | str:
    """Search the shop's documents.

    Args:
        query: What to look for, in a few words.
    """
    hits = await caller.find(query, 3)
    if not hits:
        return "Nothing was found."
    return [{"title": hit.passage.title, "text": hit.passage.text} for hit in hits]
