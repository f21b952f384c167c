"""What a hybrid query costs beside the embedding of its question, with 10,000 and with 100,000 passages.

One client asks for what everybody and one group may see. The baselines ask the same vectors: exact numpy (one
product over all of them, no text, no filter), and a bare Chroma collection with our parameters. Clustered
vectors and words by Zipf's law, both seeded; recall is that of the vectors' leg against exact search.
"""

from __future__ import annotations

import logging
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import insert

from assistant import migrations
from benchmarks import Row
from feedback.database import Database, connect
from retrieval.index import Index, open_index
from retrieval.recording import put
from retrieval.records import EVERYBODY, Kind, Passage
from retrieval.schema import passages
from retrieval.search import Search
from retrieval.vectors import HNSW, Place

SIZES = {10_000: 6.0, 100_000: 12.0}
"""Passages, and the milliseconds that half of the queries may take."""
DIMENSION, QUESTIONS, TOP = 384, 300, 10
GROUP = "staff"
_KINDS: tuple[Kind, ...] = ("document",)
_AUDIENCES = (EVERYBODY, GROUP)
_WORDS, _LENGTH = 30_000, 90
_AT_ONCE = 1_000


@dataclass(frozen=True)
class World:
    """Passages with their vectors, and questions with theirs."""

    members: list[Passage]
    rows: Any
    questions: list[str]
    asked: Any


class Given:
    """An embedder that knows the vector of each question beforehand: what is left is the search."""

    name, dimension = "given", DIMENSION

    def __init__(self, world: World) -> None:
        self._asked = dict(zip(world.questions, world.asked, strict=True))

    def documents(self, texts: Sequence[str]) -> Any:
        raise AssertionError("every passage has its vector")

    def question(self, text: str) -> Any:
        return self._asked[text]


