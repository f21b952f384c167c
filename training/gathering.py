"""From the store's opinions to examples: reads, draws fresh answers on the engine, and calls the pure parts.

Knows no run and no trainer. What makes a pair is decided in `pairs.py`, what may be learned from in
`screening.py`, how fresh answers are ranked in `vote_model.py`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from feedback.reading import Reader
from feedback.records import Choice, Judged, Message, is_imported
from training import anchors, pairs, screening, vote_model
from training.records import Adapter, Engine, Example, Refused, TrainingSettings
from training.registry import BASE
from training.settling import on_their_sides
from training.together import together

log = logging.getLogger(__name__)

FEWEST = 4
"""Examples below which nothing is trained: a handful of pairs teaches their wording, not a taste."""
_AT_ONCE = 4
_MOST_TOUCHED = 5_000
"""Turns that are asked for by name; for more of them it is cheaper to read all that are judged."""
_TEMPERATURE = 1.0
"""Fresh answers are drawn a little wilder than people are answered, so that best and worst lie apart."""

Progress = Callable[[float], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Gathered:
    """Examples on both sides of the split, and where they came from."""

    training: list[Example]
    held_out: list[Example]
    counts: Mapping[str, Any] = field(default_factory=dict)


async def gather(
    store: Reader,
    engine: Engine,
    live: Adapter | None,
    settings: TrainingSettings,
    progress: Progress,
    system: Sequence[Message] = (),
) -> Gathered:
    """Examples from everything that has been judged so far, with fresh answers, and what is rehearsed."""
    judged, choices, dropped = await asyncio.to_thread(_read, store)
    try:
        if live is not None:
            await engine.load(live.name, live.path)
    except Refused as error:
        log.warning("answers are drawn from the base, since the live adapter can't be served: %s", error)
        live = None
    ranker = await asyncio.to_thread(_ranker, judged)
    drawn: Mapping[str, Sequence[str]] = {}
    if ranker is not None:
        # What is held out is judged by people alone, and ranked by nothing that candidates learn from.
        lonely = [
            item for item in pairs.needs_draws(judged, choices) if not screening.held_out(item.opening)
        ][: settings.most_questions]
        drawn = await _draw(engine, live.name if live else None, lonely, settings.draws, progress)
    built = await asyncio.to_thread(_build, store, judged, choices, drawn, ranker)
    found = _sorted(built, dropped, ranker, len(judged))
    if drawn:
        found = replace(found, counts={**found.counts, "drawn_from": live.name if live else BASE})
    return with_anchors(
        found, await anchors.rehearsed(engine, round(settings.anchors * len(found.training)), system)
    )


def with_anchors(found: Gathered, rehearsed: Sequence[Example]) -> Gathered:
    """The same with these examples among those that are trained on, and counted."""
    if not rehearsed:
        return found
    counts = dict(found.counts)
    counts["examples"] = {**counts["examples"], "anchor": len(rehearsed)}
    return replace(found, training=[*found.training, *rehearsed], counts=counts)


def from_votes(store: Reader) -> Gathered:
    """Examples from the opinions alone, without an engine: what an export of preferences holds."""
    judged, choices, dropped = _read(store)
    return _sorted(_build(store, judged, choices, {}, None), dropped, None, len(judged))


def new_votes(store: Reader, since: Mapping[str, int]) -> int:
    """How many usable opinions came after the mark `since`: enough of them make a run due.

    Only what was judged since then is read, so this costs the same however much there was before.
    """
    choices = screening.known(store.choices(since.get("choices", 0)))
    touched = store.touched(since, _MOST_TOUCHED + 1)
    judged = store.judged(touched if len(touched) <= _MOST_TOUCHED else None)
    return screening.usable_votes(judged, since, choices, store.compared(choices))


def _read(store: Reader) -> tuple[list[Judged], list[Choice], dict[str, int]]:
    judged, dropped = screening.screen(store.judged())
    return judged, list(screening.known(store.choices())), dropped


def _ranker(judged: Sequence[Judged]) -> vote_model.VoteModel | None:
    """A model of the votes that are trained on; None if it can't tell ups from downs."""
    kept, _, _ = on_their_sides(judged, {})
    fitted = vote_model.fit([item for item in kept if not screening.held_out(item.opening)])
    if fitted is None or not fitted.trusted:
        log.info("no trusted vote model: fresh answers are not ranked")
        return None
    return fitted


async def _draw(
    engine: Engine, adapter: str | None, lonely: Sequence[Judged], count: int, progress: Progress
) -> dict[str, Sequence[str]]:
    """`count` fresh answers for each of these prompts, by prompt key."""
    done = 0
    drawn: dict[str, Sequence[str]] = {}

    async def one(numbered: tuple[int, Judged]) -> None:
        nonlocal done
        # The engine counts the seed up over the answers to one question: far apart, none is used twice.
        seed, item = 1_000 * numbered[0], numbered[1]
        try:
            drawn[item.turn.prompt_key] = await engine.answers(
                item.turn.prompt, adapter, count=count, temperature=_TEMPERATURE, seed=seed
            )
        except Refused as error:
            # A prompt too long for this model would be so in every run to come.
            log.warning("no answers are drawn for %s: %s", item.turn.id, error)
        done += 1
        await progress(done / len(lonely))

    await together(one, enumerate(lonely), _AT_ONCE)
    return drawn


def _build(
    store: Reader,
    judged: Sequence[Judged],
    choices: Sequence[Choice],
    drawn: Mapping[str, Sequence[str]],
    ranker: vote_model.VoteModel | None,
) -> pairs.Built:
    return pairs.build(judged, choices, store.compared(choices), drawn, ranker.score if ranker else None)


def _sorted(
    built: pairs.Built, dropped: Mapping[str, int], ranker: vote_model.VoteModel | None, votes: int
) -> Gathered:
    counts: dict[str, Any] = {
        "judged_turns": votes,
        "examples": {str(source): count for source, count in built.counts.items()},
        "dropped": {**dropped, **built.dropped},
    }
    if imported := sum(any(map(is_imported, item.people)) for item in built.training):
        counts["imported"] = imported
    if ranker is not None:
        counts["vote_model_auc"] = round(ranker.auc, 3)
    training = [item for item in built.examples if not item.held_out]
    held_out = [item for item in built.examples if item.held_out]
    counts |= {"training": len(training), "held_out": len(held_out)}
    return Gathered(training, held_out, counts)
