"""Finds the passages that may answer a question: by meaning and by words, joined by their ranks, and then
ordered by how near they, their lines and their documents are.

What is found is read again from the rows of the passages, so nothing that was removed, or that belongs to
other people, is ever given out. Knows no person: the caller names the audiences.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol

from retrieval import blocks
from retrieval.embeddings import Embedder
from retrieval.index import Index
from retrieval.lexical import Lexical
from retrieval.lines import lines as cut_lines
from retrieval.records import Hit, Kind, Passage, Unavailable
from retrieval.splitting import Length, estimate

if TYPE_CHECKING:
    from langchain_core.retrievers import BaseRetriever

DOCUMENTS: tuple[Kind, ...] = ("document",)

LEG = 50
"""How many each of the two ways finds before they are joined."""
RANK_CONSTANT = 10
"""Of reciprocal rank fusion (Cormack, Clarke and Büttcher, SIGIR 2009): small, so that the first few of a
list stand out. Theirs is 60, for lists that are all as good."""
POOL = 30
"""How many of the joined are looked at more closely: scored by their lines, ranked again."""
_OF_WORDS = 0.15
"""What a passage gains that holds every word of the question: enough for a code or a name to come first."""
_OF_SOURCE = 0.5
"""What the nearness of a passage's document counts beside its own: answers stand where the matter is dealt
with. Like POOL it was fixed on the development half of benchmarks/questions (recall@5 0.968 there)."""
_BEST_OF_SOURCE = 2
_BESIDE = 0.15
"""How far below the floor a passage may be beside one that reaches it: the floor tells whether the documents
deal with a question, and there the passage that answers is often not the nearest."""


class Reranker(Protocol):
    """Reads a question and texts together; the higher, the better the text answers."""

    def __call__(self, question: str, texts: Sequence[str]) -> Sequence[float]: ...


class Search:
    """Hybrid search over an index. Safe to share between threads."""

    def __init__(
        self,
        index: Index,
        embedder: Embedder,
        *,
        floor: float,
        reranker: str | Reranker = "",
        length: Length = estimate,
        block: int = 400,
        hidden: Callable[[Collection[str]], Collection[str]] = lambda ids: (),
    ) -> None:
        """`block` is the most tokens by `length` to which a passage grows where that is asked for. `hidden`
        gives those of these sources that nobody is to find, though they still stand in the index."""
        self._index = index
        self._embedder = embedder
        self._floor = floor
        self._reranker = open_reranker(reranker) if isinstance(reranker, str) else reranker
        self._length, self._block, self._hidden = length, block, hidden
        self.words = Lexical(index)

    def find(
        self,
        question: str,
        audiences: Collection[str],
        *,
        kinds: Collection[Kind] = DOCUMENTS,
        most: int = 4,
        floor: float | None = None,
        grow: bool = False,
        lines: int = 0,
    ) -> list[Hit]:
        """The best passages for these audiences, best first; none at all unless the cosine of one reaches the
        floor, and none that is far below it. Blocks for some milliseconds.

        With `grow` each comes with what stands around it, and what stands in the block of a better one comes
        with that one. With `lines` there are so many of the nearest lines in the place of `most` passages.
        """
        if most < 1 or not audiences or not kinds or not question.strip():
            return []
        leg, pool = max(LEG, most), max(POOL, most)
        vector = self._embedder.question(question)
        cosines = dict(self._index.dense(vector, audiences, kinds, leg))
        shares = self.words.covering(question, audiences, kinds, leg)
        fused = fuse([dict.fromkeys(cosines, 1.0), shares])
        seen = self._readable(sorted(fused, key=lambda key: (-fused[key], key)), audiences, kinds, pool)
        cosines |= self._index.cosines(vector, [one for one in seen if one.id not in cosines])
        lowest = self._floor if floor is None else floor
        if max((cosines[one.id] for one in seen), default=-1.0) < lowest:
            return []
        seen = [one for one in seen if cosines[one.id] >= lowest - _BESIDE]
        near = self._index.lines.cosines(vector, [one.id for one in seen])
        if lines:
            return condensed(seen, cosines, near, lines)
        ranks = ranked(seen, cosines, {key: max(values) for key, values in near.items()}, shares)
        if self._reranker is not None:
            marks = self._reranker(question, [one.searched for one in seen])
            ranks = {one.id: float(mark) for one, mark in zip(seen, marks, strict=True)}
        seen.sort(key=lambda one: (-ranks[one.id], one.id))
        hits = [Hit(one, cosines[one.id], ranks[one.id]) for one in seen]
        if not grow:
            return hits[:most]
        # What stands in the block of a better one gets none, so more than `most` are looked at
        grown = self.grow([hit.passage for hit in hits[: 3 * most]], most)
        by_id = {hit.passage.id: hit for hit in hits}
        return [
            replace(by_id[block.id], block=block, covers=tuple(by_id[key] for key in covered))
            for block, covered in grown
        ]

    def grow(self, found: Sequence[Passage], most: int) -> list[tuple[Passage, list[str]]]:
        """The first `most` of these passages with what stands around them, none of it twice; each with the
        ids of those that were passed over for it."""
        around = self._index.around(found, blocks.REACH)
        return blocks.grown(found, around, self._length, self._block, most)

    def _readable(
        self, keys: Sequence[str], audiences: Collection[str], kinds: Collection[Kind], most: int
    ) -> list[Passage]:
        """The first of these that still are rows, may be found, and are for these audiences."""
        seen: list[Passage] = []
        for start in range(0, len(keys), most):
            part = keys[start : start + most]
            rows = self._index.passages(part)
            there = [rows[key] for key in part if key in rows]
            there = [one for one in there if one.audience in audiences and one.kind in kinds]
            hidden = self._hidden({one.source_id for one in there})
            seen += [one for one in there if one.source_id not in hidden]
            if len(seen) >= most:
                break
        return seen[:most]

    def retriever(self, audiences: Collection[str], most: int = 4) -> BaseRetriever:
        """The same as a retriever of langchain: documents with their metadata."""
        from retrieval.retriever import PassageRetriever

        return PassageRetriever(search=self, audiences=frozenset(audiences), most=most)

    def close(self) -> None:
        """End the thread that keeps the words."""
        self.words.close()


def fuse(legs: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Reciprocal rank fusion of lists with weights: what stands high in several stands highest.

    A passage found by its words weighs as much as the part of the question that those words make up: all
    for a code or a name, little where one word of a long question happens to be in it.
    """
    fused: dict[str, float] = {}
    for leg in legs:
        for rank, (key, weight) in enumerate(leg.items(), 1):
            fused[key] = fused.get(key, 0.0) + weight / (RANK_CONSTANT + rank)
    return fused


