"""Where adapters come from, by their manifests."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from training import lineage
from training.records import Adapter

MANIFEST = {
    "examples": [
        {"id": "a", "source": "siblings", "votes": ["rating:1", "rating:2"], "people": ["ann"]},
        {"id": "b", "source": "siblings", "votes": ["rating:2", "rating:3"], "people": ["ann", "bob"]},
        {"id": "c", "source": "anchor", "votes": [], "people": []},
    ],
    "counts": {"dropped": {"too_long": 2}, "drawn_from": "lora-2"},
    "recipe": {"method": "dpo", "rank": 8, "reasons": ["few pairs"]},
    "versions": {"torch": "2.13", "trl": None},
    "metrics": {"loss": 0.5, "steps": 40, "method": "dpo"},
}


def adapter(name: str = "lora-1", manifest: Any = None) -> Adapter:
    made = datetime(2026, 5, 1, tzinfo=UTC)
    return Adapter(name, Path("/x"), "starter", "abc", f"run-{name}", 16, made, manifest or {})


def test_it_counts_votes_and_people_once() -> None:
    found = lineage.of(adapter(manifest=MANIFEST))
    assert (found.examples, found.sources) == (3, {"siblings": 2, "anchor": 1})
    assert (found.votes, found.people, found.dropped) == (3, 2, {"too_long": 2})
    assert (found.recipe, found.reasons) == ({"method": "dpo", "rank": 8}, ("few pairs",))
    assert (found.versions, found.metrics) == ({"torch": "2.13"}, {"loss": 0.5, "steps": 40.0})
    assert (found.run, found.base, found.base_hash) == ("run-lora-1", "starter", "abc")


def test_a_manifest_that_says_nothing_is_no_error() -> None:
    for manifest in ({}, {"examples": None, "counts": [], "recipe": 3}):
        found = lineage.of(adapter(manifest=manifest))
        assert (found.examples, found.votes, found.people, found.drawn_from) == (0, 0, 0, None)


def test_parents_are_followed_and_no_ring_is_endless() -> None:
    two = adapter("lora-2", {"counts": {"drawn_from": "lora-3"}})
    three = adapter("lora-3", {"counts": {"drawn_from": "base"}})
    known = {"lora-2": two, "lora-3": three}
    assert lineage.parents(adapter(manifest=MANIFEST), known.get) == [
        ("lora-2", "run-lora-2"),
        ("lora-3", "run-lora-3"),
    ]
    assert lineage.parents(adapter(manifest=MANIFEST), {}.get) == [("lora-2", None)]
    ring = {"lora-2": adapter("lora-2", {"counts": {"drawn_from": "lora-2"}})}
    assert lineage.parents(adapter(manifest=MANIFEST), ring.get) == [("lora-2", "run-lora-2")]
