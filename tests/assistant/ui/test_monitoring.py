"""The handlers of monitoring, and that what they ask of the database does not grow with what was said."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from assistant.accounts import AccountError
from assistant.ui import admin_page
from assistant.ui.admin_page import AdminEvents
from assistant.ui.monitoring import MonitoringEvents, Shown
from assistant.ui.page import Doorman
from feedback.alerts import Alarm
from feedback.database import Database
from tests.assistant.ui.scripted import House, event, request
from tests.feedback.days import plans_of, turn, vote, watched


@pytest.fixture
def events(house: House) -> MonitoringEvents:
    return MonitoringEvents(house.monitor, house.registry, Doorman(house.accounts, "admin"), 0.0)


@pytest.fixture
def answered(sqlite: Database, house: House) -> datetime:
    """An answer of today and one of twenty days ago, each rated."""
    now = datetime.now(UTC)
    for age in (0, 20):
        at = now - timedelta(days=age)
        vote(sqlite, turn(sqlite, at, adapter="lora-1"), "up", at)
    while house.monitor.days.refresh(now):
        pass
    return now


async def test_every_handler_turns_others_away(events: MonitoringEvents) -> None:
    for who in (request("uwe"), request(None)):
        with pytest.raises(AccountError):
            await events.load(Shown(), who)
        with pytest.raises(AccountError):
            await events.refresh(Shown(), who)
        with pytest.raises(AccountError):
            await events.show_days(Shown(), who, event(days="7"))


async def test_an_empty_home_is_shown_in_words(events: MonitoringEvents) -> None:
    parts = await events.load(Shown(), request("ana"))
    assert "No answer in these 30 days." in parts["figures"]
    assert parts["alerts"] == parts["table"] == ""


async def test_a_chosen_time_stays_chosen(events: MonitoringEvents, answered: datetime) -> None:
    shown = Shown()
    assert "2 answers" in (await events.load(shown, request("ana")))["figures"]
    parts = await events.show_days(shown, request("ana"), event(days="7"))
    assert "1 answer<" in parts["figures"]
    assert 'data-days="7" aria-pressed="true"' in parts["range"]
    await events.show_days(shown, request("ana"), event(days="100000"))
    assert shown.days == 7, "a request never chooses how much is read"


async def test_what_has_not_changed_is_not_sent_again(
    events: MonitoringEvents, house: House, sqlite: Database, answered: datetime
) -> None:
    shown = Shown()
    await events.load(shown, request("ana"))
    assert await events.refresh(shown, request("ana")) == {}
    house.monitor.alerts.settle([Alarm("run_parked", "it is parked")], answered)
    parts = await events.refresh(shown, request("ana"))
    assert "A run is parked" in parts["alerts"]
    assert "table" not in parts, "who reads in it keeps their place"


async def test_the_page_reads_days_and_scans_nothing(
    events: MonitoringEvents, house: House, sqlite: Database, answered: datetime
) -> None:
    """With a hundred times as much said, the same statements, and none of them on what was said."""
    door = Doorman(house.accounts, "admin")
    admin = AdminEvents(house.desk, door)

    async def asked() -> list[str]:
        with watched(sqlite) as said:
            await events.load(Shown(days=90), request("ana"))
            await admin.load(admin_page.Shown(), request("ana"))
        plans = plans_of(sqlite, said)
        assert [plan for plan in plans if "SCAN" in plan and ("turns" in plan or "ratings" in plan)] == []
        assert [plan for plan in plans if "SCAN days" in plan] == []
        return [statement for statement, _ in said]

    few = await asked()
    assert [one for one in few if "FROM turns" in one or "FROM ratings" in one] == []
    for number in range(200):
        at = answered - timedelta(minutes=number)
        vote(sqlite, turn(sqlite, at, adapter="lora-1"), "up", at)
    while house.monitor.days.refresh(answered + timedelta(seconds=1)):
        pass
    assert await asked() == few
