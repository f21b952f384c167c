"""What a correction changes, word by word, escaped and said aloud."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from assistant.ui.differences import changed


def bare(html: str, out: str) -> str:
    """The text without what is in `out`."""
    from html import unescape

    html = re.sub(rf"<{out}>.*?</{out}>", "", html, flags=re.DOTALL)
    html = re.sub(r'<span class="unseen">.*?</span>', "", html)
    return unescape(re.sub(r"</?(ins|del)>", "", html))


def test_words_are_marked_and_the_rest_is_left() -> None:
    drawn = changed("It takes three days.", "It takes four days.")
    assert drawn == (
        'It takes <del><span class="unseen">taken out: </span>three</del>'
        '<ins><span class="unseen">put in: </span>four</ins> days.'
    )


def test_the_same_is_no_change_and_tags_are_shown() -> None:
    assert changed("One.", " One. ") == ""
    assert "<script>" not in changed("<script>a</script>", "<script>b</script>")


@given(st.text(alphabet="ab .<&\n", max_size=40), st.text(alphabet="ab .<&\n", max_size=40))
def test_both_texts_can_be_read_back(before: str, after: str) -> None:
    drawn = changed(before, after)
    if before.strip() == after.strip():
        assert drawn == ""
        return
    assert bare(drawn, "ins") == before.strip()
    assert bare(drawn, "del") == after.strip()


def test_very_long_texts_are_compared_by_lines() -> None:
    lines = [f"line {number} of a long text" for number in range(2_000)]
    drawn = changed("\n".join(lines), "\n".join([*lines[:500], "new", *lines[501:]]))
    assert drawn.count("<ins>") == 1
