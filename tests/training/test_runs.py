"""Tests of the run ledger, on both databases: one holder at a time, whoever dies or wakes up late."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from sqlalchemy import Connection

from feedback.database import Database
from training import runs as module
from training import schema
from training.records import LostLease, NotFound, Refused, Run
from training.runs import LEASE, MOST_ATTEMPTS, Runs

ROOT = Path(__file__).resolve().parents[2]
LATER = LEASE + timedelta(seconds=1)

CLAIMER = """
import sys
from feedback.database import connect
from training.runs import Runs

database = connect(sys.argv[1])
runs = Runs(database)
print("ready", flush=True)
sys.stdin.readline()
while runs.active():
    run = runs.claim(sys.argv[2])
    if run is not None:
        print(run.id, run.token, run.attempts, flush=True)
        runs.finish(run, "done")
database.close()
"""


class Clock:
    """The ledger's clock, moved by hand."""

    def __init__(self) -> None:
        self.now = datetime(2026, 5, 1, 3, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def pass_by(self, time: timedelta) -> None:
        self.now += time


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()
    monkeypatch.setattr(module, "_now", found)
    return found


@pytest.fixture
def ledger(database: Database) -> Runs:
    return Runs(database)


def claimed(ledger: Runs, worker: str = "w") -> Run:
    run = ledger.claim(worker)
    assert run is not None
    return run


def several(ledger: Runs, count: int) -> list[Run]:
    """Runs that wait at the same time; through the front door there is only one of a method."""
    return [ledger.queue(f"m{number}", "test") for number in range(count)]


# -- queueing --------------------------------------------------------------------------------------


def test_a_run_that_waits_is_given_back_instead_of_a_second_one(ledger: Runs) -> None:
    first = ledger.queue("dpo", "by hand: ann")
    assert ledger.queue("dpo", "threshold: 32 new votes") == first
    assert [run.id for run in ledger.all()] == [first.id]


def test_while_one_is_trained_another_may_be_asked_for_by_hand_but_does_not_fall_due(ledger: Runs) -> None:
    first = ledger.queue("dpo", "threshold")
    claimed(ledger)
    assert ledger.queue("dpo", "threshold", unless=("queued", "running")).id == first.id
    assert ledger.queue("dpo", "by hand").id != first.id


def test_queued_by_many_at_once_it_is_one_run(database: Database) -> None:
    ids, barrier = set(), threading.Barrier(6)

    def queue() -> None:
        barrier.wait()
        ids.add(Runs(database).queue("dpo", "threshold").id)

    in_threads([queue] * 6)
    assert len(ids) == 1


def test_the_newest_run_is_listed_first_and_an_unknown_one_is_not_found(ledger: Runs) -> None:
    first, second = several(ledger, 2)
    assert [run.id for run in ledger.all()] == [second.id, first.id]
    assert [run.id for run in ledger.all(limit=1)] == [second.id]
    with pytest.raises(NotFound, match="run-0"):
        ledger.get("run-0")


# -- claiming --------------------------------------------------------------------------------------


def test_a_claim_takes_the_oldest_and_notes_who_holds_it(ledger: Runs, clock: Clock) -> None:
    first, _ = several(ledger, 2)
    run = claimed(ledger, "host:1")
    assert run == replace(
        first,
        state="running",
        worker="host:1",
        token=1,
        attempts=1,
        started_at=clock.now,
        lease_until=clock.now + LEASE,
    )
    assert ledger.get(run.id) == run


def test_one_run_trains_at_a_time(ledger: Runs) -> None:
    several(ledger, 2)
    run = claimed(ledger)
    assert ledger.claim("other") is None
    ledger.finish(run, "done")
    assert claimed(ledger, "other").id != run.id


def test_nothing_to_claim_is_none(ledger: Runs) -> None:
    assert ledger.claim("w") is None
    assert not ledger.active()


def test_claimed_by_many_threads_each_run_has_one_holder_and_never_two_at_once(database: Database) -> None:
    several(Runs(database), 5)
    taken: list[str] = []
    holding: list[int] = []
    inside = threading.Semaphore(1)
    barrier = threading.Barrier(4)

    def work() -> None:
        ledger = Runs(database)
        barrier.wait()
        while ledger.active():
            run = ledger.claim(threading.current_thread().name)
            if run is None:
                continue
            holding.append(inside.acquire(blocking=False))
            taken.append(run.id)
            inside.release()
            ledger.finish(run, "done")

    in_threads([work] * 4)
    assert len(taken) == len(set(taken)) == 5
    assert all(holding), "two held a run at once"


def test_claimed_by_several_processes_each_run_has_one_holder(sqlite: Database) -> None:
    ids = [run.id for run in several(Runs(sqlite), 6)]
    command = [sys.executable, "-c", CLAIMER, sqlite.url]
    workers = [
        subprocess.Popen(
            [*command, f"w{number}"], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for number in range(2)
    ]
    for worker in workers:
        assert worker.stdout is not None
        assert worker.stdout.readline() == "ready\n"
    for worker in workers:
        assert worker.stdin is not None
        worker.stdin.write("go\n")
        worker.stdin.flush()
    lines = [line for worker in workers for line in worker.communicate(timeout=60)[0].splitlines()]
    assert [worker.returncode for worker in workers] == [0, 0]
    assert sorted(lines) == sorted(f"{run_id} 1 1" for run_id in ids)
    assert {run.state for run in Runs(sqlite).all()} == {"done"}


# -- leases and twins ------------------------------------------------------------------------------


def test_a_beat_keeps_the_run_and_notes_how_far_it_is(ledger: Runs, clock: Clock) -> None:
    ledger.queue("dpo", "test")
    run = claimed(ledger)
    for _ in range(5):
        clock.pass_by(LEASE * 0.8)
        run = ledger.beat(run, stage="train", progress=0.5, seconds={"gather": 1.5}, counts={"training": 40})
    assert ledger.claim("other") is None
    assert (run.stage, run.progress, run.seconds, run.counts) == (
        "train",
        0.5,
        {"gather": 1.5},
        {"training": 40},
    )


def test_after_its_lease_a_run_is_taken_over_with_a_higher_token(ledger: Runs, clock: Clock) -> None:
    ledger.queue("dpo", "test")
    first = claimed(ledger, "dead")
    clock.pass_by(LATER)
    second = claimed(ledger, "next")
    assert (second.id, second.worker) == (first.id, "next")
    assert second.token > first.token
    assert second.attempts == 2
    assert second.started_at == first.started_at


def test_what_was_begun_goes_on_before_something_new_begins(ledger: Runs, clock: Clock) -> None:
    old, young = several(ledger, 2)
    begun = claimed(ledger)
    ledger.release(begun)
    # Now `young` is held by a worker that dies, though `old` waits in front of it.
    assert ledger.cancel(old.id).state == "cancelled"
    assert claimed(ledger).id == young.id
    older = ledger.queue("m0", "test")
    clock.pass_by(LATER)
    assert claimed(ledger).id == young.id != older.id


TWINS_ACTS: dict[str, Callable[[Runs, Run], object]] = {
    "beat": lambda ledger, run: ledger.beat(run, progress=0.9),
    "finish": lambda ledger, run: ledger.finish(run, "done", "mine"),
    "retry": lambda ledger, run: ledger.retry(run, "failed"),
    "release": lambda ledger, run: ledger.release(run),
}


@pytest.mark.parametrize("act", TWINS_ACTS)
def test_a_twin_that_wakes_up_late_changes_nothing(ledger: Runs, clock: Clock, act: str) -> None:
    ledger.queue("dpo", "test")
    zombie = claimed(ledger, "asleep")
    clock.pass_by(LATER)
    claimed(ledger, "awake")
    before = ledger.get(zombie.id)
    with pytest.raises(LostLease, match=zombie.id):
        TWINS_ACTS[act](ledger, zombie)
    assert ledger.get(zombie.id) == before


@pytest.mark.parametrize("act", TWINS_ACTS)
def test_a_run_that_has_ended_takes_no_more_word_from_its_holder(ledger: Runs, act: str) -> None:
    ledger.queue("dpo", "test")
    run = claimed(ledger)
    ended = ledger.finish(run, "failed", "no examples")
    with pytest.raises(LostLease):
        TWINS_ACTS[act](ledger, run)
    assert ledger.get(run.id) == ended


def test_a_late_holder_whose_lease_nobody_took_may_go_on(ledger: Runs, clock: Clock) -> None:
    ledger.queue("dpo", "test")
    run = claimed(ledger)
    clock.pass_by(LATER * 5)
    assert ledger.beat(run).lease_until == clock.now + LEASE
    assert ledger.finish(run, "done").state == "done"


@pytest.mark.parametrize("act", ["claim", "beat"])
def test_a_holder_never_sees_the_token_of_the_one_that_took_over(
    database: Database, monkeypatch: pytest.MonkeyPatch, act: str
) -> None:
    """Asleep between its write and its next look at the row, it must not wake up with its twin's token."""
    ledger, at_once = Runs(database), Runs(database, lease=timedelta(0))
    ledger.queue("dpo", "test")
    first = claimed(at_once) if act == "beat" else None
    original = Database.write
    twins: list[Run] = []

    def then_overtaken(self: Database) -> Iterator[Connection]:
        """The first write ends, and before its caller goes on another worker has claimed the run."""
        monkeypatch.setattr(Database, "write", original)
        with original(self) as connection:
            yield connection
        twins.append(claimed(at_once, "twin"))

    monkeypatch.setattr(Database, "write", contextmanager(then_overtaken))
    held = at_once.beat(first) if first else claimed(at_once)
    assert held.token < twins[0].token
    with pytest.raises(LostLease):
        ledger.finish(held, "done")


def test_the_fence_refuses_a_publication_and_the_transaction_with_it(ledger: Runs, clock: Clock) -> None:
    run = ledger.queue("dpo", "test")
    zombie = claimed(ledger)
    clock.pass_by(LATER)
    holder = claimed(ledger)

    def publish(as_held: Run, due_by: str) -> None:
        with ledger._database.write() as connection:
            connection.execute(schema.runs.update().values(due_by=due_by))
            ledger.fence(connection, as_held)

    with pytest.raises(LostLease):
        publish(zombie, "the zombie")
    assert ledger.get(run.id).due_by == "test"
    publish(holder, "the holder")
    assert ledger.get(run.id).due_by == "the holder"


# -- failures --------------------------------------------------------------------------------------


def test_a_failed_attempt_waits_again_with_its_reason(ledger: Runs) -> None:
    ledger.queue("dpo", "test")
    run = ledger.retry(claimed(ledger), "the engine went away")
    assert (run.state, run.reason, run.worker, run.lease_until) == (
        "queued",
        "the engine went away",
        None,
        None,
    )
    assert claimed(ledger).attempts == 2


def test_the_third_failure_parks_the_run_with_the_reason(ledger: Runs) -> None:
    ledger.queue("dpo", "test")
    for _ in range(MOST_ATTEMPTS):
        run = ledger.retry(claimed(ledger), "out of memory")
    assert (run.state, MOST_ATTEMPTS) == ("parked", 3)
    assert "out of memory" in run.reason
    assert run.ended_at is not None
    assert ledger.claim("w") is None
    assert not ledger.active()


def test_the_third_dead_worker_parks_the_run(ledger: Runs, clock: Clock) -> None:
    ledger.queue("dpo", "test")
    for _ in range(MOST_ATTEMPTS):
        run = claimed(ledger)
        clock.pass_by(LATER)
    assert ledger.claim("w") is None
    parked = ledger.get(run.id)
    assert (parked.state, parked.lease_until) == ("parked", None)
    assert "died 3 times" in parked.reason


def test_a_parked_run_does_not_keep_the_next_one_from_its_turn(ledger: Runs, clock: Clock) -> None:
    hopeless, next_one = several(ledger, 2)
    for _ in range(MOST_ATTEMPTS):
        claimed(ledger)
        clock.pass_by(LATER)
    assert claimed(ledger).id == next_one.id
    assert ledger.get(hopeless.id).state == "parked"


def test_a_stopped_worker_gives_its_run_back_without_a_lost_attempt(ledger: Runs) -> None:
    ledger.queue("dpo", "test")
    for _ in range(MOST_ATTEMPTS + 2):
        run = claimed(ledger)
        assert run.attempts == 1
        released = ledger.release(run)
        assert (released.state, released.worker) == ("queued", None)
    assert claimed(ledger).token == MOST_ATTEMPTS + 3


# -- cancelling ------------------------------------------------------------------------------------


def test_a_waiting_run_is_cancelled_at_once(ledger: Runs) -> None:
    run = ledger.cancel(ledger.queue("dpo", "test").id)
    assert run.state == "cancelled"
    assert run.ended_at is not None
    assert ledger.claim("w") is None


def test_the_holder_of_a_cancelled_run_hears_of_it_at_its_next_beat(ledger: Runs) -> None:
    ledger.queue("dpo", "test")
    run = claimed(ledger)
    assert not ledger.beat(run).cancel_requested
    assert ledger.cancel(run.id).state == "running"
    assert ledger.beat(run).cancel_requested
    assert ledger.finish(run, "cancelled", "by hand").state == "cancelled"


def test_a_cancelled_run_whose_worker_died_ends_as_cancelled(ledger: Runs, clock: Clock) -> None:
    ledger.queue("dpo", "test")
    for _ in range(MOST_ATTEMPTS):
        run = claimed(ledger)
        clock.pass_by(LATER)
    ledger.cancel(run.id)
    assert ledger.claim("w") is None
    ended = ledger.get(run.id)
    assert (ended.state, ended.reason) == ("cancelled", "cancelled by hand")


def test_what_has_ended_can_not_be_cancelled(ledger: Runs) -> None:
    ledger.queue("dpo", "test")
    run = ledger.finish(claimed(ledger), "done")
    with pytest.raises(Refused, match="ended already"):
        ledger.cancel(run.id)
    assert ledger.get(run.id) == run
    with pytest.raises(NotFound):
        ledger.cancel("run-0")


def test_cancel_against_claim_ends_in_one_of_the_two_orders(database: Database) -> None:
    """Either it never ran, or its holder is told: never a run that is cancelled and held at once."""
    ledger = Runs(database)
    for _ in range(8):
        run, barrier, held = ledger.queue("dpo", "test"), threading.Barrier(2), []

        def take(barrier: threading.Barrier = barrier, held: list[Run | None] = held) -> None:
            barrier.wait()
            held.append(Runs(database).claim("w"))

        def cancel(barrier: threading.Barrier = barrier, run: Run = run) -> None:
            barrier.wait()
            Runs(database).cancel(run.id)

        in_threads([take, cancel])
        now = ledger.get(run.id)
        if held[0] is None:
            assert now.state == "cancelled"
        else:
            assert (now.state, now.cancel_requested) == ("running", True)
            ledger.finish(held[0], "cancelled")


# -- marks -----------------------------------------------------------------------------------------


def test_the_mark_is_that_of_the_newest_run_that_read_the_votes(ledger: Runs) -> None:
    assert ledger.mark() == {}
    ledger.queue("dpo", "test")
    first = ledger.beat(claimed(ledger), mark={"ratings": 40})
    ledger.finish(first, "failed", "too few examples")
    assert ledger.mark() == {"ratings": 40}
    ledger.queue("dpo", "test")
    assert ledger.mark() == {"ratings": 40}, "a run that waits has read nothing"
    second = claimed(ledger)
    assert ledger.mark() == {"ratings": 40}
    ledger.beat(second, mark={"ratings": 80})
    assert ledger.mark() == {"ratings": 80}


def test_runs_that_were_cancelled_before_they_began_do_not_bring_old_votes_back(ledger: Runs) -> None:
    ledger.queue("dpo", "test")
    ledger.finish(ledger.beat(claimed(ledger), mark={"ratings": 40}), "done")
    for _ in range(25):
        ledger.cancel(ledger.queue("dpo", "test").id)
    assert ledger.mark() == {"ratings": 40}


# -- any order of events ---------------------------------------------------------------------------


def test_any_order_of_events_agrees_with_a_small_model(database: Database, clock: Clock) -> None:
    """Twelve lines of rules say what a row must be after each act, zombies' acts included."""

    class Machine(RuleBasedStateMachine):
        handles: Bundle[Run] = Bundle("handles")

        def __init__(self) -> None:
            super().__init__()
            with database.write() as connection:
                connection.execute(schema.runs.delete())
            self.ledger = Runs(database)
            self.rows: dict[str, dict[str, object]] = {}
            self.leases: dict[str, datetime] = {}

        def running(self) -> list[str]:
            return [key for key, row in self.rows.items() if row["state"] == "running"]

        def attempt(self, run: Run, act: Callable[[], Run]) -> Run | None:
            """Do it if the model says that `run` is held, else see it refused."""
            row = self.rows[run.id]
            if row["state"] == "running" and row["token"] == run.token:
                return act()
            with pytest.raises(LostLease):
                act()
            return None

        @rule(method=st.sampled_from(["dpo", "kto"]))
        def queue(self, method: str) -> None:
            run = self.ledger.queue(method, "test")
            waiting = [k for k, r in self.rows.items() if r["state"] == "queued" and r["method"] == method]
            if waiting:
                assert [run.id] == waiting
            else:
                self.rows[run.id] = {
                    "state": "queued",
                    "method": method,
                    "token": 0,
                    "attempts": 0,
                    "cancel": False,
                }

        @rule(target=handles)
        def claim(self) -> Run:
            lost = [key for key in self.running() if self.leases[key] <= clock.now]
            if len(lost) == len(self.running()):
                for key in lost:
                    row = self.rows[key]
                    if row["cancel"]:
                        row["state"] = "cancelled"
                    elif row["attempts"] == MOST_ATTEMPTS:
                        row["state"] = "parked"
                waiting = [k for k in sorted(self.rows) if self.rows[k]["state"] == "queued"]
                wanted = (sorted(self.running()) + waiting)[:1]
            else:
                wanted = []
            run = self.ledger.claim("w")
            assert ([run.id] if run else []) == wanted
            if run is None:
                return Run("run-0", "queued", "dpo", "", clock.now)
            row = self.rows[run.id]
            row |= {"state": "running", "token": row["token"] + 1, "attempts": row["attempts"] + 1}
            self.leases[run.id] = clock.now + LEASE
            return run

        @rule(share=st.sampled_from([0.4, 1.1]))
        def time_passes(self, share: float) -> None:
            clock.pass_by(LEASE * share)

        @rule(run=handles)
        def beat(self, run: Run) -> None:
            if run.id in self.rows and self.attempt(run, lambda: self.ledger.beat(run)):
                self.leases[run.id] = clock.now + LEASE

        @rule(run=handles)
        def retry(self, run: Run) -> None:
            if run.id in self.rows and self.attempt(run, lambda: self.ledger.retry(run, "failed")):
                self.rows[run.id]["state"] = "parked" if run.attempts == MOST_ATTEMPTS else "queued"

        @rule(run=handles)
        def release(self, run: Run) -> None:
            if run.id in self.rows and self.attempt(run, lambda: self.ledger.release(run)):
                self.rows[run.id] |= {"state": "queued", "attempts": run.attempts - 1}

        @rule(run=handles, state=st.sampled_from(["done", "failed", "cancelled"]))
        def finish(self, run: Run, state: str) -> None:
            if run.id in self.rows and self.attempt(run, lambda: self.ledger.finish(run, state)):
                self.rows[run.id]["state"] = state

        @rule(data=st.data())
        def cancel(self, data: st.DataObject) -> None:
            if not self.rows:
                return
            key = data.draw(st.sampled_from(sorted(self.rows)))
            row = self.rows[key]
            if row["state"] not in ("queued", "running"):
                with pytest.raises(Refused):
                    self.ledger.cancel(key)
                return
            self.ledger.cancel(key)
            row |= {"cancel": True, "state": "cancelled" if row["state"] == "queued" else "running"}

        @invariant()
        def the_rows_are_the_models(self) -> None:
            found = {
                run.id: {
                    "state": run.state,
                    "method": run.method,
                    "token": run.token,
                    "attempts": run.attempts,
                    "cancel": run.cancel_requested,
                }
                for run in self.ledger.all(1000)
            }
            assert found == self.rows
            assert len(self.running()) <= 1
            assert self.ledger.active() == any(r["state"] in ("queued", "running") for r in found.values())

    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=20,
            stateful_step_count=25,
            deadline=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        ),
    )


def in_threads(acts: list[Callable[[], None]]) -> None:
    """Run them side by side and pass on the first error."""
    with ThreadPoolExecutor(len(acts)) as pool:
        for future in [pool.submit(act) for act in acts]:
            future.result(timeout=30)
