"""Questions that only the turn before makes clear: "And to Norway?", "And the weight?".

Owns which facts of the shop follow each other and how that is asked. Does not know manners or passages.
"""

from __future__ import annotations

import random

from training.starter import asking
from training.starter.facts import Fact, by_topic
from training.starter.wording import vary

# How a thing's other sides are asked for once it is named, by topic; topics of one row share their things.
_SIDES: tuple[dict[str, str], ...] = (
    {
        "shipping time": "[And how long does it take|How long does it take|And the delivery time]?",
        "shipping cost": "[And what does it cost|What does it cost|And the cost]?",
    },
    {
        "store hours": "[And the opening hours|And when is it open|When is it open]?",
        "store address": "[And the address|And where is it|Where is it]?",
    },
    {
        "price": "[And the price|And what about the price|What about the price]?",
        "weight": "[And the weight|And what about the weight|What about the weight]?",
        "product": "[And what is special about it|And what else can you tell me]?",
    },
)
_OTHERS = {
    "shipping time": "[And to {s}|And for {s}|What about {s}]?",
    "shipping cost": "[And to {s}|And for {s}|What about {s}]?",
    "store hours": "[And in {s}|And the one in {s}|What about {s}]?",
    "store address": "[And in {s}|And the one in {s}|What about {s}]?",
    "price": "[And the {s}|What about the {s}|And for the {s}]?",
    "weight": "[And the {s}|What about the {s}|And for the {s}]?",
    "product": "[And the {s}|What about the {s}]?",
}
_LINKS: tuple[tuple[str, str, str], ...] = (
    ("returns", "return cost", "[And what does that cost|What does that cost|Is that free]?"),
    ("returns", "refunds", "[And when do I get my money|And when is the money back]?"),
    ("exchange", "return cost", "[And if I return it, what does that cost|And what does a return cost]?"),
    ("gift card values", "gift cards", "[And how long are they valid|How long are they valid]?"),
    ("loyalty", "points", "[And what are they worth|What are they worth]?"),
)


def after(rng: random.Random, fact: Fact) -> tuple[str, Fact] | None:
    """A question that follows one for `fact`, and the fact that it asks for; None if nothing follows."""
    ways: list[tuple[str, Fact]] = []
    topics = by_topic()
    if fact.subject:
        other = rng.choice([one for one in topics[fact.topic] if one.subject != fact.subject])
        ways.append((_OTHERS[fact.topic].replace("{s}", other.subject), other))
        sides = next(row for row in _SIDES if fact.topic in row)
        topic = rng.choice([one for one in sides if one != fact.topic])
        same = next(one for one in topics[topic] if one.subject == fact.subject)
        ways.append((sides[topic], same))
    ways += [(ask, topics[then][0]) for first, then, ask in _LINKS if first == fact.topic]
    if not ways:
        return None
    line, found = rng.choice(ways)
    asked = vary(rng, line)
    if rng.random() < 0.15:
        asked = asked.lower()
    return (asked.rstrip("?") if rng.random() < 0.1 else asked), found


def first(rng: random.Random) -> Fact:
    """A fact that something can follow."""
    while True:
        fact = asking.pick(rng)
        if after(rng, fact):
            return fact
