"""How long `apprentice --help` takes, against an interpreter that does nothing.

A heavy import that creeps into the command line's top shows here first.
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from statistics import median

from benchmarks import Row

ROUNDS = 7


def seconds(*command: str) -> float:
    started = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started


def run() -> list[Row]:
    """Median wall time in seconds; the two alternate, so that other work on the machine falls on both."""
    command = (str(Path(sys.executable).with_name("apprentice")), "--help")
    nothing = (sys.executable, "-c", "pass")
    seconds(*command)  # fills the file cache and writes the bytecode
    pairs = [(seconds(*command), seconds(*nothing)) for _ in range(ROUNDS)]
    helped, empty = (median(column) for column in zip(*pairs, strict=True))
    return [Row("apprentice --help", helped, empty, "s", "under 1 s")]
