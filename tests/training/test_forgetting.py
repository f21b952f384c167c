"""Tests of taking a person out of the directories of runs, and of ending runs that may hold something."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

from feedback.database import Database
from tests.training.rig import example
from training.forgetting import end_runs, scrub
from training.gathering import Gathered
from training.records import Recipe
from training.runs import Runs
from training.workspace import Workspace

VOTES = ["rating:3"]


def a_run(folder: Path, key: str = "run-1") -> Workspace:
    """A run with examples of ann (all of them, as far as `people` says), one of which rests on rating 3."""
    work = Workspace(folder / key)
    work.write(Gathered([example(1), example(3)], [example(4, held_out=True)]), Recipe("dpo", "base"))
    return work


def test_a_persons_examples_go_out_of_every_run(tmp_path: Path) -> None:
    one, two = a_run(tmp_path, "run-1"), a_run(tmp_path, "run-2")
    (one.folder / ".examples.jsonl.77").write_text("half of it")
    (tmp_path / "run-3").mkdir()
    assert scrub(tmp_path, "nobody", VOTES) == 2
    for work in (one, two):
        assert [item.id for item in work.examples()] == [example(1).id]
        assert work.gathered()
    assert not list(one.folder.glob(".examples*"))
    assert scrub(tmp_path, "ann", VOTES) == 4
    assert one.examples() == one.held_out() == []
    assert scrub(tmp_path, "ann", VOTES) == scrub(tmp_path / "none", "ann", VOTES) == 0


def test_the_tokens_of_their_answers_go_out_of_the_figures(tmp_path: Path) -> None:
    work = a_run(tmp_path)
    rows = [{"id": example(number).id, "tokens": [number], "logprobs": [-0.5]} for number in (1, 3)]
    figures = {"loss": 0.5, "parity": rows}
    (work.folder / "metrics.json").write_text(json.dumps(figures))
    scrub(tmp_path, "nobody", VOTES)
    assert work.metrics() == figures | {"parity": rows[:1]}
    scrub(tmp_path, "ann", [])
    assert work.metrics() == {"loss": 0.5, "parity": []}


def test_what_a_run_of_theirs_left_half_done_goes_and_that_of_others_stays(tmp_path: Path) -> None:
    theirs, others = a_run(tmp_path, "run-1"), a_run(tmp_path, "run-2")
    (others.folder / "examples.jsonl").write_text("")
    (others.folder / "held_out.jsonl").write_text("")
    for work in (theirs, others):
        for name in ("checkpoints", "scratch"):
            (work.folder / name).mkdir()
    scrub(tmp_path, "ann", [])
    assert not {path.name for path in theirs.folder.iterdir()} & {"checkpoints", "scratch"}
    assert {path.name for path in others.folder.iterdir()} >= {"checkpoints", "scratch"}


def test_a_scrub_leaves_the_other_lines_as_they_are(tmp_path: Path) -> None:
    file = a_run(tmp_path).folder / "examples.jsonl"
    strange = json.dumps({"people": ["bob"], "votes": [], "prompt": "a\u2028b"}, ensure_ascii=False)
    file.write_text(file.read_text() + strange + "\n")
    scrub(tmp_path, "ann", [])
    assert file.read_text() == strange + "\n"


def test_runs_that_may_hold_something_are_asked_to_end(sqlite: Database, tmp_path: Path) -> None:
    runs = Runs(sqlite)
    waiting = runs.queue("dpo", "test")
    # It has read nothing yet, and will read nothing of ann.
    assert not end_runs(runs, tmp_path, "ann", VOTES)
    assert runs.get(waiting.id).state == "queued"
    taken = runs.claim("w")
    assert taken is not None
    # It may be about to write what it read.
    assert end_runs(runs, tmp_path, "ann", VOTES)
    assert runs.get(taken.id).cancel_requested
    assert end_runs(runs, tmp_path, "ann", VOTES), "still at it"
    runs.finish(runs.get(taken.id), "cancelled")
    assert not end_runs(runs, tmp_path, "ann", VOTES)


def test_a_run_of_others_goes_on_and_a_dead_one_is_not_waited_for(sqlite: Database, tmp_path: Path) -> None:
    runs = Runs(sqlite, lease=timedelta(seconds=-1))
    runs.queue("dpo", "test")
    run = runs.claim("w")
    assert run is not None
    a_run(tmp_path, run.id)
    assert not end_runs(runs, tmp_path, "zoe", ["rating:99"])
    assert not runs.get(run.id).cancel_requested
    assert not end_runs(runs, tmp_path, "ann", VOTES), "its worker is gone"
    assert runs.get(run.id).cancel_requested


def test_what_waits_for_another_attempt_is_not_gone_on_with(sqlite: Database, tmp_path: Path) -> None:
    runs = Runs(sqlite)
    run = runs.queue("dpo", "test")
    a_run(tmp_path, run.id)
    assert not end_runs(runs, tmp_path, "ann", VOTES)
    assert runs.get(run.id).state == "cancelled"
