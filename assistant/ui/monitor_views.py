"""Draws monitoring: the alerts that last, a card for each adapter, plots over the days, and a table.

Pure: takes days, comparisons and alerts, gives HTML with every text escaped. Knows no gradio and no database.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date, timedelta
from html import escape

from assistant.ui import trends
from assistant.ui.buttons import icon
from assistant.ui.plots import OTHERS, short
from assistant.ui.words import number, percent, sentence, short_time, when
from feedback.alerts import Alert
from feedback.days import Day
from feedback.drift import Change
from feedback.figures import Figures, Share, cost, quantile, share, total
from training.registry import BASE

RANGES = (7, 30, 90)
_MOST_CARDS = 6
_MOVED = 0.01
"""The corrected p from which a card tells what a figure was before."""

TITLES = {
    "satisfied_fell": "Fewer people are satisfied",
    "refusals_rose": "More questions are turned down",
    "answers_longer": "Answers have grown longer",
    "first_token_slower": "Answers begin later",
    "answers_fail": "Answers fail",
    "run_parked": "A run is parked",
    "worker_silent": "No worker is there",
    "engine_came_back": "The engine was away and is back",
    "live_tainted": "What is live learned from data that was deleted",
}
Drift = Mapping[tuple[str, str], Change]
"""By adapter and figure."""


def alerts(found: Sequence[Alert]) -> str:
    """What somebody should look at now; nothing where all is well."""
    if not found:
        return ""
    rows = "".join(
        f"<li>{icon('alert')}<div><b>{escape(TITLES.get(item.name, item.name.replace('_', ' ')))}</b>"
        + (f'<span class="mono">{escape(item.adapter)}</span>' if item.adapter else "")
        + f"<p>{escape(sentence(item.detail))}</p></div><small>since {when(item.begun_at)}</small></li>"
        for item in found
    )
    return f'<ul class="alerts" aria-label="Open alerts">{rows}</ul>'


def heading(chosen: int) -> str:
    """The title with the choice of a time."""
    choices = "".join(
        f'<button type="button" class="small" data-act="show_days" data-days="{days}" '
        f'aria-pressed="{str(days == chosen).lower()}">{days} days</button>'
        for days in RANGES
    )
    return (
        f'<div class="heading"><h2>By adapter</h2><div class="ranges" role="group" aria-label="Time">'
        f"{choices}</div></div>"
    )


def body(
    found: Sequence[Day], last: date, length: int, live: str | None, moved: Sequence[Change], per_hour: float
) -> str:
    """The cards and the plots of `length` days up to `last` (UTC)."""
    if not found:
        return (
            f'<div class="nothing"><b>No answer in these {length} days.</b>'
            "<span>Figures appear here some seconds after the first one.</span></div>"
        )
    sums = _sums(found)
    ranked = sorted(sums, key=lambda name: (name != (live or ""), -sums[name].answers, name))
    colours = {name: place if place < trends.COLOURS else OTHERS for place, name in _numbered(ranked)}
    colours[""] = trends.COLOURS
    drift = {(change.adapter, change.name): change for change in moved if change.p < _MOVED}
    cards = "".join(
        _card(name, colours[name], sums[name], name == (live or ""), drift, per_hour)
        for name in ranked[:_MOST_CARDS]
    )
    rest = ranked[_MOST_CARDS:]
    answers = sum(sums[name].answers for name in rest)
    more = (
        f'<p class="text">{number(len(rest), "more adapter")}: {number(answers, "answer")}.</p>'
        if rest
        else ""
    )
    days = [(last - timedelta(days=length - 1 - at)).isoformat() for at in range(length)]
    drawn = "".join(trends.draw(found, days, ranked, colours))
    return f'<div class="adapters">{cards}</div>{more}<div class="plots">{drawn}</div>'


def table(found: Sequence[Day]) -> str:
    """Every day and adapter in figures, the newest first: the plots for those who can't see them."""
    if not found:
        return ""
    heads = (
        *("Day", "Adapter", "Answers", "Satisfied, asked", "Satisfied, unasked", "Corrected", "Regenerated"),
        *("Stopped", "Failed", "Refused", "First token", "Length"),
    )
    drawn = "".join(f"<th>{head}</th>" for head in heads)
    rows = "".join(_row(day) for day in sorted(found, key=lambda day: (day.day, day.adapter), reverse=True))
    return (
        "<details><summary>The same day by day, in a table</summary>"
        f'<div class="table" tabindex="0"><table><thead><tr>{drawn}</tr></thead>'
        f"<tbody>{rows}</tbody></table></div></details>"
    )


def _numbered(ranked: Sequence[str]) -> list[tuple[int, str]]:
    return list(enumerate((name for name in ranked if name), 1))


def _sums(found: Sequence[Day]) -> dict[str, Figures]:
    grouped: dict[str, list[Figures]] = {}
    for day in found:
        grouped.setdefault(day.adapter, []).append(day.figures)
    return {name: total(figures) for name, figures in grouped.items()}


# -- cards -----------------------------------------------------------------------------------------


