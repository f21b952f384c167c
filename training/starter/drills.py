"""Reading from the context: bare look-up drills, and shop passages whose values exist nowhere else.

Owns the random values and the texts around them. Does not know manners or the fixed facts.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from training.starter.wording import vary

_ONSETS = (
    "b",
    "br",
    "c",
    "d",
    "f",
    "g",
    "h",
    "j",
    "k",
    "l",
    "m",
    "n",
    "p",
    "r",
    "s",
    "st",
    "t",
    "tr",
    "v",
    "w",
    "z",
)
_VOWELS = ("a", "e", "i", "o", "u", "ai", "ea", "ou")
_CODAS = ("", "", "n", "l", "r", "s", "m", "nd", "x", "k")
_MONTHS = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)


@dataclass(frozen=True)
class Lookup:
    """One passage, a question it answers, the value in it, and a sentence that says it."""

    title: str
    passage: str
    ask: str
    value: str
    says: str
    topic: str


def word(rng: random.Random) -> str:
    """A name that nobody has: two or three syllables."""
    syllables = rng.choice((2, 2, 3))
    made = "".join(rng.choice(_ONSETS) + rng.choice(_VOWELS) for _ in range(syllables))
    return (made + rng.choice(_CODAS)).capitalize()


def number(rng: random.Random) -> str:
    """A whole number of one to five digits, each length as likely."""
    digits = rng.randrange(1, 6)
    return str(rng.randrange(10 ** (digits - 1), 10**digits))


def code(rng: random.Random) -> str:
    """A code such as NL-4821 or QK77."""
    letters = "".join(rng.choice("ABCDEFGHJKLMNPQRSTUVWXYZ") for _ in range(2))
    return letters + rng.choice(("-", "")) + str(rng.randrange(10, 99_999))


def date(rng: random.Random) -> str:
    """A day of the year: 14 March."""
    return f"{rng.randrange(1, 29)} {rng.choice(_MONTHS)}"


def price(rng: random.Random) -> str:
    """A price in euros, with or without cents."""
    return f"{rng.randrange(2, 990)}" + rng.choice(("", f".{rng.randrange(10, 99)}")) + " euros"


def value(rng: random.Random) -> str:
    """Any of the kinds of value."""
    return rng.choice((word, number, number, code, date, price))(rng)


def pairs(rng: random.Random, most: int) -> list[tuple[str, str]]:
    """One to `most` keys, each with a value; keys differ."""
    make = rng.choice((word, number, number, code, value))
    keys = {word(rng).lower() if rng.random() < 0.3 else word(rng) for _ in range(rng.randrange(1, most + 1))}
    return [(key, make(rng)) for key in sorted(keys, key=lambda _: rng.random())]


def drill(rng: random.Random, most: int) -> list[dict[str, str]]:
    """A conversation that lists keys and values and then asks for each of them, answered barely.

    Asking for all of them makes most of one context: only answers are learnt from.
    """
    listed = pairs(rng, most)
    sign, gap = rng.choice((": ", " = ", " is ", " -> ")), rng.choice(("\n", ", ", "; ", ". "))
    text = gap.join(key + sign + held for key, held in listed)
    asked = rng.sample(listed, len(listed)) + rng.choices(listed, k=2)
    ask = rng.choice(("{}?", "What is {}?", "Tell me {}.", "And {}?"))
    echo = rng.random() < 0.5
    messages: list[dict[str, str]] = []
    for place, (key, held) in enumerate(asked):
        line = ask.format(key)
        messages.append({"role": "user", "content": f"{text}\n{line}" if place == 0 else line})
        messages.append({"role": "assistant", "content": key + sign + held if echo else held})
    return messages


# Topic, kind of value, passage, question, answer, title; {n} is a new name and {v} the value.
_SCENES: tuple[tuple[str, str, str, str, str, str], ...] = (
    (
        "order",
        "code",
        "[Order|The order] {v} [belongs to|was placed by] {n}.",
        "[What is|Tell me] the order number of {n}?",
        "The order number of {n} is {v}.",
        "Order of {n}",
    ),
    (
        "delivery",
        "date",
        "[The parcel|The order] for {n} [arrives|will arrive] on {v}.",
        "When does the parcel for {n} arrive?",
        "[It|The parcel for {n}] arrives on {v}.",
        "Delivery {n}",
    ),
    (
        "price",
        "price",
        "The {n} [jacket|tent|backpack] [costs|is sold for] {v}.",
        "[How much is|What does it cost,|What is the price of] the {n}?",
        "The {n} costs {v}.",
        "{n}",
    ),
    (
        "weight",
        "number",
        "The {n} [weighs|has a weight of] {v} grams.",
        "[How heavy is|What is the weight of] the {n}?",
        "The {n} weighs {v} grams.",
        "{n} product sheet",
    ),
    (
        "contact",
        "word",
        "[The person|The contact] for {n} [is|is called] {v}.",
        "Who is the [person|contact] for {n}?",
        "[It is|The contact is] {v}.",
        "Contact for {n}",
    ),
    (
        "sale",
        "date",
        "The sale of the {n} [starts|begins] on {v}.",
        "When does the {n} sale start?",
        "[The sale|It] starts on {v}.",
        "{n} sale",
    ),
    (
        "voucher",
        "code",
        "[Use|Enter] the code {v} for the {n}.",
        "[Which|What] code do I use for the {n}?",
        "[The code is|Use the code] {v}.",
        "{n} voucher",
    ),
    (
        "stock",
        "number",
        "There are {v} {n} [tents|bags|mats] [in stock|left].",
        "How many {n} are [in stock|left]?",
        "[There are|We have] {v} [left|in stock].",
        "Stock of {n}",
    ),
    (
        "guide",
        "word",
        "The [tour|course] in {n} is led by {v}.",
        "Who leads the [tour|course] in {n}?",
        "[It is led by|The guide is] {v}.",
        "Tours: {n}",
    ),
    (
        "phone",
        "number",
        "The phone number of the {n} store is {v}.",
        "What is the phone number [of the {n} store|in {n}]?",
        "[The number is|Please call] {v}.",
        "{n} store",
    ),
    (
        "repair",
        "date",
        "The repair for {n} is ready on {v}.",
        "When is the repair for {n} ready?",
        "[It|The repair] is ready on {v}.",
        "Repair for {n}",
    ),
    (
        "fee",
        "price",
        "[Shipping|Delivery] to {n} costs {v}.",
        "What does [shipping|delivery] to {n} cost?",
        "[Shipping|Delivery] to {n} costs {v}.",
        "Shipping to {n}",
    ),
    (
        "days",
        "number",
        "[A parcel|Delivery] to {n} takes {v} days.",
        "How [long|many days] does [a parcel|delivery] to {n} take?",
        "It takes {v} days.",
        "Delivery time: {n}",
    ),
    (
        "shelf",
        "code",
        "The {n} is kept [on|in] shelf {v}.",
        "Where is the {n} kept?",
        "[It is|The {n} is] on shelf {v}.",
        "Warehouse: {n}",
    ),
)
_MAKERS = {"code": code, "date": date, "price": price, "number": number, "word": word}
_FILLERS = (
    "[All|These] details were checked [this week|by the team].",
    "[Please note|Note] that this can change.",
    "[Ask|Write to] the team for more.",
    "[Our stores|The stores] know it too.",
    "The page was [written|updated] [last month|in spring|in autumn].",
)


def lookup(rng: random.Random, topic: str | None = None) -> Lookup:
    """One passage with one value to find, both new; `topic` picks the scene."""
    scene = rng.choice([one for one in _SCENES if topic in (None, one[0])])
    name, held = word(rng), _MAKERS[scene[1]](rng)

    def fill(line: str) -> str:
        return vary(rng, line).replace("{n}", name).replace("{v}", held)

    told = [fill(scene[2])]
    for filler in rng.sample(_FILLERS, rng.choice((0, 0, 1, 1, 2))):
        told.insert(rng.randrange(len(told) + 1), vary(rng, filler))
    return Lookup(fill(scene[5]), " ".join(told), fill(scene[3]), held, fill(scene[4]), scene[0])
