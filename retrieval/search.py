"""Finds the passages that may answer a question: by meaning and by words, joined by their ranks.

What is found is read again from the rows of the passages, so nothing that was removed, or that belongs to
other people, is ever given out. Knows no person: the caller names the audiences.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from retrieval.embeddings import Embedder
from retrieval.index import Index
from retrieval.lexical import Lexical
from retrieval.records import Hit, Kind, Passage, Unavailable

if TYPE_CHECKING:
    from langchain_core.retrievers import BaseRetriever

DOCUMENTS: tuple[Kind, ...] = ("document",)

LEG = 50
"""How many each of the two ways finds before they are joined."""
RANK_CONSTANT = 10
"""Of reciprocal rank fusion (Cormack, Clarke and Büttcher, SIGIR 2009): small, so that the first few of a
list stand out. Theirs is 60, for lists that are all as good."""
POOL = 20
"""How many of the joined are looked at more closely: scored, held against the floor, ranked again."""


class Reranker(Protocol):
    """Reads a question and texts together; the higher, the better the text answers."""

    def __call__(self, question: str, texts: Sequence[str]) -> Sequence[float]: ...


class Search:
    """Hybrid search over an index. Safe to share between threads."""

    def __init__(
        self, index: Index, embedder: Embedder, *, floor: float, reranker: str | Reranker = ""
    ) -> None:
        self._index = index
        self._embedder = embedder
        self._floor = floor
        self._reranker = open_reranker(reranker) if isinstance(reranker, str) else reranker
        self.words = Lexical(index)

    def find(
        self,
        question: str,
        audiences: Collection[str],
        *,
        kinds: Collection[Kind] = DOCUMENTS,
        most: int = 4,
        floor: float | None = None,
    ) -> list[Hit]:
        """The best passages for these audiences, best first; none whose cosine to the question is below
        the floor. Blocks for some milliseconds."""
        if most < 1 or not audiences or not kinds or not question.strip():
            return []
        leg, pool = max(LEG, most), max(POOL, most)
        vector = self._embedder.question(question)
        cosines = dict(self._index.dense(vector, audiences, kinds, leg))
        fused = fuse([dict.fromkeys(cosines, 1.0), self.words.covering(question, audiences, kinds, leg)])
        seen = self._readable(sorted(fused, key=lambda key: (-fused[key], key)), audiences, kinds, pool)
        cosines |= self._index.cosines(vector, [one for one in seen if one.id not in cosines])
        lowest = self._floor if floor is None else floor
        hits = [Hit(one, cosines[one.id], fused[one.id]) for one in seen if cosines[one.id] >= lowest]
        if self._reranker is not None and hits:
            marks = self._reranker(question, [hit.passage.searched for hit in hits])
            order = sorted(range(len(hits)), key=lambda number: -float(marks[number]))
            hits = [hits[number] for number in order]
        return hits[:most]

    def _readable(
        self, keys: Sequence[str], audiences: Collection[str], kinds: Collection[Kind], most: int
    ) -> list[Passage]:
        """The first of these that still are rows, and are for these audiences."""
        seen: list[Passage] = []
        for start in range(0, len(keys), most):
            part = keys[start : start + most]
            rows = self._index.passages(part)
            there = [rows[key] for key in part if key in rows]
            seen += [one for one in there if one.audience in audiences and one.kind in kinds]
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
