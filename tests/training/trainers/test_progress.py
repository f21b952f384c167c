"""Progress: a line a part, no more lines than a page can use, and the seconds of each part."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from training.trainers import progress
from training.trainers.progress import Progress


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_parts_have_a_line_and_their_seconds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: clock[0])
    told = Progress(tmp_path / "progress.jsonl")
    with told.part("load"):
        clock[0] += 2
    with told.part("train"):
        for step in range(10):
            clock[0] += progress.INTERVAL / 4
            told.line("train", step=step, always=step == 9)
    assert told.seconds == {"load": 2.0, "train": 10 * progress.INTERVAL / 4}
    found = lines(tmp_path / "progress.jsonl")
    assert [line["part"] for line in found[:2]] == ["load", "train"]
    assert [line["step"] for line in found[2:]] == [3, 7, 9]
    assert found[1]["time"] == 2.0


def test_a_resumed_run_goes_on_in_the_same_file(tmp_path: Path) -> None:
    for _ in range(2):
        Progress(tmp_path / "progress.jsonl").line("import", always=True)
    assert len(lines(tmp_path / "progress.jsonl")) == 2
