"""What an answer may stand on: asks the library for passages, and lays as many into the prompt as have room.

Counts tokens by the engine's own tokenizer. When nothing can be searched the answer comes without passages.
Knows no store and no page; how a prompt with passages looks stands in `grounding.py`.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from anyio import to_thread

from assistant import examples, grounding
from assistant import prompt as prompts
from assistant.accounts import Account
from assistant.engine.client import Engines
from feedback.records import Message
from retrieval.records import Hit, RetrievalError, as_json

log = logging.getLogger(__name__)

_SPARE = 16
"""Tokens by which a prompt may be longer than its parts, where they are joined."""


@dataclass(frozen=True, slots=True)
class Found:
    """What may help with a question, the best first."""

    hits: Sequence[Hit] = ()
    spared: bool = False
    """Whether an approved answer is left out since the adapter has learned it."""


class Finder(Protocol):
    """Where passages are found: the library of this home."""

    @property
    def empty(self) -> bool:
        """Whether there is nothing to be found at all; may read a database."""

    @property
    def bookless(self) -> bool:
        """Whether there are no documents, so that nobody need be told that none helps."""

    async def find(self, question: str, account: Account, *, lines: int = 0, spare: bool = False) -> Found:
        """The best passages that this person may see, or so many lines of them. With `spare` approved answers
        that what is live has learned are left out. Raises `RetrievalError`."""


@dataclass(frozen=True, slots=True)
class Ground:
    """A dialogue with what was found for its last question."""

    messages: Sequence[Message]
    passages: Sequence[dict[str, Any]] = ()
    """As the turn keeps them."""
    searched: str | None = None
    """What was looked for; None if nothing was."""


class Grounds:
    """Finds and lays out passages. `tokens` is the most that they may take of a prompt."""

    def __init__(self, finder: Finder, engines: Engines, tokens: int) -> None:
        self._finder = finder
        self._engines = engines
        self._tokens = tokens

    @property
    def there(self) -> bool:
        """Whether there is anything to be found; may read a database."""
        return not self._finder.empty

    async def ground(
        self, messages: Sequence[Message], account: Account, room: int, fixed: bool, spare: bool = False
    ) -> Ground:
        """The dialogue with passages before its last question, or with word that none was found.

        `room` tokens are left for the answer. A `fixed` dialogue is sent whole; of others old exchanges may
        be left out later, so passages may take their place. `spare`: what is live answers, and does without
        the approved answers that it has learned. Raises `EngineUnavailable`.
        """
        question = grounding.search_question(messages)
        if not question or not await to_thread.run_sync(lambda: self.there):
            return Ground(messages)
        try:
            small = await self._engines.context_length() < grounding.SMALL_CONTEXT
            stressed = grounding.stressed(question, messages)
            lines = grounding.LINES if small else 0
            found = await self._finder.find(stressed, account, lines=lines, spare=spare)
        except RetrievalError as problem:
            log.warning("answered without documents: %s", problem)
            return Ground(messages)
        least = list(messages) if fixed else (prompts.shorter(messages) or [list(messages)])[-1]
        kept = await self._fitting(found.hits, least, room)
        if found.hits and not kept:
            # To say that nothing was found would be wrong.
            log.info("no room for passages beside this dialogue")
            return Ground(messages)
        # Who has an example, or has learned it, need not hear that no document helps.
        if not kept and (found.spared or await to_thread.run_sync(lambda: self._finder.bookless)):
            return Ground(messages)
        answers, passages = examples.split(kept)
        prompt = messages if answers and not passages else grounding.with_passages(messages, passages)
        return Ground(examples.with_examples(prompt, answers), kept, question)

    async def _fitting(
        self, hits: Sequence[Hit], least: Sequence[Message], room: int
    ) -> list[dict[str, Any]]:
        """What the budget and the engine have room for, numbered."""
        length = await self._engines.context_length()
        bare = grounding.with_passages(least, ())
        used = prompts.most_tokens(bare)
        if used + room + self._tokens > length:
            used = len(await self._engines.tokenize(bare))
        budget = min(self._tokens, length // grounding.MOST_OF_THE_CONTEXT, length - used - room - _SPARE)
        found = _by_rank(hits)
        alone = [as_json(hit, number, alone=True) for number, hit in enumerate(found, 1)]
        whole = [as_json(hit, number) for number, hit in enumerate(found, 1)]
        sizes = await self._sizes([*alone, *whole])
        small, large = sizes[: len(found)], sizes[len(found) :]
        covers = {hit.passage.id: {other.passage.id for other in hit.covers} for hit in hits}
        return grounding.fitting(alone, whole, small, large, budget, covers)

    async def _sizes(self, passages: Sequence[dict[str, Any]]) -> list[int]:
        """How many tokens each takes; an approved answer stands in the prompt twice."""
        texts = [grounding.shown(passage) + "\n\n" for passage in passages]
        # Many a passage has nothing around it that has room: the engine is asked for each text once
        distinct = list(dict.fromkeys(texts))
        tokens = await asyncio.gather(*map(self._engines.tokenize_text, distinct))
        size = {text: len(some) for text, some in zip(distinct, tokens, strict=True)}
        return [
            (2 if passage["kind"] == "answer" else 1) * size[text]
            for passage, text in zip(passages, texts, strict=True)
        ]


def _by_rank(hits: Sequence[Hit]) -> list[Hit]:
    """Hits, the best first, and among them by their rank those that stand in another one's block: there may
    be no room for the block. Approved answers stay before them all."""
    found = [*hits, *(other for hit in hits for other in hit.covers)]
    return sorted(found, key=lambda hit: -hit.rank if hit.passage.kind == "document" else -math.inf)
