"""Tests of reading a file in a child: what comes back, what is refused and why, and that nothing stays behind."""

from __future__ import annotations

from pathlib import Path

import pytest

from retrieval.parsing import read
from retrieval.records import Section, Unreadable

LARGEST = 2**20


def test_a_markdown_file_comes_back_by_its_headings(tmp_path: Path) -> None:
    file = tmp_path / "whatever"
    file.write_text("# Returns\n\n## How long\n\n45 days.\n", encoding="utf-8")
    assert read(file, "returns.md", largest=LARGEST) == [Section("Returns › How long", "45 days.")]


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "empty.md"
    file.touch()
    with pytest.raises(Unreadable, match="^it is empty$"):
        read(file, "empty.md", largest=LARGEST)
