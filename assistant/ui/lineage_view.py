"""Draws one adapter: what it was made of, how it did beside the live one, some answers of both.

Pure: takes records, gives HTML with every text escaped. Knows no gradio and no database.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from assistant.ui.buttons import button
from assistant.ui.run_view import DROPPED, SOURCES, sides
from assistant.ui.words import number, when
from training.lineage import Lineage
from training.records import Adapter, CanaryStep, Evaluation, Promotion

_MOST_ANSWERS = 12
_RECIPE = (
    "method",
    "rank",
    "alpha",
    "learning_rate",
    "epochs",
    "batch_size",
    "beta",
    "sft_weight",
    "dtype",
    "seed",
)


def draw(
    adapter: Adapter,
    made: Lineage,
    parents: Sequence[tuple[str, str | None]],
    evaluation: Evaluation | None,
    history: Sequence[Promotion],
    steps: Sequence[CanaryStep],
) -> str:
    """Everything about one adapter."""
    close = button("Close", "adapter_leave")
    return (
        f'<div class="head"><h3 class="mono">{escape(adapter.name)}</h3>'
        f'<span class="levers">{close}</span></div>'
        f'<div class="columns">{_made(adapter, made, parents)}{_recipe(made)}{_versions(made)}</div>'
        f"{_beside(evaluation)}{_answers(evaluation)}{_past(history, steps)}"
    )


def _made(adapter: Adapter, made: Lineage, parents: Sequence[tuple[str, str | None]]) -> str:
    sources = ", ".join(f"{count:,} {SOURCES.get(name, name)}" for name, count in made.sources.items())
    dropped = ", ".join(
        f"{count:,} {DROPPED.get(name, name.replace('_', ' '))}" for name, count in made.dropped.items()
    )
    behind = [f"{escape(name)}{f' ({escape(run)})' if run else ''}" for name, run in parents]
    if made.drawn_from == "base":
        behind = ["the base model"]
    loss = [f"{made.metrics[name]:.3g}" for name in ("first_loss", "loss") if name in made.metrics]
    rows = [
        ("Examples", f"{made.examples:,}: {escape(sources)}" if made.examples else ""),
        ("Votes", f"{number(made.votes, 'vote')} of {number(made.people, 'person', 'people')}"),
        ("Left out", escape(dropped)),
        ("Base", f'{escape(made.base)}<br><span class="mono">{escape(made.base_hash[:16])}</span>'),
        ("Run", f'<span class="mono">{escape(made.run or "")}</span>'),
        ("Fresh answers from", " ← ".join(behind)),
        ("Made", when(adapter.created_at)),
        ("Loss", " → ".join(loss)),
    ]
    return f"<section><h3>Made of</h3>{_list(rows)}</section>"


def _recipe(made: Lineage) -> str:
    rows = [
        (name.replace("_", " ").capitalize(), escape(f"{made.recipe[name]}"))
        for name in _RECIPE
        if name in made.recipe
    ]
    why = "".join(f"<li>{escape(reason)}</li>" for reason in made.reasons)
    reasons = f'<details><summary>Why so</summary><ul class="points">{why}</ul></details>' if why else ""
    return f"<section><h3>Recipe</h3>{_list(rows)}{reasons}</section>" if rows else ""


def _versions(made: Lineage) -> str:
    rows = [(escape(name), escape(version)) for name, version in made.versions.items()]
    return f"<section><h3>Libraries</h3>{_list(rows)}</section>" if rows else ""


def _beside(found: Evaluation | None) -> str:
    """The figures of the evaluation: the candidate beside the live adapter and the base."""
    guards = [row for row in (found.figures.get("guards") or ()) if isinstance(row, Mapping)] if found else []
    if found is None or not guards:
        return ""
    live = escape(found.against or "base")
    rows = "".join(
        f'<tr><th scope="row">{escape(str(row["name"]))}</th><td>{int(row["count"]):,}</td>'
        f"<td>{row['base']:.0%}</td><td>{row['live']:.0%}</td><td><b>{row['candidate']:.0%}</b></td>"
        f"<td>{_gain(row.get('to_live'))}</td></tr>"
        for row in guards
    )
    heads = "".join(
        f'<th scope="col">{head}</th>'
        for head in ("Probes", "Asked", "Base", f"Then live ({live})", "This one", "Against live")
    )
    return (
        f'<h3>Beside the live one</h3><div class="table" tabindex="0"><table><thead><tr>{heads}</tr></thead>'
        f"<tbody>{rows}</tbody></table></div>"
    )


def _gain(gain: Any) -> str:
    if not isinstance(gain, Mapping):
        return "–"
    return f"{gain['mean']:+.0%} ({gain['low']:+.0%} to {gain['high']:+.0%})"


def _answers(found: Evaluation | None) -> str:
    """What the live adapter and this one said to the same questions."""
    rows = [row for row in (found.figures.get("answers") or ()) if isinstance(row, Mapping)] if found else []
    if found is None or not rows:
        return ""
    drawn = "".join(
        f'<article><p class="asked">{escape(str(row.get("question", "")))}</p>'
        + sides(
            [
                (f"Then live ({found.against or 'base'})", str(row.get("live") or "")),
                ("This one", str(row.get("candidate") or "")),
            ]
        )
        + "</article>"
        for row in rows[:_MOST_ANSWERS]
    )
    shown = min(len(rows), _MOST_ANSWERS)
    return (
        f'<details class="reading" open><summary>{number(shown, "answer")} side by side</summary>{drawn}'
        f'<p class="text"><a href="/admin/reports/{escape(found.adapter)}">The whole report</a></p></details>'
    )


def _past(history: Sequence[Promotion], steps: Sequence[CanaryStep]) -> str:
    told = [
        (row.at, "made live" if row.action == "promote" else "rolled back to", row.actor, row.reason)
        for row in history
    ]
    told += [(row.at, f"canary {row.action} at {row.share:.0%}", row.actor, row.reason) for row in steps]
    rows = "".join(
        f"<li>{when(at)}: {what} by {escape(who)}: {escape(why)}</li>"
        for at, what, who, why in sorted(told, key=lambda row: row[0], reverse=True)
    )
    return f'<h3>Since then</h3><ul class="points">{rows}</ul>' if rows else ""


def _list(rows: Sequence[tuple[str, str]]) -> str:
    drawn = "".join(f"<div><dt>{name}</dt><dd>{value}</dd></div>" for name, value in rows if value)
    return f'<dl class="facts-list">{drawn}</dl>'
