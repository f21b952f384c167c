"""Tests of cutting Markdown by its headings: title paths, and what belongs to no text."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from retrieval.markdown import LONGEST_TITLE, sections
from retrieval.records import Section


def titles(text: str, fallback: str = "file") -> list[str]:
    return [one.title for one in sections(text, fallback)]


def test_a_section_is_titled_by_the_headings_above_it() -> None:
    text = "# Shop\n\nWelcome.\n\n## Returns\n\n### Costs\n\nFree.\n\n## Contact\n\nWrite us.\n"
    assert sections(text, "file") == [
        Section("Shop", "Welcome."),
        Section("Shop › Returns › Costs", "Free."),
        Section("Shop › Contact", "Write us."),
    ]


def test_the_name_stands_where_no_single_heading_titles_the_whole() -> None:
    assert titles("# One\n\na\n\n# Two\n\nb\n") == ["file › One", "file › Two"]
    assert titles("## Part\n\na\n") == ["file › Part"]
    assert titles("only text") == ["file"]
    assert titles("lead\n\n# One\n\na\n") == ["One", "One"]


def test_front_matter_gives_the_title_and_goes() -> None:
    text = '---\ntitle: "The return window"\ntags: [a, b]\n---\n# In short\n\n45 days.\n'
    assert sections(text, "file") == [Section("The return window › In short", "45 days.")]
    assert sections("+++\ntitle = 'Window'\n+++\n45 days.", "file") == [Section("Window", "45 days.")]
    assert sections("---\nlang: en\n---\n45 days.", "file") == [Section("file", "45 days.")]


def test_a_line_above_and_below_is_no_front_matter_unless_there_are_keys() -> None:
    assert (
        sections("---\n\nJust words.\n\n---\n\nMore.", "file")[0].text == "---\n\nJust words.\n\n---\n\nMore."
    )


def test_underlined_headings_count_and_hashes_in_code_do_not() -> None:
    text = "Shop\n====\n\nReturns\n-------\n\n```sh\n# no heading\n  run\n```\n\n    # nor this\n"
    (one,) = sections(text, "file")
    assert one.title == "Shop › Returns"
    assert one.text == "```sh\n# no heading\n  run\n```\n\n    # nor this"


def test_headings_lose_their_markup_and_anchors() -> None:
    assert titles("# The **best** [tent](x.md) of `2024` {#top}\n\na\n") == ["The best tent of 2024"]


def test_a_heading_with_nothing_below_it_says_all_that_there_is() -> None:
    assert sections("# Rules\n\n## No returns of gift cards\n\n## Costs\n\n4 euros.\n", "file") == [
        Section("Rules › No returns of gift cards", "No returns of gift cards"),
        Section("Rules › Costs", "4 euros."),
    ]


def test_a_heading_as_long_as_a_paragraph_stands_in_the_text_too() -> None:
    heading = "word " * 60
    (one,) = sections(f"# {heading}\n\ntext\n", "file")
    assert len(one.title) <= LONGEST_TITLE
    assert one.text == f"{heading.strip()}\n\ntext"


def test_comments_scripts_and_embedded_pictures_go_and_html_becomes_text() -> None:
    text = (
        "# A\n\n<!-- secret\nnote -->\n\n<script>\nalert(1)\n</script>\n\n"
        "<details>\n<summary>More</summary>\n\n**inside**\n\n</details>\n\n![a boot](data:x;base64,AA)\n"
    )
    (one,) = sections(text, "file")
    assert one.text.split() == ["More", "**inside**", "a", "boot"]


@given(
    st.lists(st.sampled_from(["# a1", "## b2", "### c3", "word", "", "- item", "> quote", "```", "a\n---"]))
)
def test_no_word_is_lost(lines: list[str]) -> None:
    text = "\n".join(lines)
    found = " ".join(f"{one.title} {one.text}" for one in sections(text, "file"))
    for word in ("a1", "b2", "c3", "word", "item", "quote"):
        assert (word in text) == (word in found)
