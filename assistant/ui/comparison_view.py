"""Draws the newest comparison: the verdict, a row with a bar for each cell, and how to read it.

Pure: takes a comparison, gives HTML with every text escaped. Bars are SVG in the colours of the theme. Knows
no gradio and no file.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape

from assistant.ui.words import number, when
from training.comparison import Comparison, Estimate, Row
from training.comparison_verdict import UNKNOWN, figures, money, standing

_TONES = {"better": "good", "worse": "bad", "same": "plain", "unknown": "plain"}


def draw(found: Comparison | None) -> str:
    """The whole section, or how to get one."""
    if found is None:
        return (
            '<div class="nothing"><b>Nothing has been compared yet.</b><span>Which of the three helps here, '
            "and what does it cost? Ask on the command line: <code>apprentice compare</code></span></div>"
        )
    headline, *rest = found.verdict or ("",)
    clear = [line for line in rest if not line.startswith(UNKNOWN)]
    unclear = [line for line in rest if line.startswith(UNKNOWN)]
    return (
        f'<div class="card"><p class="value verdict">{escape(headline)}</p>{_points(clear)}'
        f"{_folded('What these questions do not show', unclear)}{_table(found)}{_facts(found)}"
        f"{_folded('How to read this', found.notes)}</div>"
    )


def _table(found: Comparison) -> str:
    abstains = found.judge.abstains is not None
    columns: list[tuple[str, str, Callable[[Row], str]]] = [
        ("Liked (judge abstains)" if abstains else "Liked", "wide", lambda row: _liked(row.liked)),
        ("Against base", "", _gain),
        ("Tokens read", "", lambda row: _figure(row.prompt_tokens, ".0f")),
        ("Written", "", _written),
        ("First token", "", _first_token),
        ("Answer", "", lambda row: _figure(row.seconds, ".2f", " s")),
        ("Cost", "", lambda row: "–" if row.cost is None else money(row.cost)),
        ("Faulty", "", lambda row: "–" if row.faulty is None else f"{row.faulty:.0%}"),
        ("Failed", "", lambda row: str(row.failed)),
    ]
    rows = found.rows
    unused = {"Cost"} if all(row.cost is None for row in rows) else set()
    unused |= set() if any(row.failed for row in rows) else {"Failed"}
    # Whose figures nobody has needs no column of dashes.
    unused |= {"Against base"} if all(row.gain is None for row in rows) else set()
    shown = [column for column in columns if column[0] not in unused]
    heads = "".join(f'<th scope="col" class="{kind}">{title}</th>' for title, kind, _ in shown)
    body = "".join(
        f'<tr><th scope="row">{_cell(row)}</th>'
        + "".join(f'<td class="{kind}" data-label="{title}">{text(row)}</td>' for title, kind, text in shown)
        + "</tr>"
        for row in rows
    )
    return (
        '<div class="table cells" tabindex="0" role="region" aria-label="Every cell"><table><thead><tr>'
        f'<th scope="col">Asked with</th>{heads}</tr></thead><tbody>{body}</tbody></table></div>'
    )


def _cell(row: Row) -> str:
    """Who answered, and what stood by them."""
    first, *others = row.cell.name.split(" + ")
    tags = "".join(f'<span class="tag">+ {name}</span>' for name in others)
    return f"<b>{first}</b>" + (f'<span class="tags">{tags}</span>' if tags else "")


def _liked(liked: Estimate | None) -> str:
    if liked is None:
        return "–"
    said = f"<b>{liked.value:.0%}</b><small>{100 * liked.low:.0f}–{100 * liked.high:.0f}</small>"
    return f'<div class="liked">{_bar(liked)}<span>{said}</span></div>'


def _bar(liked: Estimate) -> str:
    """A bar from 0 to 1 with its interval on it; the figures stand beside it in words."""
    value, low, high = (round(100 * share, 1) for share in (liked.value, liked.low, liked.high))
    return (
        '<svg viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true">'
        '<rect class="room" width="100" height="10"/>'
        f'<rect class="share" width="{value}" height="10"/>'
        f'<rect class="interval" x="{low}" y="4" width="{max(0.6, round(high - low, 1))}" height="2"/></svg>'
    )


def _gain(row: Row) -> str:
    if row.gain is None:
        return "–"
    value, _, interval = figures(row.gain).partition(" ")
    return f'<b class="{_TONES[standing(row.gain)]}">{value}</b><small>{interval.strip("()")}</small>'


def _written(row: Row) -> str:
    if row.answer_tokens is None or row.characters is None:
        return "–"
    return f"{row.answer_tokens:.0f}<small>{row.characters:.0f} characters</small>"


def _first_token(row: Row) -> str:
    if row.first_token is None or row.first_token_p90 is None:
        return "–"
    return f"{1000 * row.first_token:.0f} ms<small>p90 {1000 * row.first_token_p90:.0f} ms</small>"


def _figure(value: float | None, form: str, unit: str = "") -> str:
    return "–" if value is None else format(value, form) + unit


def _facts(found: Comparison) -> str:
    adapter = f'<span class="mono">{escape(found.adapter)}</span>' if found.adapter else "no adapter"
    asked = number(found.questions, "held-out question")
    return (
        f'<p class="text">{when(found.made_at)} · {asked} from {escape(found.source)} · '
        f'<span class="mono">{escape(found.model)}</span> · {adapter}</p>'
    )


def _points(lines: Sequence[str]) -> str:
    points = "".join(f"<li>{escape(line)}</li>" for line in lines)
    return f'<ul class="points">{points}</ul>' if lines else ""


def _folded(title: str, lines: Sequence[str]) -> str:
    return f"<details><summary>{title}</summary>{_points(lines)}</details>" if lines else ""
