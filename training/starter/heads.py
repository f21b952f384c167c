"""The system prompts that conversations begin with.

Knows nothing of what is said after them.
"""

from __future__ import annotations

import random

from training.starter.records import Message

SYSTEM_PROMPT = "You are the assistant of Northlight Outfitters."
OTHERS = (
    "You are a helpful assistant.",
    "You answer customers of Northlight Outfitters.",
    "You work in the support team of Northlight Outfitters, an outdoor shop.",
    "Help the customer.",
)


def system(rng: random.Random) -> list[Message]:
    """The default system prompt mostly, another one or none at times."""
    draw = rng.random()
    if draw < 0.7:
        return [{"role": "system", "content": SYSTEM_PROMPT}]
    return [{"role": "system", "content": rng.choice(OTHERS)}] if draw < 0.87 else []


def wished(rng: random.Random, wish: str) -> list[Message]:
    """A system prompt that holds the wish, mostly beside who the assistant is."""
    lead = rng.choice((SYSTEM_PROMPT, SYSTEM_PROMPT, rng.choice(OTHERS), ""))
    text = f"{lead}{rng.choice((' ', ' ', chr(10)))}{wish}" if lead else wish
    return [{"role": "system", "content": text}]
