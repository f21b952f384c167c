"""How customers ask: greetings, reasons, names, slips of the keyboard around one question about one fact.

Owns the wording of opening questions, for training and for simulated customers alike.
Does not know the answers.
"""

from __future__ import annotations

import random

from training.starter.facts import Fact, by_topic
from training.starter.wording import lower_first, slip, upper_first, vary

_GREETINGS = (
    "Hi",
    "Hello",
    "Hey",
    "Good morning",
    "Good evening",
    "Hi there",
    "Dear team",
    "Hello Northlight",
    "Hi, it's [Mia|Jonas|Lena|Tom|Aisha|Pavel|Ines|Noah]",
)
_LEADS = (
    "quick question:",
    "I have a question.",
    "can you tell me:",
    "I was wondering:",
    "short question:",
    "please help me.",
    "I could not find it:",
    "I am new here.",
    "[I am planning|We are planning] a trip.",
    "I looked everywhere.",
)
_ENDS = (
    "Thanks!",
    "Thank you.",
    "Thanks in advance.",
    "Please help.",
    "Best, [Mia|Jonas|Lena|Tom|Aisha|Pavel]",
    "It is urgent.",
    "Cheers",
)


def question(rng: random.Random, fact: Fact) -> str:
    """One way in which a customer asks for `fact`."""
    asked = rng.choice(fact.asks).replace("{number}", str(rng.randrange(10_000, 99_999)))
    return dressed(rng, vary(rng, asked))


def dressed(rng: random.Random, text: str, slips: bool = True) -> str:
    """A plain question as customers write it: with a greeting, a reason, or just so.

    `slips=False` leaves the letters alone: a made-up name with a slip is another name.
    """
    if rng.random() < 0.2:
        text = f"{vary(rng, rng.choice(_LEADS))} {text}"
        text = upper_first(text)
    if rng.random() < 0.25:
        text = f"{vary(rng, rng.choice(_GREETINGS))}, {lower_first(text)}"
    if rng.random() < 0.15:
        text = f"{text} {vary(rng, rng.choice(_ENDS))}"
    if slips and rng.random() < 0.15:
        text = text.lower()
    if rng.random() < 0.1:
        text = text.rstrip("?.")
    while slips and rng.random() < 0.12:
        text = slip(rng, text)
    return text


def pick(rng: random.Random) -> Fact:
    """A fact to ask for: topics first, so that fifteen countries do not drown one return policy."""
    topics = by_topic()
    return rng.choice(topics[rng.choice(list(topics))])


def questions(count: int, seed: int) -> list[str]:
    """`count` distinct opening questions, the same for the same seed."""
    rng = random.Random(f"questions {seed}")
    found: dict[str, None] = {}
    while len(found) < count:
        found.setdefault(question(rng, pick(rng)))
    return list(found)
