"""Answers in Markdown: kept to the letter, and harmless."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assistant.ui.markdown import render, render_settled


@pytest.mark.parametrize(
    "text",
    [
        "<script>alert(1)</script>",
        "<img src=x onerror=alert(1)>",
        "a <b onclick='x()'>b</b> c",
        "<thinking>hm</thinking>",
        "```html\n<script>x</script>\n```",
        "`<i>`",
    ],
)
def test_tags_are_shown_and_not_obeyed(text: str) -> None:
    html = render(text)
    assert "<script" not in html
    assert "<img" not in html
    assert "<b " not in html
    assert "<thinking" not in html
    assert "<i>" not in html
    assert "&lt;" in html


@pytest.mark.parametrize(
    "target", ["javascript:alert(1)", "data:text/html,x", "/logout", "file:///etc/passwd"]
)
def test_links_lead_to_the_web_or_nowhere(target: str) -> None:
    assert "<a" not in render(f"[click]({target})")
    assert "<a" not in render(f"<{target}>")


def test_links_open_beside_the_page_and_tell_nothing() -> None:
    html = render("[shop](https://shop.example/a?b=1&c=2)")
    assert 'href="https://shop.example/a?b=1&amp;c=2"' in html
    assert 'target="_blank"' in html
    assert "noreferrer" in html


def test_pictures_are_not_fetched() -> None:
    html = render("![secret](https://elsewhere.example/track.png?q=secret)")
    assert "<img" not in html
    assert "secret" in html


def test_code_is_kept_to_the_letter() -> None:
    code = "def f():\n    return 1\n\n\n# end"
    html = render(f"Look:\n\n```python\n{code}\n```")
    assert f"<code>{code}\n</code>" in html
    assert "<span>python</span>" in html
    assert 'data-copy="code"' in html


def test_a_language_can_not_break_out_of_its_place() -> None:
    assert "<span>text</span>" in render('```"><b>\nx\n```')


def test_tables_lists_and_line_breaks() -> None:
    assert "<table>" in render("| a | b |\n|---|---|\n| 1 | 2 |")
    assert "<li>one</li>" in render("- one\n- two")
    assert "one<br />\ntwo" in render("one\ntwo")


@given(st.text(max_size=300), st.integers(0, 300))
def test_any_text_can_be_drawn_while_it_grows(text: str, end: int) -> None:
    assert isinstance(render(text[:end]), str)


def test_settled_texts_look_the_same() -> None:
    assert render_settled("**a**") == render("**a**")
