"""Bare look-up: keys and values listed, then asked for. What a model must learn before it can read.

Owns the form of these lists. Does not know passages, manners or the shop.
"""

from __future__ import annotations

import random

from training.starter.records import Message, turn
from training.starter.values import value, word

_KINDS = ("word", "number", "number", "code", "date", "price", "hours", "street", "colour")


def pairs(rng: random.Random, most: int) -> list[tuple[str, str]]:
    """One to `most` keys, each with a value; keys differ."""
    kinds = (rng.choice(_KINDS),) if rng.random() < 0.7 else _KINDS
    keys = [word(rng).lower() if rng.random() < 0.3 else word(rng) for _ in range(rng.randrange(1, most + 1))]
    return [(key, value(rng, rng.choice(kinds))) for key in dict.fromkeys(keys)]


def drill(rng: random.Random, most: int) -> list[Message]:
    """A conversation that lists keys and values and then asks for each of them, answered barely.

    Asking for all of them makes most of one context: only answers are learnt from.
    """
    listed = pairs(rng, most)
    sign, gap = rng.choice((": ", " = ", " is ", " -> ")), rng.choice(("\n", ", ", "; ", ". "))
    text = gap.join(key + sign + held for key, held in listed)
    asked = rng.sample(listed, len(listed)) + rng.choices(listed, k=2)
    ask = rng.choice(("{}?", "What is {}?", "Tell me {}.", "And {}?"))
    echo = rng.random() < 0.5
    messages: list[Message] = []
    for place, (key, held) in enumerate(asked):
        line = ask.format(key)
        messages += turn(f"{text}\n{line}" if place == 0 else line, key + sign + held if echo else held)
    return messages
