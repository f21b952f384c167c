"""Passages whose values exist nowhere else, questions about them, and what a right answer holds.

Owns the things, what may be known of each, and how a passage tells it. Does not know manners, system
prompts or models.
"""

from __future__ import annotations

import json
import random
import re
import tomllib
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from training.starter import asking, values
from training.starter.facts import Fact, facts
from training.starter.wording import upper_first, vary

_FILLERS = (
    "[All|These] details were checked [this week|by the team].",
    "[Please note|Note] that this can change.",
    "[Ask|Write to] the team for more.",
    "[Our stores|The stores] know it too.",
    "The page was [written|updated] [last month|in spring|in autumn].",
    "[Thank you|Thanks] for reading [this page|to the end].",
    "[Many customers ask|We are often asked] about this.",
    "[This page|The list] is for [customers|members|our own team].",
)
# Share of the passages that are lists of labels and values, as product sheets have.
_LISTED = 0.25
_NUMBER = re.compile(r"\d[\d.,]*\d|\d")


@dataclass(frozen=True)
class Detail:
    """One thing that a passage tells: ways to ask for it, ways to ask for "it", answers, its bare value."""

    label: str
    asks: tuple[str, ...]
    again: tuple[str, ...]
    says: tuple[str, ...]
    value: str
    full: str


@dataclass(frozen=True)
class Passage:
    """A titled text about one thing, with the details that it tells."""

    topic: str
    name: str
    title: str
    text: str
    details: tuple[Detail, ...]


@cache
def scenes() -> dict[str, dict[str, Any]]:
    """The scenes of `scenes.toml` by topic, with the wider wordings of `customers/scenes.jsonl`.

    The score asks in the words of the former alone: those of a build are many, and some are odd.
    """
    here = Path(__file__).parent
    read = tomllib.loads((here / "scenes.toml").read_text(encoding="utf-8"))
    found = {scene["topic"]: scene for scene in read["scene"]}
    for line in (here / "customers" / "scenes.jsonl").read_text(encoding="utf-8").splitlines():
        more = json.loads(line)
        for one in found[more["topic"]]["attribute"]:
            if one["label"] == more["label"]:
                one["more_asks"], one["more_states"] = more["asks"], more["states"]
    return found


def passage(
    rng: random.Random, topic: str | None = None, most: int = 4, must: str | None = None, fresh: bool = False
) -> Passage:
    """A passage about a new thing of `topic` with one to `most` details; `must` names one of them."""
    scene = scenes()[topic or rng.choice(list(scenes()))]
    name = _name(rng, rng.choice(scene["names"]))
    pool = [one for one in scene["attribute"] if one["label"] != must]
    if fresh:
        pool = [one for one in pool if one["kind"] in values.OPEN]
    picked = [one for one in scene["attribute"] if one["label"] == must]
    picked += rng.sample(pool, min(len(pool), rng.randrange(1, most + 1) - len(picked)))
    rng.shuffle(picked)
    details = [_detail(rng, one, name, fresh) for one in picked]
    title = rng.choice((name, name, f"{name}: {rng.choice(details).label}", f"About {name}"))
    if rng.random() < _LISTED:
        text = _list(rng, name, details)
    else:
        states = [
            _fill(vary(rng, rng.choice(_wordings(written, "states", fresh))), name, one.full)
            for written, one in zip(picked, details, strict=True)
        ]
        text = _prose(rng, states)
        details = [_quoted(one, state) for one, state in zip(details, states, strict=True)]
    return Passage(scene["topic"], name, upper_first(title), text, tuple(details))


def _quoted(detail: Detail, state: str) -> Detail:
    """The detail, mostly answered in the words of its passage: to quote is the surest way to be right."""
    return replace(detail, says=(state,) * 4 * len(detail.says) + detail.says)


def absent(rng: random.Random, held: Passage, fresh: bool = False) -> Detail | None:
    """A detail of the same thing that its passage does not tell; None if it tells them all or is a policy."""
    scene = scenes().get(held.topic)
    if scene is None:
        return None
    told = {one.label for one in held.details}
    left = [one for one in scene["attribute"] if one["label"] not in told]
    return _detail(rng, rng.choice(left), held.name, fresh) if left else None


