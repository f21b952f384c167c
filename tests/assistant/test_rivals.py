"""Who is put beside what is live."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from assistant.rivals import rival
from feedback.database import Database
from training.records import Adapter, Evaluation, Outcome
from training.registry import Registry
from training.taints import Taints

NAMES = [f"lora-{number:012x}" for number in range(3)]


@pytest.fixture
def registry(sqlite: Database, tmp_path: Path) -> Registry:
    return Registry(sqlite, tmp_path)


def add(registry: Registry, name: str, outcome: Outcome | None = "passed", age: int = 0) -> None:
    made = datetime.now(UTC) - timedelta(hours=age)
    registry.add(Adapter(name, Path("/none"), "starter", "hash", None, 16, made))
    if outcome is not None:
        registry.record(Evaluation(name, None, outcome, (), {}, made))


def test_without_a_candidate_there_is_nobody(registry: Registry) -> None:
    assert rival(registry) is None
    add(registry, NAMES[0], "rejected")
    assert rival(registry) is None


def test_the_newest_that_passed_is_put_beside_the_base(registry: Registry) -> None:
    add(registry, NAMES[0], age=2)
    add(registry, NAMES[1], age=1)
    assert rival(registry) == NAMES[1]
    registry.retire(NAMES[1])
    assert rival(registry) is None


def test_one_that_learned_from_somebody_who_is_gone_answers_nobody(
    registry: Registry, sqlite: Database
) -> None:
    now = datetime.now(UTC)
    rows = {"examples": [{"people": ["ann"], "votes": ["rating:4"]}]}
    registry.add(Adapter(NAMES[0], Path("/none"), "starter", "hash", None, 16, now, rows))
    registry.record(Evaluation(NAMES[0], None, "passed", (), {}, now))
    assert rival(registry) == NAMES[0]
    Taints(sqlite).mark("del-1", "ann", [])
    assert rival(registry) is None


def test_one_that_is_not_evaluated_answers_nobody(registry: Registry) -> None:
    add(registry, NAMES[0], None)
    assert rival(registry) is None


def test_what_is_live_is_no_rival_of_itself_nor_is_what_was_before(registry: Registry) -> None:
    add(registry, NAMES[0], age=2)
    add(registry, NAMES[1], age=1)
    registry._write(NAMES[1], "promote", "root", "good", None)
    assert rival(registry) is None
    registry._write(NAMES[0], "rollback", "root", "bad after all", None)
    assert rival(registry) is None


def test_while_a_canary_runs_nobody_else_is_tried(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(registry, NAMES[0])
    monkeypatch.setattr(registry, "canary", lambda: object())
    assert rival(registry) is None
