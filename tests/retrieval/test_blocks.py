"""Tests of blocks: never too long, never twice the same, in the order of their document."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from retrieval.blocks import grown, joined, shown
from retrieval.records import Passage
from tests.retrieval.word_vectors import passage


def words(text: str) -> int:
    return len(text.split())


def page(sizes: list[int], source: str = "doc-1") -> list[Passage]:
    return [
        replace(passage(f"w{place:02} " * size, source, title=f"Page › Part {place}"), place=place)
        for place, size in enumerate(sizes)
    ]


def test_titles_shared_by_all_stand_once() -> None:
    one, two, three = page([1, 1, 1])
    two = replace(two, title=one.title)
    block = joined(one, [one, two, three])
    assert block.title == "Page"
    assert block.text == "Part 0\nw00\n\nw01\n\nPart 2\nw02"
    assert joined(one, [one]) is one
    apart = joined(one, [one, replace(two, title="Another book")])
    assert apart.title == one.title


@given(
    st.lists(st.integers(1, 30), min_size=1, max_size=12),
    st.integers(1, 80),
    st.integers(1, 6),
    st.randoms(use_true_random=False),
)
def test_blocks_hold_their_passage_and_nothing_twice(sizes, most, count, rng) -> None:
    told = page(sizes)
    found = rng.sample(told, len(told))
    made = grown(found, {one.id: told for one in found}, words, most, count)
    assert 1 <= len(made) <= count
    held = []
    by_id = {one.id: one for one in told}
    passed_over = []
    for block, covered in made:
        one = by_id[block.id]
        inside = [other for other in told if other.text.strip() in block.text]
        assert one in inside
        assert len(inside) == 1 or sum(words(shown(other)) for other in inside) <= most
        assert [other.place for other in inside] == list(range(inside[0].place, inside[-1].place + 1))
        held += [other.id for other in inside]
        passed_over += covered
        assert set(covered) < {other.id for other in inside}
    assert len(held) == len(set(held))
    # All that were looked at, each once, until there were blocks enough
    looked_at = [block.id for block, _ in made] + passed_over
    assert sorted(looked_at) == sorted(one.id for one in found[: len(looked_at)])


def test_neighbours_that_are_for_others_stay_out() -> None:
    one, two = page([1, 1])
    two = replace(two, audience="board")
    assert grown([one], {one.id: [one, two]}, words, 100, 1) == [(one, [])]