def _card(name: str, colour: int, figures: Figures, live: bool, drift: Drift, per_hour: float) -> str:
    badge = '<span class="badge live">live</span>' if live else ""
    asked = share(figures.asked_ups, figures.asked_ups + figures.asked_downs)
    unasked = share(figures.ups, figures.ups + figures.downs)
    was = {key[1]: change for key, change in drift.items() if key[0] == name}
    satisfied = _satisfied("Satisfied, asked", asked, was.get("satisfied_asked"), figures.asked)
    satisfied += _satisfied("Satisfied, unasked", unasked, was.get("satisfied_unasked"))
    return (
        f'<section class="card"><h3><span class="key s{colour}"></span><span class="mono">'
        f"{escape(name or BASE)}</span>{badge}<span>{number(figures.answers, 'answer')}</span></h3>"
        f'<dl class="satisfied">{satisfied}</dl>'
        f'<dl class="small-figures">{"".join(_details(figures, was, per_hour))}</dl></section>'
    )


def _satisfied(label: str, found: Share | None, moved: Change | None, asked: int = 0) -> str:
    """`asked`: for how many answers a rating was asked; who does not rate may think otherwise."""
    times = f"; asked {number(asked, 'time')}" if asked else ""
    if found is None:
        return (
            f'<div><dt>{label}</dt><dd class="value none">–</dd><dd class="text">no rating{times}</dd></div>'
        )
    bounds = f"{percent(found.low)} to {percent(found.high)}, of {number(found.of, 'rating')}{times}"
    return (
        f'<div><dt>{label}</dt><dd class="value">{percent(found.mean)}</dd>'
        f'<dd class="text">{bounds}</dd>{_was(moved, percent)}</div>'
    )


def _details(figures: Figures, was: Mapping[str, Change], per_hour: float) -> list[str]:
    shares = (
        ("Corrected", "corrected", figures.corrections, figures.answers),
        ("Regenerated", "regenerated", figures.regenerations, figures.answers),
        ("Stopped", "stopped", figures.stopped, figures.answers),
        ("Failed", "failed", figures.failed, figures.answers),
        ("Refused", "refused", figures.refusals, figures.complete),
    )
    found = []
    for label, name, cases, of in shares:
        known = share(min(cases, of), of)
        hint = f"{cases:,} of {of:,}" if known is None else _hint(cases, known)
        found.append(
            _detail(label, percent(known.mean) if known else "–", _was(was.get(name), percent), hint)
        )
    median, ninth = (quantile(figures.waits, part) for part in (0.5, 0.9))
    said = "–" if median is None else short_time(median)
    slow = "" if ninth is None else f'<dd class="text">9 of 10 in {short_time(ninth)}</dd>'
    found.append(
        _detail("First token", said, slow + _was(was.get("first_token_median"), short_time), "median")
    )
    length = quantile(figures.lengths, 0.5)
    said = "–" if length is None else f"{length:.0f} characters"
    found.append(
        _detail("Length", said, _was(was.get("length_median"), lambda value: f"{value:.0f}"), "median")
    )
    if figures.complete:
        each = figures.completion_tokens / figures.complete
        found.append(_detail("Tokens", f"{each:.0f} an answer", "", f"{figures.completion_tokens:,} in all"))
    if figures.misses is not None:
        missed = f"{percent(figures.misses / figures.complete)}" if figures.complete else "–"
        found.append(_detail("Nothing found", missed, "", f"{figures.misses:,} answers without a passage"))
    price = cost(figures, per_hour)
    if price is not None:
        found.append(_detail("Cost", f"{price:.2g} an answer", "", "by seconds of generation"))
    return found


def _hint(cases: int, found: Share) -> str:
    return f"{cases:,} of {found.of:,}: {percent(found.low)} to {percent(found.high)}"


def _detail(label: str, value: str, more: str, hint: str) -> str:
    return f'<div title="{escape(hint)}"><dt>{label}</dt><dd>{value}</dd>{more}</div>'


def _was(moved: Change | None, say: Callable[[float], str]) -> str:
    if moved is None:
        return ""
    way = "rose" if moved.now > moved.before else "fell"
    return f'<dd class="moved">{way} from {say(moved.before)} to {say(moved.now)} since the week before</dd>'


def _row(day: Day) -> str:
    figures = day.figures
    said = [
        _of(figures.asked_ups, figures.asked_ups + figures.asked_downs),
        _of(figures.ups, figures.ups + figures.downs),
        *(f"{n:,}" for n in (figures.corrections, figures.regenerations, figures.stopped)),
        *(f"{n:,}" for n in (figures.failed, figures.refusals)),
    ]
    wait, length = quantile(figures.waits, 0.5), quantile(figures.lengths, 0.5)
    said += ["–" if wait is None else short_time(wait), "–" if length is None else f"{length:.0f}"]
    cells = "".join(f"<td>{cell}</td>" for cell in [f"{figures.answers:,}", *said])
    return f'<tr><td>{short(day.day)}</td><td class="mono">{escape(day.adapter or BASE)}</td>{cells}</tr>'


def _of(cases: int, of: int) -> str:
    return f"{percent(cases / of)} of {of:,}" if of else "–"
