"""How many of the starter's answers hold the exact value, with passages in the prompt and without.

The questions of `questions/` on the real engine, with what the product's search finds at its defaults, laid
out as the product does; greedy, and at the product's temperature. Beside them the fixed facts asked in the
words that the starter was taught: what is lost between the two is what a small vocabulary costs.
"""

from __future__ import annotations

import asyncio
import random
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from assistant import grounding
from assistant.settings import ChatSettings, DocumentsSection
from benchmarks import Row, asked, shop
from benchmarks.bench_lora import Server, serving
from benchmarks.bench_retrieval_quality import is_found, share
from feedback.records import Message
from retrieval.records import Passage, as_json
from training import starter
from training.starter import asking, cases, tokenizer
from training.starter.reading import holds
from training.starter.records import Conversation
from training.starter.score import Asker

TAUGHT = 200
SEED = "retrieval answers"


@dataclass(frozen=True)
class Question:
    """A question, what is right, and the passages that were found for it."""

    text: str
    is_right: Callable[[str], bool]
    hits: Sequence[Passage]
    messages: Sequence[Message]
    """With the passages."""
    has_passage: bool
    """Whether one of the passages answers it."""

    @property
    def bare(self) -> Sequence[Message]:
        """Without them."""
        return [*cases.head(), {"role": "user", "content": self.text}]


def ours(opened: shop.Shop) -> list[Question]:
    """The questions of the set."""
    return [
        _question(
            opened,
            one.question,
            lambda text, one=one: asked.holds(text, one.values),  # type: ignore[misc]
            lambda hits, one=one: is_found(one, hits),  # type: ignore[misc]
        )
        for one in asked.answered()
    ]


def taught(opened: shop.Shop) -> list[Question]:
    """The facts of the shop, in wordings that the starter learned with."""
    rng, found = random.Random(SEED), []
    for _ in range(TAUGHT):
        fact = asking.pick(rng)
        found.append(
            _question(
                opened,
                asking.question(rng, fact),
                lambda text, fact=fact: holds(fact, text),  # type: ignore[misc]
                lambda hits, fact=fact: any(holds(fact, one.text) for one in hits),  # type: ignore[misc]
            )
        )
    return found


def _question(
    opened: shop.Shop,
    text: str,
    is_right: Callable[[str], bool],
    has: Callable[[Sequence[Passage]], bool],
) -> Question:
    hits = opened.search.find(text, shop.AUDIENCES, lines=grounding.LINES)
    alone = [as_json(hit, number, alone=True) for number, hit in enumerate(hits, 1)]
    whole = [as_json(hit, number) for number, hit in enumerate(hits, 1)]
    small, large = ([opened.length(grounding.shown(one) + "\n\n") for one in some] for some in (alone, whole))
    budget = min(DocumentsSection().tokens, tokenizer.CONTEXT // grounding.MOST_OF_THE_CONTEXT)
    kept = grounding.fitting(alone, whole, small, large, budget)
    messages = grounding.with_passages([*cases.head(), {"role": "user", "content": text}], kept)
    found = [
        replace(hit.passage, title=str(one["title"]), text=str(one["text"]))
        for one in kept
        for hit in hits
        if hit.passage.id == one["id"]
    ]
    return Question(text, is_right, found, messages, has(found))


def right(server: Server, questions: Sequence[Question], bare: bool, temperature: float = 0.0) -> list[bool]:
    """Whether each is answered right."""

    async def replies() -> list[bool]:
        async with Asker(server.url, server.key) as asker:
            prompts = [
                Conversation([dict(part) for part in (one.bare if bare else one.messages)])
                for one in questions
            ]
            said = await asker.replies(prompts, temperature, seed=1)
        return [one.is_right(reply.text) for one, reply in zip(questions, said, strict=True)]

    return asyncio.run(replies())


def run() -> list[Row]:
    """Shares of right answers: with passages, and without as the baseline."""
    with shop.opened() as opened:
        mine, known = ours(opened), taught(opened)
    usual = ChatSettings().temperature
    with (
        tempfile.TemporaryDirectory(prefix="apprentice-bench-") as scratch,
        serving(Path(scratch) / "home", starter.path()) as server,
    ):
        return [
            _row(server, "greedy", mine, 0.0, "at least 0.75"),
            _row(server, f"temperature {usual:g}, the default", mine, usual, "at least 0.75"),
            _row(server, "in words that it was taught, greedy", known, 0.0, ""),
        ]


def _row(server: Server, name: str, questions: list[Question], temperature: float, target: str) -> Row:
    good = right(server, questions, False, temperature)
    bare = right(server, questions, True, temperature)
    there = [one.has_passage for one in questions]
    read = share([hit for hit, is_there in zip(good, there, strict=True) if is_there])
    return Row(
        f"value exact with passages beside without, {name}",
        share(good),
        max(share(bare), 1e-9),
        "",
        target,
        f"{len(questions)} questions; a passage that answers is in the prompt for {share(there):.3f}, and of "
        f"these {read:.3f} are answered right",
    )
