"""Tests of one run from claimed to decided: to its end, or killed, cancelled, stopped, failed on the way."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from feedback.database import Database, DatabaseUnavailable
from tests import tiny_model
from tests.training.rig import Rig, Training, built, rig
from training import pipeline as module
from training import runs as runs_module
from training.base import base_hash
from training.canaries import Canaries
from training.records import LostLease, Refused, Run, TrainingError
from training.registry import Registry
from training.runs import LEASE, MOST_ATTEMPTS, Runs
from training.workspace import Workspace

__all__ = ["rig"]

REAL = SimpleNamespace(**vars(module.adapters))

LATER = LEASE + timedelta(seconds=1)


class Killed(BaseException):
    """kill -9, as near as one comes inside a process: nobody catches it, and the ledger hears nothing."""


# -- to its end ------------------------------------------------------------------------------------


def test_a_run_ends_with_a_candidate_that_waits_for_an_admin(rig: Rig) -> None:
    rig.queue()
    run = rig.run()
    assert (run.state, run.adapter) == ("done", rig.name())
    assert run.reason.startswith("passed: ")
    assert "ranks 100% of good above bad answers, live 50%" in run.reason
    assert "flattery" not in run.reason, "what did not decide stands in the report"
    assert run.counts == {"training": 8, "held_out": 12}
    assert set(run.seconds) == {"gather", "train", "publish", "evaluate"}
    assert rig.live is None
    found = rig.registry.evaluation(rig.name())
    assert found is not None
    assert found.outcome == "passed"


def test_an_adapter_knows_its_run_its_base_and_its_examples(rig: Rig) -> None:
    rig.queue()
    run = rig.run()
    adapter = rig.registry.get(rig.name())
    assert (adapter.run_id, adapter.base, adapter.base_hash, adapter.rank) == (
        run.id,
        "/models/starter",
        "b" * 64,
        8,
    )
    assert adapter.path.is_relative_to(rig.home / "adapters")
    assert [item["votes"] for item in adapter.manifest["examples"]] == [[f"rating:{n}"] for n in range(8)]
    assert (adapter.manifest["facts"], adapter.manifest["content_hash"]) == ({"rank": 8}, "c" * 64)
    assert json.loads((adapter.path / "manifest.json").read_text())["run"] == run.id


def test_in_auto_mode_what_passed_is_live_and_the_audit_says_why(rig: Rig) -> None:
    rig.queue()
    run = rig.run(auto_promote=True)
    assert run.reason.startswith("passed and promoted: ")
    assert rig.live == rig.name()
    (row,) = rig.registry.history()
    assert (row.actor, row.action) == ("gate", "promote")
    assert "better answers" in row.reason


@pytest.mark.parametrize("tried", [False, True])
def test_what_an_admin_decides_during_the_evaluation_stands(rig: Rig, tried: bool) -> None:
    rig.queue()
    rig.run()
    first, rig.weights = rig.name(), "0.75"
    canaries = Canaries(rig.database, rig.registry) if tried else None

    async def decided(call: str) -> None:
        if call == "logprobs" and rig.live is None:
            rig.registry.promote(first, actor="ann", reason="better")

    rig.engine.before = decided
    rig.queue()
    run = rig.run(auto_promote=True, canaries=canaries)
    assert run.state == "done"
    done = "tried" if tried else "promoted"
    assert run.reason.startswith(f"passed and not {done}, since meanwhile {first} was made live")
    assert rig.live == first
    assert canaries is None or canaries.now() is None


def test_with_canaries_what_passed_is_tried_first_and_an_attempt_after_a_kill_finds_it_so(rig: Rig) -> None:
    canaries = Canaries(rig.database, rig.registry)
    rig.queue()
    run = rig.run(auto_promote=True, canaries=canaries)
    assert run.reason.startswith("passed and tried in 5% of conversations: ")
    begun = canaries.now()
    assert begun is not None
    assert (begun.adapter, begun.against, rig.live) == (rig.name(), None, None)
    assert (canaries.history()[0].actor, rig.registry.history()) == ("gate", [])
    rig.queue()
    again = rig.run(auto_promote=True, canaries=canaries)
    assert (again.state, again.reason) == ("done", "its canary is running already")
    assert canaries.now() == begun


def test_while_a_canary_runs_the_next_that_passes_waits_for_an_admin(rig: Rig) -> None:
    canaries = Canaries(rig.database, rig.registry)
    rig.queue()
    rig.run(auto_promote=True, canaries=canaries)
    first, rig.weights = rig.name(), "0.75"
    rig.queue()
    run = rig.run(auto_promote=True, canaries=canaries)
    assert run.state == "done"
    assert run.reason.startswith(f"passed and not tried, since a canary of {first} is running")
    begun = canaries.now()
    assert begun is not None
    assert begun.adapter == first


def test_by_hand_nothing_begins_a_canary(rig: Rig) -> None:
    canaries = Canaries(rig.database, rig.registry)
    rig.queue()
    assert rig.run(canaries=canaries).reason.startswith("passed: ")
    assert canaries.history() == []


@pytest.mark.parametrize(("held_out", "said"), [(4, "not enough evidence: "), (12, "rejected: ")])
def test_what_did_not_pass_is_not_promoted_even_in_auto_mode(rig: Rig, held_out: int, said: str) -> None:
    rig.held_out = held_out
    rig.engine.likes[rig.name()] = lambda _: -1.0
    rig.queue()
    run = rig.run(auto_promote=True)
    assert (run.state, rig.live) == ("done", None)
    assert run.reason.startswith(said)
    assert "better answers" in run.reason.split(";")[0], "what went wrong is said first"


def test_the_mark_is_taken_before_the_votes_are_read(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """A vote that comes while examples are built counts for the next run: this one may not have seen it."""
    newest = {"ratings": 7, "corrections": 0, "choices": 0}
    monkeypatch.setattr(type(rig.store), "newest", lambda _: dict(newest))
    gather = rig.gather

    async def busy(*given: Any) -> Any:
        newest["ratings"] = 8
        return await gather(*given)

    monkeypatch.setattr(module.gathering, "gather", busy)
    rig.queue()
    rig.run()
    assert rig.runs.mark()["ratings"] == 7


def test_the_second_candidate_is_measured_against_the_first(rig: Rig) -> None:
    rig.queue()
    rig.run(auto_promote=True)
    first, rig.weights = rig.name(), "0.75"
    rig.queue()
    run = rig.run(auto_promote=True)
    found = rig.registry.evaluation(rig.name())
    assert found is not None
    assert found.against == first
    assert run.reason.startswith("rejected: ")
    assert rig.live == first


def test_votes_that_say_nothing_new_lead_to_what_is_live_already(rig: Rig) -> None:
    rig.queue()
    rig.run(auto_promote=True)
    rig.queue()
    run = rig.run(auto_promote=True)
    assert (run.state, run.adapter, run.reason) == ("done", rig.name(), "it is live already")
    assert len(rig.registry.all()) == len(rig.registry.history()) == 1


def test_progress_can_be_seen_and_costs_a_write_a_second_at_most(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    noted: list[float] = []
    beat = Runs.beat

    def seen(self: Runs, run: Run, **values: Any) -> Run:
        noted.extend([values["progress"]] if values.get("progress") else [])
        return beat(self, run, **values)

    monkeypatch.setattr(Runs, "beat", seen)
    rig.polls = 40
    rig.queue()
    rig.run()
    assert noted[0] == 0.5, "gathering"
    assert 0 < noted[1] < 1, "training"
    assert len(noted) < 6


def test_with_real_files_an_adapter_is_what_was_trained_and_stays_so(
    rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = tiny_model.make(tmp_path / "base")
    monkeypatch.setattr(module, "base_hash", base_hash)
    for name in ("inspect", "model_card", "verify", "sweep", "publish"):
        monkeypatch.setattr(module.adapters, name, getattr(REAL, name))
    poll = Training.poll

    def trained(self: Training) -> int | None:
        code = poll(self)
        (self.folder / "adapter" / "weights").unlink(missing_ok=True)
        tiny_model.make_adapter(self.folder / "adapter", base)
        return code

    monkeypatch.setattr(Training, "poll", trained)
    left = rig.home / "adapters" / ".partial-of-a-killed-one"
    left.mkdir(parents=True)
    rig.queue()
    run = rig.run(base=str(base))
    assert (run.state, run.reason[:9]) == ("done", "rejected:"), "the scripted engine does not know its taste"
    (adapter,) = rig.registry.all()
    assert [path.name for path in (rig.home / "adapters").iterdir()] == [adapter.name]
    assert (adapter.rank, adapter.base, adapter.path.name) == (8, str(base), adapter.name)
    manifest = REAL.verify(adapter.path)
    assert (manifest["run"], len(manifest["examples"])) == (run.id, 8)
    rig.registry.record(replace(rig.registry.evaluation(adapter.name), outcome="passed"))  # type: ignore[type-var]
    rig.registry.promote(adapter.name, actor="ann", reason="test")
    rig.registry.promote("base", actor="ann", reason="test")
    with (adapter.path / "adapter_model.safetensors").open("r+b") as file:
        file.seek(-1, 2)
        file.write(b"\x01")
    with pytest.raises(Refused, match="not the file that was published"):
        rig.registry.promote(adapter.name, actor="ann", reason="test")
    with pytest.raises(Refused, match="not the file that was published"):
        rig.registry.rollback(actor="ann", reason="test")
    assert rig.live is None


# -- it can't succeed ------------------------------------------------------------------------------


def test_too_few_examples_fail_at_once_and_nothing_is_trained(rig: Rig) -> None:
    rig.examples = 3
    rig.queue()
    run = rig.run()
    assert (run.state, run.reason) == ("failed", "only 3 examples came out of the votes, 4 are needed")
    assert run.counts["training"] == 3
    assert rig.trainings == []


def test_a_trainer_that_refuses_its_input_is_not_asked_again(rig: Rig) -> None:
    rig.codes = [2]
    rig.queue()
    run = rig.run()
    assert (run.state, run.reason) == ("failed", "it ended with 2")
    assert rig.runs.claim("w") is None
    assert len(rig.trainings) == 1


def test_an_adapter_that_is_not_acceptable_is_not_entered(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    def inspect(staged: Path, **_: Any) -> Any:
        raise Refused("adapter_model.safetensors holds NaN")

    monkeypatch.setattr(module.adapters, "inspect", inspect)
    rig.queue()
    run = rig.run(auto_promote=True)
    assert (run.state, run.reason) == ("failed", "adapter_model.safetensors holds NaN")
    assert rig.registry.all() == []


def test_a_candidate_that_the_engine_does_not_load_is_rejected_and_stays_in_the_registry(rig: Rig) -> None:
    rig.engine.refuses[rig.name()] = "rank 64 is more than 32"
    rig.queue()
    run = rig.run(auto_promote=True)
    assert (run.state, run.reason) == ("done", "rejected: loads: rank 64 is more than 32")
    with pytest.raises(Refused, match="rank 64"):
        rig.registry.promote(rig.name(), actor="ann", reason="I insist")


@pytest.mark.parametrize("code", [1, -9, 139])
def test_a_trainer_that_dies_is_for_another_attempt(rig: Rig, code: int) -> None:
    rig.codes = [code]
    rig.queue()
    with pytest.raises(TrainingError, match=f"it ended with {code}"):
        rig.run()
    assert rig.runs.all()[0].state == "running"
    assert rig.gathered == 1
    rig.clock.pass_by(LATER)
    assert rig.run().state == "done"
    assert rig.gathered == 1, "the examples of the first attempt are still there"


def test_a_trainer_that_says_it_is_done_and_left_nothing_is_for_another_attempt(rig: Rig) -> None:
    def launch(location: str, folder: Path) -> Any:
        training = launched(location, folder)
        training.poll = lambda: 0
        return training

    launched, rig.polls = rig.launch, 0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module.launcher, "launch", launch)
        rig.queue()
        with pytest.raises(TrainingError, match="without leaving its metrics"):
            rig.run()
    assert rig.registry.all() == []


# -- killed ----------------------------------------------------------------------------------------


def after(owner: Any, name: str, patch: pytest.MonkeyPatch, times: int = 1) -> None:
    """Die right after the so-manieth call of `owner.name` has done its work."""
    act = getattr(owner, name)
    left = [times]

    def dying(*given: Any, **named: Any) -> Any:
        result = act(*given, **named)
        left[0] -= 1
        if not left[0]:
            raise Killed(name)
        return result

    patch.setattr(owner, name, dying)


def before(owner: Any, name: str, patch: pytest.MonkeyPatch) -> None:
    """Die instead of calling `owner.name`."""

    def dying(*given: Any, **named: Any) -> Any:
        raise Killed(name)

    patch.setattr(owner, name, dying)


POINTS: dict[str, tuple[Callable[[Rig, pytest.MonkeyPatch], None], int, int]] = {
    # name: how to die there, how often examples are gathered and how often is trained by then and after it
    "before anything": (lambda _, p: before(Workspace, "gathered", p), 1, 1),
    "votes read": (lambda _, p: before(module.recipes, "choose", p), 2, 1),
    "examples written": (lambda _, p: after(Workspace, "write", p), 1, 1),
    "before the trainer": (lambda _, p: before(module.launcher, "launch", p), 1, 1),
    "trainer running": (lambda _, p: after(module.launcher, "launch", p), 1, 2),
    "trainer done": (lambda r, p: after(Workspace, "trained", p, 2), 1, 1),
    "before publishing": (lambda _, p: before(module.adapters, "publish", p), 1, 1),
    "files published": (lambda _, p: after(module.adapters, "publish", p), 1, 1),
    "row entered": (lambda _, p: after(Registry, "add", p), 1, 1),
    "measured": (lambda _, p: before(Registry, "record", p), 1, 1),
    "evaluation kept": (lambda _, p: after(Registry, "record", p), 1, 1),
    "before the promotion": (lambda _, p: before(Registry, "promote", p), 1, 1),
    "promoted": (lambda _, p: after(Registry, "promote", p), 1, 1),
    "before its end": (lambda _, p: before(Runs, "finish", p), 1, 1),
}


@pytest.mark.parametrize("point", POINTS)
def test_killed_anywhere_it_goes_on_where_it_was(rig: Rig, point: str) -> None:
    die, gathered, trained = POINTS[point]
    rig.queue()
    with pytest.MonkeyPatch.context() as patch:
        die(rig, patch)
        with pytest.raises(Killed):
            rig.run(auto_promote=True)
    assert rig.runs.claim("too early") is None, "its lease is not over"
    rig.clock.pass_by(LATER)
    run = rig.run(auto_promote=True)
    assert (run.state, run.attempts, run.adapter) == ("done", 2, rig.name())
    assert (rig.gathered, len(rig.trainings)) == (gathered, trained)
    assert [adapter.name for adapter in rig.registry.all()] == [rig.name()]
    assert [row.adapter for row in rig.registry.history()] == [rig.name()]
    assert rig.live == rig.name()
    assert [path.name for path in (rig.home / "adapters").iterdir()] == [rig.name()]


def test_killed_at_the_same_point_again_and_again_it_is_parked(rig: Rig) -> None:
    rig.queue()
    with pytest.MonkeyPatch.context() as patch:
        before(module.adapters, "publish", patch)
        for _ in range(MOST_ATTEMPTS):
            with pytest.raises(Killed):
                rig.run()
            rig.clock.pass_by(LATER)
    assert rig.runs.claim("w") is None
    assert rig.runs.all()[0].state == "parked"
    assert len(rig.trainings) == 1, "what was trained is not trained again"


def test_too_few_examples_are_noticed_by_the_attempt_after_a_kill_too(rig: Rig) -> None:
    rig.examples = 3
    rig.queue()
    with pytest.MonkeyPatch.context() as patch:
        after(Workspace, "write", patch)
        with pytest.raises(Killed):
            rig.run()
    rig.clock.pass_by(LATER)
    assert rig.run().state == "failed"
    assert rig.trainings == []


# -- taken over ------------------------------------------------------------------------------------

STAGES: dict[str, Callable[[Rig, Callable[[], None], pytest.MonkeyPatch], None]] = {
    "gather": lambda _, act, patch: hook(module.recipes, "choose", act, patch),
    "train": lambda _, act, patch: hook(module.launcher, "launch", act, patch),
    "publish": lambda _, act, patch: hook(module.adapters, "publish", act, patch),
    "evaluate": lambda _, act, patch: hook(Registry, "record", act, patch),
    "promote": lambda _, act, patch: hook(Registry, "_check_servable", act, patch),
}


def hook(owner: Any, name: str, act: Callable[[], None], patch: pytest.MonkeyPatch) -> None:
    """`act`, once, just before `owner.name` does its work."""
    real, done = getattr(owner, name), []

    def hooked(*given: Any, **named: Any) -> Any:
        if not done:
            done.append(True)
            act()
        return real(*given, **named)

    patch.setattr(owner, name, hooked)


@pytest.mark.parametrize("stage", STAGES)
def test_a_worker_that_lost_its_run_in_the_middle_publishes_nothing_more(rig: Rig, stage: str) -> None:
    """Asleep past its lease: another took the run over, and is at work on it when the first wakes up."""
    rig.queue()
    twins: list[Run] = []

    def overtaken() -> None:
        rig.clock.pass_by(LATER)
        twins.append(rig.claim("twin"))

    with pytest.MonkeyPatch.context() as patch:
        STAGES[stage](rig, overtaken, patch)
        with pytest.raises(LostLease):
            rig.run(auto_promote=True)
    assert len(rig.registry.all()) == (0 if stage in ("gather", "train", "publish") else 1)
    assert rig.registry.history() == []
    assert rig.runs.get(twins[0].id) == twins[0], "the twin's row is untouched"
    assert all(training.stopped for training in rig.trainings)
    ended = asyncio.run(rig.pipeline(auto_promote=True).run(twins[0], asyncio.Event()))
    assert (ended.state, rig.live) == ("done", rig.name())
    assert len(rig.registry.all()) == len(rig.registry.history()) == 1


# -- beats, cancelling, stopping -------------------------------------------------------------------


def short(database: Database, home: Path, monkeypatch: pytest.MonkeyPatch) -> Rig:
    """A rig with a clock that goes, and that beats every ten milliseconds."""
    found = built(database, home, monkeypatch)
    monkeypatch.setattr(runs_module, "_now", lambda: datetime.now(UTC))
    monkeypatch.setattr(module, "_BEATS", LEASE.total_seconds() * 100)
    return found


def underway(rig: Rig, where: str) -> bool:
    """Whether the work of this stage has begun."""
    return bool(
        {
            "gather": rig.gathered,
            "train": rig.trainings,
            "evaluate": [call for call, *_ in rig.engine.calls if call == "logprobs"],
        }[where]
    )


async def until(condition: Callable[[], Any]) -> None:
    """As soon as it holds."""
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.005)


def endless(rig: Rig, where: str) -> None:
    """A stage that comes to no end by itself."""
    if where == "train":
        rig.polls = 10**9
        return

    async def hang(call: str) -> None:
        if call == ("answers" if where == "gather" else "logprobs"):
            await asyncio.sleep(3600)

    rig.engine.before = hang


@pytest.mark.parametrize("where", ["gather", "train", "evaluate"])
def test_a_beat_keeps_the_run_through_a_long_stage(
    sqlite: Database, home: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    rig = short(sqlite, home, monkeypatch)
    endless(rig, where)
    rig.queue()

    async def main() -> None:
        stop = asyncio.Event()
        work = asyncio.create_task(rig.work(stop))
        await until(lambda: underway(rig, where))
        leases = {rig.runs.all()[0].lease_until}
        await until(lambda: leases.add(rig.runs.all()[0].lease_until) or len(leases) > 3)
        assert rig.runs.claim("other") is None
        stop.set()
        await work

    asyncio.run(main())


@pytest.mark.parametrize("where", ["gather", "train", "evaluate"])
def test_cancelled_in_the_middle_it_ends_soon_and_the_trainer_with_it(
    sqlite: Database, home: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    rig = short(sqlite, home, monkeypatch)
    endless(rig, where)
    run = rig.queue()

    async def main() -> Run:
        work = asyncio.create_task(rig.work(auto_promote=True))
        await until(lambda: underway(rig, where))
        rig.runs.cancel(run.id)
        async with asyncio.timeout(10):
            ended = await work
        assert asyncio.all_tasks() == {asyncio.current_task()}
        return ended

    ended = asyncio.run(main())
    assert (ended.state, ended.reason) == ("cancelled", "cancelled by hand")
    assert all(training.stopped for training in rig.trainings)
    assert rig.engine.running == 0
    assert rig.live is None
    assert rig.runs.claim("w") is None


@pytest.mark.parametrize("where", ["gather", "train", "evaluate"])
def test_stopped_in_the_middle_it_is_given_back_and_no_attempt_is_lost(
    sqlite: Database, home: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    rig = short(sqlite, home, monkeypatch)
    endless(rig, where)
    rig.queue()

    async def main() -> Run:
        stop = asyncio.Event()
        work = asyncio.create_task(rig.work(stop))
        await until(lambda: underway(rig, where))
        stop.set()
        async with asyncio.timeout(10):
            return await work

    ended = asyncio.run(main())
    assert (ended.state, ended.attempts, ended.worker) == ("queued", 0, None)
    assert all(training.stopped for training in rig.trainings)
    rig.engine.before, rig.polls = None, 2
    assert rig.run().state == "done"
    assert rig.gathered == (2 if where == "gather" else 1)


def test_a_worker_that_is_stopped_already_begins_nothing(rig: Rig) -> None:
    rig.queue()

    async def main() -> Run:
        stop = asyncio.Event()
        stop.set()
        return await rig.work(stop)

    assert asyncio.run(main()).state == "queued"
    assert rig.gathered == 0


def test_taken_over_in_the_middle_of_training_the_trainer_is_stopped_at_the_next_beat(
    sqlite: Database, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig = short(sqlite, home, monkeypatch)
    endless(rig, "train")
    run = rig.queue()

    async def main() -> None:
        work = asyncio.create_task(rig.work())
        await until(lambda: rig.trainings)
        with sqlite.write() as connection:
            connection.exec_driver_sql("UPDATE runs SET token = token + 1, worker = 'twin'")
        with pytest.raises(LostLease):
            await work

    asyncio.run(main())
    assert rig.trainings[0].stopped
    assert rig.runs.get(run.id).worker == "twin"


def test_a_database_that_is_away_for_some_beats_does_not_end_the_run(
    sqlite: Database, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig = short(sqlite, home, monkeypatch)
    beat, missed = Runs.beat, 0

    def away(self: Runs, run: Run, **values: Any) -> Run:
        nonlocal missed
        if not values and rig.trainings and missed < 3:
            missed += 1
            raise DatabaseUnavailable("the database does not answer")
        return beat(self, run, **values)

    monkeypatch.setattr(Runs, "beat", away)
    rig.polls = 10**9
    rig.queue()

    async def main() -> Run:
        work = asyncio.create_task(rig.work())
        await until(lambda: missed == 3)
        rig.trainings[0].polls = 0
        return await work

    assert asyncio.run(main()).state == "done"


def test_cancelled_while_files_are_published_the_run_ends_only_when_that_is_over(
    sqlite: Database, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thread can't be killed: the row must not say `cancelled` while one still writes for the run."""
    rig = short(sqlite, home, monkeypatch)
    gate, inside, publish = threading.Event(), threading.Event(), rig.publish
    written_after_the_end: list[str] = []

    def slow(*given: Any) -> Any:
        inside.set()
        assert gate.wait(10)
        written_after_the_end.append(rig.runs.all()[0].state)
        return publish(*given)

    monkeypatch.setattr(module.adapters, "publish", slow)
    run = rig.queue()

    async def main() -> Run:
        work = asyncio.create_task(rig.work())
        await until(inside.is_set)
        rig.runs.cancel(run.id)
        await asyncio.sleep(0.1)
        gate.set()
        return await work

    ended = asyncio.run(main())
    assert written_after_the_end == ["running"]
    assert ended.state == "cancelled"


