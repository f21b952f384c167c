"""Draws what an answer stands on: the list of its sources, and the switch that turns documents off.

Pure: takes a turn, gives HTML. Titles and excerpts come from documents and are escaped like all that
others wrote. Knows no library: who may open a document is asked where it is opened.
"""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

from assistant import grounding
from feedback.records import Turn

_EXCERPT = 320
"""Characters of a passage that are shown."""


def places(turn: Turn) -> tuple[tuple[int, str], ...]:
    """Where each source of a turn is drawn, by the number that its answer names it by."""
    return tuple((passage["number"], _place(turn, passage)) for passage in turn.passages)


def listed(turn: Turn) -> str:
    """The sources under an answer, folded; or that none was found where documents were looked through."""
    if turn.searched is None or turn.status == "pending":
        return ""
    if not turn.passages:
        return '<p class="unfound">No document was found for this.</p>'
    count = len(turn.passages)
    named = grounding.cited(turn.answer, turn.passages)
    rows = "".join(_source(turn, passage, passage["number"] in named) for passage in turn.passages)
    return (
        f'<details class="sources" id="sources-{escape(turn.id)}">'
        f"<summary>{count} source{'' if count == 1 else 's'}</summary><ol>{rows}</ol></details>"
    )


def switch(on: bool) -> str:
    """The switch of a conversation: whether its answers may stand on documents."""
    told = "Answers stand on documents" if on else "Answers do without documents"
    return (
        f'<button type="button" class="switch" role="switch" aria-checked="{str(on).lower()}" '
        f'aria-label="Documents" title="{told}" data-act="switch_documents" data-on="{"" if on else "yes"}">'
        f"<span>Documents</span><i></i></button>"
    )


def _place(turn: Turn, passage: Mapping[str, Any]) -> str:
    return f"source-{escape(turn.id)}-{int(passage['number'])}"


def _source(turn: Turn, passage: Mapping[str, Any], named: bool) -> str:
    title, link = escape(str(passage["title"])), grounding.link(passage)
    if link is not None:
        title = f'<a href="{escape(link)}" target="_blank" rel="noopener">{title}</a>'
    tags = []
    if passage["kind"] == "answer":
        tags.append("approved answer")
    if passage["page"] is not None:
        tags.append(f"page {int(passage['page'])}")
    tags.append(f"score {float(passage['score']):.2f}")
    if named:
        tags.append("named in the answer")
    elif grounding.holds_figures(turn.answer, passage):
        tags.append("holds the answer's figures")
    drawn = "".join(f'<span class="tag">{escape(tag)}</span>' for tag in tags)
    return (
        f'<li id="{_place(turn, passage)}" value="{int(passage["number"])}" tabindex="-1">'
        f'<div class="source">{title}{drawn}</div>'
        f"<blockquote>{_excerpt(str(passage.get('excerpt') or passage['text']))}</blockquote></li>"
    )


def _excerpt(text: str) -> str:
    plain = " ".join(text.split())
    return escape(plain if len(plain) <= _EXCERPT else plain[: _EXCERPT - 1].rstrip() + "…")
