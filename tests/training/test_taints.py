"""Tests of taints: who learned from a person whose data was deleted is never made live again."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from feedback.database import Database
from training import registry as module
from training.canaries import Canaries
from training.records import Adapter, Evaluation, Refused
from training.registry import Registry
from training.taints import Taints, learned_from

A, B, C = (f"lora-{letter * 12}" for letter in "abc")
WHY: dict[str, Any] = {"actor": "root", "reason": "better"}


def live(registry: Registry) -> str | None:
    found = registry.live()
    return found.name if found else None


@pytest.fixture
def registry(database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Registry:
    """Three adapters that passed: A learned from ann, B from a vote on what ann asked, C from neither."""
    monkeypatch.setattr(module.files, "verify", lambda _: None)
    found, now = Registry(database, tmp_path), datetime.now(UTC)
    examples = {
        A: [{"people": ["ann", "bob"], "votes": ["rating:1"]}, {"people": ["ann"], "votes": ["rating:2"]}],
        B: [{"people": ["sam"], "votes": ["correction:3"]}],
        C: [{"people": ["bob"], "votes": ["rating:9"]}, {"people": [], "votes": []}],
    }
    for name, rows in examples.items():
        found.add(Adapter(name, tmp_path, "b", "0", None, 8, now, {"examples": rows}))
        found.record(Evaluation(name, None, "passed", (), {}, now))
    return found


def taint(database: Database, deletion: str = "del-1", person: str = "ann") -> list[str]:
    return Taints(database).mark(deletion, person, ["correction:3"])


def test_what_learned_from_a_person_is_marked_once(registry: Registry, database: Database) -> None:
    assert taint(database) == taint(database) == [A, B]
    found = Taints(database).all()
    assert {name: (one.examples, one.people) for name, one in found.items()} == {A: (2, 1), B: (1, 1)}
    taint(database, "del-2", "bob")
    assert {name: one.people for name, one in Taints(database).all().items()} == {A: 2, B: 2, C: 1}


def test_a_tainted_adapter_is_neither_promoted_nor_tried_nor_gone_back_to(
    registry: Registry, database: Database
) -> None:
    for name in (C, A, B):
        registry.promote(name, **WHY)
    taint(database)
    for act in (registry.promote, Canaries(database, registry).start):
        with pytest.raises(Refused, match="data was deleted"):
            act(A, **WHY)  # type: ignore[operator]
    # A was before B, and is passed over.
    assert registry.rollback(**WHY).adapter == C
    assert registry.promote("base", **WHY).adapter is None


def test_a_taint_in_the_last_moment_still_stops_a_promotion(
    registry: Registry, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "check_promotable", lambda name: taint(database))
    with pytest.raises(Refused, match="data was deleted"):
        registry.promote(A, **WHY)
    assert registry.live() is None


def test_while_a_tainted_one_is_live_there_is_an_alarm(registry: Registry, database: Database) -> None:
    registry.promote(A, **WHY)
    assert Taints(database).alarm(live(registry)) is None
    taint(database)
    alarm = Taints(database).alarm(live(registry))
    assert alarm is not None
    assert (alarm.name, alarm.adapter) == ("live_tainted", A)
    assert "2 of its examples" in alarm.detail
    registry.fits = lambda _: False
    assert Taints(database).alarm(live(registry)) is None, "on another base it answers nobody"
    registry.fits = lambda _: True
    registry.promote(C, **WHY)
    assert Taints(database).alarm(live(registry)) is None


def test_an_example_without_people_is_nobodys() -> None:
    assert not learned_from({}, "ann", {"rating:1"})
    assert learned_from({"votes": ["rating:1"]}, "ann", {"rating:1"})


def test_an_example_is_of_who_asked_too() -> None:
    staffs = {"people": ["sam"], "votes": ["review:1"], "askers": ["ann"]}
    assert learned_from(staffs, "ann", ())
    assert not learned_from(staffs, "bob", ())