# -- by hand ---------------------------------------------------------------------------------------


def test_an_adapter_can_be_evaluated_again_by_hand(rig: Rig) -> None:
    rig.queue()
    rig.run()
    rig.engine.likes[rig.name()] = lambda text: -2.0 if text.startswith("good") else -1.0
    found = asyncio.run(rig.pipeline().evaluate(rig.registry.get(rig.name()), None))
    assert found.outcome == "rejected"
    assert rig.registry.evaluation(rig.name()) == found


def test_what_is_of_another_base_is_measured_neither_alone_nor_beside(rig: Rig) -> None:
    rig.queue()
    rig.run()
    adapter = rig.registry.get(rig.name())
    before = rig.registry.evaluation(rig.name())
    rig.registry.fits = lambda _: False
    with pytest.raises(Refused, match="another base model"):
        asyncio.run(rig.pipeline().evaluate(adapter, None))
    older = replace(adapter, name="lora-" + "0" * 12)
    rig.registry.fits = lambda one: one.name != older.name
    with pytest.raises(Refused, match="another base model"):
        asyncio.run(rig.pipeline().evaluate(adapter, older))
    assert rig.registry.evaluation(rig.name()) == before


def test_what_ended_runs_left_half_done_goes_and_that_of_others_stays(rig: Rig) -> None:
    states = {}
    for state in ("cancelled", "failed", "parked", "done", "queued"):
        run = rig.queue()
        if state != "queued":
            claimed = rig.runs.claim("w")
            assert claimed is not None
            rig.runs.finish(claimed, state)
        states[state] = rig.home / "runs" / run.id
    for folder in (*states.values(), rig.home / "runs" / "of-nobody"):
        (folder / "checkpoints").mkdir(parents=True)
    rig.pipeline().tidy()
    left = {state for state, folder in states.items() if (folder / "checkpoints").exists()}
    assert left == {"done", "queued"}
    assert (rig.home / "runs" / "of-nobody" / "checkpoints").exists()


def test_without_its_runs_directory_an_adapter_can_not_be_evaluated(rig: Rig) -> None:
    rig.queue()
    run = rig.run()
    (rig.home / "runs" / run.id).rename(rig.home / "gone")
    with pytest.raises(Refused, match=r"directory .* is gone"):
        asyncio.run(rig.pipeline().evaluate(rig.registry.get(rig.name()), None))


def test_the_houses_system_prompt_stands_before_the_probes(rig: Rig) -> None:
    rig.queue()
    rig.run(system_prompt="Be kind.")
    asked = [more[0] for call, name, more in rig.engine.calls if call == "answers" and name == rig.name()]
    assert asked
    assert all(prompt[0] == "Be kind." or "JSON" in prompt[0] for prompt in asked)
