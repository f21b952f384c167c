"""Tests of the search as langchain asks it."""

from __future__ import annotations

from pathlib import Path

from feedback.database import Database
from retrieval.index import open_index
from retrieval.records import EVERYBODY
from retrieval.search import Search
from tests.retrieval.word_vectors import WordVectors, passage


def test_documents_carry_what_is_known_of_them(sqlite: Database, tmp_path: Path) -> None:
    index = open_index("", tmp_path / "index", sqlite, WordVectors())
    search = Search(index, WordVectors(), floor=0.2)
    index.put("doc-1", [passage("The shop opens at nine.", title="Hours")])
    index.put("doc-2", [passage("The shop opens at eight for the board.", "doc-2", "board")])
    (found,) = search.retriever({EVERYBODY}).invoke("the shop opens")
    assert found.page_content == "The shop opens at nine."
    assert found.metadata["title"] == "Hours"
    assert found.metadata["source"] == "doc-1"
    assert found.metadata["score"] > 0.2
    assert len(search.retriever({EVERYBODY, "board"}, 1).invoke("the shop opens")) == 1
    search.close()
    index.close()
