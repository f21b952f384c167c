"""What a conversation is called."""

from __future__ import annotations

import pytest

from feedback.titles import LONGEST, cut, title_of


@pytest.mark.parametrize(
    ("opening", "title"),
    [
        ("  Where is\nmy order? ", "Where is my order?"),
        (
            "Hello! **Where** is my order? I have waited for two weeks.",
            "Where is my order? I have waited for two weeks.",
        ),
        ("Hi there, can I return it?", "can I return it?"),
        ("Hello!", "Hello!"),
        ("Hi", "Hi"),
        ("# Order 12\n- lost", "Order 12 lost"),
        ("Why does this fail?\n```python\nprint(1)\n```", "Why does this fail?"),
        ("```\nonly code\n```", "only code"),
        ("", ""),
        ("C# or C++: 2 * 3?", "C# or C++: 2 * 3?"),
        ("a\x00b", "a\ufffdb"),
    ],
)
def test_a_title_is_what_was_asked(opening: str, title: str) -> None:
    assert title_of(opening) == title


def test_of_a_long_story_the_question_is_kept() -> None:
    story = "I bought a jacket in May and it has been raining through since then. Can I send it back? Thanks."
    assert title_of(story) == "Can I send it back?"


def test_a_long_one_ends_behind_a_word() -> None:
    title = title_of("word " * 100)
    assert len(title) <= LONGEST
    assert title.endswith("word…")
    assert len(title_of("x" * 500)) == LONGEST
    assert cut("short") == "short"
