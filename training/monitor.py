"""Looks after the house: keeps the days fresh and says what somebody should look at.

Pure functions decide from figures and the ledger; `Monitor` reads and keeps the alerts; `watch` does so for
ever. Whatever befalls it never reaches training. Knows no page and no server.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from feedback.alerts import Alarm, Alerts
from feedback.days import Day, Days
from feedback.drift import Change, changes
from feedback.figures import Figures, share, total
from feedback.reading import Reader
from training.records import Run
from training.registry import BASE
from training.runs import Runs

log = logging.getLogger(__name__)

HOUSE = "*"
"""In comparisons: all adapters together."""
LEVEL, LEVEL_OF_OPEN = 0.001, 0.05
"""The p, corrected for the number of figures, below which a change is no chance. So strict because one looks
all day long. An alert that lasts ends at the laxer one, so that it does not flicker."""
SILENCE = timedelta(minutes=2)
"""After so long without a beat a worker is taken for dead."""
_NEWEST, _FEWEST = 20, 5
"""How many of the newest answers are looked at, and how many there must be."""
_FAILING, _FAILING_OPEN = 0.2, 0.1
"""Share of failed answers, at the lower end of its interval, that begins an alert, and that keeps one up."""
_EVERY, _RESTS = 10.0, 20.0
"""Seconds between two refreshes, and how many times as long as a refresh took is rested after it."""


@dataclass(frozen=True, slots=True)
class Rule:
    """A change of a figure that is worth an alert: a share that moved by at least `least` (negative: that
    fell), or a figure that is at least `times` what it was."""

    alert: str
    what: str
    least: float = 0.0
    times: float = 0.0
    in_percent: bool = True

    def broken(self, change: Change) -> bool:
        """Whether the change is large enough to matter. Pure."""
        if self.times:
            return change.now >= self.times * change.before
        moved = change.now - change.before
        return moved <= self.least if self.least < 0 else moved >= self.least


RULES: Mapping[str, Rule] = {
    "satisfied_asked": Rule("satisfied_fell", "satisfied people, of those who were asked,", least=-0.05),
    "satisfied_unasked": Rule("satisfied_fell", "satisfied people, of those who rated unasked,", least=-0.05),
    "refused": Rule("refusals_rose", "refusals", least=0.03),
    "length_median": Rule("answers_longer", "the median answer", times=1.25, in_percent=False),
    "first_token_median": Rule("first_token_slower", "the median time to the first token", times=1.5),
}


def compared(days: Iterable[Day], today: date) -> list[Change]:
    """Today and yesterday against the seven days before them: each adapter with itself, and all together.

    Two days, so that the first hours of a UTC day are not compared alone.
    """
    edge = (today - timedelta(days=1)).isoformat()
    now, before = defaultdict[str, list[Figures]](list), defaultdict[str, list[Figures]](list)
    for day in days:
        side = now if day.day >= edge else before
        for adapter in (day.adapter, HOUSE):
            side[adapter].append(day.figures)
    sums = [{adapter: total(found) for adapter, found in side.items()} for side in (now, before)]
    return changes(sums[0], sums[1])


def drifting(found: Sequence[Change], lasting: Collection[tuple[str, str]]) -> list[Alarm]:
    """The changes that are worth an alert; `lasting` are the keys of alerts that are open. Pure.

    What shows in one adapter is said of it and not of the house as well.
    """
    alarms: dict[tuple[str, str], Alarm] = {}
    for change in found:
        rule = RULES.get(change.name)
        if rule is None or not rule.broken(change):
            continue
        adapter = "" if change.adapter == HOUSE else change.adapter or BASE
        alarm = Alarm(rule.alert, _said(rule, change), adapter)
        if change.p < (LEVEL_OF_OPEN if alarm.key in lasting else LEVEL):
            # The ratings that were asked for come first and speak for everybody.
            alarms.setdefault(alarm.key, alarm)
    own = {alarm.name for alarm in alarms.values() if alarm.adapter}
    return [alarm for alarm in alarms.values() if alarm.adapter or alarm.name not in own]


def _said(rule: Rule, change: Change) -> str:
    if change.name == "first_token_median":
        then, now = (f"{value / 1000:.2g} s" for value in (change.before, change.now))
    elif rule.in_percent:
        then, now = (f"{value:.0%}".replace("%", " %") for value in (change.before, change.now))
    else:
        then, now = (f"{value:.0f} characters" for value in (change.before, change.now))
    return f"{rule.what} went from {then} in the week before to {now} since yesterday, of {change.count:,}"


def failing(newest: Sequence[str], lasting: bool) -> Alarm | None:
    """An alarm if too many of the newest answers broke off; `newest` are statuses. Pure."""
    failed = sum(status in ("failed", "interrupted") for status in newest)
    found = share(failed, len(newest))
    if found is None or found.of < _FEWEST or found.low < (_FAILING_OPEN if lasting else _FAILING):
        return None
    return Alarm("answers_fail", f"{failed} of the last {len(newest)} answers broke off or never began")


def parked(newest: Sequence[Run]) -> Alarm | None:
    """An alarm if the newest run that ended is parked; `newest` stands the newest first. Pure."""
    ended = next((run for run in newest if run.state not in ("queued", "running")), None)
    if ended is None or ended.state != "parked":
        return None
    return Alarm("run_parked", f"{ended.id} is parked: {ended.reason}")


def silent(beat: datetime | None, waits: bool, now: datetime) -> Alarm | None:
    """An alarm if votes or runs wait and no worker has given a sign of life for a while. Pure."""
    if not waits or (beat is not None and now - beat < SILENCE):
        return None
    since = "yet" if beat is None else f"since {beat:%d %b %Y, %H:%M} UTC"
    return Alarm("worker_silent", f"votes or runs wait, and no worker has given a sign of life {since}")


class Monitor:
    """Days and alerts of one home. Safe to share between threads; every process may have one."""

    def __init__(
        self,
        days: Days,
        alerts: Alerts,
        runs: Runs,
        reader: Reader,
        tainted: Callable[[], Alarm | None] = lambda: None,
    ) -> None:
        self.days = days
        self.alerts = alerts
        self.runs = runs
        self._reader = reader
        self._tainted = tainted

    def step(self, *, beat: bool) -> bool:
        """Take in some of what is new; once all is in, settle the alerts. Returns whether more waits.

        `beat`: this is a worker, and says so. Anybody else leaves it to the workers while one lives.
        """
        now = _now()
        said = self.days.mark().beat_at
        if not beat and said is not None and now - said < SILENCE:
            return False
        if self.days.refresh(now, beat=beat):
            return True
        self.alerts.settle(self.alarms(now), now)
        return False

    def alarms(self, now: datetime) -> list[Alarm]:
        """Everything that somebody should look at now."""
        lasting = {alert.key for alert in self.alerts.open()}
        found = [
            failing(self.days.newest(_NEWEST, now), ("answers_fail", "") in lasting),
            parked(self.runs.all(20)),
            silent(self.days.mark().beat_at, self._waits(), now),
            self._tainted(),
        ]
        return [alarm for alarm in found if alarm] + drifting(self.changes(now.date()), lasting)

    def changes(self, today: date) -> list[Change]:
        """How the figures of today and yesterday stand against the week before."""
        return compared(self.days.between(today - timedelta(days=8), today), today)

    def _waits(self) -> bool:
        if self.runs.active():
            return True
        read = self.runs.mark()
        return any(newest > read.get(name, 0) for name, newest in self._reader.newest().items())


async def watch(monitor: Monitor, *, beat: bool) -> None:
    """Keep everything fresh until it is cancelled. `beat` as in `Monitor.step`."""
    while True:
        begun, more = time.monotonic(), False
        try:
            more = await asyncio.to_thread(monitor.step, beat=beat)
        except Exception:
            # It looks on and must not be felt: neither by training nor by those who ask.
            log.exception("the days could not be brought up to date")
        took = time.monotonic() - begun
        # What was not there yet at the start is read at half the speed of the machine.
        await asyncio.sleep(took if more else max(_EVERY, _RESTS * took))


def _now() -> datetime:
    return datetime.now(UTC)
