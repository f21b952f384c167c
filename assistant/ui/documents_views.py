"""Draws the page of documents: what there is, what was refused and why, what a question finds.

Pure: takes records, gives HTML with every text escaped. Knows no gradio and no database.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from assistant.ui.admin_views import badge, nothing
from assistant.ui.buttons import button
from assistant.ui.words import number, sentence, when
from retrieval.records import Document, Hit

_WORDS = {
    "waiting": ("plain", "waiting"),
    "indexing": ("running", "indexing"),
    "ready": ("passed", "ready"),
    "refused": ("failed", "refused"),
    "removing": ("plain", "removing"),
}
_LONGEST_EXCERPT = 320


def overview(
    counts: Mapping[str, int], passages: int, problem: str | None, rebuilding: float | None, folder: str
) -> str:
    """One line on how the knowledge base is. `problem` is what keeps it from being searched or added to."""
    total = sum(count for state, count in counts.items() if state != "removing")
    facts = [number(total, "document"), number(passages, "passage")]
    facts += [
        f"{counts[state]:,} {state}" for state in ("indexing", "waiting", "refused") if counts.get(state)
    ]
    facts += [f'watched folder: <span class="mono">{escape(folder)}</span>'] if folder else []
    line = f'<p class="text">{" · ".join(facts)}</p>'
    if rebuilding is not None:
        share = round(100 * rebuilding)
        line += (
            '<div class="progress"><span>The index is being built again for another embedding model</span>'
            f'<progress max="100" value="{share}" aria-label="building the index again"></progress>'
            f"<span>{share} %</span></div>"
        )
    if problem:
        line += f'<p class="problem" role="status">{escape(sentence(problem))}</p>'
    return line


def documents(found: Sequence[Document], most: int, filtered: bool = False) -> str:
    """The documents in the order they are given, at most so many."""
    if not found and filtered:
        return nothing("No document has that in its name.", "Clear the field to see all of them.")
    if not found:
        return nothing(
            "No document yet.",
            "Add files above, or on the server with <code>apprentice documents add PATH</code>. "
            "From then on answers stand on them and name their sources.",
        )
    drawn = "".join(_document(document) for document in found[:most])
    left = len(found) - most
    more = f'<p class="more">{button(f"Show more ({left:,})", "documents_more")}</p>' if left > 0 else ""
    return f'<ol class="list">{drawn}</ol>{more}'


def refusals(problems: Sequence[tuple[str, str]]) -> str:
    """Which of the files that were just sent could not be taken, and why."""
    rows = "".join(f"<li><b>{escape(name)}</b>: {escape(sentence(why))}</li>" for name, why in problems)
    return f'<ul class="refusals" role="alert">{rows}</ul>' if rows else ""


def hits(found: Sequence[Hit], names: Mapping[str, str]) -> str:
    """What a person would find, best first. `names` of documents by id."""
    if not found:
        return nothing(
            "Nothing found.", "No passage is near enough to this question: the answer would say so."
        )
    return f'<ol class="list">{"".join(_hit(place, hit, names) for place, hit in enumerate(found, 1))}</ol>'


def _document(document: Document) -> str:
    kind, word = _WORDS[document.state]
    facts = [escape(document.audience) if document.audience else "everybody"]
    facts += [number(document.passages, "passage")] if document.passages else []
    facts += [_size(document.size), f"{escape(document.added_by)}, {when(document.created_at)}"]
    name = escape(document.name)
    if document.state != "removing":
        name = f'<a href="/documents/{escape(document.id)}" target="_blank" rel="noopener">{name}</a>'
    remove = ""
    if document.state != "removing":
        remove = button("Remove…", "document_remove", document=document.id)
    return (
        f'<li><div class="head">{badge(kind, word)}<b>{name}</b>'
        f'<span class="facts">{" · ".join(facts)}</span>{remove}</div>'
        f"{_progress(document)}{_reason(document)}</li>"
    )


def _progress(document: Document) -> str:
    if document.state != "indexing":
        return ""
    if not document.expected:
        return '<div class="progress"><span>being read</span></div>'
    share = round(100 * document.progress)
    return (
        f'<div class="progress"><span>{document.passages:,} of {document.expected:,} passages</span>'
        f'<progress max="100" value="{share}" aria-label="{escape(document.name)}"></progress>'
        f"<span>{share} %</span></div>"
    )


def _reason(document: Document) -> str:
    return f'<p class="problem">{escape(sentence(document.reason))}</p>' if document.reason else ""


def _hit(place: int, hit: Hit, names: Mapping[str, str]) -> str:
    one = hit.passage
    page = f" · page {one.page}" if one.page else ""
    name = escape(names.get(one.source_id, one.source_id))
    if one.kind == "document":
        anchor = f"#page={one.page}" if one.page else ""
        name = (
            f'<a href="/documents/{escape(one.source_id)}{anchor}" target="_blank" rel="noopener">{name}</a>'
        )
    text = " ".join(one.text.split())
    short = text if len(text) <= _LONGEST_EXCERPT else text[:_LONGEST_EXCERPT].rsplit(" ", 1)[0] + " …"
    group = escape(one.audience) if one.audience else "everybody"
    return (
        f'<li><div class="head"><span class="score">{hit.score:.2f}</span><b>{place}. {name}</b>'
        f'<span class="facts">{escape(one.title)}{page} · {group}</span></div>'
        f'<p class="text">{escape(short)}</p></li>'
    )


def _size(size: int) -> str:
    if size < 1_000:
        return f"{size} bytes"
    return f"{size / 1_000:.0f} KB" if size < 1_000_000 else f"{size / 1_000_000:.1f} MB"
