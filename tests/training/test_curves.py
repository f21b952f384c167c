"""The curve and the log of a run, from files that may be half written, long, or not there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from training import curves


def write(folder: Path, *lines: dict[str, Any]) -> None:
    with (folder / "progress.jsonl").open("a") as file:
        file.writelines(json.dumps(line) + "\n" for line in lines)


def step(number: int, loss: float = 0.5, of: int = 100, **more: Any) -> dict[str, Any]:
    return {"part": "train", "time": number * 2.0, "step": number, "steps": of, "loss": loss} | more


def test_nothing_is_there_yet(tmp_path: Path) -> None:
    assert curves.read(tmp_path) is None
    assert curves.tail(tmp_path) == ""


def test_it_says_what_the_trainer_is_at_before_the_first_step(tmp_path: Path) -> None:
    write(tmp_path, {"part": "import", "time": 0.0}, {"part": "load", "time": 3.0})
    found = curves.read(tmp_path)
    assert found is not None
    assert (found.part, found.points, found.step, found.left) == ("load", (), 0, None)


def test_steps_losses_and_the_time_that_is_left(tmp_path: Path) -> None:
    write(
        tmp_path,
        *(step(n, 1 / n, **{"rewards/accuracies": 0.75, "learning_rate": 1e-4}) for n in range(1, 11)),
    )
    with (tmp_path / "progress.jsonl").open("a") as file:
        file.write('{"part": "train", "st')
    found = curves.read(tmp_path)
    assert found is not None
    assert [point.step for point in found.points] == list(range(1, 11))
    assert (found.points[1].loss, found.points[1].right, found.points[1].rate) == (0.5, 0.75, 1e-4)
    assert (found.step, found.steps, found.left) == (10, 100, 180.0)


def test_an_attempt_that_goes_on_from_a_checkpoint_says_its_steps_anew(tmp_path: Path) -> None:
    write(
        tmp_path,
        *(step(n, 9.0) for n in range(1, 9)),
        {"part": "import", "time": 0.0},
        step(5, 1.0),
        step(6, 1.0),
    )
    found = curves.read(tmp_path)
    assert found is not None
    assert [(point.step, point.loss) for point in found.points][3:] == [(4, 9.0), (5, 1.0), (6, 1.0)]


def test_many_steps_are_taken_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, *(step(n, float(n % 2), of=1000) for n in range(1, 1001)))
    found = curves.read(tmp_path, most=100)
    assert found is not None
    assert len(found.points) == 100
    assert {point.loss for point in found.points} == {0.5}
    monkeypatch.setattr(curves, "_MOST_BYTES", 2_000)
    found = curves.read(tmp_path)
    assert found is not None
    assert (found.step, found.points[0].step > 900) == (1000, True)


def test_the_end_of_the_log(tmp_path: Path) -> None:
    (tmp_path / "trainer.log").write_text("\n".join(f"line {n}" for n in range(5_000)) + "\n\xff")
    found = curves.tail(tmp_path, lines=3)
    assert found.splitlines()[-3:] == ["line 4998", "line 4999", "ÿ"]
