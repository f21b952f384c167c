"""A process that has imported the trainer once and forks for every run, so that a kill costs a second.

`Forks` is the test's side. The other side (`python forks.py`) reads a line `{"run", "kill"}` and answers with
the exit status of a child that ran `training.trainers` there and killed itself at the named point.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[3]


class Forks:
    """The helper process. A run's status is its exit code, negative for the signal that killed it."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-P", __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            text=True,
        )

    def run(self, folder: Path, kill: str = "") -> int:
        """Train in `folder`; `kill` is `step 5`, or the name of a point and which time it is reached."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"run": str(folder), "kill": kill}) + "\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())

    def close(self) -> None:
        with self._process:
            assert self._process.stdin is not None
            self._process.stdin.close()


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def before(module: Any, name: str, time: int) -> None:
    """Die when `module.name` is called for the `time`-th time, before it does anything."""
    whole: Callable[..., Any] = getattr(module, name)
    calls = [0]

    def counted(*given: Any, **named: Any) -> Any:
        calls[0] += 1
        if calls[0] == time:
            die()
        return whole(*given, **named)

    setattr(module, name, counted)


def arm(kill: str) -> None:
    from training.trainers import __main__ as process
    from training.trainers import checkpoints, loop, model

    point, time = kill.rsplit(" ", 1)
    places: dict[str, tuple[Any, str]] = {
        "step": (loop.Watch, "on_log"),
        "checkpoint": (checkpoints, "seal"),
        "manifest": (checkpoints, "write_json"),
        "export": (model, "move_folder"),
        "parity": (model, "parity"),
        "metrics": (process, "write_json"),
    }
    before(*places[point], int(time))


def child(run: str, kill: str) -> None:
    from training.trainers import __main__ as process

    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.dup2(null, 2)
    if kill:
        arm(kill)
    os._exit(process.main([run]))


def serve() -> None:
    from training.trainers import __main__ as process

    # Before any torch arithmetic: its threads would not survive a fork.
    process.method("dpo")
    for line in sys.stdin:
        order = json.loads(line)
        pid = os.fork()
        if not pid:
            child(order["run"], order["kill"])
        status = os.waitpid(pid, 0)[1]
        print(os.waitstatus_to_exitcode(status), flush=True)
    os._exit(0)


if __name__ == "__main__":
    serve()
