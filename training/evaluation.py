"""Measures a candidate beside the live adapter and the base, on the real engine, with the same prompts.

Gathers figures; `gate.py` decides on them. Talks to the engine that is handed in and to nothing else.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from math import isfinite
from statistics import fmean
from typing import Any

from training import findings, gate, probes
from training.findings import Side
from training.kept_back import KeptBack
from training.probes import Probe
from training.records import Adapter, Engine, Evaluation, Message, Refused
from training.together import together

log = logging.getLogger(__name__)

# Enough to fill the engine's batch, few enough to leave people's streams their share.
_AT_ONCE = 8
_TEMPERATURE = 0.8
# An answer without end costs as much as thirty: whoever gives more of them is asked nothing else.
_MOST_FAULTS = 1 / 3


@dataclass(frozen=True, slots=True)
class Material:
    """What a candidate is measured with, besides the package's own probes."""

    kept_back: KeptBack = field(default_factory=KeptBack)
    parity: Sequence[Mapping[str, Any]] = ()
    """The trainer's own figures: rows of `prompt`, `answer`, `logprobs` (nats a token)."""
    health: Mapping[str, float] = field(default_factory=dict)
    """What else the trainer reported."""
    secrets: frozenset[str] = frozenset()
    """Personal data in what it was trained on (`probes.personal`)."""
    system: Sequence[Message] = ()
    probes: Sequence[Probe] = ()
    place: int = 1
    """Which look of this month it is."""


async def evaluate(
    engine: Engine,
    candidate: Adapter,
    live: Adapter | None,
    material: Material,
    thresholds: gate.Thresholds = gate.DEFAULT,
) -> Evaluation:
    """Load the candidate, measure it, decide. What stays loaded unused is let go by whoever serves."""
    started = time.monotonic()
    against = await _comparable(engine, candidate, live)
    answers: list[dict[str, Any]] = []
    try:
        await engine.load(candidate.name, candidate.path)
    except Refused as error:
        found = gate.Measured(load_error=str(error))
    else:
        found, answers = await _measure(engine, candidate.name, against, material)
    outcome, checks = gate.decide(found, thresholds, material.place)
    figures = _plain(asdict(found)) | {
        "answers": answers,
        "look": material.place,
        "probe_sets": probes.versions(),
        "seconds": round(time.monotonic() - started, 1),
    }
    return Evaluation(candidate.name, against, outcome, tuple(checks), figures, datetime.now(UTC))


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
    engine: Engine, candidate: str, against: str | None, material: Material
) -> tuple[gate.Measured, list[dict[str, Any]]]:
    base, ours = Side(None), Side(candidate)
    theirs = base if against is None else Side(against)
    sides = [base, ours] if theirs is base else [base, theirs, ours]
    opening: list[Sequence[Message]] = [
        [*material.system, {"role": "user", "content": question}] for question in probes.SOUND
    ]
    for side in sides:
        side.sound = await _ask(engine, side.name, opening)
    faults = [probes.fault([text] if text else []) for text in ours.sound]
    found: dict[str, Any] = {
        "sound": len(opening),
        "bad_answers": [f"{q!r}: {bad}" for q, bad in zip(probes.SOUND, faults, strict=True) if bad],
        "live_bad_answers": sum(1 for text in theirs.sound if probes.fault([text] if text else [])),
    }
    found |= await _strangeness(engine, base, ours, opening)
    if len(found["bad_answers"]) - found["live_bad_answers"] > _MOST_FAULTS * len(opening):
        found["length_ratio"] = findings.length_ratio(ours, theirs)
        return gate.Measured(**found), findings.side_by_side(base, theirs, ours, [])
    kept_back, prompts = material.kept_back, material.kept_back.prompts
    for side in sides:
        side.marks = await _marks(engine, side.name, material)
        side.fresh = await _fresh(engine, side.name, prompts)
        side.rewards = await _likelihoods(engine, side.name, kept_back)
    found |= {
        "parity": await _parity(engine, candidate, material.parity),
        "missing": (findings.missing(ours), findings.missing(theirs)) if prompts else None,
        "length_ratio": findings.length_ratio(ours, theirs),
        "length_to_base": findings.length_ratio(ours, base),
        "unsafe": findings.unsafe(ours, theirs),
        "personal": findings.personal(
            ours, theirs, [*opening, *(prompt for prompt, _ in prompts)], material.secrets
        ),
        "guards": findings.guards(material.probes, base, theirs, ours),
        "evidence": [
            # Few votes are dealt anew a hundred thousand times; the run's heartbeat goes on.
            await asyncio.to_thread(findings.ranked, kept_back, base, theirs, ours),
            findings.judged(kept_back, prompts, theirs, ours),
        ],
        "health": dict(material.health),
    }
    shown = [(str(prompt[-1].get("content")), person) for prompt, person in prompts]
    return gate.Measured(**found), findings.side_by_side(base, theirs, ours, shown)


