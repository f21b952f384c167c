"""What a comparison needs of a home: questions and a judge from the store, the engine, a place to keep it.

Puts `training.comparing` and `training.comparison` together for one home. Knows no command and no page.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from assistant.engine.client import AdapterRef, Engines
from assistant.errors import AssistantError, EngineRefused
from assistant.files import read_json, write_json
from feedback.reading import Reader
from feedback.records import Judged, Message, normalise
from training import comparing, comparison, comparison_verdict, questions, screening, vote_model
from training.comparing import AT_ONCE, Judgement, Lay, Piece, Plan, Tell
from training.comparison import Comparison, Helper, Judge
from training.raters import Rater
from training.records import Adapter, TrainingError
from training.vote_model import JUDGES_FROM

if TYPE_CHECKING:
    from assistant.app import House

log = logging.getLogger(__name__)

MOST = 40
"""Questions that are asked, unless told otherwise."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What the person wants compared. Without `prompts` the questions come from the store."""

    most: int = MOST
    prompts: Sequence[questions.Prompt] | None = None
    source: str = "the store"
    rater: Rater | None = None
    price: float | None = None
    """What an hour of the machine costs, in any currency."""
    seed: int = 0


class Streaming:
    """The engine as `training.comparing.Speaker` wants it, sampling as for people."""

    def __init__(self, engines: Engines, sampling: Mapping[str, Any], max_tokens: int) -> None:
        self._engines = engines
        self._sampling = dict(sampling)
        self._max_tokens = max_tokens
        self._adapters: dict[str, AdapterRef] = {}

    async def load(self, adapter: Adapter) -> None:
        """Have the adapter loaded and warm before anything is timed. Raises `EngineRefused`."""
        self._adapters[adapter.name] = AdapterRef(adapter.name, adapter.path)
        await self._engines.ensure(self._adapters[adapter.name])

    async def stream(
        self, prompt: Sequence[Message], adapter: str | None, *, seed: int
    ) -> AsyncGenerator[Piece, None]:
        """An answer as it is written. Raises `TrainingError`."""
        try:
            body = {
                **self._sampling,
                "messages": [dict(message) for message in prompt],
                # As the chat bounds an answer: a model with little room keeps the larger part for the prompt.
                "max_tokens": max(1, min(self._max_tokens, await self._engines.context_length() // 4)),
                "seed": seed,
                "stream_options": {"include_usage": True},
            }
            chunks = self._engines.stream(body, self._adapters[adapter] if adapter else None)
            async with aclosing(chunks):
                async for chunk in chunks:
                    yield _piece(chunk)
        except AssistantError as error:
            raise TrainingError(str(error)) from error


def _piece(chunk: Mapping[str, Any]) -> Piece:
    choice = (chunk.get("choices") or [{}])[0]
    usage = chunk.get("usage") or {}
    return Piece(
        (choice.get("delta") or {}).get("content") or "",
        usage.get("prompt_tokens"),
        usage.get("completion_tokens"),
        choice.get("finish_reason") == "length",
    )


async def compare(
    house: House,
    speaker: Streaming,
    wish: Wish,
    passages: Lay | None = None,
    tell: Tell = lambda *_: None,
    examples: Lay | None = None,
) -> Comparison:
    """Ask, measure, judge. `passages` and `examples` lay into a prompt what the home has of them.

    Raises `AssistantError` in one sentence where there is nothing to compare.
    """
    asked, opinions, notes = await asyncio.to_thread(_questions, house.store, wish)
    judge, judgement = await asyncio.to_thread(_judge, wish, asked, opinions)
    live = await asyncio.to_thread(house.registry.live)
    have, missing = await _helpers(house, speaker, live, passages, examples)
    if not have:
        raise AssistantError(f"there is nothing to compare the bare base with: {' '.join(missing)}")
    system = [{"role": "system", "content": house.settings.system_prompt}]
    name = live.name if live and "adapter" in have else None
    plan = Plan(asked, comparison.cells(have), system, name, passages, examples, judgement, wish.seed)
    found = await comparing.ask(speaker, plan, tell)
    if not found.answers:
        raise AssistantError(f"not one answer came: {found.complaints[0]}")
    # The machine is shared by those answers that are written at the same moment.
    price = None if wish.price is None else wish.price / 3600 / AT_ONCE
    rows, differences = comparison.measure(found.answers, have, len(asked), price)
    if judge.abstains is None and not any(row.liked for row in rows):
        judge = Judge(judge.name, judge.detail, "too few answers were judged")
    return Comparison(
        made_at=datetime.now(UTC),
        model=house.settings.model,
        adapter=name,
        source=wish.source,
        questions=len(asked),
        judge=judge,
        rows=tuple(rows),
        contrasts=tuple(differences),
        verdict=tuple(comparison_verdict.verdict(differences, judge)),
        notes=(*missing, *notes, *_notes(judge, wish, len(differences), found.complaints)),
    )


def _questions(store: Reader, wish: Wish) -> tuple[list[Sequence[Message]], list[Judged], list[str]]:
    """What is asked, every opinion that may be judged by, and what is to be said about the questions."""
    judged = store.judged()
    if wish.prompts is None:
        asked: list[Sequence[Message]] = [
            *comparison.held_out_questions(store.opening_turns(), wish.most),
        ]
        if not asked:
            raise AssistantError(
                "no question in the store is held out yet (three in ten are, by chance); "
                "let people ask more, or name a file by --prompts"
            )
        return asked, judged, []
    learned = {normalise(opening) for opening in _learned_from(store, judged)}
    once = {normalise(questions.opening(prompt)): prompt for prompt in reversed(wish.prompts)}
    fresh = [prompt for opening, prompt in reversed(once.items()) if opening not in learned]
    if not fresh:
        raise AssistantError(f"no question in {wish.source} is new: people voted on all of them")
    asked = [[m for m in prompt if m.get("role") != "system"] for prompt in fresh[: wish.most]]
    left = len(once) - len(fresh)
    notes = [f"{left} of {len(once)} questions in {wish.source} are left out: people voted on them."]
    return asked, judged, notes if left else []


def _learned_from(store: Reader, judged: Sequence[Judged]) -> list[str]:
    """Openings that an adapter may have been trained on."""
    opinions = [*judged, *store.compared(store.choices()).values()]
    return [item.opening for item in opinions if not screening.held_out(item.opening)]


def _judge(
    wish: Wish, asked: Sequence[Sequence[Message]], judged: Sequence[Judged]
) -> tuple[Judge, Judgement | None]:
    """Who judges, and by what; a model of the votes never saw a vote on what is asked."""
    if wish.rater is not None:
        return Judge(wish.rater.name), wish.rater
    now = {normalise(questions.opening(question)) for question in asked}
    seen = [
        item for item in judged if not screening.held_out(item.opening) and normalise(item.opening) not in now
    ]
    model = vote_model.fit(seen)
    if model is None:
        why = f"there are too few votes to learn from ({vote_model.FEWEST} ups and as many downs are needed)"
        return Judge("a model of the votes", abstains=why), None
    detail = f"{model.ups} ups, {model.downs} downs, AUC {model.auc:.2f}, at least {model.auc_low:.2f}"
    if model.auc_low < JUDGES_FROM:
        why = f"the model of the votes can't tell ups from downs ({detail}; {JUDGES_FROM:.2f} is needed)"
        return Judge("a model of the votes", detail, why), None
    return Judge("a model of the votes", detail), model.score


async def _helpers(
    house: House,
    speaker: Streaming,
    live: Adapter | None,
    passages: Lay | None,
    examples: Lay | None,
) -> tuple[list[Helper], list[str]]:
    """Which of them there are, and why the others are not."""
    have: list[Helper] = []
    missing = []
    if house.settings.system_prompt:
        have.append("prompt")
    else:
        missing.append("There is no long prompt: APPRENTICE_CHAT__SYSTEM_PROMPT is empty.")
    if live is None:
        missing.append("No adapter is live: the bare base model answers.")
    else:
        try:
            await speaker.load(live)
            have.append("adapter")
        except EngineRefused as error:
            missing.append(f"The live adapter is left out, since it can't be served: {error}.")
    if passages is not None:
        have.append("retrieval")
    else:
        missing.append("Retrieval is left out: there is no knowledge base yet.")
    if examples is not None:
        have.append("examples")
    return have, missing


def _notes(judge: Judge, wish: Wish, looks: int, complaints: Sequence[str]) -> list[str]:
    notes = []
    if judge.abstains is None:
        notes += [
            f"Judged by {judge.name}{f' ({judge.detail})' if judge.detail else ''}, which sees the question "
            "and the answer, not who gave it.",
            f"Each interval of a share holds with 95 %; the {looks} intervals of differences hold all "
            "together with 95 % (Bonferroni), so that none seems to help by luck of many looks.",
        ]
        if wish.rater is None:
            # The same votes chose what the adapter was trained on.
            notes.append(
                "The model of the votes learned from votes that taught the adapter too, on other questions: "
                "it may be partial to it. A rater of your own is not."
            )
    notes.append(
        "Times are those of a warm engine, which has read the long prompt before and need not again."
    )
    if wish.price is not None:
        notes.append(f"Costs are {wish.price:g} an hour, shared by {AT_ONCE} answers at once; no training.")
    if complaints:
        notes.append(f"{len(complaints)} requests failed, the first: {complaints[0]}.")
    return notes


# -- where it is kept --------------------------------------------------------------------------------


def keep(home: Path, found: Comparison) -> Path:
    """Write the comparison into the home, whole or not at all; returns the file."""
    file = home / "comparisons" / f"{found.made_at:%Y%m%dT%H%M%S.%fZ}.json"
    write_json(file, found.as_dict())
    return file


def newest(home: Path) -> Comparison | None:
    """The newest comparison of the home that can be read, or None."""
    for file in sorted((home / "comparisons").glob("*.json"), reverse=True):
        try:
            return Comparison.from_dict(read_json(file) or {})
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            log.debug("%s is no comparison: %r", file, error)
    return None
