"""Benchmarks: each module bench_*.py here measures one thing against a baseline of the same minute.

Owns the shape of a result. Absolute times differ between machines, so the ratio is what counts.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """One line of the result: `value` and `baseline` in `unit`; `target` is what is wanted, `raw` each."""

    name: str
    value: float
    baseline: float
    unit: str
    target: str = ""
    raw: str = ""

    @property
    def ratio(self) -> float:
        return self.value / self.baseline
