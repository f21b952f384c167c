"""Asks the same questions in every cell of a comparison, in an order that chance decides, and times answers.

What it needs of the engine it declares (`Speaker`), and the application hands it in. What the answers come
to is decided in `comparison.py`. Knows no store, no file and no screen.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Protocol

from training import probes
from training.comparison import Answered, Cell
from training.records import Message, TrainingError
from training.together import together

log = logging.getLogger(__name__)

AT_ONCE = 2
"""Answers that are written at the same moment: few, so that one hardly waits for another."""

Judgement = Callable[[Sequence[Message], str], float]
"""The probability, 0 to 1, of a thumbs-up for an answer to the question, whoever gave it."""
Lay = Callable[[Sequence[Message]], Awaitable[Sequence[Message]]]
"""The same prompt with what helps with its last question laid into it, as people's prompts have it."""
Tell = Callable[[str, float], None]
"""Hears what is being done and how much of it is done, 0 to 1."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of an answer as it comes. Tokens are known at the end; `cut`: it ended by the token limit."""

    text: str = ""
    prompt_tokens: int | None = None
    answer_tokens: int | None = None
    cut: bool = False


class Speaker(Protocol):
    """The engine, as a comparison uses it."""

    def stream(
        self, prompt: Sequence[Message], adapter: str | None, *, seed: int
    ) -> AsyncGenerator[Piece, None]:
        """An answer as it is written, sampled as people get theirs. Raises `TrainingError`."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Who is asked what. Every question is one dialogue without a system prompt."""

    questions: Sequence[Sequence[Message]]
    cells: Sequence[Cell]
    system: Sequence[Message] = ()
    """The long prompt."""
    adapter: str | None = None
    """The live adapter, which the engine has loaded."""
    passages: Lay | None = None
    examples: Lay | None = None
    """Approved answers."""
    judge: Judgement | None = None
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Asked:
    """All answers that came, and why the others did not."""

    answers: Sequence[Answered]
    complaints: Sequence[str] = field(default_factory=tuple)


async def ask(speaker: Speaker, plan: Plan, tell: Tell = lambda what, share: None) -> Asked:
    """Ask every question once in every cell.

    Requests come in an order shuffled by the seed, so that whatever drifts on the machine falls on all cells
    alike; a question has the same sampling seed everywhere. A failed request is not repeated: its time would
    be another one's.
    """
    order = [(number, cell) for number in range(len(plan.questions)) for cell in plan.cells]
    random.Random(f"compare {plan.seed}").shuffle(order)
    complaints: list[str] = []
    done = 0

    async def one(asked: tuple[int, Cell]) -> Answered | None:
        nonlocal done
        try:
            return await _answer(speaker, plan, *asked)
        except TrainingError as error:
            log.debug("%s: %s", asked[1].name, error)
            complaints.append(f"{asked[1].name}: {error}")
            return None
        finally:
            done += 1
            tell("asking", done / len(order))

    tell("asking", 0.0)
    found = await together(one, order, AT_ONCE)
    return Asked([answer for answer in found if answer is not None], complaints)


async def _answer(speaker: Speaker, plan: Plan, number: int, cell: Cell) -> Answered:
    question = plan.questions[number]
    started = time.monotonic()
    # Looking for what helps is part of what it costs.
    prompt = await _prompt(plan, cell, question)
    said: list[str] = []
    first: float | None = None
    tokens: Mapping[str, int] = {}
    cut = False
    stream = speaker.stream(prompt, plan.adapter if cell.adapter else None, seed=1_000 * plan.seed + number)
    async with aclosing(stream) as pieces:
        async for piece in pieces:
            if piece.text and first is None:
                first = time.monotonic()
            said.append(piece.text)
            cut = cut or piece.cut
            if piece.prompt_tokens is not None:
                tokens = {"prompt": piece.prompt_tokens, "answer": piece.answer_tokens or 0}
    ended, text = time.monotonic(), "".join(said)
    if not tokens:
        raise TrainingError("the engine did not say how many tokens it read")
    return Answered(
        question=number,
        cell=cell,
        liked=_liked(plan.judge, question, text),
        prompt_tokens=tokens["prompt"],
        answer_tokens=tokens["answer"],
        characters=len(text),
        first_token=(first or ended) - started,
        seconds=ended - started,
        faulty=probes.fault([text] if text.strip() and not cut else []) is not None,
    )


async def _prompt(plan: Plan, cell: Cell, question: Sequence[Message]) -> Sequence[Message]:
    """The dialogue, behind the long prompt, and with what else stands by it, as the cell wants."""
    prompt: Sequence[Message] = [*plan.system, *question] if cell.prompt else list(question)
    for wanted, lay in ((cell.retrieval, plan.passages), (cell.examples, plan.examples)):
        if wanted and lay is not None:
            prompt = await lay(prompt)
    return prompt


def _liked(judge: Judgement | None, question: Sequence[Message], text: str) -> float | None:
    """What the judge says, who sees the bare question and not the cell. Nobody likes an empty answer."""
    if judge is None:
        return None
    return judge(question, text) if text.strip() else 0.0
