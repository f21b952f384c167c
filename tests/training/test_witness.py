"""Every deed of the ledger, the registry and the canaries is told once, and undone if it can't be kept."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from feedback.database import Database
from training.canaries import Canaries
from training.records import Adapter, Check, Evaluation, Refused
from training.registry import Registry
from training.runs import Runs

ONE, TWO = "lora-000000000001", "lora-000000000002"


class Notes:
    """Keeps what it is told, or refuses."""

    def __init__(self) -> None:
        self.told: list[tuple[str, ...]] = []
        self.full = False

    def __call__(self, connection: Any, who: str, what: str, subject: str, *rest: str) -> None:
        if self.full:
            raise OSError("the disk is full")
        self.told.append((who, what, subject, *rest))


@pytest.fixture
def notes() -> Notes:
    return Notes()


@pytest.fixture
def registry(sqlite: Database, notes: Notes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Registry:
    monkeypatch.setattr(Registry, "_check_servable", lambda *_: None)
    found, now = Registry(sqlite, tmp_path, notes), datetime.now(UTC)
    for name in (ONE, TWO):
        found.add(Adapter(name, Path("/x"), "starter", "hash", None, 16, now))
        found.record(Evaluation(name, None, "passed", (Check("loads", True, "yes"),), {}, now))
    return found


def test_promotions_rollbacks_and_retirements_are_told(registry: Registry, notes: Notes) -> None:
    registry.promote(ONE, actor="ana", reason="kinder")
    registry.promote(TWO, actor="gate", reason="passed")
    registry.rollback(actor="ana", reason="too curt")
    registry.retire(TWO, actor="ana", reason="never again")
    registry.retire(TWO, actor="ana", reason="said twice")
    assert notes.told == [
        ("ana", "adapter promoted", ONE, "base is live", f"{ONE} is live", "kinder"),
        ("gate", "adapter promoted", TWO, f"{ONE} is live", f"{TWO} is live", "passed"),
        ("ana", "adapter rolled back to", ONE, f"{TWO} is live", f"{ONE} is live", "too curt"),
        ("ana", "adapter retired", TWO, "may be promoted", "retired", "never again"),
    ]


def test_what_can_not_be_told_is_not_done(registry: Registry, notes: Notes) -> None:
    notes.full = True
    with pytest.raises(OSError, match="full"):
        registry.promote(ONE, actor="ana", reason="kinder")
    assert registry.live() is None
    with pytest.raises(OSError, match="full"):
        registry.retire(ONE, actor="ana")
    assert not registry.get(ONE).retired


def test_what_is_refused_is_not_told(registry: Registry, notes: Notes) -> None:
    registry.promote(ONE, actor="ana", reason="kinder")
    with pytest.raises(Refused):
        registry.retire(ONE, actor="ana")
    assert len(notes.told) == 1


def test_canaries_are_told(registry: Registry, sqlite: Database, notes: Notes) -> None:
    canaries = Canaries(sqlite, registry, witness=notes)
    canaries.start(ONE, actor="ana", reason="try it")
    canaries.stop(actor="uwe", reason="it flatters")
    shares = ("0% of conversations", "5% of conversations")
    assert notes.told == [
        ("ana", "canary started", ONE, *shares, "try it"),
        ("uwe", "canary stopped", ONE, *shares[::-1], "it flatters"),
    ]


def test_runs_are_told_once_when_they_are_queued_and_cancelled(sqlite: Database, notes: Notes) -> None:
    runs = Runs(sqlite, witness=notes)
    run = runs.queue("dpo", "by hand: ana", actor="ana", wishes={"rank": 8})
    runs.queue("dpo", "by hand: uwe", actor="uwe")
    runs.claim("w")
    runs.cancel(run.id, actor="uwe", reason="wrong votes")
    runs.cancel(run.id, actor="ana")
    assert notes.told == [
        ("ana", "run queued", run.id, "", "rank 8", "by hand: ana"),
        ("uwe", "run cancelled", run.id, "running", "ends at its next beat", "wrong votes"),
    ]
    assert runs.get(run.id).wishes == {"rank": 8}
