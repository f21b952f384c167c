"""Tests of the items of a file: found wherever the chunks end, never more of them in memory than one."""

from __future__ import annotations

import io
import json
import tracemalloc
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feedback import items as module
from feedback.items import Item, items

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)
OBJECTS = st.lists(st.dictionaries(st.text(max_size=6), VALUES, max_size=4), max_size=6)


def read(text: str) -> list[Any]:
    return [json.loads(item.text or "null") for item in items(io.StringIO(text))]


@settings(max_examples=60, deadline=None)
@given(OBJECTS, st.integers(1, 9), st.sampled_from([None, 1]), st.booleans())
def test_lines_and_arrays_give_the_same_items_wherever_a_chunk_ends(
    objects: list[dict[str, Any]], chunk: int, indent: int | None, ascii_only: bool
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_CHUNK", chunk)
        lines = "".join(json.dumps(one, ensure_ascii=ascii_only) + "\n" for one in objects)
        assert read(lines) == objects
        assert read("\ufeff \n" + json.dumps(objects, indent=indent, ensure_ascii=ascii_only)) == objects


def test_items_have_the_numbers_of_their_lines_and_empty_ones_are_passed_over() -> None:
    found = list(items(io.StringIO('\n{"a": 1}\r\n\n  \nnonsense\n{"b": 2}')))
    assert found == [Item(2, '{"a": 1}'), Item(5, "nonsense"), Item(6, '{"b": 2}')]
    assert list(items(io.StringIO("[1]\n[2]\n"))) == [Item(1, "[1]"), Item(2, "[2]")]


@pytest.mark.parametrize("text", ["", " \n \n", "[]", " [ ] "])
def test_a_file_of_nothing_has_no_items(text: str) -> None:
    assert [item.text for item in items(io.StringIO(text))] == []


def test_an_array_that_breaks_off_gives_what_there_is() -> None:
    found = [item.text for item in items(io.StringIO('[{"a": "]},{"}, {"b": '))]
    assert found == ['{"a": "]},{"}', '{"b":']


@pytest.mark.parametrize("form", ["{}\n{}\n", "[{},{}]"])
def test_what_is_too_long_is_passed_over_and_the_next_one_read(
    form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LONGEST", 100)
    text = form.format('{"a": "' + "x" * 300_000 + '"}', '{"b": 1}')
    assert [item.text for item in items(io.StringIO(text))] == [None, '{"b": 1}']


class Endless(io.StringIO):
    """A file of 200 MB in one line that nobody ever holds."""

    left = 200_000_000

    def read(self, size: int | None = -1, /) -> str:
        size = min(size or 0, self.left)
        self.left -= size
        return "x" * size


def test_a_line_without_end_takes_no_memory() -> None:
    tracemalloc.start()
    try:
        assert list(items(Endless())) == [Item(1, None)]
        assert tracemalloc.get_traced_memory()[1] < 20_000_000
    finally:
        tracemalloc.stop()
