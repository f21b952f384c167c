"""Draws the settings in force, section by section, each with where it comes from.

Pure: takes settings that are masked already, gives HTML with every text escaped.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from itertools import groupby

from assistant.origins import Setting

_TITLES = {"": "General"}


def draw(found: Sequence[Setting]) -> str:
    """A table for each section; what somebody has set stands out from what is as it comes."""
    given = sum(one.origin != "default" for one in found)
    hint = (
        f"{given} of {len(found)} are set otherwise than by default. They are read at the start: "
        "the environment wins over <code>.env</code>, and that over <code>apprentice.toml</code> in the home."
    )
    sections = "".join(
        _section(section, list(rows)) for section, rows in groupby(found, key=lambda one: one.section)
    )
    return f'<p class="text">{hint}</p>{sections}'


def _section(section: str, rows: Sequence[Setting]) -> str:
    title = _TITLES.get(section, section.replace("_", " ").capitalize())
    drawn = "".join(_row(one) for one in rows)
    heads = "".join(f'<th scope="col">{head}</th>' for head in ("Setting", "In force", "From"))
    return (
        f'<h3>{escape(title)}</h3><div class="table settings" tabindex="0" role="region" '
        f'aria-label="{escape(title)}"><table><thead><tr>{heads}</tr></thead><tbody>{drawn}</tbody></table></div>'
    )


def _row(one: Setting) -> str:
    value = f'<span class="mono">{escape(one.value)}</span>' if one.value else '<span class="none">–</span>'
    note = ' <span class="tag">secret</span>' if one.secret else ""
    origin = escape(one.origin)
    if one.origin != "default":
        origin = f'<span class="badge good">{origin}</span>'
    return (
        f'<tr><th scope="row" class="mono">{escape(one.key)}</th><td>{value}{note}</td><td>{origin}</td></tr>'
    )
