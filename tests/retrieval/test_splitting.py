"""Tests of cutting to passages: nothing lost, nothing too long, and ids that hang on what is said."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrieval.records import Section
from retrieval.splitting import SMALLEST, counter, estimate, passages, split
from training import starter
from training.starter import library

WORD = re.compile(r"\w+")


def words(text: str) -> int:
    return len(text.split())


def texts(sections: list[Section]) -> list[str]:
    return [one.text for one in sections]


def test_what_fits_stays_as_it_is() -> None:
    sections = [Section("A › B", "  indented\n\n- a list", 3), Section("A › C", "short", 3)]
    assert split(sections, words, 20) == sections


def test_cuts_stand_between_paragraphs_lines_and_sentences() -> None:
    text = "One two three four.\n\nFive six seven eight. Nine ten. Eleven twelve thirteen fourteen fifteen."
    assert texts(split([Section("t", text)], words, 8)) == [
        "One two three four.",
        "Five six seven eight. Nine ten.",
        "Eleven twelve thirteen fourteen fifteen.",
    ]


def test_neighbours_of_one_title_and_page_are_joined_where_they_fit() -> None:
    sections = [Section("a", "one two"), Section("a", "three"), Section("b", "four"), Section("b", "five", 2)]
    assert split(sections, words, 8) == [
        Section("a", "one two\n\nthree"),
        Section("b", "four"),
        Section("b", "five", 2),
    ]


def test_a_long_table_keeps_its_head_with_each_part() -> None:
    rows = [f"| {country} | {cost} |" for country, cost in zip("ABCDEF", "123456", strict=True)]
    table = "\n".join(["| X | Y |", "|---|---|", *rows])
    found = texts(split([Section("t", f"Costs are:\n\n{table}\n\nAll in euros.")], words, 18))
    head = "| X | Y |\n|---|---|\n"
    assert found == [
        "Costs are:\n\n" + head + "\n".join(rows[:2]),
        head + "\n".join(rows[2:4]),
        head + "\n".join(rows[4:]) + "\n\nAll in euros.",
    ]


def test_what_holds_no_words_is_left_out() -> None:
    assert split([Section("t", "---\n\n***"), Section("t", ""), Section("u", "a")], words, 8) == [
        Section("u", "a")
    ]


def test_a_word_without_end_is_cut_too() -> None:
    found = texts(split([Section("t", "x" * 100_000)], len, 64))
    assert "".join(found) == "x" * 100_000
    assert max(map(len, found)) <= 64


def test_a_passage_has_room_for_a_character_at_least() -> None:
    with pytest.raises(ValueError, match="8 tokens"):
        split([Section("t", "a")], len, SMALLEST - 1)


LINES = st.one_of(
    st.text(max_size=60),
    st.sampled_from(
        ["", "", "| a | b |", "|---|---|", "| c d e f | g |", "## h", "```", "- x, y; z.", "😀🏳️‍🌈 ä"]
    ),
    st.integers(1, 300).map(lambda length: "w" * length),
)


@settings(deadline=None)
@given(st.lists(st.lists(LINES, max_size=12), max_size=4), st.integers(SMALLEST, 60))
def test_nothing_is_lost_and_nothing_is_too_long(parts: list[list[str]], most: int) -> None:
    length = counter(str(starter.path()))
    sections = [Section(str(number % 2), "\n".join(lines)) for number, lines in enumerate(parts)]
    found = split(sections, length, most)
    assert all(length(one.text) <= most and one.text.strip() for one in found)
    # Words in order; a table's head may be said again between them, and a long word be cut
    letters = iter("".join(WORD.findall(" ".join(one.text for one in found))))
    wanted = [*"".join(WORD.findall(" ".join(one.text for one in sections)))]
    assert all(letter in letters for letter in wanted)


def test_an_id_hangs_on_the_document_and_on_what_is_said() -> None:
    sections = [Section("a", "one"), Section("a", "two"), Section("a", "one")]
    first = passages("doc-1", "", sections)
    assert [one.id for one in first] == [one.id for one in passages("doc-1", "board", sections)]
    assert len({one.id for one in first}) == 3
    assert all(re.fullmatch("psg-[0-9a-f]{32}", one.id) for one in first)
    assert not {one.id for one in first} & {one.id for one in passages("doc-2", "", sections)}
    assert [(one.place, one.source_id, one.kind) for one in first] == [
        (0, "doc-1", "document"),
        (1, "doc-1", "document"),
        (2, "doc-1", "document"),
    ]
    # The same words again keep the ids of those before them
    assert [one.id for one in passages("doc-1", "", sections[:2])] == [one.id for one in first[:2]]


def ids(sections: list[Section], most: int = 60) -> set[str]:
    return {one.id for one in passages("doc-1", "", split(sections, words, most))}


def test_a_changed_paragraph_changes_only_the_passages_around_it() -> None:
    paragraphs = [
        f"Paragraph {number} says " + f"word{number} " * (number * 7 % 23) + "." for number in range(300)
    ]
    before = ids([Section("book", "\n\n".join(paragraphs))])
    for place in (0, 7, 150, 299):
        changed = [*paragraphs]
        changed[place] = "Something quite different, and longer than what stood here before it was changed."
        after = ids([Section("book", "\n\n".join(changed))])
        assert len(after - before) <= 8
        removed = ids([Section("book", "\n\n".join(paragraphs[:place] + paragraphs[place + 1 :]))])
        assert len(removed - before) <= 8


def test_a_changed_section_changes_no_other() -> None:
    sections = [Section(f"s{number}", f"text {number} " * 30) for number in range(20)]
    before = ids(sections)
    sections[4] = Section("s4", "another text")
    assert len(ids(sections) - before) == 1


def test_the_served_tokenizer_counts() -> None:
    length = counter(str(starter.path()))
    assert length("") == 0
    assert 8 < length("You can return unused items within 45 days.") < 16
    # However long, nothing is cut off
    assert length("word " * 10_000) >= 10_000


def test_without_a_tokenizer_an_estimate_counts(tmp_path: Path) -> None:
    assert counter(str(tmp_path)) is estimate
    assert counter("nobody/has-this-model") is estimate
    assert counter("not a/name/at all") is estimate
    (tmp_path / "tokenizer.json").write_text("{broken")
    assert counter(str(tmp_path)) is estimate
    assert estimate("abcdef") == 2
    assert estimate("返品") == 2


def test_the_starters_documents_fall_into_their_sections() -> None:
    length = counter(str(starter.path()))
    from retrieval.markdown import sections

    for file in sorted(library.folder().glob("*.md")):
        found = split(sections(file.read_text("utf-8"), file.stem), length, 200)
        wanted = [one for one in library.sections() if one.document == found[0].title.partition(" › ")[0]]
        assert [(one.title, one.text) for one in found] == [
            (f"{one.document} › {one.heading}", one.text) for one in wanted
        ]
