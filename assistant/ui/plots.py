"""Draws figures over days as inline SVG: lines with their intervals, and stacked bars.

Pure. The drawing stretches to its place and holds no text: labels are HTML beside it, so that they keep their
size on a phone. Colours are those of `colours.css` by number. Every plot says in words what it shows.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date
from html import escape

Say = Callable[[float], str]
"""A value in words, with its unit."""
OTHERS = 0
"""The colour of what is drawn together."""


@dataclass(frozen=True, slots=True)
class Line:
    """One row of values, a value a day; None where there is none. `low` and `high` are its interval."""

    name: str
    colour: int
    values: Sequence[float | None]
    low: Sequence[float | None] = field(default_factory=tuple)
    high: Sequence[float | None] = field(default_factory=tuple)
    dashed: bool = False


def lines(
    title: str, note: str, days: Sequence[str], found: Sequence[Line], say: Say, most: float = 0
) -> str:
    """A plot of lines. The scale begins at 0 and ends at `most`, or beyond the highest value."""
    highest = max((value for line in found for value in line.values if value is not None), default=0.0)
    top = most or scale(highest)
    drawn = "".join(_band(line, top) for line in found) + "".join(_line(line, top) for line in found)
    told = [
        [(line.name, value) for line in found if (value := line.values[at]) is not None] for at in _each(days)
    ]
    return _figure(title, note, days, drawn, told, top, say, _in_words(title, days, found, say))


def bars(title: str, note: str, days: Sequence[str], found: Sequence[Line], say: Say) -> str:
    """A plot of bars that stand on each other."""
    sums = [sum(line.values[at] or 0 for line in found) for at in _each(days)]
    top = scale(max(sums, default=0.0))
    drawn, below = "", [0.0] * len(days)
    for line in found:
        for at, value in enumerate(line.values):
            if value:
                x, width = 100 * (at + 0.14) / len(days), 72 / len(days)
                y, height = 100 - 100 * (below[at] + value) / top, 100 * value / top
                place = f'x="{x:.2f}" y="{y:.2f}" width="{width:.2f}" height="{height:.2f}"'
                drawn += f'<rect class="s{line.colour}" {place}/>'
                below[at] += value
    told = [[(line.name, value) for line in found if (value := line.values[at])] for at in _each(days)]
    together = [Line("all", OTHERS, sums)] if any(sums) else []
    return _figure(title, note, days, drawn, told, top, say, _in_words(title, days, together, say))


def scale(highest: float) -> float:
    """The end of a scale that has room for `highest`: 1, 2, 2.5 or 5 times a power of ten."""
    if highest <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(highest))
    return next(power * step for step in (1, 2, 2.5, 5, 10) if power * step >= highest * (1 - 1e-9))


def short(day: str) -> str:
    """`9 Nov`."""
    at = date.fromisoformat(day)
    return f"{at.day} {at:%b}"


def _each(days: Sequence[str]) -> range:
    return range(len(days))


def _x(at: int, number: int) -> float:
    return 100 * (at + 0.5) / number


def _y(value: float, top: float) -> float:
    return 100 - 100 * min(1.0, value / top)


def _line(line: Line, top: float) -> str:
    """Days without a value are bridged. A dot is a line of no length with round ends: it stays round."""
    points = [
        f"{_x(at, len(line.values)):.2f} {_y(value, top):.2f}"
        for at, value in enumerate(line.values)
        if value is not None
    ]
    if not points:
        return ""
    dots = "".join(f"M{point}h0" for point in points) if len(line.values) <= 31 and not line.dashed else ""
    path = "M" + "L".join(points) + ("h0" if len(points) == 1 else "")
    look = f"s{line.colour}{' dashed' if line.dashed else ''}"
    return f'<path class="{look}" d="{path}"/>' + (f'<path class="{look} dots" d="{dots}"/>' if dots else "")


def _band(line: Line, top: float) -> str:
    inside = [
        (_x(at, len(line.values)), low, high)
        for at, (low, high) in enumerate(zip(line.low, line.high, strict=True))
        if low is not None and high is not None
    ]
    if len(inside) < 2:
        return ""
    there = [f"{x:.2f} {_y(high, top):.2f}" for x, _, high in inside]
    back = [f"{x:.2f} {_y(low, top):.2f}" for x, low, _ in reversed(inside)]
    return f'<path class="s{line.colour} band" d="M{"L".join(there + back)}Z"/>'


def _in_words(title: str, days: Sequence[str], found: Sequence[Line], say: Say) -> str:
    """What a reader who can't see the plot is told: where each line begins and ends, and its extremes."""
    said = []
    for line in found:
        known = [(day, value) for day, value in zip(days, line.values, strict=True) if value is not None]
        if known:
            (first, begin), (last, end) = known[0], known[-1]
            low, high = min(value for _, value in known), max(value for _, value in known)
            moved = f"{say(begin)} on {short(first)}, {say(end)} on {short(last)}"
            said.append(f"{line.name}: {moved}, between {say(low)} and {say(high)}")
    return f"{title}. " + ("; ".join(said) or "No figures in this time") + "."


def _figure(
    title: str,
    note: str,
    days: Sequence[str],
    drawn: str,
    told: Sequence[Sequence[tuple[str, float]]],
    top: float,
    say: Say,
    words: str,
) -> str:
    """The frame: title, scale, drawing, first and last day; each day's values show under the pointer."""
    width = 100 / len(days)
    tips = "".join(
        f'<rect class="tip" x="{at * width:.2f}" y="0" width="{width:.2f}" height="100"><title>{escape(tip)}'
        "</title></rect>"
        for at, tip in enumerate(_tip(day, values, say) for day, values in zip(days, told, strict=True))
    )
    marks = "".join(f"<span>{escape(say(value))}</span>" for value in (top, top / 2, 0))
    empty = "" if any(told) else '<p class="none">No figures in this time</p>'
    return (
        f"<figure><figcaption><b>{escape(title)}</b><span>{escape(note)}</span></figcaption>"
        f'<div class="plot"><div class="scale" aria-hidden="true">{marks}</div><div class="field">'
        f'<svg viewBox="0 0 100 100" preserveAspectRatio="none" role="img" aria-label="{escape(words)}">'
        f'<path class="grid" d="M0 0H100M0 50H100M0 100H100"/>{drawn}{tips}</svg>{empty}</div>'
        f'<div class="ends" aria-hidden="true"><span>{short(days[0])}</span>'
        f"<span>{short(days[-1])}</span></div></div></figure>"
    )


def _tip(day: str, values: Sequence[tuple[str, float]], say: Say) -> str:
    return "\n".join([short(day), *(f"{name}: {say(value)}" for name, value in values)])
