"""Tests of how days are kept: exact after any order of events, read once, safe from twins and from kills."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text, update

from feedback import counting
from feedback import days as module
from feedback.counting import id_at
from feedback.database import Database, connect
from feedback.days import LAG, Days
from feedback.figures import Figures, total
from feedback.restoring import restore
from feedback.schema import metadata, turns
from feedback.store import Store
from tests.feedback.days import correct, plans_of, turn, vote, watched

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
SECOND, HOUR, DAY = timedelta(seconds=1), timedelta(hours=1), timedelta(days=1)
LONG_AGO, LATER = date(2020, 1, 1), date(2030, 1, 1)


def everything(days: Days) -> dict[tuple[str, str], Figures]:
    return {(day.day, day.adapter): day.figures for day in days.between(LONG_AGO, LATER)}


def refresh(days: Days, now: datetime) -> dict[tuple[str, str], Figures]:
    while days.refresh(now):
        pass
    return everything(days)


def from_scratch(database: Database) -> dict[tuple[str, str], Figures]:
    """What the tables say, counted in one go."""
    found: dict[tuple[str, str], Figures] = {}
    with database.read() as connection:
        for number in range(-5, 6):
            day = NOON.date() + number * DAY
            parts = counting.answers(
                connection, counting.start_of(day), counting.start_of(day + DAY), id_at(NOON)
            )
            said = counting.opinions(connection, day.isoformat())
            for adapter in parts.keys() | said.keys():
                sums = [*parts.get(adapter, ()), said.get(adapter, Figures())]
                found[day.isoformat(), adapter] = total(sums)
    return found


def end(database: Database, turn_id: str, **values: Any) -> None:
    with database.write() as connection:
        connection.execute(update(turns).where(turns.c.id == turn_id).values(values))


def test_an_empty_home_has_no_days(database: Database) -> None:
    days = Days(database)
    assert refresh(days, NOON) == {}
    assert days.total() == Figures()
    assert days.mark().made_at is None
    assert days.newest(20, NOON) == []


def test_a_refresh_shows_at_once_what_has_just_happened(database: Database) -> None:
    days = Days(database)
    one = turn(database, NOON, adapter="lora-1")
    vote(database, one, "up", NOON)
    found = refresh(days, NOON)
    assert set(found) == {("2026-05-01", "lora-1")}
    assert (found["2026-05-01", "lora-1"].complete, found["2026-05-01", "lora-1"].ups) == (1, 1)
    assert days.total().answers == 1
    assert days.mark().made_at == NOON


def test_whatever_happens_in_whatever_order_the_days_say_what_the_tables_say(database: Database) -> None:
    days, now = Days(database), NOON - 2 * DAY
    first = turn(database, now)
    refresh(days, now + SECOND)
    writing = turn(database, now + 10 * SECOND, status="pending", ended_at=None)
    second = turn(database, now + 20 * SECOND, adapter="lora-1")
    refresh(days, now + 30 * SECOND)
    refresh(days, now + HOUR)
    vote(database, first, "down", now + HOUR)
    end(database, writing, status="stopped", ended_at=now + HOUR)
    assert refresh(days, now + HOUR) == from_scratch(database)
    refresh(days, now + 2 * HOUR)
    now += DAY
    third = turn(database, now)
    vote(database, first, "up", now)
    vote(database, second, "up", now)
    correct(database, third, "Better.", now)
    assert refresh(days, now + SECOND) == from_scratch(database)
    now += DAY
    vote(database, second, None, now)
    turn(database, now - 30 * SECOND)
    found = refresh(days, now + SECOND)
    assert found == from_scratch(database)
    assert found["2026-04-29", ""].ups == 1, "a late vote counts on the day of the answer"
    assert found["2026-04-29", "lora-1"].ups == 0
    assert refresh(days, now + DAY) == found
    assert days.total() == total(found.values())


def test_a_turn_that_came_to_light_late_is_counted_within_the_lag(database: Database) -> None:
    days = Days(database)
    turn(database, NOON)
    refresh(days, NOON + SECOND)
    turn(database, NOON - LAG / 2)
    found = refresh(days, NOON + 2 * SECOND)
    assert found["2026-05-01", ""].complete == 2


def test_around_midnight_both_days_are_right(database: Database) -> None:
    days, midnight = Days(database), NOON + 12 * HOUR
    for seconds in (-40, -20, 20, 40):
        turn(database, midnight + seconds * SECOND)
    for minutes in (1, 2, 3, 60):
        found = refresh(days, midnight + minutes * 60 * SECOND)
        assert [found[day, ""].complete for day in ("2026-05-01", "2026-05-02")] == [2, 2]


def test_an_answer_that_is_never_ended_holds_nothing_up_for_long(database: Database) -> None:
    days = Days(database)
    turn(database, NOON, status="pending", ended_at=None)
    turn(database, NOON + HOUR)
    refresh(days, NOON + 2 * HOUR)
    assert days.mark().turns < id_at(NOON + SECOND)
    refresh(days, NOON + 2 * DAY)
    turn(database, NOON + 2 * DAY)
    found = refresh(days, NOON + 2 * DAY)
    assert days.mark().turns > id_at(NOON + DAY)
    assert found["2026-05-01", ""].answers == 1


def test_a_refresh_reads_only_what_is_new(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    database = sqlite(tmp_path)
    for number in range(30):
        vote(database, turn(database, NOON - 3 * DAY + number * 2 * HOUR), "up", NOON - 2 * DAY)
    days, read = Days(database), []
    real = counting.Answer
    monkeypatch.setattr(counting, "Answer", lambda *values: read.append(values) or real(*values))
    refresh(days, NOON)
    assert len(read) == 30, "each turn once"
    before = days.mark()
    turn(database, NOON)
    with watched(database) as said:
        refresh(days, NOON + HOUR)
        refresh(days, NOON + HOUR)
    assert len(read) == 31
    assert [plan for plan in plans_of(database, said) if "SCAN" in plan and "days" not in plan] == []
    assert days.mark() != before
    with watched(database) as said:
        refresh(days, NOON + 2 * HOUR)
    assert [one for one, _ in said if not one.startswith(("SELECT", "BEGIN", "PRAGMA"))] == [], "nothing new"
    database.close()


def sqlite(folder: Path) -> Database:
    database = connect(f"sqlite:///{folder / 'facts.db'}")
    with database.write() as connection:
        metadata.create_all(connection)
    return database


def test_more_opinions_than_one_refresh_takes_come_with_the_next(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_MOST_OPINIONS", 2)
    for _ in range(5):
        vote(database, turn(database, NOON - DAY), "up", NOON)
    days = Days(database)
    assert days.refresh(NOON)
    assert refresh(days, NOON)["2026-04-30", ""].ups == 5


def test_what_is_brought_in_from_elsewhere_counts_on_its_day(database: Database, tmp_path: Path) -> None:
    store, days = Store(database), Days(database)
    turn(database, NOON - 3 * DAY)
    turn(database, NOON)
    vote(database, turn(database, NOON - 2 * DAY), "up", NOON)
    histories = list(store.histories())
    with database.write() as connection:
        connection.execute(text("DELETE FROM ratings"))
        connection.execute(text("DELETE FROM turns WHERE id < :noon"), {"noon": id_at(NOON)})
    assert set(refresh(days, NOON + HOUR)) == {("2026-05-01", "")}
    with database.write() as connection:
        restore(connection, histories)
    found = refresh(days, NOON + 2 * HOUR)
    assert found == from_scratch(database)
    assert [figures.complete for figures in found.values()] == [1, 1, 1]
    assert found["2026-04-29", ""].ups == 1


def test_a_beat_is_noted_now_and_then(database: Database) -> None:
    days = Days(database)
    days.refresh(NOON, beat=True)
    days.refresh(NOON + SECOND, beat=True)
    assert days.mark().beat_at == NOON
    days.refresh(NOON + 40 * SECOND, beat=True)
    assert days.mark().beat_at == NOON + 40 * SECOND
    days.refresh(NOON + HOUR)
    assert days.mark().beat_at == NOON + 40 * SECOND


def test_the_newest_answers_of_a_day_are_told_by_how_they_ended(database: Database) -> None:
    days = Days(database)
    for hours, status in ((-30, "complete"), (-3, "failed"), (-2, "complete"), (-1, "pending")):
        turn(database, NOON + hours * HOUR, status=status)
    assert days.newest(20, NOON) == ["complete", "failed"]
    assert days.newest(1, NOON) == ["complete"]


# -- twins and kills -------------------------------------------------------------------------------


def test_of_two_that_read_the_same_only_one_writes(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    turn(database, NOON)
    refresh(Days(database), NOON)
    turn(database, NOON)
    one, other = Days(database), Days(database)
    real = one._write

    def late(*arguments: Any) -> bool:
        refresh(other, NOON + HOUR)
        return real(*arguments)

    monkeypatch.setattr(one, "_write", late)
    assert one.refresh(NOON + HOUR), "it was not written: there is more to do"
    assert everything(other) == from_scratch(database)


def test_two_that_meet_a_home_that_was_never_read_do_not_count_twice(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    turn(database, NOON)
    one, other = Days(database), Days(database)
    real = one._write
    monkeypatch.setattr(one, "_write", lambda *given: refresh(other, NOON) and real(*given))
    assert one.refresh(NOON)
    assert everything(other) == from_scratch(database)


def test_many_at_once_count_everything_once(database: Database) -> None:
    for number in range(40):
        vote(database, turn(database, NOON - 4 * DAY + number * 2 * HOUR), "up", NOON)
    go = threading.Barrier(4)

    def work() -> None:
        go.wait()
        refresh(Days(database), NOON)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert everything(Days(database)) == from_scratch(database)


@pytest.fixture
def filled(tmp_path: Path) -> Iterator[Database]:
    database = sqlite(tmp_path)
    for number in range(60):
        vote(database, turn(database, NOON - 4 * DAY + number * HOUR), "up", NOON)
    yield database
    database.close()


KILLED = """
import os, signal, sys
from datetime import datetime
from feedback import days
from feedback.database import connect

put, left = days._put, [int(sys.argv[2])]

def dying(*arguments):
    if not left[0]:
        os.kill(os.getpid(), signal.SIGKILL)
    left[0] -= 1
    put(*arguments)

days._put = dying
found = days.Days(connect(sys.argv[1]))
while found.refresh(datetime.fromisoformat(sys.argv[3])):
    pass
"""


@pytest.mark.parametrize("rows", [0, 1, 2])
def test_a_process_that_is_killed_leaves_whole_days(filled: Database, rows: int) -> None:
    given = [filled._engine.url.render_as_string(hide_password=False), str(rows), NOON.isoformat()]
    ended = subprocess.run([sys.executable, "-c", KILLED, *given], env=dict(os.environ), timeout=60)
    assert ended.returncode == -signal.SIGKILL
    whole = from_scratch(filled)
    left = everything(Days(filled))
    assert len(left) <= rows
    assert all(figures.complete == whole[key].complete for key, figures in left.items())
    assert refresh(Days(filled), NOON) == whole
