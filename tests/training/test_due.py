"""When a run is due, and how far the next one is."""

from __future__ import annotations

from datetime import timedelta

import pytest

from feedback.database import Database
from feedback.past import Past
from feedback.store import Store
from tests.training.test_worker import vote
from training import due as module
from training import gathering
from training.due import Outlook, reason
from training.records import TrainingSettings
from training.runs import Runs

SETTINGS = TrainingSettings(min_examples=4)


@pytest.mark.parametrize(
    ("votes", "ticked", "why"),
    [
        (4, False, "threshold"),
        (3, False, None),
        (3, True, "schedule"),
        (0, True, None),
        (9, True, "threshold"),
    ],
)
def test_enough_votes_make_a_run_due_and_the_schedule_if_there_is_any(
    votes: int, ticked: bool, why: str | None
) -> None:
    assert reason(votes, SETTINGS, ticked) == why


def test_the_outlook_counts_once_until_something_is_new(
    sqlite: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, runs, counted = Store(sqlite), Runs(sqlite), []
    monkeypatch.setattr(module, "_RESTS", 0.0)
    real = gathering.new_votes
    monkeypatch.setattr(gathering, "new_votes", lambda *given: counted.append(1) or real(*given))
    outlook = Outlook(store, runs, SETTINGS)
    vote(store, 3)
    for _ in range(3):
        found = outlook.look()
        assert (found.votes, found.needed, found.reached, found.active) == (3, 4, False, False)
    assert len(counted) == 1
    vote(store, 1)
    assert outlook.look().reached
    run = runs.queue("dpo", "test")
    assert outlook.look().active
    claimed = runs.claim("w")
    assert claimed is not None
    runs.beat(claimed, mark=store.newest())
    assert outlook.look().votes == 0
    assert run.id == claimed.id


def test_what_is_withdrawn_is_counted_no_more(sqlite: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_RESTS", 0.0)
    store, outlook = Store(sqlite), Outlook(Store(sqlite), Runs(sqlite), SETTINGS)
    vote(store, 2)
    assert outlook.look().votes == 2
    turn = store.judged()[0].turn
    Past(sqlite).learn(turn.conversation_id, turn.person_id, False)
    assert outlook.look().votes == 1


def test_the_schedule_says_when(sqlite: Database) -> None:
    found = Outlook(Store(sqlite), Runs(sqlite), TrainingSettings(schedule="0 3 * * *")).look()
    assert found.next_tick is not None
    assert timedelta() < found.next_tick - module._now() <= timedelta(days=1)
    assert Outlook(Store(sqlite), Runs(sqlite), SETTINGS).look().next_tick is None


def test_new_votes_are_counted_from_what_is_new_alone(database: Database) -> None:
    store = Store(database)
    vote(store, 6)
    mark = store.newest()
    assert (gathering.new_votes(store, {}), gathering.new_votes(store, mark)) == (6, 0)
    new = vote(store, 2)
    assert store.touched(mark, 10) == sorted(new)
    assert store.touched({}, 3) == store.touched({}, 10)[:3]
    assert gathering.new_votes(store, mark) == 2
