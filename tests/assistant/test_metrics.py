"""Tests of the figures that the web process shows."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import pytest

from assistant.metrics import HouseFigures, Metrics
from feedback.alerts import Alarm, Alerts
from feedback.database import Database, DatabaseUnavailable
from feedback.days import Days
from feedback.store import Store
from tests.feedback.days import plans_of, turn, vote, watched
from training.monitor import Monitor
from training.registry import Registry
from training.runs import Runs


def value(metrics: Metrics, line: str) -> float:
    """The figure behind a name and its labels; 0 where there is none yet."""
    for row in metrics.text().splitlines():
        name, _, figure = row.rpartition(" ")
        if name == line:
            return float(figure)
    return 0.0


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (None, "complete"),
        (ValueError, "failed"),
        (GeneratorExit, "stopped"),
        (asyncio.CancelledError, "stopped"),
    ],
)
def test_an_answer_is_counted_by_how_it_ended(error: type[BaseException] | None, outcome: str) -> None:
    metrics = Metrics()

    def answer() -> None:
        with metrics.answering():
            assert value(metrics, "apprentice_answers_in_flight") == 1
            if error is not None:
                raise error

    if error is None:
        answer()
    else:
        with pytest.raises(error):
            answer()
    assert value(metrics, f'apprentice_answers_total{{outcome="{outcome}"}}') == 1
    assert value(metrics, "apprentice_answers_in_flight") == 0
    assert value(metrics, "apprentice_answer_seconds_count") == 1
    assert "apprentice_answers_total{" in metrics.text()
    assert metrics.text().count("apprentice_answers_total{") == 1


def test_ratings_are_counted_by_thumb() -> None:
    metrics = Metrics()
    for thumb in ("up", "up", "down", None):
        metrics.rated(thumb)
    assert [value(metrics, f'apprentice_ratings_total{{rating="{name}"}}') for name in ("up", "down")] == [
        2,
        1,
    ]
    assert value(metrics, 'apprentice_ratings_total{rating="withdrawn"}') == 1


def test_two_web_processes_in_one_test_do_not_share_figures() -> None:
    first, second = Metrics(), Metrics()
    first.rated("up")
    assert value(second, 'apprentice_ratings_total{rating="up"}') == 0


# -- of the house ----------------------------------------------------------------------------------


@pytest.fixture
def monitor(sqlite: Database) -> Monitor:
    return Monitor(Days(sqlite), Alerts(sqlite), Runs(sqlite), Store(sqlite))


def test_today_is_told_by_adapter_from_the_days(sqlite: Database, monitor: Monitor, tmp_path: Path) -> None:
    now = datetime.now(UTC)
    asked = turn(sqlite, now, adapter="lora-1", asked=True)
    vote(sqlite, asked, "down", now)
    vote(sqlite, turn(sqlite, now), "up", now)
    turn(sqlite, now, status="failed")
    monitor.days.refresh(now)
    monitor.alerts.settle([Alarm("run_parked", "it is parked"), Alarm("answers_fail", "6 of 6")], now)
    monitor.runs.queue("dpo", "test")
    metrics = Metrics(HouseFigures(monitor, Registry(sqlite, tmp_path)))
    with watched(sqlite) as said:
        text = metrics.text()
    for line, figure in (
        ('apprentice_today_answers{adapter="base",outcome="complete"}', 1),
        ('apprentice_today_answers{adapter="base",outcome="failed"}', 1),
        ('apprentice_today_ratings{adapter="base",asked="no",rating="up"}', 1),
        ('apprentice_today_ratings{adapter="lora-1",asked="yes",rating="down"}', 1),
        ('apprentice_alerts_open{alert="run_parked"}', 1),
        ('apprentice_live_adapter_info{adapter="base"}', 1),
        ('apprentice_runs{state="queued"}', 1),
        ('apprentice_runs{state="running"}', 0),
    ):
        assert value(metrics, line) == figure, text
    assert value(metrics, "apprentice_days_refreshed_timestamp_seconds") == pytest.approx(now.timestamp())
    assert "ann" not in text
    assert [one for one, _ in said if "turns" in one or "ratings" in one] == []
    assert [plan for plan in plans_of(sqlite, said) if "SCAN days" in plan or "SCAN alerts" in plan] == []


def test_without_the_database_the_process_still_says_how_it_goes(
    sqlite: Database, monitor: Monitor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object) -> None:
        raise DatabaseUnavailable("the database does not answer")

    metrics = Metrics(HouseFigures(monitor, Registry(sqlite, tmp_path)))
    metrics.rated("up")
    monkeypatch.setattr(Days, "between", away)
    assert value(metrics, 'apprentice_ratings_total{rating="up"}') == 1
    assert "apprentice_today" not in metrics.text()
