"""From days to plots: what is drawn of each adapter, and how many days a point sums up.

Pure. Knows no gradio; `plots.py` draws.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from assistant.ui import plots
from assistant.ui.plots import Line
from assistant.ui.words import amount, percent, short_time
from feedback.days import Day
from feedback.figures import Figures, Share, quantile, share, total
from training.registry import BASE

_WINDOWS = {7: 1, 30: 3, 90: 7}
"""Days that a point of a line sums up, by the days that are shown: single days of few answers only jump."""
_FEWEST = 5
"""Cases below which a share is not drawn."""
COLOURS = 4
"""The last of them is the base model's, so that the others keep theirs from one time to the next."""
_ENOUGH = 20
"""Asked-for ratings from which the plot shows them and not the others."""


def draw(
    found: Sequence[Day], days: Sequence[str], ranked: Sequence[str], colours: Mapping[str, int]
) -> list[str]:
    """The plots over `days`; `ranked` are the adapters in order, `colours` the numbers of their colours."""
    daily = _series(found, days, ranked, colours)
    window = _WINDOWS.get(len(days), 1)
    series = [(name, colour, rolled(figures, window)) for name, colour, figures in daily]
    each = f", {window} days a point" if window > 1 else ""
    asked = sum(day.figures.asked_ups + day.figures.asked_downs for day in found) >= _ENOUGH

    def satisfied(figures: Figures) -> Share | None:
        ups, downs = (figures.asked_ups, figures.asked_downs) if asked else (figures.ups, figures.downs)
        return share(ups, ups + downs)

    def refused(figures: Figures) -> float | None:
        return figures.refusals / figures.complete if figures.complete >= _FEWEST else None

    def failed(figures: Figures) -> float | None:
        return figures.failed / figures.answers if figures.answers >= _FEWEST else None

    def wait(part: float) -> Callable[[Figures], float | None]:
        return lambda figures: quantile(figures.waits, part)

    def length(figures: Figures) -> float | None:
        return quantile(figures.lengths, 0.5)

    refusals, failures = ([_line(*one, of) for one in series] for of in (refused, failed))
    waits = [_line(*one, wait(0.5)) for one in series]
    waits += [_line(*one, wait(0.9), dashed=True) for one in series]
    whose = "asked for" if asked else "given unasked"
    intervals = [_with_interval(*one, satisfied) for one in series]
    return [
        plots.lines("Satisfied", f"ratings {whose}{each}", days, intervals, percent, most=1.0),
        plots.bars("Answers", "a day", days, [_line(*one, lambda f: f.answers) for one in daily], amount),
        plots.lines("Refused", f"share of answers{each}", days, refusals, percent),
        plots.lines("Failed", f"share of answers{each}", days, failures, percent),
        plots.lines("First token", "median; dashed: 9 of 10 are faster", days, waits, short_time),
        plots.lines("Length", "median, characters", days, [_line(*one, length) for one in series], amount),
    ]


def rolled(figures: Sequence[Figures | None], window: int) -> list[Figures | None]:
    """Each day that has figures, summed with those of the days before it, `window` days in all."""
    found: list[Figures | None] = []
    for at, one in enumerate(figures):
        recent = [part for part in figures[max(0, at - window + 1) : at + 1] if part is not None]
        found.append(None if one is None else total(recent))
    return found


One = tuple[str, int, Sequence[Figures | None]]
"""Name, colour, and a day's figures each."""


def _series(
    found: Sequence[Day], days: Sequence[str], ranked: Sequence[str], colours: Mapping[str, int]
) -> list[One]:
    """The adapters that have a colour of their own, and the others together."""
    groups = [([name], name or BASE, colours[name]) for name in ranked if colours[name] != plots.OTHERS]
    if others := [name for name in ranked if colours[name] == plots.OTHERS]:
        groups.append((others, "others", plots.OTHERS))
    by_key = {(day.day, day.adapter): day.figures for day in found}
    series: list[One] = []
    for names, label, colour in groups:
        parts = [[by_key[day, name] for name in names if (day, name) in by_key] for day in days]
        series.append((label, colour, [total(part) if part else None for part in parts]))
    return series


def _line(
    name: str,
    colour: int,
    figures: Sequence[Figures | None],
    value: Callable[[Figures], float | None],
    dashed: bool = False,
) -> Line:
    values = [None if one is None else value(one) for one in figures]
    return Line(f"{name}, 9 of 10" if dashed else name, colour, values, dashed=dashed)


def _with_interval(
    name: str, colour: int, figures: Sequence[Figures | None], value: Callable[[Figures], Share | None]
) -> Line:
    found = [None if one is None else value(one) for one in figures]
    found = [one if one and one.of >= _FEWEST else None for one in found]
    return Line(
        name,
        colour,
        [one.mean if one else None for one in found],
        [one.low if one else None for one in found],
        [one.high if one else None for one in found],
    )
