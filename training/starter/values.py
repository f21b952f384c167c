"""Values that exist nowhere else: names, numbers, codes, dates, prices; one in eight kept for the score.

Owns how they are made and which of them no build ever sees. Does not know the texts around them.
"""

from __future__ import annotations

import calendar
import random
import zlib
from collections.abc import Callable

_ONSETS = tuple("b br c d f g h j k l m n p r s st t tr v w z".split())  # noqa: SIM905
_VOWELS = ("a", "e", "i", "o", "u", "ai", "ea", "ou")
_CODAS = ("", "", "n", "l", "r", "s", "m", "nd", "x", "k")
_MONTHS = tuple(calendar.month_name)[1:]
_STREETS = ("weg", "gasse", "gade", "platz", " Street", " Road", " Lane")
_COLOURS = ("red", "blue", "green", "black", "white", "grey", "brown", "yellow", "orange", "purple", "teal",
            "sand", "olive", "navy", "rust")  # fmt: skip
_MATERIALS = ("nylon", "wool", "cotton", "leather", "steel", "titanium", "down", "canvas", "cork", "rubber",
              "bamboo", "linen")  # fmt: skip
_JOBS = ("buyer", "tailor", "driver", "guide", "cashier", "cook", "clerk", "trainer", "packer", "tester",
         "mechanic", "accountant")  # fmt: skip

_ONE_IN = 8


def is_kept_back(case: str) -> bool:
    """Whether `case` is for the score alone: one in eight, the same on every machine and for every seed."""
    return zlib.crc32(case.encode()) % _ONE_IN == 0


def is_reserved(value: str) -> bool:
    """Whether `value` is kept for the score: fixed by a hash, so that no build ever shows it as an answer."""
    return is_kept_back(f"value {value}")


def word(rng: random.Random) -> str:
    """A name that nobody has: two or three syllables."""
    syllables = rng.choice((2, 2, 3))
    made = "".join(rng.choice(_ONSETS) + rng.choice(_VOWELS) for _ in range(syllables))
    return (made + rng.choice(_CODAS)).capitalize()


def number(rng: random.Random) -> str:
    """A whole number of two to five digits, each length as likely."""
    digits = rng.randrange(2, 6)
    return str(rng.randrange(10 ** (digits - 1), 10**digits))


def code(rng: random.Random) -> str:
    """A code such as NL-4821 or QK77."""
    letters = "".join(rng.choice("ABCDEFGHJKLMNPQRSTUVWXYZ") for _ in range(2))
    return letters + rng.choice(("-", "")) + str(rng.randrange(10, 99_999))


def date(rng: random.Random) -> str:
    """A day of the year: 14 March."""
    return f"{rng.randrange(1, 29)} {rng.choice(_MONTHS)}"


def price(rng: random.Random) -> str:
    """A price, with or without cents."""
    return f"{rng.randrange(2, 990)}" + rng.choice(("", f".{rng.randrange(10, 100)}"))


def hours(rng: random.Random) -> str:
    """Opening hours: 9 to 18."""
    return f"{rng.randrange(6, 13)} to {rng.randrange(14, 24)}"


def street(rng: random.Random) -> str:
    """A street with a number."""
    return f"{word(rng)}{rng.choice(_STREETS)} {rng.randrange(2, 300)}"


_MAKERS: dict[str, Callable[[random.Random], str]] = {
    "word": word,
    "number": number,
    "code": code,
    "date": date,
    "price": price,
    "hours": hours,
    "street": street,
    "colour": lambda rng: rng.choice(_COLOURS),
    "material": lambda rng: rng.choice(_MATERIALS),
    "job": lambda rng: rng.choice(_JOBS),
}
OPEN = ("word", "number", "code", "date", "price", "hours", "street")
"""Kinds with enough values to keep some back; colours and the like are few words that every build sees."""


def value(rng: random.Random, kind: str, fresh: bool = False) -> str:
    """A value of `kind`; with `fresh` one that is kept for the score, else one that is not."""
    make = _MAKERS[kind]
    while True:
        made = make(rng)
        if kind not in OPEN or is_reserved(made) == fresh:
            return made
