"""Measures a candidate beside the live adapter, on the real engine, with the same prompts.

Gathers figures; `gate.py` decides on them. Talks to the engine that is handed in and to nothing else.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from math import isfinite
from statistics import fmean
from typing import Any

from training import gate, probes
from training.records import Adapter, Engine, Evaluation, Example, Message, Refused
from training.together import together

log = logging.getLogger(__name__)

_MOST_PAIRS = 200
# Enough to fill the engine's batch, few enough to leave people's streams their share.
_AT_ONCE = 8


async def evaluate(
    engine: Engine,
    candidate: Adapter,
    live: Adapter | None,
    *,
    held_out: Sequence[Example],
    parity: Sequence[Mapping[str, Any]],
    system: Sequence[Message] = (),
    thresholds: gate.Thresholds = gate.DEFAULT,
) -> Evaluation:
    """Load the candidate, measure it, decide. What stays loaded unused is let go by whoever serves.

    `parity` are the trainer's own figures: rows of `prompt`, `answer`, `logprobs` (nats a token).
    """
    against = await _comparable(engine, candidate, live)
    try:
        await engine.load(candidate.name, candidate.path)
    except Refused as error:
        found = gate.Measured(load_error=str(error))
    else:
        found = await _measure(engine, candidate.name, against, held_out, parity, system)
    outcome, checks = gate.decide(found, thresholds)
    return Evaluation(
        adapter=candidate.name,
        against=against,
        outcome=outcome,
        checks=tuple(checks),
        figures=_figures(found),
        created_at=datetime.now(UTC),
    )


async def _comparable(engine: Engine, candidate: Adapter, live: Adapter | None) -> str | None:
    """Whom to compare with: the live adapter, unless it is this one or can't be served; then the base."""
    if live is None or live.name == candidate.name:
        return None
    try:
        await engine.load(live.name, live.path)
    except Refused as error:
        log.warning("compared with the base, since the live adapter can't be served: %s", error)
        return None
    return live.name


async def _measure(
    engine: Engine,
    candidate: str,
    live: str | None,
    held_out: Sequence[Example],
    parity: Sequence[Mapping[str, Any]],
    system: Sequence[Message],
) -> gate.Measured:
    prompts = [[*system, {"role": "user", "content": question}] for question in probes.SOUND]
    theirs, ours = await together(lambda name: _probe(engine, name, prompts), (live, candidate), 2)
    faults = [probes.fault(answers) for answers in ours]
    pairs = list(held_out)[:_MOST_PAIRS]
    # What counts is where an adapter moves the base model, DPO's implicit reward (arXiv 2305.18290, eq. 5):
    # which side is likelier as such says more of its length than of its worth.
    base = await _margins(engine, None, pairs)
    before = base if live is None else await _margins(engine, live, pairs)
    after = await _margins(engine, candidate, pairs)
    return gate.Measured(
        probes=len(prompts),
        bad_answers=[f"{q!r}: {bad}" for q, bad in zip(probes.SOUND, faults, strict=True) if bad],
        live_bad_answers=sum(1 for answers in theirs if probes.fault(answers)),
        parity=await _parity(engine, candidate, parity),
        pairs=len(pairs),
        preferred=_preferred(after, base),
        preferred_by_live=_preferred(before, base),
        margin_gain=fmean(a - b for a, b in zip(after, before, strict=True)) if pairs else None,
        length_ratio=_length_ratio(ours, theirs),
    )


async def _probe(engine: Engine, adapter: str | None, prompts: Sequence[Any]) -> list[list[str]]:
    return await together(
        lambda prompt: engine.answers(prompt, adapter, count=1, temperature=0.0, seed=0), prompts, _AT_ONCE
    )


async def _margins(engine: Engine, adapter: str | None, pairs: Sequence[Example]) -> list[float]:
    """Log-probability of the chosen side minus that of the rejected one, in nats."""

    async def margin(example: Example) -> float:
        chosen = await engine.logprobs(example.prompt, example.chosen, adapter)
        rejected = await engine.logprobs(example.prompt, example.rejected, adapter)
        return sum(chosen) - sum(rejected)

    return await together(margin, pairs, _AT_ONCE)


def _preferred(margins: Sequence[float], base: Sequence[float]) -> float:
    """In how many pairs the implicit reward is on the chosen side; where there is none, half a pair each."""
    return sum(
        0.5 if mine == other else float(mine > other) for mine, other in zip(margins, base, strict=True)
    )


async def _parity(engine: Engine, adapter: str, rows: Sequence[Mapping[str, Any]]) -> float | None:
    async def difference(row: Mapping[str, Any]) -> float:
        served = await engine.logprobs(row["prompt"], row["answer"], adapter)
        if len(served) != len(row["logprobs"]):
            return gate.OTHER_TOKENS
        return fmean(abs(a - b) for a, b in zip(served, row["logprobs"], strict=True))

    found = await together(difference, rows, _AT_ONCE)
    return max(found) if gate.OTHER_TOKENS in found else fmean(found) if found else None


def _length_ratio(ours: Sequence[Sequence[str]], theirs: Sequence[Sequence[str]]) -> float | None:
    mine = [len(answers[0]) for answers in ours if answers]
    others = [len(answers[0]) for answers in theirs if answers]
    return fmean(mine) / max(fmean(others), 1.0) if mine and others else None


def _figures(found: gate.Measured) -> dict[str, Any]:
    figures: dict[str, Any] = {
        "probes": found.probes,
        "bad_answers": list(found.bad_answers),
        "parity": found.parity,
        "pairs": found.pairs,
        "preferred": found.preferred,
        "preferred_by_live": found.preferred_by_live,
        "margin_gain": found.margin_gain,
        "length_ratio": found.length_ratio,
    }
    # What a broken adapter gives is no number, and no JSON either: PostgreSQL would not take it.
    return {
        name: None if isinstance(value, float) and not isfinite(value) else value
        for name, value in figures.items()
    }
