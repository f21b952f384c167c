"""Tests of the worker: a run is due once, is taken, and the worker outlives whatever befalls it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any

import pytest

from feedback.database import Database, DatabaseUnavailable
from feedback.records import Thumb
from feedback.store import Ending, NewTurn, Store, Verdict
from tests.training.rig import Rig, built, rig
from training import worker as module
from training.canary import Decision
from training.pipeline import Pipeline
from training.records import LostLease, Run, TrainingSettings
from training.runs import MOST_ATTEMPTS, Runs
from training.screening import held_out
from training.worker import Worker

__all__ = ["rig"]

SETTINGS = TrainingSettings(min_examples=4, poll_seconds=0.01)


def worker(rig: Rig, settings: TrainingSettings = SETTINGS, **more: Any) -> Worker:
    """A worker that has just been started."""
    return Worker(rig.store, rig.runs, rig.pipeline(**more), settings)


def vote(store: Store, count: int, thumb: Thumb | None = "up") -> list[str]:
    """So many answers to different questions, each rated by somebody else."""
    turns: list[str] = []
    start = store.counts()["turns"] * 10
    numbers = (number for number in range(start, start + 10_000) if not held_out(f"Where is order {number}?"))
    for number in islice(numbers, count):
        question, person = f"Where is order {number}?", f"person-{number}"
        conversation = store.start_conversation(person, question).id
        prompt = [{"role": "user", "content": question}]
        turn = store.begin(NewTurn(conversation, None, person, question, prompt, "base", None, {}))
        store.end(turn, Ending("complete", f"Order {number} left us on Monday and is on its way to you."))
        store.judge(turn.id, person, "user", Verdict(thumb))
        turns.append(turn.id)
    return turns


def queued(rig: Rig) -> list[str]:
    return [run.due_by for run in rig.runs.all() if run.state == "queued"]


def read_all(rig: Rig) -> Run:
    """A run that reads all votes so far and ends."""
    rig.queue()
    return rig.run()


def drain(*workers: Worker) -> None:
    """Have the workers do what is due, side by side."""

    async def main() -> None:
        stop = asyncio.Event()
        await asyncio.gather(*(one.work(once=True, stop=stop) for one in workers))

    asyncio.run(main())


@pytest.fixture
def today(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Sets the worker's clock to a time of the first of May 2026, UTC."""

    def at(time: str) -> None:
        now = datetime.fromisoformat(f"2026-05-01T{time}:00").replace(tzinfo=UTC)
        monkeypatch.setattr(module, "_now", lambda: now)

    at("00:00")
    return at


# -- by threshold ----------------------------------------------------------------------------------


def test_the_threshold_makes_a_run_due_once(rig: Rig) -> None:
    found = worker(rig)
    vote(rig.store, 3)
    found.queue_if_due()
    assert queued(rig) == []
    vote(rig.store, 1)
    for _ in range(3):
        found.queue_if_due()
        worker(rig).queue_if_due()
    assert queued(rig) == ["threshold: 4 new votes"]


def test_votes_that_a_run_has_read_do_not_make_the_next_one_due(rig: Rig) -> None:
    vote(rig.store, 5)
    read_all(rig)
    vote(rig.store, 3)
    worker(rig).queue_if_due()
    assert queued(rig) == []
    vote(rig.store, 1)
    worker(rig).queue_if_due()
    assert queued(rig) == ["threshold: 4 new votes"]


def test_votes_of_a_run_that_failed_are_not_tried_for_ever(rig: Rig) -> None:
    rig.codes = [2]
    vote(rig.store, 5)
    drain(worker(rig))
    worker(rig).queue_if_due()
    assert [run.state for run in rig.runs.all()] == ["failed"]


def test_a_vote_that_was_taken_back_does_not_count(rig: Rig) -> None:
    turns = vote(rig.store, 4)
    first = rig.store.turn(turns[0])
    rig.store.judge(first.id, first.person_id, "user", Verdict(None))
    worker(rig).queue_if_due()
    assert queued(rig) == []


