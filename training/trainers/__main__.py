"""`python -m training.trainers RUN_DIR`: recipe.json and examples.jsonl in, adapter/ and metrics.json out.

Exit codes: 0 done, 2 bad input, 143 after SIGTERM, 1 anything else; for 1 and 2 the reason is in error.json.
Owns the process: environment, signals, imports. Does not know any one method.
"""

from __future__ import annotations

import ctypes
import gc
import importlib
import os
import shutil
import signal
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

from training.records import Refused, TrainingError
from training.trainers import job as jobs
from training.trainers.files import write_json
from training.trainers.progress import Progress

METHODS = {"dpo": "training.trainers.dpo"}
"""Method of a recipe -> module with `train(job, progress) -> metrics`."""

UNUSED = ("sklearn", "scipy", "bitsandbytes")
"""Imported by transformers and peft only because they are installed: a third of the time to start."""

QUIET = {
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "DO_NOT_TRACK": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
    "TQDM_DISABLE": "1",
    "TOKENIZERS_PARALLELISM": "false",
    # Threads that spin while they wait take the core from whoever they wait for: beside a busy engine on two
    # cores a step took 3 to 10 times as long.
    "OMP_WAIT_POLICY": "PASSIVE",
}
STOPPED = 128 + signal.SIGTERM
PARENT = "APPRENTICE_PARENT"
"""Environment: the process id without which this one has no reason to live."""


def main(arguments: list[str]) -> int:
    """Train what the run directory in `arguments` says; the exit code."""
    if len(arguments) != 1 or not Path(arguments[0]).is_dir():
        print("usage: python -m training.trainers RUN_DIR (an existing directory)", file=sys.stderr)
        return 2
    folder = Path(arguments[0]).resolve()
    signal.signal(signal.SIGTERM, _stop)
    _follow_parent()
    (folder / jobs.ERROR).unlink(missing_ok=True)
    try:
        run(jobs.read(folder))
    except Refused as error:
        return _report(folder, error, 2)
    except TrainingError as error:
        return _report(folder, error, 1)
    except Exception as error:  # noqa: BLE001 the edge of the process: whoever waits needs the reason
        traceback.print_exc()
        return _report(folder, error, 1)
    return 0


def run(job: jobs.Job) -> None:
    """Do the job, unless its very result is there already."""
    if jobs.finished(job):
        return
    progress = Progress(job.folder / jobs.PROGRESS)
    _clear(job.folder)
    with progress.part("import"):
        if Path(job.recipe.base).is_dir():
            os.environ["HF_HUB_OFFLINE"] = "1"
        train = method(job.recipe.method)
    metrics = train(job, progress)
    metrics |= {
        "fingerprint": job.fingerprint,
        "method": job.recipe.method,
        "seconds": progress.seconds,
        "libraries": {name: version(name) for name in ("torch", "transformers", "trl", "peft")},
    }
    write_json(job.folder / jobs.METRICS, metrics)
    for name in (jobs.CHECKPOINTS, jobs.SCRATCH):
        shutil.rmtree(job.folder / name, ignore_errors=True)
    progress.line("done", always=True)


def method(name: str) -> Callable[[jobs.Job, Progress], dict[str, Any]]:
    """The function that trains by that method. Its import takes seconds and must be torch's first."""
    os.environ.update(QUIET)
    _keep_memory()
    for unused in UNUSED:
        sys.modules.setdefault(unused, None)  # type: ignore[arg-type]
    # Half a million long-lived objects are made: looking through them again and again takes seconds.
    gc.disable()
    module = importlib.import_module(METHODS[name])
    gc.enable()
    gc.freeze()
    train: Callable[[jobs.Job, Progress], dict[str, Any]] = module.train
    return train


def _keep_memory() -> None:
    """Have glibc reuse big buffers instead of mapping fresh pages for each: 18 % of a step's time on the CPU.

    mallopt(3): M_MMAP_THRESHOLD is -3 (at most 32 MiB), M_TRIM_THRESHOLD is -1. Without glibc: nothing.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(-3, 32 << 20)
        mallopt(-1, 512 << 20)


def _clear(folder: Path) -> None:
    """Remove what an earlier attempt may have left half done; checkpoints look after themselves."""
    (folder / jobs.METRICS).unlink(missing_ok=True)
    for name in (jobs.ADAPTER, f".{jobs.ADAPTER}.partial", jobs.SCRATCH):
        shutil.rmtree(folder / name, ignore_errors=True)
    # TRL keeps the reference's figures in a temporary file: where it is found again after a kill.
    (folder / jobs.SCRATCH).mkdir()
    tempfile.tempdir = str(folder / jobs.SCRATCH)


def _report(folder: Path, error: Exception, code: int) -> int:
    sentence = str(error) if isinstance(error, TrainingError) else f"{type(error).__name__}: {error}"
    print(sentence, file=sys.stderr)
    write_json(folder / jobs.ERROR, {"error": sentence, "code": code})
    return code


def _stop(number: int, frame: object) -> None:
    # Whatever is half written has no manifest yet, so any moment is a good one to leave.
    os._exit(STOPPED)


def _follow_parent() -> None:
    """End with the process that started this one, even if that was killed.

    PR_SET_PDEATHSIG would fire when the *thread* that started us ends (prctl(2)), so the parent is watched.
    """
    parent = int(os.environ.get(PARENT, "0"))
    if parent:
        threading.Thread(target=_watch, args=(parent,), daemon=True).start()


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(STOPPED)


if __name__ == "__main__":
    status = main(sys.argv[1:])
    sys.stdout.flush()
    sys.stderr.flush()
    # Taking the libraries down in order takes a second and fills the log with their leaks.
    os._exit(status)
