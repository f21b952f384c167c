"""What all TRL trainers share: closing figures, counts of rows, and the end of a run that went astray."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.training.trainers.pairs import example, run_dir
from training.trainers import job
from training.trainers.progress import Progress

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def loop() -> Any:
    from training.trainers import loop

    return loop


def test_closing_figures_are_means_of_the_last_steps(loop: Any) -> None:
    history = [
        {"step": step, "loss": 1 / step, "rewards/accuracies": 1.0, "num_tokens": 10.0 * step, "epoch": 0.1}
        for step in range(1, 31)
    ]
    found = loop.closing([*history, {"train_runtime": 3.0, "step": 30}])
    assert (found["steps"], found["tokens"], found["first_loss"]) == (30, 300, 1.0)
    assert found["loss"] == pytest.approx(sum(1 / step for step in range(21, 31)) / 10, abs=1e-5)
    assert "epoch" not in found


def test_rows_are_counted(loop: Any) -> None:
    examples = [example(number) for number in range(4)]
    assert loop.counts(examples, kept=[0, 3], lengths=[10, 99], max_length=50) == {
        "rows_in": 4,
        "rows_used": 2,
        "rows_dropped_for_length": 2,
        "dropped_ids": [examples[1].id, examples[2].id],
        "rows_cut_for_length": 1,
    }


@pytest.mark.parametrize("name", ["loss", "grad_norm"])
def test_a_figure_that_is_no_number_ends_the_run(loop: Any, tmp_path: Path, name: str) -> None:
    from training.trainers.model import NotFinite

    watch = loop.Watch(job.read(run_dir(tmp_path / "run", tmp_path)), Progress(tmp_path / "progress.jsonl"))
    state: Any = SimpleNamespace(global_step=3, max_steps=3)
    control: Any = None
    watch.on_log(control, state, control, logs={"loss": 0.5, "grad_norm": 1.0})
    watch.on_log(control, state, control, logs={"train_runtime": 1.0})
    with pytest.raises(NotFinite, match=f"{name} became nan at step 3"):
        watch.on_log(control, state, control, logs={"loss": 0.5, "grad_norm": 1.0, name: float("nan")})
    told = [json.loads(line) for line in (tmp_path / "progress.jsonl").read_text().splitlines()]
    assert told[0].items() >= {"part": "train", "step": 3, "steps": 3, "loss": 0.5}.items()


def test_no_step_is_hidden_and_nothing_phones_home(loop: Any, tmp_path: Path) -> None:
    given = loop.arguments(job.read(run_dir(tmp_path / "run", tmp_path)))
    assert given["report_to"] == "none"
    assert given["logging_nan_inf_filter"] is False
    assert given["save_total_limit"] >= 2
