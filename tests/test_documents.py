"""The knowledge base with its real parts: documents come in, also through a kill -9."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.running import ROOT, wait_for

pytest.importorskip("chromadb")
pytest.importorskip("sentence_transformers")

# On a busy machine the libraries alone take a minute to load, and here they are loaded three times
pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
PAGES = 60


def page(number: int) -> str:
    """A page of a book, most of it about nothing."""
    filler = " ".join(f"The shop keeps item {number * 31 + place} on shelf {place}." for place in range(40))
    return f"## Chapter {number}\n\nThe code word of chapter {number} is quux{number}.\n\n{filler}"


def start(home: Path, *arguments: str) -> subprocess.Popen[str]:
    env = {name: value for name, value in os.environ.items() if not name.startswith("APPRENTICE_")}
    return subprocess.Popen(
        [sys.executable, "-m", "assistant", "documents", *arguments],
        env=env | {"APPRENTICE_HOME": str(home)},
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def command(home: Path, *arguments: str) -> str:
    process = start(home, *arguments)
    said, complaints = process.communicate(timeout=400)
    assert process.returncode == 0, said + complaints
    return said


def rows(home: Path) -> dict[str, dict[str, Any]]:
    return {row["name"]: row for row in json.loads(command(home, "list", "--json"))}


def test_a_book_comes_in_through_a_kill_and_is_found_by_its_group_alone(home: Path, tmp_path: Path) -> None:
    book = tmp_path / "book.md"
    book.write_text("# The book\n\n" + "\n\n".join(map(page, range(PAGES))))
    adding = start(home, "add", str(book), "--group", "sales")

    def begun() -> bool:
        row = rows(home).get("book.md")
        return row is not None and row["passages"] > 0

    wait_for(begun, 400)
    os.kill(adding.pid, signal.SIGKILL)
    adding.communicate()
    half = rows(home)["book.md"]
    assert half["state"] == "indexing"
    assert 0 < half["passages"] < half["expected"]
    assert "ready      book.md" in command(home, "add", str(book), "--group", "sales")
    whole = rows(home)["book.md"]
    assert (whole["id"], whole["state"], whole["passages"]) == (half["id"], "ready", half["expected"])
    question = "What is the code word of chapter 33?"
    (hit, *_) = json.loads(command(home, "search", question, "--group", "sales", "--json"))
    assert "quux33" in hit["text"]
    assert hit["title"] == "The book › Chapter 33"
    assert json.loads(command(home, "search", question, "--json")) == []