# -- asking the engine -------------------------------------------------------------------------------


async def _ask(engine: Engine, adapter: str | None, prompts: Sequence[Sequence[Message]]) -> list[str | None]:
    """The answer to each prompt, without sampling; None for one that was empty or cut."""

    async def one(prompt: Sequence[Message]) -> str | None:
        found = await engine.answers(prompt, adapter, count=1, temperature=0.0, seed=0)
        return found[0] if found else None

    return await together(one, prompts, _AT_ONCE)


async def _marks(engine: Engine, adapter: str | None, material: Material) -> list[bool]:
    texts = await _ask(engine, adapter, [probe.behind(material.system) for probe in material.probes])
    return [probe.is_right(text or "") for probe, text in zip(material.probes, texts, strict=True)]


async def _fresh(
    engine: Engine, adapter: str | None, prompts: Sequence[tuple[Sequence[Message], str]]
) -> list[list[str]]:
    async def one(numbered: tuple[int, tuple[Sequence[Message], str]]) -> list[str]:
        number, (prompt, _) = numbered
        try:
            return await engine.answers(
                prompt, adapter, count=findings.DRAWS, temperature=_TEMPERATURE, seed=1_000 * number
            )
        except Refused as error:
            # A prompt too long for this model is so for every side, and in every run to come.
            log.warning("a held-out prompt is passed over: %s", error)
            return []

    return await together(one, enumerate(prompts), _AT_ONCE)


async def _likelihoods(engine: Engine, adapter: str | None, kept_back: KeptBack) -> list[float | None]:
    """Log-probability of each held-out answer that was judged, in nats; None where the engine refuses it."""

    async def one(opinion: Any) -> float | None:
        try:
            return sum(await engine.logprobs(opinion.prompt, opinion.answer, adapter))
        except Refused as error:
            log.warning("a held-out answer is passed over: %s", error)
            return None

    return await together(one, kept_back.opinions, _AT_ONCE)


async def _a_token(
    engine: Engine, adapter: str | None, opening: Sequence[Sequence[Message]], texts: Sequence[str | None]
) -> float | None:
    """Mean log-probability of a token of these answers, in nats."""
    pairs = [(prompt, text) for prompt, text in zip(opening, texts, strict=True) if text]
    found = await together(lambda pair: engine.logprobs(pair[0], pair[1], adapter), pairs, _AT_ONCE)
    values = [value for row in found for value in row]
    return fmean(values) if values else None


async def _strangeness(
    engine: Engine, base: Side, ours: Side, opening: Sequence[Sequence[Message]]
) -> dict[str, float | None]:
    """How far the candidate is from the base, in nats a token.

    `drift`: how much less likely the base's own answers became, an estimate of the KL divergence;
    `gibberish`: how much less likely than its own answers the base finds the candidate's.
    """
    own = await _a_token(engine, base.name, opening, base.sound)
    by_ours = await _a_token(engine, ours.name, opening, base.sound)
    of_ours = await _a_token(engine, base.name, opening, ours.sound)
    return {
        "drift": own - by_ours if own is not None and by_ours is not None else None,
        "gibberish": own - of_ours if own is not None and of_ours is not None else None,
    }


async def _parity(engine: Engine, adapter: str, rows: Sequence[Mapping[str, Any]]) -> float | None:
    async def difference(row: Mapping[str, Any]) -> float:
        served = await engine.logprobs(row["prompt"], row["answer"], adapter)
        if len(served) != len(row["logprobs"]):
            return gate.OTHER_TOKENS
        return fmean(abs(a - b) for a, b in zip(served, row["logprobs"], strict=True))

    found = await together(difference, rows, _AT_ONCE)
    return max(found) if gate.OTHER_TOKENS in found else fmean(found) if found else None


def _plain(value: Any) -> Any:
    """Without what is no number: neither JSON nor PostgreSQL would take it."""
    if isinstance(value, dict):
        return {name: _plain(one) for name, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    return None if isinstance(value, float) and not isfinite(value) else value
