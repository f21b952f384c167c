"""Tests of what is worth an alert, and of the watch that nothing can end."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from feedback.alerts import Alarm, Alerts
from feedback.database import Database, DatabaseUnavailable
from feedback.days import Day, Days
from feedback.drift import Change
from feedback.figures import Figures, bucket
from feedback.store import Store
from tests.feedback.days import turn, vote
from training import monitor as module
from training.monitor import HOUSE, LEVEL_OF_OPEN, Monitor, compared, drifting, failing, parked, silent
from training.records import Run
from training.runs import Runs

NOON = datetime(2026, 5, 20, 12, tzinfo=UTC)
DAY = timedelta(days=1)


def at(name: str, before: float, now: float, p: float = 1e-6, adapter: str = "lora-1") -> Change:
    return Change(name, adapter, before, now, p, 200)


# -- drift -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "alert"),
    [
        (at("satisfied_asked", 0.8, 0.6), "satisfied_fell"),
        (at("satisfied_unasked", 0.8, 0.6), "satisfied_fell"),
        (at("refused", 0.02, 0.10), "refusals_rose"),
        (at("length_median", 200, 300), "answers_longer"),
        (at("first_token_median", 400, 900), "first_token_slower"),
    ],
)
def test_a_figure_that_has_turned_for_the_worse_is_an_alarm(change: Change, alert: str) -> None:
    (alarm,) = drifting([change], [])
    assert (alarm.name, alarm.adapter) == (alert, "lora-1")
    assert "in the week before" in alarm.detail


@pytest.mark.parametrize(
    "change",
    [
        at("satisfied_asked", 0.6, 0.8),
        at("satisfied_asked", 0.80, 0.78),
        at("refused", 0.10, 0.02),
        at("length_median", 200, 210),
        at("first_token_median", 900, 400),
        at("satisfied_asked", 0.8, 0.6, p=0.02),
        at("regenerated", 0.1, 0.5),
    ],
)
def test_what_got_better_is_small_or_may_be_chance_is_none(change: Change) -> None:
    assert drifting([change], []) == []


def test_an_alert_that_lasts_does_not_flicker() -> None:
    fading = at("refused", 0.02, 0.06, p=0.01)
    assert drifting([fading], []) == []
    assert len(drifting([fading], [("refusals_rose", "lora-1")])) == 1
    gone = replace(fading, p=LEVEL_OF_OPEN)
    assert drifting([gone], [("refusals_rose", "lora-1")]) == []


def test_what_shows_in_one_adapter_is_not_said_of_the_house_as_well() -> None:
    house, own = at("refused", 0.02, 0.1, adapter=HOUSE), at("refused", 0.02, 0.2, adapter="")
    assert [alarm.adapter for alarm in drifting([house, own], [])] == ["base"]
    assert [alarm.adapter for alarm in drifting([house], [])] == [""]


def test_ratings_that_were_asked_for_come_first() -> None:
    both = [at("satisfied_asked", 0.8, 0.6), at("satisfied_unasked", 0.7, 0.5)]
    (alarm,) = drifting(both, [])
    assert "80 % in the week before to 60 % since yesterday" in alarm.detail


def test_two_days_are_compared_with_the_seven_before_them() -> None:
    today = date(2026, 5, 20)
    days = [
        Day((today - number * DAY).isoformat(), "lora-1", Figures(ups=10 if number < 2 else 90, downs=30))
        for number in range(9)
    ]
    (own,) = (change for change in compared(days, today) if change.adapter == "lora-1")
    assert (own.before, own.now, own.count) == (0.75, 0.25, 80)
    # Another adapter took over: with itself it can't be compared, the house can.
    days = [replace(day, adapter="lora-2" if place < 2 else "lora-1") for place, day in enumerate(days)]
    assert {change.adapter for change in compared(days, today)} == {HOUSE}


def test_a_house_without_change_raises_nothing_in_a_hundred_days() -> None:
    import random

    drawn, days = random.Random(5), []
    for number in range(109):
        answers = [drawn.lognormvariate(6, 0.6) for _ in range(150)]
        ups = sum(drawn.random() < 0.7 for _ in range(40))
        waits = [bucket(value) for value in answers]
        days.append(
            Day(
                (date(2026, 1, 1) + number * DAY).isoformat(),
                "lora-1",
                Figures(
                    statuses={"complete": 150},
                    ups=ups,
                    downs=40 - ups,
                    refusals=sum(drawn.random() < 0.05 for _ in range(150)),
                    waits={step: waits.count(step) for step in waits},
                    lengths={step: waits.count(step) for step in waits},
                ),
            )
        )
    found = [
        drifting(compared(days[last - 8 : last + 1], date.fromisoformat(days[last].day)), [])
        for last in range(8, 109)
    ]
    assert sum(map(bool, found)) <= 1


# -- the ledger and the newest answers -------------------------------------------------------------


def test_answers_that_fail_are_an_alarm_until_enough_are_well_again() -> None:
    assert failing([], False) is None
    assert failing(["failed"] * 4, False) is None, "too few to say"
    assert failing(["failed"] * 5, False) is not None
    assert failing(["failed", *["complete"] * 19], False) is None
    alarm = failing(["failed", "interrupted"] * 4 + ["complete"] * 12, False)
    assert alarm is not None
    assert alarm.detail == "8 of the last 20 answers broke off or never began"
    fading = ["complete"] * 14 + ["failed"] * 6
    assert failing(fading, False) is None
    assert failing(fading, True) is not None
    assert failing(["complete"] * 18 + ["failed"] * 2, True) is None


def run(state: Any, name: str = "run-1") -> Run:
    return Run(name, state, "dpo", "test", NOON, reason="it failed 3 times")


def test_a_parked_run_is_an_alarm_until_another_one_has_ended() -> None:
    alarm = parked([run("parked")])
    assert alarm is not None
    assert alarm.detail == "run-1 is parked: it failed 3 times"
    assert parked([run("running", "run-2"), run("parked")]) is not None
    assert parked([run("done", "run-2"), run("parked")]) is None
    assert parked([]) is None


def test_no_sign_of_a_worker_is_an_alarm_only_while_something_waits() -> None:
    assert silent(NOON, True, NOON + timedelta(seconds=60)) is None
    assert silent(NOON, False, NOON + DAY) is None
    assert silent(None, False, NOON) is None
    alarm = silent(NOON, True, NOON + DAY)
    assert alarm is not None
    assert "since 20 May 2026, 12:00 UTC" in alarm.detail
    assert silent(None, True, NOON) is not None


# -- the monitor -----------------------------------------------------------------------------------


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[datetime]:
    """The monitor's clock, to be set."""
    now = [NOON]
    monkeypatch.setattr(module, "_now", lambda: now[0])
    return now