def world(size: int) -> World:
    """Topics of very different sizes; a passage leans on its topic in vector and in words, and a question
    leans on one passage."""
    drawn = np.random.default_rng(size)
    topics = size // 100
    middles = _unit(drawn.normal(size=(topics, DIMENSION)))
    of_topic = _zipf(drawn, topics, size)
    rows = _unit(middles[of_topic] + 0.8 * _unit(drawn.normal(size=(size, DIMENSION))))
    words = np.array([f"w{number}x" for number in range(_WORDS)])
    common = _zipf(drawn, _WORDS, (size, _LENGTH))
    # A third of the words are those of the topic
    own = (of_topic[:, None] * 37 + drawn.integers(50, size=(size, _LENGTH // 3))) % _WORDS
    chosen = np.concatenate([common[:, : _LENGTH - _LENGTH // 3], own], axis=1)
    members = [
        Passage(
            f"psg-{number:032x}",
            f"doc-{number // 100}",
            "document",
            GROUP if number // 100 % 10 == 0 else EVERYBODY,
            "",
            " ".join(words[line]),
            None,
            number % 100,
        )
        for number, line in enumerate(chosen)
    ]
    meant = drawn.integers(size, size=QUESTIONS)
    asked = _unit(rows[meant] + 0.7 * _unit(drawn.normal(size=(QUESTIONS, DIMENSION))))
    questions = [
        f"how {' '.join(words[drawn.choice(chosen[at], 6)])} {number}" for number, at in enumerate(meant)
    ]
    return World(members, rows, questions, asked)


def filled(folder: Path, given: World, embedder: Given) -> tuple[Database, Index]:
    """An index with these passages, as `put` leaves it; the vectors are handed in."""
    database = connect(f"sqlite:///{folder / 'home.db'}")
    migrations.upgrade(database)
    index = open_index("", folder / "index", database, embedder)
    columns = [column.name for column in passages.columns]
    with database.write() as connection:
        values = [{name: getattr(one, name) for name in columns} for one in given.members]
        connection.execute(insert(passages), values)
    for audience in _AUDIENCES:
        place: Place = ("document", audience)
        numbers = [at for at, one in enumerate(given.members) if one.audience == audience]
        namespace, held = index._vectors.namespace(place), index._vectors._collection(place)
        for start in range(0, len(numbers), _AT_ONCE):
            some = numbers[start : start + _AT_ONCE]
            keys = [given.members[at].id for at in some]
            about = [{"source": given.members[at].source_id} for at in some]
            held.upsert(ids=keys, embeddings=given.rows[some], documents=keys, metadatas=about)
        with database.write() as connection:
            groups: dict[str, str | None] = {
                given.members[at].id: given.members[at].source_id for at in numbers
            }
            put(connection, namespace, groups, time.time())
    return database, index


def milliseconds(work: Callable[[int], object]) -> Any:
    """What `work` took for each question, asked one after the other; the first ones warm up."""
    for number in range(20):
        work(number)
    taken = []
    for number in range(QUESTIONS):
        started = time.perf_counter()
        work(number)
        taken.append(1000 * (time.perf_counter() - started))
    return np.array(taken)


def told(name: str, taken: Any) -> str:
    """The middle and the tail."""
    return f"{name} p50 {np.median(taken):.2f} ms, p95 {np.quantile(taken, 0.95):.2f} ms"


def exact(given: World, number: int) -> Any:
    """The nearest by one product over all vectors."""
    scores = given.rows @ given.asked[number]
    best = np.argpartition(-scores, TOP)[:TOP]
    return best[np.argsort(-scores[best])]


def measured(size: int, bar: float) -> list[Row]:
    """The rows of one size."""
    given = world(size)
    embedder = Given(given)
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        database, index = filled(Path(folder), given, embedder)
        took = time.perf_counter() - started
        started = time.perf_counter()
        search = Search(index, embedder, floor=0.3)
        try:
            if not search.words.settled(1800):
                raise TimeoutError("the words were not indexed in half an hour")
            words_took = time.perf_counter() - started
            rows = _asked(size, bar, given, index, search)
            first = rows[0]
            raw = f"{first.raw}; vectors written in {took:.0f} s, words in {words_took:.0f} s"
            return [Row(first.name, first.value, first.baseline, first.unit, first.target, raw), *rows[1:]]
        finally:
            search.close()
            index.close()
            database.close()


def _asked(size: int, bar: float, given: World, index: Index, search: Search) -> list[Row]:
    bare = index._vectors._client.create_collection(
        "bare", embedding_function=None, configuration={"hnsw": HNSW}
    )
    for start in range(0, size, _AT_ONCE):
        some = slice(start, start + _AT_ONCE)
        bare.upsert(ids=[one.id for one in given.members[some]], embeddings=given.rows[some])
    numpy_ms = milliseconds(lambda number: exact(given, number))
    bare_ms = milliseconds(
        lambda number: bare.query(
            query_embeddings=[given.asked[number]], n_results=TOP, include=["distances"]
        )
    )
    dense_ms = milliseconds(lambda number: index.dense(given.asked[number], _AUDIENCES, _KINDS, TOP))
    words_ms = milliseconds(lambda number: search.words.find(given.questions[number], _AUDIENCES, _KINDS, 50))
    hybrid_ms = milliseconds(lambda number: search.find(given.questions[number], _AUDIENCES, floor=-1))
    search.words.changed()
    during_ms = milliseconds(lambda number: search.find(given.questions[number], _AUDIENCES, floor=-1))
    same = 0
    for number in range(QUESTIONS):
        found = index.dense(given.asked[number], _AUDIENCES, _KINDS, TOP)
        same += len({key for key, _ in found} & {given.members[at].id for at in exact(given, number)})
    raw = "; ".join(
        [
            told("hybrid", hybrid_ms),
            told("while the words are built again", during_ms),
            told("vectors' leg", dense_ms),
            told("words' leg", words_ms),
            told("exact numpy", numpy_ms),
            told("bare Chroma", bare_ms),
            f"load {os.getloadavg()[0]:.1f}",
        ]
    )
    p50, label, target = float(np.median(hybrid_ms)), f"{size:,} passages", f"≤ {bar:.0f} ms"
    recall = same / (QUESTIONS * TOP)
    return [
        Row(f"hybrid query beside bare Chroma, {label}", p50, float(np.median(bare_ms)), "ms", target, raw),
        Row(f"hybrid query beside exact numpy, {label}", p50, float(np.median(numpy_ms)), "ms", target),
        Row(f"recall@10 of the vectors' leg beside exact search, {label}", recall, 1.0, "", "≥ 0.98"),
    ]


def run() -> list[Row]:
    """Milliseconds of wall time, and recall."""
    logging.getLogger("alembic").setLevel(logging.WARNING)
    return [row for size, bar in SIZES.items() for row in measured(size, bar)]


def _unit(rows: Any) -> Any:
    return (rows / np.linalg.norm(rows, axis=-1, keepdims=True)).astype(np.float32)


def _zipf(drawn: Any, kinds: int, shape: Any) -> Any:
    share = 1 / np.arange(1, kinds + 1)
    return drawn.choice(kinds, size=shape, p=share / share.sum())
