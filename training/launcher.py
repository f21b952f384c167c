"""Starts the trainer in a process of its own, and looks after it: alive? how far? stop.

`location` says where; today only `local`, beside the worker. Knows the run directory's file names and the
trainer's command, and nothing of runs or examples.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from training.records import Refused

_GRACE_SECONDS = 10.0


class Training:
    """A trainer that was started in `run_dir`, as a process group of its own."""

    def __init__(self, process: subprocess.Popen[bytes], run_dir: Path) -> None:
        self._process = process
        self._run_dir = run_dir

    def poll(self) -> int | None:
        """The exit code, or None while it trains."""
        return self._process.poll()

    def wait(self) -> int:
        """Wait for the end; the exit code."""
        return self._process.wait()

    def progress(self) -> dict[str, Any] | None:
        """The newest whole line of `progress.jsonl`; the last one may be half written."""
        try:
            lines = (self._run_dir / "progress.jsonl").read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError):
            return None
        for line in reversed(lines):
            with suppress(ValueError):
                found = json.loads(line)
                return found if isinstance(found, dict) else None
        return None

    def stop(self) -> None:
        """End it: SIGTERM, and SIGKILL to its whole group if that is not heard. Safe to call at any time."""
        if self._process.poll() is None:
            self._signal(signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(_GRACE_SECONDS)
        self._signal(signal.SIGKILL)
        self._process.wait()

    def _signal(self, number: int) -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)


def launch(location: str, run_dir: Path, *, nice: int = 10, env: Mapping[str, str] | None = None) -> Training:
    """Start `python -m training.trainers RUN_DIR` at `location`. Raises `Refused` for an unknown one.

    It runs below the engine in priority and ends with us, even if we are killed: it watches its parent.
    """
    if location != "local":
        raise Refused(f"training can't run at {location!r}; there is `local`")
    root = str(Path(__file__).resolve().parents[1])
    environment = {**os.environ, **(env or {}), "APPRENTICE_PARENT": str(os.getpid())}
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, [root, environment.get("PYTHONPATH")]))
    with (run_dir / "trainer.log").open("ab") as log:
        process = subprocess.Popen(
            # -P: modules come from where ours do, never from the folder that somebody started us in.
            [sys.executable, "-P", "-m", "training.trainers", str(run_dir)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=environment,
            start_new_session=True,
        )
    # From outside, since code between fork and exec is unsafe where other threads run.
    with suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, process.pid, nice)
    return Training(process, run_dir)
