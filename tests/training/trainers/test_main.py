"""The trainer's process from outside: exit codes, the sentence in error.json, an end within seconds."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.training.trainers.pairs import example, run_dir
from training import launcher

ROOT = Path(__file__).resolve().parents[3]


def train(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-P", "-m", "training.trainers", *map(str, arguments)],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_wrong_use(tmp_path: Path) -> None:
    for arguments in ((), (tmp_path / "absent",), (tmp_path, tmp_path)):
        ended = train(*arguments)
        assert (ended.returncode, ended.stdout) == (2, "")
        assert ended.stderr.startswith("usage: ")


def test_bad_input_is_one_sentence_and_quick(tmp_path: Path) -> None:
    folder = run_dir(tmp_path / "run", tmp_path, [example(0), example(1, held_out=True)])
    begun = time.monotonic()
    ended = train(folder)
    assert time.monotonic() - begun < 5
    assert ended.returncode == 2
    assert ended.stderr.strip().count("\n") == 0
    told = json.loads((folder / "error.json").read_text())
    assert told == {"error": ended.stderr.strip(), "code": 2}
    assert "held out" in told["error"]
    assert not (folder / "metrics.json").exists()


def test_a_method_that_is_not_there(tmp_path: Path) -> None:
    folder = run_dir(tmp_path / "run", tmp_path, method="ppo")
    assert train(folder).returncode == 2
    assert "ppo" in json.loads((folder / "error.json").read_text())["error"]


@pytest.mark.slow
def test_a_whole_process_stopped_and_started_again(tmp_path: Path, base: Path) -> None:
    """By the launcher, as the pipeline does it: SIGTERM in the middle, then to the end."""
    folder = run_dir(tmp_path / "run", base, 40, epochs=20.0)
    training = launcher.launch("local", folder)
    deadline = time.monotonic() + 120
    while not (training.progress() or {}).get("step", 0) > 12:
        assert training.poll() is None, (folder / "trainer.log").read_text()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    begun = time.monotonic()
    training.stop()
    assert time.monotonic() - begun < 5
    assert training.poll() == 128 + signal.SIGTERM
    assert not (folder / "metrics.json").exists()
    run = json.loads((folder / "recipe.json").read_text())
    assert launcher.launch("local", folder).wait() == 0, (folder / "trainer.log").read_text()
    found = json.loads((folder / "metrics.json").read_text())
    assert found["resumed_from"] is not None
    assert found["steps"] == 40 * run["epochs"] / run["batch_size"]
    assert "leaked" not in (folder / "trainer.log").read_text()
