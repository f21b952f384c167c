"""Tests of `apprentice train` and `apprentice runs`."""

from __future__ import annotations

import json
import threading

import pytest

from assistant.app import House
from assistant.commands import runs as module
from tests.assistant.commands.conftest import Cli


def test_a_run_is_queued_and_its_id_printed(cli: Cli, house: House) -> None:
    done = cli("train")
    (run,) = house.runs.all()
    assert (done.status, done.out) == (0, f"{run.id}\n")
    assert (run.state, run.method, run.due_by) == ("queued", "dpo", "by hand: command line")
    assert cli("train", "--method", "dpo").out == done.out, "one waits already"


def test_a_recipe_can_be_wished_within_bounds(cli: Cli, house: House) -> None:
    for wish, status, why in (
        ("rank=7", 1, "the rank is 7, not one of"),
        ("base=x", 1, "'base' can't be chosen"),
        ("rank", 2, "NAME=VALUE"),
    ):
        done = cli("train", "--recipe", wish)
        assert (done.status, why in done.err) == (status, True)
    assert house.runs.all() == []
    cli("train", "--recipe", "rank=8", "--recipe", "epochs=2")
    assert house.runs.all()[0].wishes == {"rank": 8, "epochs": 2.0}


@pytest.mark.parametrize(("state", "status"), [("done", 0), ("failed", 1), ("parked", 1), ("cancelled", 1)])
def test_waiting_for_a_run_ends_as_the_run_does(
    cli: Cli, house: House, monkeypatch: pytest.MonkeyPatch, state: str, status: int
) -> None:
    monkeypatch.setattr(module.time, "sleep", lambda _: threading.Event().wait(0.01))

    def work() -> None:
        while (run := house.runs.claim("w")) is None:
            threading.Event().wait(0.01)
        house.runs.beat(run, stage="train")
        threading.Event().wait(0.05)
        house.runs.finish(run, state, "so it was")

    worker = threading.Thread(target=work)
    worker.start()
    done = cli("train", "--wait")
    worker.join(10)
    assert done.status == status
    assert done.out.splitlines()[1] == f"{state}: so it was"
    assert "running: train" in done.err


def test_runs_are_listed_the_newest_first(cli: Cli, house: House) -> None:
    assert cli("runs", "list").out.startswith("no runs yet")
    assert json.loads(cli("runs", "list", "--json").out) == []
    first, second = house.runs.queue("dpo", "threshold: 32 new votes"), house.runs.queue("kto", "by hand")
    rows = json.loads(cli("runs", "list", "--json").out)
    assert [row["id"] for row in rows] == [second.id, first.id]
    table = cli("runs", "list").out
    assert "threshold: 32 new votes" in table
    assert first.id in table


def test_a_run_is_found_by_the_end_of_its_id(cli: Cli, house: House) -> None:
    run = house.runs.queue("dpo", "test")
    for given in (run.id, run.id[-6:]):
        assert json.loads(cli("runs", "show", given, "--json").out)["id"] == run.id
    assert f"id: {run.id}" in cli("runs", "show", run.id).out


def test_an_end_that_fits_several_is_asked_for_again(cli: Cli, house: House) -> None:
    house.runs.queue("dpo", "test")
    house.runs.queue("kto", "test")
    done = cli("runs", "cancel", "")
    assert done.status == 2
    assert "fits 2 runs" in done.err
    assert [run.state for run in house.runs.all()] == ["queued", "queued"]


def test_a_run_is_cancelled_and_one_that_has_ended_is_not(cli: Cli, house: House) -> None:
    waiting = house.runs.queue("dpo", "test")
    assert cli("runs", "cancel", waiting.id).out == "cancelled\n"
    running = house.runs.queue("dpo", "test")
    assert house.runs.claim("w")
    assert cli("runs", "cancel", running.id).out == "it ends within seconds\n"
    assert house.runs.get(running.id).cancel_requested
    done = cli("runs", "cancel", waiting.id)
    assert done.status == 1
    assert "has ended already (cancelled)" in done.err
