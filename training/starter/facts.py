"""The fixed facts of Northlight Outfitters, an invented outdoor shop, and the ways to ask for and state them.

Reads them from `shop.toml`: one `Fact` a truth, written in the small grammar of `wording.py`.
Does not know manners (`manner.py`), conversations (`corpus.py`), tokens or models.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

# How a product that is one thing is spoken of; the rows of things in pairs say otherwise.
_SINGULAR = {"is": "is", "does": "does", "costs": "costs", "weighs": "weighs", "it": "it"}


@dataclass(frozen=True)
class Fact:
    """One truth. `asks`, `says` and `more` are grammar lines; every line of `says` holds one of `keys`.

    `curt` is the shortest way to say it, `subject` what it is about where many have the like (a country, a
    store, a product).
    """

    topic: str
    keys: tuple[str, ...]
    asks: tuple[str, ...]
    says: tuple[str, ...]
    more: tuple[str, ...]
    curt: str
    subject: str = ""


@cache
def facts() -> tuple[Fact, ...]:
    """Every fixed fact of the shop, in a stable order."""
    shop = tomllib.loads((Path(__file__).parent / "shop.toml").read_text(encoding="utf-8"))
    made: list[Fact] = []
    for written in shop["fact"]:
        rows = shop[written["each"]] if "each" in written else [{}]
        made.extend(_fact(written, _SINGULAR | row) for row in rows)
    return tuple(made)


@cache
def by_topic() -> dict[str, tuple[Fact, ...]]:
    """The facts of each topic."""
    topics = dict.fromkeys(fact.topic for fact in facts())
    return {topic: tuple(fact for fact in facts() if fact.topic == topic) for topic in topics}


def _fact(written: Mapping[str, Any], row: Mapping[str, Any]) -> Fact:
    def filled(line: str) -> str:
        for field, value in row.items():
            line = line.replace(f"{{{field}}}", str(value))
        return line

    def lines(field: str) -> tuple[str, ...]:
        return tuple(map(filled, written[field]))

    return Fact(
        written["topic"],
        lines("keys"),
        lines("asks"),
        lines("says"),
        lines("more"),
        filled(written["curt"]),
        str(row.get("name", "")),
    )