def policy(rng: random.Random, fresh: bool = False) -> Passage:
    """A passage with a rule of the shop in which every number is another one: what stands there counts."""
    fact = rng.choice([one for one in facts() if len(one.keys) == 1 and _NUMBER.search(one.keys[0])])
    changed = {found: _like(rng, found, fresh) for found in dict.fromkeys(_NUMBER.findall(fact.keys[0]))}

    def other(line: str) -> str:
        return _NUMBER.sub(lambda hit: changed.get(hit[0], hit[0]), line)

    key = other(fact.keys[0])
    says = tuple(other(line) for line in fact.says)
    state = vary(rng, rng.choice(says))
    detail = _quoted(Detail(fact.topic, fact.asks, (), says, key, key), state)
    more = [other(vary(rng, line)) for line in rng.sample(fact.more, rng.randrange(len(fact.more) + 1))]
    told = [state, *more]
    rng.shuffle(told)
    title = (fact.subject or fact.topic).capitalize() if rng.random() < 0.5 else fact.topic.capitalize()
    return Passage("policy", fact.subject or fact.topic, title, " ".join(told), (detail,))


def ask(rng: random.Random, detail: Detail) -> str:
    """A question for `detail` that names the thing, as customers write."""
    asked = rng.choice(detail.asks).replace("{number}", values.value(rng, "number"))
    return asking.dressed(rng, vary(rng, asked), slips=False)


def _like(rng: random.Random, found: str, fresh: bool) -> str:
    while True:
        made = values.value(rng, "price" if "." in found else "number", fresh)
        if made != found and len(made) < 5:
            return made


def _name(rng: random.Random, pattern: str) -> str:
    while "{w}" in pattern:
        pattern = pattern.replace("{w}", values.word(rng), 1)
    return pattern.replace("{c}", values.value(rng, "code"))


def _fill(line: str, name: str, full: str) -> str:
    filled = line.replace("{n}", name).replace("{N}", upper_first(name)).replace("{v}", full)
    return upper_first(filled)


def _detail(rng: random.Random, written: dict[str, Any], name: str, fresh: bool) -> Detail:
    held = values.value(rng, written["kind"], fresh and written["kind"] in values.OPEN)
    full = held + written.get("unit", "")

    def lines(field: str) -> tuple[str, ...]:
        return tuple(_fill(line, name, full) for line in _wordings(written, field, fresh))

    # An answer that names the thing again is easier to find the value for than one that says "it".
    named = tuple(line for line in lines("says") if name in line)
    says = named or lines("says")
    return Detail(written["label"], lines("asks"), lines("again"), says, held, full)


def _wordings(written: dict[str, Any], field: str, fresh: bool) -> list[str]:
    more = [] if fresh else written.get(f"more_{field}", [])
    return [*written[field], *more]


def _list(rng: random.Random, name: str, details: list[Detail]) -> str:
    sign = rng.choice(("- {}: {}", "{}: {}", "| {} | {} |"))
    rows = [sign.format(one.label.capitalize(), one.full) for one in details]
    head = upper_first(name)
    return "\n".join([rng.choice((f"{head}:", f"{head}", f"Data of {name}:")), *rows])


def _prose(rng: random.Random, states: list[str]) -> str:
    told = list(states)
    for filler in rng.sample(_FILLERS, rng.choice((0, 0, 1, 1, 2))):
        told.insert(rng.randrange(len(told) + 1), vary(rng, filler))
    return " ".join(told)


def says_value(text: str, value: str) -> bool:
    """Whether `value` stands in `text` by itself, not as a part of a longer number or word."""
    return re.search(rf"(?<![\w]){re.escape(value)}(?![\w]|[.,]\d)", text) is not None


def holds(fact: Fact, text: str) -> bool:
    """Whether `text` says `fact`."""
    return any(says_value(text.lower(), key.lower()) for key in fact.keys)
