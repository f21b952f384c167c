"""Notices, on both databases: each once, the newest first, seen by one person and not by another."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from assistant import notices as module
from assistant.notices import Notices, watch
from feedback.alerts import Alarm, Alerts
from feedback.database import Database
from training.records import Adapter, Evaluation
from training.registry import Registry
from training.runs import Runs

ONE = "lora-000000000001"


def happen(database: Database, folder: Path) -> None:
    """A run that failed, an adapter that was turned down, an alert."""
    runs, registry = Runs(database), Registry(database, folder)
    runs.queue("dpo", "by hand")
    run = runs.claim("w")
    assert run is not None
    runs.finish(run, "failed", "only 3 examples")
    now = datetime.now(UTC)
    registry.add(Adapter(ONE, Path("/x"), "starter", "hash", None, 16, now))
    registry.record(Evaluation(ONE, None, "rejected", (), {}, now + timedelta(seconds=1)))
    Alerts(database).settle([Alarm("worker_silent", "no worker")], now + timedelta(seconds=2))


def test_what_happened_is_told_and_seen_by_each_person_alone(database: Database, tmp_path: Path) -> None:
    notices = Notices(database)
    assert (notices.newest("ana"), notices.unseen("ana")) == ([], 0)
    happen(database, tmp_path)
    found = notices.newest("ana")
    assert [(one.kind, one.name, one.new) for one in found] == [
        ("alert", "worker_silent", True),
        ("gate", "rejected", True),
        ("run", "failed", True),
    ]
    assert found[2].text == "only 3 examples"
    notices.see("ana", found[1].at)
    assert [one.new for one in notices.newest("ana")] == [True, False, False]
    assert (notices.unseen("ana"), notices.unseen("uwe")) == (1, 3)
    notices.see("ana", found[2].at)
    assert notices.unseen("ana") == 1
    notices.see("ana", found[0].at)
    assert notices.unseen("ana") == 0


def test_what_runs_or_waits_and_what_passed_is_no_notice(database: Database, tmp_path: Path) -> None:
    runs, registry, now = Runs(database), Registry(database, tmp_path), datetime.now(UTC)
    runs.queue("dpo", "by hand")
    registry.add(Adapter(ONE, Path("/x"), "starter", "hash", None, 16, now))
    registry.record(Evaluation(ONE, None, "passed", (), {}, now))
    assert Notices(database).newest("ana") == []


class Engines:
    comebacks = 2


async def test_an_engine_that_comes_back_is_noted_once(
    sqlite: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_EVERY", 0.01)
    engines, alerts = Engines(), Alerts(sqlite)
    tasks = [asyncio.create_task(watch(engines, alerts)) for _ in range(2)]
    await asyncio.sleep(0.1)
    assert Notices(sqlite).newest("ana") == []
    engines.comebacks = 3
    for _ in range(200):
        await asyncio.sleep(0.02)
        if Notices(sqlite).newest("ana"):
            break
    await asyncio.sleep(0.2)
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    assert [one.name for one in Notices(sqlite).newest("ana")] == ["engine_came_back"]
    assert alerts.open() == []
