"""Tests of how a day's turns and opinions are counted, and that nothing but the day is looked at."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from sqlalchemy import text
from uuid_utils import uuid7

from feedback import counting
from feedback.counting import day_of, id_at, start_of
from feedback.database import Database, connect
from feedback.figures import Figures
from feedback.schema import metadata
from tests.feedback.days import correct, plans_of, turn, vote, watched

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
DAY = date(2026, 5, 1)
FIRST, STOP = start_of(DAY), start_of(DAY + timedelta(days=1))
SECOND = timedelta(seconds=1)


def counted(database: Database, horizon: str = STOP) -> dict[str, tuple[Figures, Figures]]:
    with database.read() as connection:
        return counting.answers(connection, FIRST, STOP, horizon)


def test_an_id_tells_its_day() -> None:
    assert day_of(id_at(NOON) + "0" * 20) == DAY
    assert day_of(STOP) == DAY + timedelta(days=1)
    assert day_of(f"turn-{uuid7().hex}") in {datetime.now(UTC).date()}
    assert day_of("turn-ffffffffffff") is None
    assert day_of("chatcmpl-1") is None


def test_turns_are_counted_by_adapter_on_both_sides_of_the_horizon(database: Database) -> None:
    turn(database, NOON - timedelta(days=1))
    turn(database, NOON, status="stopped", asked=True)
    turn(database, NOON, adapter="lora-1", answer="I can't help with that.", passages=[{"id": "p"}])
    turn(database, NOON + SECOND, adapter="lora-1")
    turn(database, NOON + timedelta(days=1))
    found = counted(database, id_at(NOON + SECOND))
    assert set(found) == {"", "lora-1"}
    (bare, none), (settled, recent) = found[""], found["lora-1"]
    assert (bare.stopped, bare.asked, bare.completion_tokens, none.answers) == (1, 1, 4, 0)
    assert bare.seconds == 2.0
    assert (settled.complete, settled.refusals, settled.grounded) == (1, 1, 1)
    assert (recent.complete, recent.refusals, recent.grounded) == (1, 0, 0)


def test_a_regeneration_is_the_same_prompt_in_the_same_place_after_an_answer(database: Database) -> None:
    first = turn(database, NOON, conversation_id=conversation(database))
    same = {"conversation_id": "conv"}
    again = turn(database, NOON + 5 * SECOND, **same)
    turn(database, NOON + 9 * SECOND, **same, parent_id=first)
    turn(database, NOON + 9 * SECOND, **same, prompt_key="other")
    assert counted(database)[""][0].regenerations == 1
    turn(database, NOON + 9 * SECOND, **same, parent_id=again)
    turn(database, NOON + 20 * SECOND, **same, parent_id=again)
    assert counted(database)[""][0].regenerations == 2


def conversation(database: Database) -> str:
    with database.write() as connection:
        connection.execute(
            text(
                "INSERT INTO conversations (id, person_id, title, opening, created_at, updated_at) "
                "VALUES ('conv', 'ann', '', '', :at, :at)"
            ),
            {"at": "2026-05-01"},
        )
    return "conv"


def test_several_choices_of_one_request_are_no_regenerations(database: Database) -> None:
    place = conversation(database)
    for _ in range(4):
        turn(database, NOON, conversation_id=place)
    assert counted(database)[""][0].regenerations == 0


def test_only_live_opinions_count_asked_and_unasked_apart(database: Database) -> None:
    plain, asked = turn(database, NOON), turn(database, NOON, asked=True, adapter="lora-1")
    vote(database, plain, "down", NOON)
    vote(database, plain, "up", NOON)
    vote(database, plain, "down", NOON, person="staff")
    vote(database, asked, "down", NOON)
    gone = turn(database, NOON)
    vote(database, gone, "up", NOON)
    vote(database, gone, None, NOON)
    correct(database, plain, "There.", NOON)
    correct(database, gone, "There.", NOON)
    correct(database, gone, "", NOON)
    vote(database, turn(database, NOON - timedelta(days=1)), "up", NOON)
    with database.read() as connection:
        found = counting.opinions(connection, DAY.isoformat())
    assert found == {"": Figures(ups=1, downs=1, corrections=1), "lora-1": Figures(asked_downs=1)}


def test_the_next_day_is_found_behind_ids_of_another_make(database: Database) -> None:
    turn(database, NOON, id="turn-0")
    turn(database, NOON, id="chat-1")
    with database.read() as connection:
        assert counting.next_day(connection, "turn-0", STOP) is None
    turn(database, NOON)
    with database.read() as connection:
        assert counting.next_day(connection, "turn-0", STOP) == DAY
        assert counting.next_day(connection, id_at(NOON + SECOND), STOP) is None


def test_what_will_never_end_is_not_waited_for(database: Database) -> None:
    new = turn(database, NOON, status="pending", ended_at=None)
    turn(database, NOON - timedelta(days=2), status="pending", ended_at=None)
    with database.read() as connection:
        assert counting.being_written(connection, NOON) == [new]


def test_every_read_goes_by_an_index(tmp_path: Path) -> None:
    """On an empty database without statistics: the plan that a new home gets."""
    database = connect(f"sqlite:///{tmp_path / 'facts.db'}")
    with database.write() as connection:
        metadata.create_all(connection)
    with watched(database) as said, database.read() as connection:
        counting.next_day(connection, FIRST, STOP)
        counting.being_written(connection, NOON)
        counting.answers(connection, FIRST, STOP, STOP)
        counting.opinions(connection, DAY.isoformat())
    plans = plans_of(database, said)
    assert len(plans) >= 8
    assert [plan for plan in plans if "SCAN" in plan] == []
    assert any("turns_1 USING INDEX ix_turns_conversation_id" in plan for plan in plans)
    database.close()
