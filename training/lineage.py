"""Where an adapter comes from: examples, votes, people, base, recipe, versions, and what was live before.

Pure: reads the manifest that was published with the adapter, and names no person.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from training.records import Adapter

_FURTHEST = 12
"""Ancestors that are followed."""


@dataclass(frozen=True, slots=True)
class Lineage:
    """What one adapter was made of."""

    run: str | None
    base: str
    base_hash: str
    sources: Mapping[str, int]
    """Examples by source."""
    votes: int
    """Different ratings, corrections and choices behind them."""
    people: int
    dropped: Mapping[str, int]
    recipe: Mapping[str, Any]
    reasons: tuple[str, ...]
    versions: Mapping[str, str]
    metrics: Mapping[str, float]
    drawn_from: str | None
    """Who gave the fresh answers: an adapter, `base`, or None where none were drawn."""

    @property
    def examples(self) -> int:
        """How many it was trained on, rehearsed ones included."""
        return sum(self.sources.values())


def of(adapter: Adapter) -> Lineage:
    """What the manifest says; what it does not say is empty."""
    manifest = adapter.manifest
    examples = [one for one in _rows(manifest, "examples") if isinstance(one, Mapping)]
    counts, recipe = _plain(manifest, "counts"), dict(_plain(manifest, "recipe"))
    reasons = tuple(map(str, recipe.pop("reasons", None) or ()))
    versions = {name: str(one) for name, one in _plain(manifest, "versions").items() if one}
    metrics = {
        name: float(one)
        for name, one in _plain(manifest, "metrics").items()
        if isinstance(one, int | float) and not isinstance(one, bool)
    }
    return Lineage(
        run=adapter.run_id,
        base=adapter.base,
        base_hash=adapter.base_hash,
        sources=dict(Counter(str(one.get("source", "")) for one in examples).most_common()),
        votes=len({vote for one in examples for vote in one.get("votes", ())}),
        people=len({person for one in examples for person in one.get("people", ())}),
        dropped=dict(_plain(counts, "dropped")),
        recipe=recipe,
        reasons=reasons,
        versions=versions,
        metrics=metrics,
        drawn_from=counts.get("drawn_from"),
    )


def parents(adapter: Adapter, get: Callable[[str], Adapter | None]) -> list[tuple[str, str | None]]:
    """The adapters whose answers it learned from, then those behind them: name and run, the nearest first."""
    found: list[tuple[str, str | None]] = []
    here: Adapter | None = adapter
    while here is not None and len(found) < _FURTHEST:
        name = of(here).drawn_from
        if name is None or name == "base" or name in [one for one, _ in found]:
            break
        here = get(name)
        found.append((name, here.run_id if here else None))
    return found


def _plain(holder: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = holder.get(name)
    return found if isinstance(found, Mapping) else {}


def _rows(holder: Mapping[str, Any], name: str) -> list[Any]:
    found = holder.get(name)
    return found if isinstance(found, list) else []
