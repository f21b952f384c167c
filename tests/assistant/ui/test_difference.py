"""A correction as a diff."""

from __future__ import annotations

import re
import time
from html import unescape

from hypothesis import given
from hypothesis import strategies as st

from assistant.ui.difference import difference


def bare(html: str) -> str:
    return re.sub(r'<span class="unseen">.*?</span>', "", html)


def test_words_that_go_and_come_are_marked() -> None:
    html = bare(difference("It takes four days.", "Gladly: it takes three days."))
    assert "<ins>" in html
    assert "<del>four</del><ins>three</ins> days." in html


def test_texts_are_text_and_spaces_are_kept() -> None:
    html = bare(difference("a  <b>\n  c", "a  <i>\n  c"))
    assert "a  &lt;<del>b</del><ins>i</ins>&gt;\n  c" in html


def test_it_is_said_aloud_what_is_which() -> None:
    assert "removed: " in difference("a", "")
    assert "added: " in difference("", "a")
    assert difference("same", "same") == ""


@given(st.text(alphabet="ab .<&\n", max_size=40), st.text(alphabet="ab .<&\n", max_size=40))
def test_both_texts_can_be_read_back(before: str, after: str) -> None:
    drawn = bare(difference(before, after)).removeprefix('<div class="difference">').removesuffix("</div>")

    def without(tag: str) -> str:
        left = re.sub(rf"<{tag}>.*?</{tag}>", "", drawn, flags=re.DOTALL)
        return unescape(re.sub(r"</?(?:ins|del)>", "", left))

    if before != after:
        assert (without("ins"), without("del")) == (before, after)


def test_long_texts_go_line_by_line_and_stay_quick() -> None:
    before = "\n".join(f"line {number} of many words" for number in range(1_000))
    begun = time.process_time()
    html = bare(difference(before, before.replace("line 500 ", "row 500 ")))
    assert "<del>line 500 of many words\n</del>" in html
    assert time.process_time() - begun < 2
