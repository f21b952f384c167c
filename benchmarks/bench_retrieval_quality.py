"""Whether the passage that answers a question is among the first five, and how "nothing found" is told.

The questions of `questions/` on the sample shop's documents, through the product's own reading, cutting,
index and search: hybrid beside dense alone and BM25 alone. The floor is fixed on the development half, where
the two kinds of error together are the least; what it does is told on the test half.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from assistant.settings import DocumentsSection
from benchmarks import Row, asked, shop
from benchmarks.asked import Asked
from retrieval.records import Passage
from retrieval.search import DOCUMENTS

FIRST = 5
# Below any cosine: what is measured here is what a floor would do
_NO_FLOOR = -1.0

Leg = Callable[[str], Sequence[Passage]]


@dataclass(frozen=True)
class Best:
    """How near the nearest passage of what is found for a question is; whether a document answers it."""

    question: str
    cosine: float
    kind: str
    """answered, near or far."""


def legs(opened: shop.Shop, first: int = FIRST) -> dict[str, Leg]:
    """The ways to search: each gives its first passages for a question, grown as the product grows them."""

    def found(ids: Sequence[str]) -> Sequence[Passage]:
        rows = opened.index.passages(ids)
        return [rows[key] for key in ids]

    def hybrid(question: str) -> Sequence[Passage]:
        hits = opened.search.find(question, shop.AUDIENCES, most=first, floor=_NO_FLOOR, grow=True)
        return [hit.whole for hit in hits]

    def dense(question: str) -> Sequence[Passage]:
        vector = opened.embedder.question(question)
        return found([key for key, _ in opened.index.dense(vector, shop.AUDIENCES, DOCUMENTS, 3 * first)])

    def words(question: str) -> Sequence[Passage]:
        return found(opened.search.words.find(question, shop.AUDIENCES, DOCUMENTS, 3 * first))

    def grown(leg: Leg) -> Leg:
        def both(question: str) -> Sequence[Passage]:
            return [block for block, _ in opened.search.grow(leg(question), first)]

        return both

    return {"hybrid": hybrid, "dense alone": grown(dense), "BM25 alone": grown(words)}


def is_found(one: Asked, passages: Sequence[Passage]) -> bool:
    """Whether one of the passages answers the question."""
    return any(one.is_answered_by(some.source_id, f"{some.title}\n{some.text}") for some in passages)


def share(hits: Sequence[bool]) -> float:
    """How many of them are true."""
    return sum(hits) / max(1, len(hits))


def nearest(opened: shop.Shop) -> list[Best]:
    """The highest cosine that a search for each question shows, answered or not."""
    kinds = [(one.question, "answered") for one in asked.answered()]
    kinds += [(one.question, one.kind) for one in asked.unanswered()]
    found = []
    for question, kind in kinds:
        hits = opened.search.find(question, shop.AUDIENCES, most=FIRST, floor=_NO_FLOOR)
        found.append(Best(question, max((hit.score for hit in hits), default=_NO_FLOOR), kind))
    return found


def best_floor(found: Sequence[Best]) -> float:
    """The floor, in hundredths, at which the shares of answered questions lost and of unanswered ones let
    through are the least together."""
    return min(
        (number / 100 for number in range(100)), key=lambda one: lost(found, one) + let_through(found, one)
    )


def lost(found: Sequence[Best], floor: float) -> float:
    """The share of the answered questions for which nothing is found."""
    return share([one.cosine < floor for one in found if one.kind == "answered"])


def let_through(found: Sequence[Best], floor: float, *kinds: str) -> float:
    """The share of the unanswered questions (of these kinds) for which something is found."""
    return share([one.cosine >= floor for one in found if one.kind in (kinds or ("near", "far"))])


def area(found: Sequence[Best], *kinds: str) -> float:
    """Area under the ROC: how often an answered question is nearer to its passage than an unanswered one."""
    good = [one.cosine for one in found if one.kind == "answered"]
    bad = [one.cosine for one in found if one.kind in (kinds or ("near", "far"))]
    wins = sum((one > other) + 0.5 * (one == other) for one in good for other in bad)
    return wins / max(1, len(good) * len(bad))


def run() -> list[Row]:
    """Shares of the questions, by way of search and by half; then what the floor does."""
    with shop.opened() as opened:
        questions = asked.answered()
        halves = [asked.is_development(one.question) for one in questions]
        hits = {
            name: [is_found(one, leg(one.question)) for one in questions]
            for name, leg in legs(opened).items()
        }
        best = nearest(opened)
        passages = opened.index.count()
    rows = [_recall(name, hits, halves, len(questions), passages) for name in ("dense alone", "BM25 alone")]
    return rows + _floor(best)


def _recall(other: str, hits: dict[str, list[bool]], halves: list[bool], count: int, passages: int) -> Row:
    def told(name: str) -> str:
        parts = {
            half: share([hit for hit, is_in in zip(hits[name], halves, strict=True) if is_in is wanted])
            for half, wanted in (("development", True), ("test", False))
        }
        return f"{name} " + ", ".join(f"{part:.3f} on the {half} half" for half, part in parts.items())

    return Row(
        f"recall@{FIRST}, hybrid beside {other}",
        share(hits["hybrid"]),
        share(hits[other]),
        "",
        "at least 0.95, ratio above 1",
        f"{count} questions, {passages} passages; {told('hybrid')}; {told(other)}",
    )


def _floor(found: Sequence[Best]) -> list[Row]:
    mine = [one for one in found if asked.is_development(one.question)]
    others = [one for one in found if not asked.is_development(one.question)]
    floor, default = best_floor(mine), DocumentsSection().floor
    curve = ", ".join(
        f"{at / 100:.2f}: {lost(mine, at / 100):.3f}/{let_through(mine, at / 100):.3f}"
        for at in range(20, 66, 3)
    )
    near, far = let_through(others, default, "near"), let_through(others, default, "far")
    return [
        Row(
            "floor of cosine, the default beside the best",
            default,
            floor,
            "",
            "ratio about 1",
            f"development half, answered lost/unanswered let through: {curve}; area under the ROC "
            f"{area(mine):.3f}; test half: {area(others):.3f}, near {area(others, 'near'):.3f}, "
            f"far {area(others, 'far'):.3f}",
        ),
        Row(
            "test half at the default: unanswered let through beside answered lost",
            let_through(others, default),
            lost(others, default),
            "",
            "",
            f"let through of those about the shop {near:.3f}, of others {far:.3f}",
        ),
    ]
