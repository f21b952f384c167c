"""An evaluation as a report that a person can read: the verdict, each check, figures with intervals, answers
side by side. Markdown. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from training.records import Evaluation

_WORDS = {
    "passed": "passed: it may be promoted",
    "rejected": "rejected",
    "not_enough_evidence": "not enough evidence: it can't be promoted yet",
}
_MARKS = {True: "holds", False: "**fails**", None: "not decided"}
_LONGEST = 400
"""Characters of an answer that are shown."""


def markdown(found: Evaluation) -> str:
    """The report of one evaluation."""
    return "\n".join(_lines(found)) + "\n"


def _lines(found: Evaluation) -> Iterator[str]:
    figures = found.figures
    yield f"# {found.adapter}: {_WORDS.get(found.outcome, found.outcome)}"
    yield ""
    yield (
        f"Evaluated {found.created_at:%Y-%m-%d %H:%M} UTC beside the base and "
        f"{found.against or 'nothing else: the base is live'}, in {figures.get('seconds', '?')} s; "
        f"look {figures.get('look', '?')} of that month."
    )
    yield ""
    yield "| check | | what was found |"
    yield "|---|---|---|"
    for check in found.checks:
        yield f"| {_cell(check.name)} | {_MARKS[check.passed]} | {_cell(check.detail)} |"
    yield from _evidence(figures.get("evidence") or ())
    yield from _guards(figures.get("guards") or (), figures.get("probe_sets") or {})
    yield from _answers(figures.get("answers") or ())


def _evidence(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    if not rows:
        return
    yield ""
    yield "## Evidence"
    yield ""
    yield "| kind | better by | one-sided 95 % bounds | p | values, by | what was found |"
    yield "|---|---|---|---|---|---|"
    for row in rows:
        gain, said = row.get("gain"), _cell(str(row.get("said", "")))
        if gain is None:
            yield f"| {row['name']} | | | | | {said} |"
            continue
        yield (
            f"| {row['name']} | {gain['mean']:+.3f} | {gain['low']:+.3f} to {gain['high']:+.3f} "
            f"| {gain['p']:.2g} | {gain['count']}, {gain['clusters']} {row.get('by', 'person')}s | {said} |"
        )


def _guards(rows: Sequence[Mapping[str, Any]], versions: Mapping[str, int]) -> Iterator[str]:
    if not rows:
        return
    yield ""
    yield "## Guards"
    yield ""
    yield "| probes (version) | asked | base | live | candidate | against base | against live |"
    yield "|---|---|---|---|---|---|---|"
    for row in rows:
        version = f" ({versions[row['name']]})" if row["name"] in versions else ""
        yield (
            f"| {_cell(row['name'])}{version} | {row['count']} | {row['base']:.0%} | {row['live']:.0%} "
            f"| {row['candidate']:.0%} | {_gain(row['to_base'])} | {_gain(row['to_live'])} |"
        )


def _gain(gain: Mapping[str, float] | None) -> str:
    if gain is None:
        return ""
    return f"{gain['mean']:+.0%} ({gain['low']:+.0%} to {gain['high']:+.0%})"


def _answers(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    if not rows:
        return
    yield ""
    yield "## Answers side by side"
    yield ""
    yield "| question | base | live | candidate |"
    yield "|---|---|---|---|"
    for row in rows:
        cells = (_cell(str(row.get(side) or "(none)")) for side in ("base", "live", "candidate"))
        yield f"| {_cell(str(row['question']))} | {' | '.join(cells)} |"


def _cell(text: str) -> str:
    """Text in a cell of a table: one line, and no sign that would end the cell or begin a mark."""
    cut = text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
    plain = " ".join(cut.split())
    return "".join(f"\\{sign}" if sign in "\\|`*_[]<>#" else sign for sign in plain)
