"""Tests of alerts: once while they last, again if they come again, by any number of processes."""

from __future__ import annotations

import logging
import threading
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import func, select

from feedback import schema
from feedback.alerts import Alarm, Alerts
from feedback.database import Database

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
PARKED, FELL = Alarm("run_parked", "run-1 is parked"), Alarm("satisfied_fell", "from 90 to 60 %", "lora-1")


def rows(database: Database) -> int:
    with database.read() as connection:
        return int(connection.execute(select(func.count()).select_from(schema.alerts)).scalar_one())


def test_an_alert_begins_once_and_ends_when_its_alarm_is_gone(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    alerts = Alerts(database)
    caplog.set_level(logging.INFO)
    alerts.settle([PARKED, FELL], NOON)
    alerts.settle([FELL, Alarm("run_parked", "in other words")], NOON + timedelta(hours=1))
    assert [(alert.name, alert.adapter, alert.detail, alert.begun_at) for alert in alerts.open()] == [
        ("run_parked", "", "run-1 is parked", NOON),
        ("satisfied_fell", "lora-1", "from 90 to 60 %", NOON),
    ]
    assert [record.message for record in caplog.records if record.levelno == logging.WARNING] == [
        "alert: run_parked: run-1 is parked",
        "alert: satisfied_fell (lora-1): from 90 to 60 %",
    ]
    alerts.settle([FELL], NOON + timedelta(hours=2))
    assert [alert.name for alert in alerts.open()] == ["satisfied_fell"]
    assert "alert over: run_parked" in caplog.text
    alerts.settle([PARKED, FELL], NOON + timedelta(hours=3))
    assert rows(database) == 3


def test_the_same_alarm_of_two_adapters_makes_two_alerts(database: Database) -> None:
    alerts = Alerts(database)
    alerts.settle([FELL, Alarm("satisfied_fell", "too", "base")], NOON)
    assert [alert.adapter for alert in alerts.open()] == ["lora-1", "base"]


def test_nothing_to_say_writes_nothing(database: Database) -> None:
    alerts = Alerts(database)
    alerts.settle([], NOON)
    assert rows(database) == 0


def test_of_many_processes_that_say_the_same_one_is_heard(database: Database) -> None:
    go = threading.Barrier(4)

    def say() -> None:
        go.wait()
        Alerts(database).settle([PARKED], NOON)

    threads = [threading.Thread(target=say) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert rows(database) == 1


def test_what_happened_in_a_moment_is_kept_once_for_a_while(database: Database) -> None:
    alerts, quiet = Alerts(database), timedelta(seconds=30)
    assert alerts.happened(PARKED, NOON, quiet)
    assert not alerts.happened(PARKED, NOON + timedelta(seconds=29), quiet)
    assert alerts.happened(FELL, NOON, quiet)
    assert alerts.happened(PARKED, NOON + timedelta(seconds=31), quiet)
    assert alerts.open() == []
    assert rows(database) == 3
