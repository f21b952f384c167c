"""Tests of rows as sections: CSV of several kinds, JSONL, and what is neither."""

from __future__ import annotations

import json

import pytest

from retrieval import rows
from retrieval.records import Section, Unreadable


def test_a_row_reads_by_its_columns_and_is_titled_by_the_title_column() -> None:
    text = 'id,question,answer\n1,How long?,"45 days,\nunused"\n2,What cost?,\n'
    assert rows.table(text, "faq") == [
        Section("faq › How long?", "id: 1\nquestion: How long?\nanswer: 45 days,\nunused"),
        Section("faq › What cost?", "id: 2\nquestion: What cost?"),
    ]


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_the_first_column_titles_where_none_is_called_so(separator: str) -> None:
    lines = [
        ["Country", "Cost", "Days"],
        ["Germany", "free", "2"],
        ["Norway", "12", "5"],
        ["Japan", "20", "9"],
    ]
    text = "\n".join(separator.join(line) for line in lines)
    assert rows.table(text, "shipping")[1] == Section(
        "shipping › Norway", "Country: Norway\nCost: 12\nDays: 5"
    )


def test_a_first_line_that_is_data_names_nothing() -> None:
    assert rows.table("Tent,349\nBoots,179\n", "prices") == [
        Section("prices › Tent", "Tent\n349"),
        Section("prices › Boots", "Boots\n179"),
    ]


def test_rows_longer_than_the_first_keep_their_cells() -> None:
    assert rows.table("a,b\nx,1,extra\n", "t")[0].text == "a: x\nb: 1\nextra"


def test_json_lines_are_laid_flat() -> None:
    value = {
        "sku": "T1",
        "title": "Tent",
        "size": {"w": 210, "h": 1.1},
        "colours": ["green", "sand"],
        "old": None,
    }
    more = {"parts": [{"n": "pole"}, {"n": "peg"}], "new": True}
    text = json.dumps(value) + "\n\n" + json.dumps(more) + '\n"just words"\n'
    assert rows.lines(text, "shop") == [
        Section("shop › Tent", "sku: T1\ntitle: Tent\nsize.w: 210\nsize.h: 1.1\ncolours: green, sand"),
        Section("shop › pole", "parts.n: pole\nparts.n: peg\nnew: true"),
        Section("shop › just words", "just words"),
    ]


def test_a_line_that_is_no_json_is_named() -> None:
    with pytest.raises(Unreadable, match=r"^line 2 of it is no JSON$"):
        rows.lines('{"a": 1}\n{"a": \n', "x")
    with pytest.raises(Unreadable, match="line 1"):
        rows.lines("[" * 100_000, "x")


def test_too_many_rows_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "MOST", 2)
    for read, text in ((rows.table, "a,b\n" + "x,1\n" * 3), (rows.lines, '{"a": 1}\n' * 3)):
        with pytest.raises(Unreadable, match="more than"):
            read(text, "x")
