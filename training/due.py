"""Is a run due, and why? The rule as a pure function, and a look at how far it is, for whoever shows it.

The worker acts by the same rule. Knows no page.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from cronsim import CronSim

from feedback.reading import Reader
from training import gathering
from training.records import TrainingSettings
from training.runs import Runs

_RESTS = 20.0
"""How many times as long as a count took is rested before the next one."""


def reason(votes: int, settings: TrainingSettings, ticked: bool) -> str | None:
    """Why a run is due with so many new usable votes: `threshold`, `schedule`, or None. Pure.

    `ticked`: the moment of the schedule has come since the last look.
    """
    if votes >= settings.min_examples:
        return "threshold"
    return "schedule" if ticked and votes else None


@dataclass(frozen=True, slots=True)
class Due:
    """How far the next run is. `active`: one waits or trains, and another is queued only after it."""

    votes: int
    needed: int
    active: bool
    next_tick: datetime | None
    """When the schedule makes one due, if there is a schedule."""

    @property
    def reached(self) -> bool:
        """Whether there are votes enough."""
        return self.votes >= self.needed


class Outlook:
    """Looks how far the next run is. Safe to share between threads; votes are counted once, not each time."""

    def __init__(self, reader: Reader, runs: Runs, settings: TrainingSettings) -> None:
        self._reader = reader
        self._runs = runs
        self._settings = settings
        self._counted: tuple[Mapping[str, int], tuple[int, ...], int] | None = None
        self._again = 0.0
        self._lock = threading.Lock()

    def look(self) -> Due:
        """How it stands now."""
        schedule = self._settings.schedule
        tick = next(CronSim(schedule, _now())) if schedule else None
        return Due(self._votes(), self._settings.min_examples, self._runs.active(), tick)

    def _votes(self) -> int:
        # Of several who look at once one counts, and the others have its answer.
        with self._lock:
            mark, standing = self._runs.mark(), self._reader.standing()
            if self._counted is not None and self._counted[:2] == (mark, standing):
                return self._counted[2]
            begun = time.monotonic()
            if self._counted is None or self._counted[0] != mark or begun >= self._again:
                self._counted = (mark, standing, gathering.new_votes(self._reader, mark))
                ended = time.monotonic()
                self._again = ended + _RESTS * (ended - begun)
            return self._counted[2]


def _now() -> datetime:
    return datetime.now(UTC)
