"""Tests of how the page of documents is drawn."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from assistant.ui import documents_views as views
from retrieval.records import Document, Hit, Passage

NOW = datetime(2026, 5, 1, tzinfo=UTC)
READY = Document("doc-1", "a <b>.md", "A", "", "0" * 64, 12_345, "ready", 7, 7, None, "ana", False, NOW, NOW)


def test_an_empty_page_says_what_to_do() -> None:
    drawn = views.documents([], 10)
    assert "No document yet." in drawn
    assert "apprentice documents add PATH" in drawn
    assert "Clear the field" in views.documents([], 10, filtered=True)


def test_a_document_is_drawn_with_all_that_is_known_and_nothing_of_it_is_markup() -> None:
    drawn = views.documents([READY], 10)
    assert "a &lt;b&gt;.md" in drawn
    assert 'href="/documents/doc-1"' in drawn
    for fact in ("everybody", "7 passages", "12 KB", "ana", ">ready<"):
        assert fact in drawn
    assert 'data-act="document_remove" data-document="doc-1"' in drawn


def test_progress_and_reasons_are_shown() -> None:
    half = replace(READY, state="indexing", passages=3, expected=12)
    assert "3 of 12 passages" in views.documents([half], 10)
    assert 'value="25"' in views.documents([half], 10)
    assert "being read" in views.documents([replace(half, expected=None)], 10)
    bad = replace(READY, state="refused", reason="it is <broken>", audience="sales")
    drawn = views.documents([bad], 10)
    assert "It is &lt;broken&gt;." in drawn
    assert "sales" in drawn
    assert "document_remove" not in views.documents([replace(READY, state="removing")], 10)


def test_a_long_list_is_shown_in_parts() -> None:
    drawn = views.documents([READY] * 5, 3)
    assert drawn.count("<li>") == 3
    assert "Show more (2)" in drawn
    assert "documents_more" not in views.documents([READY] * 3, 3)


def test_the_line_above_says_how_the_knowledge_base_is() -> None:
    drawn = views.overview(
        {"ready": 2, "refused": 1, "removing": 1}, 9, "it is being opened", 0.4, "/srv/<x>"
    )
    assert "3 documents · 9 passages · 1 refused" in drawn
    assert "It is being opened." in drawn
    assert "40 %" in drawn
    assert "/srv/&lt;x&gt;" in drawn


def test_refused_files_are_named() -> None:
    assert views.refusals([]) == ""
    assert "<b>&lt;a&gt;</b>: It is empty." in views.refusals([("<a>", "it is empty")])


def test_hits_are_shown_with_score_page_and_excerpt() -> None:
    passage = Passage("psg-1", "doc-1", "document", "sales", "A › <B>", "word " * 200, 3, 0)
    drawn = views.hits([Hit(passage, 0.6123, 0.1)], {"doc-1": "a.pdf"})
    assert ">0.61<" in drawn
    assert 'href="/documents/doc-1#page=3"' in drawn
    assert "A › &lt;B&gt; · page 3 · sales" in drawn
    assert "word …" in drawn
    assert "Nothing found." in views.hits([], {})
