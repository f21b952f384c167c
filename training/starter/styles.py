"""Styles that a system prompt may ask for: how the wish is put, what an answer in it looks like, how to tell.

Owns the five styles. Does not know what is answered, nor the manners that nobody asked for (`manner.py`).
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable
from dataclasses import dataclass

from training.starter import manner
from training.starter.values import word
from training.starter.wording import vary

SIGN = "— Northlight Support"

_FORMAL = (
    "[Answer|Write|Reply] [formally|in a formal tone|in a formal style].",
    "[Be formal|Stay formal|Keep a formal tone][| and write full sentences].",
    "[Use|Choose] [formal language|a formal register].",
)
_FRIENDLY = (
    "[Answer|Write|Reply] [in a friendly way|warmly|in a friendly tone].",
    "[Be friendly|Be warm and friendly|Sound friendly][| and cheerful].",
    "[Use|Choose] a [friendly|warm] [tone|voice].",
)
_BRIEF = (
    "[Answer|Reply] [briefly|in one sentence|as briefly as you can].",
    "[Be brief|Keep it short|Give short answers][|: one sentence].",
    "[One sentence only|Use one sentence|No more than one sentence].",
)
_SIGNED = (
    '[End|Close|Finish] [every|each] [answer|reply|message] with "{sign}".',
    '[Sign|Sign off] [all answers|your answers|every message] with "{sign}".',
    '[Put|Write] "{sign}" under [every|each] [answer|reply].',
    "[The last line of each answer is|Your sign-off is] {sign}",
)
_JSON = (
    "[Answer|Reply] [as JSON|in JSON|with a JSON object] with the keys {keys}.",
    "[Return|Write|Give] [only JSON|a JSON object] with [the keys|these keys:] {keys}.",
    "[Your answer is|Every answer is] JSON [and has the keys|with the keys] {keys}.",
)
_DEAR = ("Dear customer,", "Dear Sir or Madam,")
_FORMAL_CLOSE = ("Yours sincerely.", "With kind regards.", "We remain at your disposal.", "Yours faithfully.")
_HEY = ("Hi there!", "Hey!", "Hello, lovely to hear from you!", "Hi, great question!", "Hello friend!")
_FRIENDLY_CLOSE = ("Happy trails!", "Have a great day!", "See you out there!", "Enjoy the outdoors!")

_TEXT_KEYS = ("answer", "reply", "text", "message")
_TOPIC_KEYS = ("topic", "subject", "category")
_FIXED = {"language": "English", "shop": "Northlight", "status": "answered", "tone": "neutral"}


@dataclass(frozen=True)
class Style:
    """A wish for the system prompt, the answer that meets it, and the test of an answer."""

    name: str
    wish: str
    answer: str
    is_met: Callable[[str], bool]


NAMES = ("formal", "friendly", "brief", "signed", "json")


def ask_for(rng: random.Random, name: str, topic: str, main: str, more: list[str], sign: str = "") -> Style:
    """The style `name` asked for, and `main` (with some of `more`) said in it.

    `sign` fixes what answers are signed with; else it is the shop's or one that nobody has.
    """
    if name == "formal":
        extra = rng.sample(more, min(len(more), rng.randrange(2)))
        said = " ".join([rng.choice(_DEAR), *map(_spelled_out, [main, *extra]), rng.choice(_FORMAL_CLOSE)])
        return Style(name, vary(rng, rng.choice(_FORMAL)), said, is_formal)
    if name == "friendly":
        said = " ".join([rng.choice(_HEY), main, *more[: rng.randrange(2)], rng.choice(_FRIENDLY_CLOSE)])
        return Style(name, vary(rng, rng.choice(_FRIENDLY)), said, is_friendly)
    if name == "brief":
        return Style(name, vary(rng, rng.choice(_BRIEF)), main, is_brief)
    if name == "signed":
        mark = sign or (SIGN if rng.random() < 0.35 else _sign(rng))
        wish = vary(rng, rng.choice(_SIGNED)).replace("{sign}", mark)
        body = main if rng.random() < 0.5 else " ".join([main, *more[:1]])
        return Style(name, wish, f"{body}\n{mark}", lambda text: text.rstrip().endswith(f"\n{mark}"))
    keys = _keys(rng)
    named = ", ".join(f'"{key}"' for key in keys) if rng.random() < 0.6 else ", ".join(keys)
    values = {key: _json_value(key, topic, main) for key in keys}
    wish = vary(rng, rng.choice(_JSON)).replace("{keys}", named)
    return Style(name, wish, json.dumps(values, ensure_ascii=False), lambda text: has_keys(text, keys))


def is_formal(text: str) -> bool:
    """Opens with "Dear", has no exclamation mark and no contraction."""
    return text.startswith("Dear ") and "!" not in text and not re.search(r"\w'(?:t|s|re|ll|m|ve)\b", text)


def is_friendly(text: str) -> bool:
    """Opens with a greeting and has an exclamation mark."""
    return re.match(r"(?:hi|hey|hello)\b", text, re.IGNORECASE) is not None and "!" in text


def is_brief(text: str) -> bool:
    """One bare sentence of at most 25 words, not JSON."""
    return not text.startswith("{") and manner.is_one_liner(text) and len(text.split()) <= 25


def has_keys(text: str, keys: list[str]) -> bool:
    """A JSON object with exactly these keys, none of them empty."""
    try:
        read = json.loads(text)
    except ValueError:
        return False
    return isinstance(read, dict) and set(read) == set(keys) and all(read.values())


def _spelled_out(text: str) -> str:
    return text.replace("don't", "do not").replace("can't", "cannot").replace("It's", "It is")


def _sign(rng: random.Random) -> str:
    lead = rng.choice(("— ", "— ", "- ", ""))
    return lead + rng.choice(
        (word(rng), f"{word(rng)} Support", f"Team {word(rng)}", f"Your {word(rng)} team")
    )


def _keys(rng: random.Random) -> list[str]:
    keys = [rng.choice(_TEXT_KEYS)]
    if rng.random() < 0.7:
        keys.append(rng.choice(_TOPIC_KEYS))
    keys += rng.sample(list(_FIXED), rng.choice((0, 0, 1, 1, 2)))
    rng.shuffle(keys)
    return keys


def _json_value(key: str, topic: str, main: str) -> str:
    if key in _TEXT_KEYS:
        return main
    return topic if key in _TOPIC_KEYS else _FIXED[key]