def test_a_choice_between_two_answers_counts_as_a_vote(rig: Rig) -> None:
    turns = vote(rig.store, 3)
    first = rig.store.turn(turns[0])
    prompt, person = first.prompt, first.person_id
    other = rig.store.begin(
        NewTurn(first.conversation_id, None, person, first.question, prompt, "base", None, {})
    )
    rig.store.end(other, Ending("complete", "I do not know, please ask somebody else about your order."))
    rig.store.choose(first.id, other.id, person, "user", "first")
    worker(rig).queue_if_due()
    assert queued(rig) == ["threshold: 4 new votes"]


def test_while_a_run_is_trained_none_falls_due_and_afterwards_it_does(rig: Rig) -> None:
    found = worker(rig)
    rig.queue()
    run = rig.runs.beat(rig.claim(), mark=rig.store.newest())
    vote(rig.store, 4)
    found.queue_if_due()
    assert queued(rig) == []
    rig.runs.finish(run, "done")
    found.queue_if_due()
    assert queued(rig) == ["threshold: 4 new votes"]


def test_two_workers_that_come_to_the_same_conclusion_queue_one_run(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second one looks, the first one queues and takes the run, and only then the second one queues."""
    vote(rig.store, 4)
    judged = Store.judged

    def overtaken(self: Store, *given: Any) -> Any:
        monkeypatch.setattr(Store, "judged", judged)
        worker(rig).queue_if_due()
        rig.claim("the first")
        return judged(self, *given)

    monkeypatch.setattr(Store, "judged", overtaken)
    worker(rig).queue_if_due()
    assert [run.state for run in rig.runs.all()] == ["running"]


def test_where_nothing_was_said_since_the_votes_are_not_read_again(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    found, reads = worker(rig), []
    judged = Store.judged
    monkeypatch.setattr(Store, "judged", lambda self, *ids: reads.append(1) or judged(self, *ids))
    vote(rig.store, 2)
    for _ in range(5):
        found.queue_if_due()
    assert len(reads) == 1
    vote(rig.store, 1)
    found.queue_if_due()
    assert len(reads) == 2


# -- by schedule -----------------------------------------------------------------------------------

NIGHTLY = replace(SETTINGS, min_examples=100, schedule="0 3 * * *")


def test_the_schedules_moment_makes_a_run_due_once(rig: Rig, today: Callable[[str], None]) -> None:
    found = worker(rig, NIGHTLY)
    vote(rig.store, 1)
    for time in ("02:00", "02:59"):
        today(time)
        found.queue_if_due()
    assert queued(rig) == []
    for time in ("03:00", "03:01", "23:00"):
        today(time)
        found.queue_if_due()
    assert queued(rig) == ["schedule: 1 new votes"]
    drain(found)
    found.queue_if_due()
    assert len(rig.runs.all()) == 1


def test_where_nothing_is_new_the_schedule_trains_nothing(rig: Rig, today: Callable[[str], None]) -> None:
    found = worker(rig, NIGHTLY)
    vote(rig.store, 2)
    read_all(rig)
    today("03:00")
    found.queue_if_due()
    assert queued(rig) == []


def test_a_moment_that_passes_while_a_run_is_trained_is_made_up_for(
    rig: Rig, today: Callable[[str], None]
) -> None:
    found = worker(rig, NIGHTLY)
    rig.queue()
    run = rig.runs.beat(rig.claim(), mark=rig.store.newest())
    vote(rig.store, 1)
    today("03:00")
    found.queue_if_due()
    rig.runs.finish(run, "done")
    today("03:20")
    found.queue_if_due()
    assert queued(rig) == ["schedule: 1 new votes"]


# -- work ------------------------------------------------------------------------------------------


def test_with_once_it_trains_what_is_due_and_ends(rig: Rig) -> None:
    vote(rig.store, 4)
    drain(worker(rig, auto_promote=True))
    (run,) = rig.runs.all()
    assert (run.state, run.due_by) == ("done", "threshold: 4 new votes")
    assert rig.live == run.adapter
    assert run.worker is not None


def test_with_once_and_nothing_due_it_ends_at_once(rig: Rig) -> None:
    drain(worker(rig))
    assert rig.runs.all() == []


def test_several_workers_train_each_run_once(rig: Rig) -> None:
    for number in range(3):
        rig.runs.queue(f"m{number}", "test")
    rig.weights = "the same"
    drain(worker(rig), worker(rig), worker(rig))
    assert [run.state for run in rig.runs.all()] == ["done"] * 3
    assert {run.attempts for run in rig.runs.all()} == {1}
    assert len(rig.trainings) == 3


def test_a_trainer_that_always_dies_is_tried_three_times_and_then_parked(rig: Rig) -> None:
    rig.codes = [1, 139, 1]
    rig.queue()
    drain(worker(rig))
    (run,) = rig.runs.all()
    assert (run.state, run.attempts) == ("parked", MOST_ATTEMPTS)
    assert run.reason == "failed 3 times; the last time: it ended with 1"
    assert len(rig.trainings) == 3


def test_one_bad_attempt_is_made_up_for_by_the_next(rig: Rig) -> None:
    rig.codes = [1]
    rig.queue()
    drain(worker(rig))
    (run,) = rig.runs.all()
    assert (run.state, run.attempts) == ("done", 2)
    assert rig.gathered == 1


def test_an_error_that_nobody_thought_of_is_counted_and_named(rig: Rig) -> None:
    async def broken(call: str) -> None:
        raise ZeroDivisionError("oh")

    rig.engine.before = broken
    rig.queue()
    drain(worker(rig))
    assert rig.runs.all()[0].reason == "failed 3 times; the last time: ZeroDivisionError: oh"


def test_between_two_attempts_there_is_a_pause_that_grows(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[int] = []

    async def pause(self: Worker, stop: asyncio.Event, polls: int = 1) -> None:
        pauses.append(polls)

    monkeypatch.setattr(Worker, "_pause", pause)
    rig.codes = [1, 1, 1]
    rig.queue()
    drain(worker(rig))
    assert pauses[:2] == [1, 2]


def test_while_the_engine_is_away_a_run_waits_and_loses_no_attempt(rig: Rig) -> None:
    rig.engine.not_ready = "the engine is starting"
    rig.queue()

    async def main() -> None:
        stop = asyncio.Event()
        work = asyncio.create_task(worker(rig).work(once=True, stop=stop))
        await asyncio.sleep(0.05)
        assert [(run.state, run.attempts) for run in rig.runs.all()] == [("queued", 0)]
        rig.engine.not_ready = None
        await work

    asyncio.run(main())
    assert [(run.state, run.attempts) for run in rig.runs.all()] == [("done", 1)]


@pytest.mark.parametrize("waiting_for", ["votes", "the engine", "the next attempt"])
def test_stopped_while_it_waits_it_ends_at_once(rig: Rig, waiting_for: str) -> None:
    found = worker(rig, replace(SETTINGS, poll_seconds=3600))
    if waiting_for != "votes":
        rig.queue()
    if waiting_for == "the engine":
        rig.engine.not_ready = "the engine is starting"
    rig.codes = [1]

    async def main() -> None:
        stop = asyncio.Event()
        work = asyncio.create_task(found.work(once=False, stop=stop))
        await asyncio.sleep(0.1)
        stop.set()
        async with asyncio.timeout(5):
            await work

    asyncio.run(main())


def test_a_run_that_another_worker_took_over_is_left_to_it(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    runs: list[Run] = []
    real = Pipeline.run

    async def lost_once(self: Pipeline, run: Run, stop: asyncio.Event) -> Run:
        runs.append(run)
        if len(runs) == 1:
            rig.clock.pass_by(timedelta(minutes=2))
            raise LostLease(f"{run.id} was taken over")
        return await real(self, run, stop)

    monkeypatch.setattr(Pipeline, "run", lost_once)
    rig.queue()
    drain(worker(rig))
    assert [run.token for run in runs] == [1, 2]
    assert rig.runs.all()[0].state == "done"


def test_a_database_that_is_away_for_a_while_is_waited_for(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    claim, missed = Runs.claim, 0

    def away(self: Runs, name: str) -> Run | None:
        nonlocal missed
        missed += 1
        if missed < 4:
            raise DatabaseUnavailable("the database does not answer")
        return claim(self, name)

    monkeypatch.setattr(Runs, "claim", away)
    run = rig.queue()

    async def main() -> None:
        stop = asyncio.Event()
        work = asyncio.create_task(worker(rig).work(once=False, stop=stop))
        async with asyncio.timeout(10):
            while rig.runs.get(run.id).state != "done":  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        stop.set()
        await work

    asyncio.run(main())
    assert missed >= 4


def test_with_once_a_database_that_is_away_is_a_failure_that_is_told(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(self: Runs, name: str) -> Run | None:
        raise DatabaseUnavailable("the database does not answer")

    monkeypatch.setattr(Runs, "claim", away)
    rig.queue()
    with pytest.raises(DatabaseUnavailable):
        drain(worker(rig))


def test_the_whole_way_on_both_databases(
    database: Database, home: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = built(database, home, monkeypatch)
    vote(found.store, 4)
    before = found.store.counts()
    drain(worker(found, auto_promote=True), worker(found, auto_promote=True))
    (run,) = found.runs.all()
    assert (run.state, found.live) == ("done", run.adapter)
    assert found.store.counts() == before


# -- the canary ------------------------------------------------------------------------------------


class Scripted:
    """Canaries whose next steps are given; an exception is raised."""

    def __init__(self, *steps: str | Exception) -> None:
        self.steps = list(steps)
        self.taken: list[str] = []

    def advance(self) -> Decision | None:
        step = self.steps.pop(0) if self.steps else None
        if isinstance(step, Exception):
            raise step
        if step is None:
            return None
        self.taken.append(step)
        return Decision("widen", 0.25, step, {})


def watching(rig: Rig, canaries: Scripted) -> Worker:
    return Worker(rig.store, rig.runs, rig.pipeline(), SETTINGS, canaries)  # type: ignore[arg-type]


def test_with_once_the_canary_goes_as_far_as_its_votes_lead(rig: Rig) -> None:
    canaries = Scripted("one", "two")
    drain(watching(rig, canaries))
    assert canaries.taken == ["one", "two"]


@pytest.mark.parametrize("problem", [ZeroDivisionError("oh"), DatabaseUnavailable("away")])
def test_a_canary_that_breaks_stops_no_run_and_is_tried_again(
    rig: Rig, problem: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    canaries = Scripted(problem, "one")
    rig.queue()
    drain(watching(rig, canaries))
    assert rig.runs.all()[0].state == "done"
    assert canaries.taken == ["one"]
    assert "the canary's step failed" in caplog.text


def test_the_canary_goes_on_while_a_run_is_trained(rig: Rig) -> None:
    rig.polls = 10_000
    rig.queue()
    canaries = Scripted("one")

    async def main() -> None:
        stop = asyncio.Event()
        work = asyncio.create_task(watching(rig, canaries).work(once=True, stop=stop))
        async with asyncio.timeout(5):
            while not rig.trainings:  # noqa: ASYNC110
                await asyncio.sleep(0.005)
            canaries.steps.append("two")
            while len(canaries.taken) < 2:  # noqa: ASYNC110
                await asyncio.sleep(0.005)
        assert [run.state for run in rig.runs.all()] == ["running"]
        stop.set()
        await work

    asyncio.run(main())
    assert canaries.taken == ["one", "two"]
