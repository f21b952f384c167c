"""Vectors of the single lines of passages, which tell more exactly than a whole passage what it answers.

Owns how a passage is cut into lines, and their vectors as rows beside the passages. Late interaction as in
Khattab and Zaharia, "ColBERT" (SIGIR 2020), with sentences in the place of tokens. Knows no index, no rank.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from typing import TYPE_CHECKING

from sqlalchemy import Connection, delete, func, insert, select

from feedback.database import Database
from retrieval.embeddings import Embedder
from retrieval.records import Passage
from retrieval.schema import line_vectors, passages

if TYPE_CHECKING:
    from retrieval.embeddings import Vectors as Rows

MOST = 32
"""Lines of a passage that get vectors of their own; a passage of the usual length has three or four."""
_BYTES = 2
_SENTENCE = re.compile(r"(?<=[.!?…])\s+(?=[\"'“„«(*]*[^\W_a-z])")


class Lines:
    """The vectors of the lines of one embedding model. Safe to share between threads."""

    def __init__(self, database: Database, embedder: Embedder) -> None:
        self._database = database
        self._embedder = embedder
        self._model = f"{embedder.name[-100:]} {embedder.dimension}"

    def write(self, given: Iterable[Passage]) -> None:
        """See to it that those of these that are rows have their lines' vectors; only what is missing is
        embedded."""
        wanted = {one.id: one for one in given if one.kind == "document"}
        columns = line_vectors.c
        with self._database.read() as connection:
            query = select(columns.passage_id).where(
                columns.passage_id.in_(wanted), columns.model == self._model
            )
            there = set(connection.execute(query).scalars())
        missing = [one for key, one in wanted.items() if key not in there]
        cut = [lines(one.text) for one in missing]
        # A line alone and behind its title: the one is nearer to a short question, the other to a named thing
        texts = [text for one, some in zip(missing, cut, strict=True) for text in _texts(one.title, some)]
        vectors = self._embedder.documents(texts).astype("float16")
        rows, start = [], 0
        for one, some in zip(missing, cut, strict=True):
            end = start + 2 * len(some)
            rows.append({"passage_id": one.id, "model": self._model, "vectors": vectors[start:end].tobytes()})
            start = end
        if rows:
            ids = [one.id for one in missing]
            # Another process may have dropped some meanwhile, and found no lines of theirs to forget
            still = select(passages.c.id).where(passages.c.id.in_(ids)).with_for_update(read=True)
            with self._database.write() as connection:
                there = set(connection.execute(still).scalars())
                forget(connection, ids)
                kept = [row for row in rows if row["passage_id"] in there]
                if kept:
                    connection.execute(insert(line_vectors), kept)

    def cosines(self, vector: Rows, ids: Collection[str]) -> dict[str, list[float]]:
        """For each of these passages that has any, how near its lines are to the vector, in their order."""
        import numpy as np

        columns = line_vectors.c
        query = select(columns.passage_id, columns.vectors).where(
            columns.passage_id.in_(ids), columns.model == self._model
        )
        with self._database.read() as connection:
            found = [(key, held) for key, held in connection.execute(query) if held]
        if not found:
            return {}
        width = len(vector)
        matrix = np.frombuffer(b"".join(held for _, held in found), np.float16).reshape(-1, width)
        cosines = matrix.astype(np.float32) @ vector
        ends = np.cumsum([len(held) // (_BYTES * width) for _, held in found])
        parts = np.split(cosines, ends[:-1])
        # The first half is of the lines alone, the second of the same behind their title
        return {
            key: np.maximum(*np.split(part, 2)).tolist() for (key, _), part in zip(found, parts, strict=True)
        }

    def count(self) -> int:
        """How many passages have vectors of this model for their lines."""
        query = select(func.count()).select_from(line_vectors).where(line_vectors.c.model == self._model)
        with self._database.read() as connection:
            return int(connection.execute(query).scalar_one())


def forget(connection: Connection, ids: Sequence[str]) -> None:
    """Delete the vectors of these passages' lines, of whatever model."""
    connection.execute(delete(line_vectors).where(line_vectors.c.passage_id.in_(ids)))


def forget_orphans(connection: Connection) -> None:
    """Delete the vectors of lines whose passage is gone."""
    connection.execute(delete(line_vectors).where(line_vectors.c.passage_id.not_in(select(passages.c.id))))


def lines(text: str) -> list[str]:
    """The sentences, list lines and table rows of a text that have words, each once; the first MOST.

    >>> lines("One day. Two days.\\n\\n| --- | --- |\\n| Price | 5 |")
    ['One day.', 'Two days.', '| Price | 5 |']
    """
    cut = (part.strip() for line in text.split("\n") for part in _SENTENCE.split(line))
    return list(dict.fromkeys(one for one in cut if any(letter.isalnum() for letter in one)))[:MOST]


def _texts(title: str, cut: Sequence[str]) -> list[str]:
    head = title.replace(" › ", ": ")
    return [*cut, *(f"{head}: {one}" for one in cut)]
