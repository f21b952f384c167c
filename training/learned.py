"""Asks the live adapter without an approved answer in its prompt, and says whether it needs it any more.

Only an adapter that was trained on an opinion of that very turn is asked. What it learned is its own: another
adapter, or one that is rolled back to, has the example in its prompts until it was asked itself.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from statistics import fmean
from typing import Any

from feedback.approved import Approval, Approved
from feedback.records import normalise
from training.records import Adapter, Engine, Message, Refused, TrainingError
from training.registry import Registry

log = logging.getLogger(__name__)

DRAWS = 6
"""Answers with the example, and as many without it."""
LEAST = 0.6
"""Of the approved wording that must be in answers without the example: not to be worse is not enough."""
_TEMPERATURE = 0.8
_EVERY = 30.0
"""Seconds between two looks for approvals that the live adapter was not asked about."""
# Words that say little: whoever has these in common has nothing in common.
_LITTLE = frozenset(
    """a an and are as at be by can do for from have i in is it my of on or our the this to we with you your
    """.split()  # noqa: SIM905 - a list of words reads as words
)

Prompts = Callable[[str, str], tuple[Sequence[Message], Sequence[Message]]]
"""The prompt of a question without and with an example, which is this question and an approved answer."""


class Learned:
    """Looks whether the live adapter still needs its examples. `engine` is the one that serves people."""

    def __init__(self, engine: Engine, registry: Registry, rows: Approved, prompts: Prompts) -> None:
        self._engine = engine
        self._registry = registry
        self._rows = rows
        self._prompts = prompts

    async def step(self) -> int:
        """Ask about every approval that the live adapter was not asked about. Returns how many that were.

        Raises `TrainingError` when the engine does not answer or refuses the adapter; what was found out by
        then is kept.
        """
        live = await asyncio.to_thread(self._registry.live)
        if live is None or self._engine.ready() is not None:
            return 0
        there = await asyncio.to_thread(self._rows.open)
        waiting = [one for one in there if one.asked_of != live.name]
        taught = taught_by(live.manifest)
        for one in waiting:
            if taught.isdisjoint(await asyncio.to_thread(self._rows.votes, one.turn_id)):
                await asyncio.to_thread(
                    self._rows.asked, one.id, live.name, False, "it was not trained on this answer"
                )
                continue
            # A refusal of the adapter says nothing about this approval: it ends the step.
            await self._engine.load(live.name, live.path)
            try:
                await self._ask(one, live)
            except Refused as why:
                # It would be refused each time, and those behind it would never be asked.
                await asyncio.to_thread(
                    self._rows.asked, one.id, live.name, False, f"it could not be asked: {why}"
                )
        return len(waiting)

    async def _ask(self, approval: Approval, live: Adapter) -> None:
        bare, helped = self._prompts(approval.question, approval.answer)
        without, shown = [
            await self._engine.answers(
                prompt, live.name, count=DRAWS, temperature=_TEMPERATURE, seed=len(approval.answer)
            )
            for prompt in (bare, helped)
        ]
        learned, finding = judge(approval.answer, without, shown)
        await asyncio.to_thread(self._rows.asked, approval.id, live.name, learned, finding)
        log.info("%s: %s", approval.id, finding)


async def watch(learned: Learned) -> None:
    """Look again and again until it is cancelled."""
    while True:
        try:
            await learned.step()
        except TrainingError as error:
            log.warning("examples were not looked at: %s", error)
        except Exception:
            # Whatever befalls it never reaches training.
            log.exception("examples could not be looked at")
        await asyncio.sleep(_EVERY)


def taught_by(manifest: Mapping[str, Any]) -> set[str]:
    """The opinions that an adapter was trained on, such as `correction:3`."""
    return {vote for example in manifest.get("examples", ()) for vote in example.get("votes", ())}


def judge(approved: str, without: Sequence[str], shown: Sequence[str]) -> tuple[bool, str]:
    """Whether answers without the example say as much of the approved one as those with it, in words. Pure.

    An answer that never came says nothing.
    """
    ours, theirs = (
        fmean([likeness(approved, text) for text in texts] + [0.0] * (DRAWS - len(texts)))
        for texts in (without, shown)
    )
    said = f"{ours:.0%} of the approved wording without the example, {theirs:.0%} with it"
    if ours < LEAST:
        return False, f"{said}: at least {LEAST:.0%} are needed"
    return ours >= theirs, said


def likeness(approved: str, answer: str) -> float:
    """How much of the approved answer is in an answer, 0 to 1: of telling words, and as much of numbers."""
    words, numbers = _telling(approved)
    said, counted = _telling(answer)
    shares = [_recall(words, said), *([_recall(numbers, counted)] if numbers else [])]
    return fmean(shares)


def _telling(text: str) -> tuple[set[str], set[str]]:
    numbers = set(re.findall(r"\d+(?:[.,:]\d+)*", text))
    words = {word for word in normalise(text).split() if not any(sign.isdigit() for sign in word)}
    return (words - _LITTLE) or words, numbers


def _recall(wanted: Collection[str], said: Collection[str]) -> float:
    return sum(one in said for one in wanted) / len(wanted) if wanted else 1.0
