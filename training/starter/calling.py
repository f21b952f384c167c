"""Conversations with the tool `order_status(order_id)`: when it is called, when not, what it returns.

Owns the tool's description, its results and the answers to them. Does not know how calls are written as
text (`tokenizer.py`), nor the shop's facts.
"""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from typing import Any

from training.starter import asking, values
from training.starter.records import Message
from training.starter.wording import vary

NAME = "order_status"
_CALL_ID = "call_1"
_ABOUT = (
    "[Get|Look up|Find] the status of an order[|.]",
    "[Tells|Returns] [where an order is|how far an order is][|.]",
    "[Status|State] of [an order|a customer's order][| by its number][|.]",
)
_ABOUT_ID = ("[The order number|Order number|The number of the order][|.]", "", "[Id|ID] of the order")

_ASKS = (
    "[Where is|Where's] [my order|order|order number|my parcel] {id}?",
    "[What is|Tell me|Can you check] the status of [order|my order] {id}[?|, please.]",
    "[Has|Did] [order|my order] {id} [been sent|ship|leave] yet?",
    "[When will|When does] [order|my order] {id} arrive?",
    "[My order|Order] {id} [is late|has not arrived], where is it?",
    "[I am waiting for|I still wait for|Please check] order {id}.",
    "My order number is {id}. [Where is it|What is the status|When does it come]?",
)
_NO_NUMBER = (
    "[Can you|Please] [check|look up] [my order|where my order is][?|.]",
    "[Could you|Can you] [look|check] how far my order is?",
    "[I want to know|Tell me] [how far my order is|what happens with my order].",
)
_ASK_NUMBER = (
    "[Please tell me|What is|Can you give me] your order number[?|.]",
    "[I need|Please send me] your order number[| first].",
)

# Status, whether it goes with a day, and how it is said.
_STATES: tuple[tuple[str, bool, tuple[str, ...]], ...] = (
    (
        "shipped",
        True,
        ("Order {id} is shipped and arrives on {day}.", "Your order {id} was shipped, it comes on {day}."),
    ),
    (
        "packed",
        True,
        ("Order {id} is packed and arrives on {day}.", "We have packed order {id}, it comes on {day}."),
    ),
    (
        "delayed",
        True,
        ("Order {id} is delayed and now arrives on {day}.", "Your order {id} is delayed until {day}."),
    ),
    ("delivered", True, ("Order {id} was delivered on {day}.", "Your order {id} was delivered on {day}.")),
    (
        "returned",
        True,
        ("Order {id} was returned on {day}.", "Your order {id} came back: returned on {day}."),
    ),
    ("cancelled", False, ("Order {id} is cancelled.", "Your order {id} was cancelled.")),
    ("unpaid", False, ("Order {id} is still unpaid.", "Your order {id} is unpaid, so it waits.")),
    (
        "not found",
        False,
        ("I am sorry, order {id} was not found.", "Order {id} was not found, please check the number."),
    ),
)


@dataclass(frozen=True)
class Lookup:
    """A question for an order, its number, the tool's result as JSON, the answer, and what that must hold."""

    ask: str
    order_id: str
    result: str
    answer: str
    must: tuple[str, ...]


def tool(rng: random.Random) -> dict[str, Any]:
    """The tool as an OpenAI request offers it, described in one of many ways."""
    about_id = vary(rng, rng.choice(_ABOUT_ID))
    held = {"type": "string"} | ({"description": about_id} if about_id else {})
    parameters = {"type": "object", "properties": {"order_id": held}, "required": ["order_id"]}
    described = {"name": NAME, "description": vary(rng, rng.choice(_ABOUT)), "parameters": parameters}
    return {"type": "function", "function": described}


def lookup(rng: random.Random, fresh: bool = False) -> Lookup:
    """An order that nobody has, in some state."""
    number = values.value(rng, "number", fresh)
    while len(number) < 4:
        number = values.value(rng, "number", fresh)
    order_id = rng.choice(("", "", "", "NL-")) + number
    status, dated, says = rng.choice(_STATES)
    day = values.value(rng, "date", fresh)
    result = {"order_id": order_id, "status": status} | ({"date": day} if dated else {})
    if rng.random() < 0.3:
        result = dict(sorted(result.items(), reverse=True))
    said = rng.choice(says).replace("{id}", order_id).replace("{day}", day)
    ask = asking.dressed(rng, vary(rng, rng.choice(_ASKS)).replace("{id}", order_id), slips=False)
    return Lookup(ask, order_id, json.dumps(result), said, (status, day) if dated else (status,))


def call(order_id: str) -> Message:
    """The assistant's message that calls the tool."""
    wanted = {"name": NAME, "arguments": json.dumps({"order_id": order_id})}
    made = {"type": "function", "id": _CALL_ID, "function": wanted}
    return {"role": "assistant", "content": "", "tool_calls": [made]}


def returned(result: str) -> Message:
    """The tool's message that answers `call`."""
    return {"role": "tool", "tool_call_id": _CALL_ID, "content": result}


def without_number(rng: random.Random) -> tuple[str, str]:
    """A question for an order that names none, and the question back."""
    ask = asking.dressed(rng, vary(rng, rng.choice(_NO_NUMBER)))
    return ask, vary(rng, rng.choice(_ASK_NUMBER))
