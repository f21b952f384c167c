"""Run directories: what is read, what is refused and why, and when a job is done already."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.training.trainers.pairs import example, run_dir
from training.records import Refused
from training.trainers import job


def rewrite(folder: Path, changes: Mapping[str, Any], number: int = 1) -> None:
    lines = (folder / "examples.jsonl").read_text().splitlines()
    lines[number] = json.dumps(json.loads(lines[number]) | changes)
    (folder / "examples.jsonl").write_text("\n".join(lines) + "\n")


def test_a_job_is_read_as_it_was_written(tmp_path: Path) -> None:
    odd = example(3, chosen="line\u2028separator and \x85 in one answer")
    read = job.read(run_dir(tmp_path / "run", tmp_path, [example(0), odd], sft_weight=0.5))
    assert list(read.examples) == [example(0), odd]
    assert (read.recipe.base, read.recipe.sft_weight) == (str(tmp_path), 0.5)
    assert len(read.fingerprint) == 64


def test_the_fingerprint_is_that_of_recipe_and_examples(tmp_path: Path) -> None:
    first = job.read(run_dir(tmp_path / "run", tmp_path)).fingerprint
    assert job.read(run_dir(tmp_path / "same", tmp_path)).fingerprint == first
    assert job.read(run_dir(tmp_path / "rate", tmp_path, learning_rate=2e-3)).fingerprint != first
    assert job.read(run_dir(tmp_path / "rows", tmp_path, 23)).fingerprint != first


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"held_out": True}, "line 2 is held out"),
        ({"chosen": [{"role": "assistant", "content": "  "}]}, "line 2 has an empty answer"),
        ({"chosen": [{"role": "assistant", "content": None}]}, "not text"),
        ({"chosen": []}, "line 2 is not an example"),
        ({"rejected": [{"role": "assistant", "content": "Thank you. The boots is 1."}]}, "same text"),
        ({"weight": 0}, "weight"),
        ({"weight": 1.5}, "weight"),
        ({"weight": "NaN"}, "weight"),
        ({"weight": "much"}, "not an example"),
        ({"prompt": []}, "prompt"),
        ({"prompt": ["hello"]}, "not a list of messages"),
        ({"prompt": [{"role": "assistant", "content": "I begin"}]}, "before the assistant"),
    ],
)
def test_a_bad_example_is_refused(tmp_path: Path, changes: Mapping[str, Any], reason: str) -> None:
    folder = run_dir(tmp_path / "run", tmp_path, 3)
    rewrite(folder, changes)
    with pytest.raises(Refused, match=reason):
        job.read(folder)


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("recipe.json", None, "recipe.json cannot be read"),
        ("recipe.json", "{", "recipe.json is not JSON"),
        ("recipe.json", "[]", "not a JSON object"),
        ("recipe.json", "{}", "incomplete"),
        ("recipe.json", '{"method": "dpo", "base": "x", "rank": 12}', "rank"),
        ("examples.jsonl", None, "cannot be read"),
        ("examples.jsonl", "\n\n", "no example"),
        ("examples.jsonl", '{"prompt": ', "line 1 is not JSON"),
        ("examples.jsonl", '{"prompt": []}', "line 1 is not an example"),
    ],
)
def test_a_bad_directory_is_refused(tmp_path: Path, name: str, text: str | None, reason: str) -> None:
    folder = run_dir(tmp_path / "run", tmp_path)
    (folder / name).unlink()
    if text is not None:
        (folder / name).write_text(text)
    with pytest.raises(Refused, match=reason):
        job.read(folder)


def test_a_job_is_done_when_its_own_metrics_are_there(tmp_path: Path) -> None:
    folder = run_dir(tmp_path / "run", tmp_path)
    read = job.read(folder)
    assert not job.finished(read)
    (folder / "metrics.json").write_text(json.dumps({"fingerprint": read.fingerprint}))
    assert not job.finished(read)
    (folder / "adapter").mkdir()
    assert job.finished(read)
    (folder / "metrics.json").write_text(json.dumps({"fingerprint": "another"}))
    assert not job.finished(read)
    (folder / "metrics.json").write_text("{")
    assert not job.finished(read)