def ranked(
    seen: Sequence[Passage],
    cosines: Mapping[str, float],
    lines: Mapping[str, float],
    shares: Mapping[str, float],
) -> dict[str, float]:
    """What passages are ordered by: how near they and their nearest lines are, how much of the question's
    words they hold (`shares`, 0 to 1), and then their source.

    A source is as near as its best passages; where fewer were looked at, the rest count as the worst of all.
    """
    near = {
        one.id: (cosines[one.id] + lines.get(one.id, cosines[one.id])) / 2
        + _OF_WORDS * shares.get(one.id, 0.0)
        for one in seen
    }
    worst = min(near.values(), default=0.0)
    sources: dict[str, list[float]] = {}
    for one in seen:
        sources.setdefault(one.source_id, []).append(near[one.id])
    best = {
        key: sum(sorted([*values, *[worst] * _BEST_OF_SOURCE], reverse=True)[:_BEST_OF_SOURCE])
        for key, values in sources.items()
    }
    return {one.id: near[one.id] + _OF_SOURCE * best[one.source_id] / _BEST_OF_SOURCE for one in seen}


def condensed(
    seen: Sequence[Passage], cosines: Mapping[str, float], near: Mapping[str, Sequence[float]], most: int
) -> list[Hit]:
    """The `most` nearest lines of these passages, by passage: what a model reads that can hold little.

    A line counts by its own cosine and its passage's; a passage without vectors of lines counts as one line.
    """
    found: list[tuple[float, int, str]] = []
    for number, one in enumerate(seen):
        cut = cut_lines(one.text)
        values = near.get(one.id, ())
        if len(values) != len(cut):
            cut, values = [one.text], [cosines[one.id]]
        found += [
            ((cosines[one.id] + value) / 2, number, line) for value, line in zip(values, cut, strict=True)
        ]
    groups: dict[int, list[tuple[float, str]]] = {}
    for score, number, line in sorted(found, key=lambda item: (-item[0], item[1]))[:most]:
        groups.setdefault(number, []).append((score, line))
    return [
        Hit(
            seen[number],
            cosines[seen[number].id],
            some[0][0],
            replace(seen[number], text="\n".join(line for _, line in some)),
        )
        for number, some in groups.items()
    ]


def open_reranker(location: str) -> Reranker | None:
    """A cross-encoder of sentence-transformers, by folder or name; none for an empty location. Raises
    `Unavailable`."""
    if not location:
        return None
    try:
        from sentence_transformers import CrossEncoder

        model: Any = CrossEncoder(location, device="cpu")
    except Exception as error:  # whatever a foreign folder makes the libraries raise
        text = " ".join(str(error).split())[:300]
        raise Unavailable(f"the reranker {location} can't be loaded: {text}") from error

    def marks(question: str, texts: Sequence[str]) -> Sequence[float]:
        pairs = [(question, text) for text in texts]
        found: list[float] = model.predict(pairs, show_progress_bar=False).tolist()
        return found

    return marks
