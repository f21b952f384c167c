"""What a run's directory says of its training while it lasts and afterwards: the curve of the loss, the log.

Reads bounded parts of the files that the trainer writes, whoever trains. Knows no ledger and no page.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

_MOST_BYTES = 4 * 2**20
"""Of `progress.jsonl`: four lines a second make some 3 MB an hour."""
_TAIL_BYTES = 16_000
_PACE = 20
"""Newest lines by which the time that is left is told."""


@dataclass(frozen=True, slots=True)
class Point:
    """A step, or the mean of neighbouring ones. `right`: the share of pairs ranked right, 0 to 1."""

    step: int
    loss: float
    right: float | None
    rate: float | None


@dataclass(frozen=True, slots=True)
class Curve:
    """How training went so far. `part` is what the trainer is at: `load`, `reference`, `train`, `save` …"""

    part: str
    points: Sequence[Point]
    step: int
    steps: int
    left: float | None
    """Seconds until the last step, by the newest ones."""


def read(folder: Path, most: int = 200) -> Curve | None:
    """The curve of the run in `folder`, at most so many points; None if it has not begun (here)."""
    lines = list(_lines(folder / "progress.jsonl"))
    if not lines:
        return None
    trained: list[Mapping[str, Any]] = []
    for line in lines:
        if isinstance(line.get("step"), int) and isinstance(line.get("loss"), int | float):
            # An attempt that goes on from a checkpoint makes some steps again: what it says counts.
            while trained and trained[-1]["step"] >= line["step"]:
                trained.pop()
            trained.append(line)
    last = trained[-1] if trained else {}
    return Curve(
        part=str(lines[-1].get("part", "")),
        points=_thinned(trained, most),
        step=int(last.get("step", 0)),
        steps=int(last.get("steps", 0)),
        left=_left(trained),
    )


def tail(folder: Path, lines: int = 40) -> str:
    """The last lines of the trainer's log; empty if there is none (here)."""
    try:
        with (folder / "trainer.log").open("rb") as file:
            file.seek(0, 2)
            file.seek(max(0, file.tell() - _TAIL_BYTES))
            text = file.read(_TAIL_BYTES).decode(errors="replace")
    except OSError:
        return ""
    return "\n".join(text.splitlines()[-lines:])


def _lines(file: Path) -> Iterator[Mapping[str, Any]]:
    try:
        with file.open("rb") as stream:
            stream.seek(0, 2)
            size = stream.tell()
            stream.seek(max(0, size - _MOST_BYTES))
            raw = stream.read(_MOST_BYTES)
    except OSError:
        return
    for line in raw.split(b"\n"):
        # The first one may be cut off, and the last one half written.
        try:
            found = json.loads(line)
        except ValueError:
            continue
        if isinstance(found, dict):
            yield found


def _thinned(trained: Sequence[Mapping[str, Any]], most: int) -> tuple[Point, ...]:
    """Neighbouring steps are taken together until there are at most so many."""
    width = max(1, -(-len(trained) // most))
    groups = [trained[at : at + width] for at in range(0, len(trained), width)]
    return tuple(
        Point(
            step=int(group[-1]["step"]),
            loss=fmean(float(line["loss"]) for line in group),
            right=_mean(group, "rewards/accuracies"),
            rate=_mean(group, "learning_rate"),
        )
        for group in groups
    )


def _mean(group: Sequence[Mapping[str, Any]], name: str) -> float | None:
    values = [float(line[name]) for line in group if isinstance(line.get(name), int | float)]
    return fmean(values) if values else None


def _left(trained: Sequence[Mapping[str, Any]]) -> float | None:
    newest = trained[-_PACE:]
    if len(newest) < 2:
        return None
    first, last = newest[0], newest[-1]
    spent, made = float(last.get("time", 0)) - float(first.get("time", 0)), last["step"] - first["step"]
    # The clock begins anew with every attempt.
    return (last["steps"] - last["step"]) * spent / made if spent > 0 and made else None
