"""Rows to sections: CSV and JSONL, one section a row, titled by the row's own title or its first value.

A row reads `Column: value`, a line a column, so that it can be understood away from its table.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any

from retrieval.markdown import path_of
from retrieval.records import Section, Unreadable

MOST = 100_000
TOO_MANY = f"it has more than {MOST:,} rows, which makes it a database and no document"

_TITLES = ("title", "heading", "subject", "question", "name", "titel", "frage")
"""What the column is called that names a row, the surest first."""
_SAMPLE = 2**16
_LONGEST_CELL = 2**24
_NUMBER = re.compile(r"[\s\d.,:%€$£/+-]*")
_DEEPEST = 20


def table(text: str, fallback: str) -> list[Section]:
    """The rows of a CSV text; its first line names the columns unless it looks like data."""
    csv.field_size_limit(_LONGEST_CELL)
    dialect = _dialect(text)
    try:
        rows = [
            row for row in csv.reader(text.splitlines(keepends=True), dialect) if any(map(str.strip, row))
        ]
    except csv.Error as error:
        raise Unreadable("it is no CSV that can be told into columns") from error
    if not rows:
        return []
    names: Sequence[str] = [cell.strip() for cell in rows[0]]
    if len(rows) > 1 and all(names) and not any(_NUMBER.fullmatch(name) for name in names):
        rows = rows[1:]
    else:
        names = [""] * len(names)
    if len(rows) > MOST:
        raise Unreadable(TOO_MANY)
    # A row with more cells than there are names keeps them, without names
    return [_row(list(_paired(names, row)), fallback) for row in rows]


def lines(text: str, fallback: str) -> list[Section]:
    """The rows of a JSONL text, one JSON value a line."""
    found: list[Section] = []
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        if len(found) == MOST:
            raise Unreadable(TOO_MANY)
        try:
            value = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise Unreadable(f"line {number:,} of it is no JSON") from error
        found.append(_row(list(_flat(value)), fallback))
    return found


def _row(cells: list[tuple[str, str]], fallback: str) -> Section:
    cells = [(name, value.strip()) for name, value in cells if value.strip()]
    title = next((value for wanted in _TITLES for name, value in cells if name.casefold() == wanted), "")
    if not title and cells:
        title = cells[0][1]
    text = "\n".join(f"{name}: {value}" if name else value for name, value in cells)
    return Section(path_of([fallback, " ".join(title.split())]), text)


def _paired(names: Sequence[str], row: Sequence[str]) -> Iterator[tuple[str, str]]:
    return zip(chain(names, [""] * (len(row) - len(names))), row, strict=False)


def _dialect(text: str) -> csv.Dialect | type[csv.Dialect]:
    try:
        # Whole lines, since half a quoted cell would mislead it
        return csv.Sniffer().sniff(text[:_SAMPLE].rpartition("\n")[0] or text[:_SAMPLE], ",;\t|")
    except csv.Error:
        first = text.split("\n", 1)[0]
        separator = max(",;\t|", key=first.count)
        return type("_Plain", (csv.excel,), {"delimiter": separator})


def _flat(value: Any, name: str = "", depth: int = 0) -> Iterator[tuple[str, str]]:
    """A JSON value as named values: {"a": {"b": 1}} as a.b: 1, a list of plain values as one."""
    if isinstance(value, dict) and depth < _DEEPEST:
        for key, inner in value.items():
            yield from _flat(inner, f"{name}.{key}" if name else str(key), depth + 1)
    elif isinstance(value, list) and depth < _DEEPEST:
        if all(isinstance(one, str | int | float) for one in value):
            yield name, ", ".join(map(str, value))
        else:
            for inner in value:
                yield from _flat(inner, name, depth + 1)
    elif isinstance(value, str):
        yield name, value
    elif value is not None:
        yield name, json.dumps(value, ensure_ascii=False)
