"""Tests of `apprentice monitor`."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from assistant.app import House
from feedback.alerts import Alarm
from tests.assistant.commands.conftest import Cli
from tests.feedback.days import turn, vote


def test_a_quiet_home_says_so(cli: Cli) -> None:
    assert json.loads(cli("monitor", "--json").out) == {"days": 7, "adapters": [], "alerts": []}
    assert "no answer in the last 30 days" in cli("monitor", "--days", "30").out
    assert cli("monitor", "--days", "0").status == 2


def test_the_figures_come_by_adapter_and_are_fresh_without_a_worker(
    cli: Cli, house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = datetime.now(UTC) - timedelta(seconds=5)
    for number in range(4):
        vote(house.database, turn(house.database, now, adapter="lora-1"), "up" if number else "down", now)
    turn(house.database, now)
    turn(house.database, now - timedelta(days=20))
    house.monitor.alerts.settle([Alarm("run_parked", "run-1 is parked")], now)
    found = json.loads(cli("monitor", "--json").out)
    assert [(row["adapter"], row["answers"]) for row in found["adapters"]] == [("lora-1", 4), ("base", 1)]
    assert found["adapters"][0]["satisfied_unasked"]["mean"] == 0.75
    assert [alert["name"] for alert in found["alerts"]] == ["run_parked"]
    said = cli("monitor").out
    assert "ALERT run_parked: run-1 is parked" in said
    assert "75 % (30-95, of 4)" in said
    assert "cost" not in said
    monkeypatch.setenv("APPRENTICE_MONITORING__COST_PER_HOUR", "3.6")
    assert "0.002 an answer" in cli("monitor").out
    assert json.loads(cli("monitor", "--days", "30", "--json").out)["adapters"][1]["answers"] == 2