@pytest.fixture
def monitor(database: Database, clock: list[datetime]) -> Monitor:
    return Monitor(Days(database), Alerts(database), Runs(database), Store(database))


def step(monitor: Monitor, beat: bool = True) -> list[str]:
    while monitor.step(beat=beat):
        pass
    return [alert.name for alert in monitor.alerts.open()]


def test_a_quiet_home_has_no_alerts(monitor: Monitor) -> None:
    assert step(monitor) == []
    assert step(monitor, beat=False) == []


def test_votes_that_no_worker_sees_are_an_alert_that_the_web_raises_and_a_worker_ends(
    database: Database, monitor: Monitor, clock: list[datetime]
) -> None:
    vote(database, turn(database, NOON), "up", NOON)
    assert step(monitor) == [], "a worker is here"
    clock[0] += timedelta(minutes=1)
    assert step(monitor, beat=False) == []
    clock[0] += timedelta(minutes=5)
    assert step(monitor, beat=False) == ["worker_silent"]
    assert monitor.days.total().ups == 1
    clock[0] += timedelta(seconds=10)
    assert step(monitor) == []


def test_while_a_worker_lives_nobody_else_does_its_work(
    database: Database, monitor: Monitor, clock: list[datetime]
) -> None:
    step(monitor)
    turn(database, NOON)
    step(monitor, beat=False)
    assert monitor.days.total().answers == 0
    clock[0] += timedelta(minutes=3)
    step(monitor, beat=False)
    assert monitor.days.total().answers == 1


def test_people_who_turn_away_are_an_alert_once(
    database: Database, monitor: Monitor, clock: list[datetime]
) -> None:
    for number in range(9):
        for place in range(40):
            begun = NOON - number * DAY - timedelta(seconds=place)
            liked = place < (10 if number < 2 else 36)
            vote(database, turn(database, begun, adapter="lora-1"), "up" if liked else "down", begun)
    assert step(monitor) == ["satisfied_fell"]
    clock[0] += timedelta(minutes=1)
    assert step(monitor) == ["satisfied_fell"]
    (alert,) = monitor.alerts.open()
    assert (alert.adapter, alert.begun_at) == ("lora-1", NOON)
    assert "90 % in the week before to 25 % since yesterday" in alert.detail
    clock[0] += 3 * DAY
    assert step(monitor) == [], "it is the week before now, and nothing is left to compare"


def test_a_parked_run_and_failing_answers_are_found(database: Database, monitor: Monitor) -> None:
    for _ in range(6):
        turn(database, NOON - timedelta(minutes=5), status="failed", first_token_at=None)
    monitor.runs.queue("dpo", "test")
    claimed = monitor.runs.claim("w")
    assert claimed is not None
    monitor.runs.finish(claimed, "parked", "no space left")
    assert sorted(step(monitor)) == ["answers_fail", "run_parked"]


# -- the watch -------------------------------------------------------------------------------------


async def test_nothing_that_befalls_it_ends_the_watch(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    steps: list[bool] = []
    enough, loop = asyncio.Event(), asyncio.get_running_loop()

    class Failing:
        def step(self, *, beat: bool) -> bool:
            steps.append(beat)
            if len(steps) == 6:
                loop.call_soon_threadsafe(enough.set)
            if len(steps) < 3:
                raise (DatabaseUnavailable("away"), KeyError("a bug"))[len(steps) - 1]
            return True

    monkeypatch.setattr(module, "_EVERY", 0.001)
    watching = asyncio.create_task(module.watch(Failing(), beat=True))  # type: ignore[arg-type]
    await asyncio.wait_for(enough.wait(), 10)
    watching.cancel()
    await asyncio.wait([watching])
    assert watching.cancelled()
    assert all(steps)
    assert [record.levelno for record in caplog.records] == [logging.ERROR] * 2


def test_an_alarm_is_the_same_whatever_its_words() -> None:
    assert Alarm("a", "x", "lora-1").key == Alarm("a", "y", "lora-1").key != Alarm("a", "x").key
