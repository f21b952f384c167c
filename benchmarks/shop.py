"""The sample shop's documents, read, cut, indexed and searched as the product does it, in a home for once.

Owns the putting together. Knows no question and no engine.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from assistant import migrations
from assistant.settings import DocumentsSection
from feedback.database import connect
from retrieval.embeddings import Embedder, open_embeddings
from retrieval.index import Index, open_index
from retrieval.parsing import read
from retrieval.records import EVERYBODY
from retrieval.search import Search
from retrieval.splitting import Length, counter, passages, split
from training import starter
from training.starter import library

AUDIENCES = (EVERYBODY,)
_LARGEST = 2**20
_SETTLED = 300.0


@dataclass(frozen=True)
class Shop:
    """The opened index. A passage's source is the stem of its document's file."""

    index: Index
    search: Search
    embedder: Embedder
    length: Length
    """Counts tokens as the starter does."""


@contextmanager
def opened(most: int | None = None) -> Iterator[Shop]:
    """All documents in an index, in passages of up to `most` tokens of the starter (the default setting)."""
    defaults = DocumentsSection()
    with tempfile.TemporaryDirectory(prefix="apprentice-bench-") as scratch:
        folder = Path(scratch)
        database = connect(f"sqlite:///{folder / 'shop.db'}")
        migrations.upgrade(database)
        embedder = open_embeddings(defaults.embeddings)
        index = open_index("", folder / "index", database, embedder)
        length = counter(str(starter.path()))
        for path in sorted(library.folder().glob("*.md")):
            sections = split(read(path, path.name, largest=_LARGEST), length, most or defaults.passage_tokens)
            index.put(path.stem, passages(path.stem, EVERYBODY, sections))
        search = Search(index, embedder, floor=defaults.floor, length=length, block=defaults.block_tokens)
        try:
            if not search.words.settled(_SETTLED):
                raise TimeoutError("the words of the shop's passages are not indexed")
            yield Shop(index, search, embedder, length)
        finally:
            search.close()
            index.close()
            database.close()
