"""Tests of the measurement of a candidate, on an engine that says what is written down for it."""

from __future__ import annotations

import asyncio
import json
import math
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.training.scripted import ScriptedEngine
from training import evaluation
from training.probes import SOUND
from training.records import Adapter, Evaluation, Example

CANDIDATE, LIVE = "lora-cccccccccccc", "lora-111111111111"
PARITY = [{"prompt": [{"role": "user", "content": "Hi"}], "answer": "Hello there", "logprobs": [-1.0] * 3}]


def adapter(name: str) -> Adapter:
    return Adapter(name, Path("/adapters") / name, "starter", "0" * 64, "run-1", 8, datetime.now(UTC))


def pair(number: int) -> Example:
    prompt = ({"role": "user", "content": f"Question {number}?"},)
    return Example(prompt, f"good {number}", f"bad {number}", "siblings", (), (), "q", held_out=True)


def prefers_good(chosen: float) -> Any:
    """Likes the chosen side by so many nats a token more than the rejected one."""
    return lambda answer: -2.0 + chosen if answer.startswith("good") else -2.0


@pytest.fixture
def engine() -> ScriptedEngine:
    """The candidate likes the better side, the live adapter the worse one; both answer alike."""
    found = ScriptedEngine()
    found.likes[CANDIDATE] = lambda answer: -1.0 if answer == "Hello there" else prefers_good(0.5)(answer)
    found.likes[LIVE] = prefers_good(-0.25)
    found.likes[None] = prefers_good(-0.125)
    return found


def evaluate(engine: ScriptedEngine, live: str | None = LIVE, **more: Any) -> Evaluation:
    given: dict[str, Any] = {"held_out": [pair(number) for number in range(10)], "parity": PARITY} | more
    return asyncio.run(
        evaluation.evaluate(engine, adapter(CANDIDATE), adapter(live) if live else None, **given)
    )


def test_a_candidate_that_prefers_the_chosen_side_passes_with_its_figures(engine: ScriptedEngine) -> None:
    found = evaluate(engine)
    assert (found.adapter, found.against, found.outcome) == (CANDIDATE, LIVE, "passed")
    assert found.figures == {
        "probes": len(SOUND),
        "bad_answers": [],
        "parity": 0.0,
        "pairs": 10,
        "preferred": 10,
        "preferred_by_live": 0,
        "margin_gain": 2.25,
        "length_ratio": 1.0,
    }
    assert set(engine.loaded) == {CANDIDATE, LIVE}


def test_both_are_asked_the_same_without_sampling_behind_the_houses_system_prompt(
    engine: ScriptedEngine,
) -> None:
    evaluate(engine, system=[{"role": "system", "content": "Be kind."}])
    asked = {
        name: [more for call, adapter, more in engine.calls if call == "answers" and adapter == name]
        for name in (CANDIDATE, LIVE)
    }
    assert asked[CANDIDATE] == asked[LIVE]
    assert asked[LIVE] == [(("Be kind.", question), 1, 0.0, 0) for question in SOUND]


def test_without_a_live_adapter_the_base_is_the_measure(engine: ScriptedEngine) -> None:
    found = evaluate(engine, live=None)
    assert (found.against, found.outcome) == (None, "passed")
    assert found.figures["margin_gain"] == pytest.approx(1.875)


def test_an_adapter_is_not_compared_with_itself(engine: ScriptedEngine) -> None:
    found = evaluate(engine, live=CANDIDATE)
    assert (found.against, found.outcome) == (None, "passed")


def test_a_candidate_that_does_not_load_is_rejected_with_the_engines_reason(engine: ScriptedEngine) -> None:
    engine.refuses[CANDIDATE] = "LoRA rank 64 is greater than max_lora_rank 32"
    found = evaluate(engine)
    assert found.outcome == "rejected"
    assert found.reasons == ["loads: LoRA rank 64 is greater than max_lora_rank 32"]
    assert not [call for call, *_ in engine.calls if call == "answers"]


def test_a_live_adapter_that_can_not_be_served_does_not_speak_against_the_candidate(
    engine: ScriptedEngine,
) -> None:
    engine.refuses[LIVE] = "its folder is gone"
    found = evaluate(engine)
    assert (found.against, found.outcome) == (None, "passed")


def test_another_model_than_the_trained_one_is_noticed(engine: ScriptedEngine) -> None:
    engine.likes[CANDIDATE] = lambda answer: -1.4 if answer == "Hello there" else prefers_good(0.5)(answer)
    found = evaluate(engine)
    assert found.outcome == "rejected"
    assert found.figures["parity"] == pytest.approx(0.4)
    assert found.reasons[0].startswith("served as trained: ")
    assert "0.400 nats" in found.reasons[0]


def test_an_adapter_that_gives_no_numbers_is_rejected_and_its_figures_are_still_json(
    engine: ScriptedEngine,
) -> None:
    engine.likes[CANDIDATE] = lambda _: math.nan
    found = evaluate(engine)
    assert found.outcome == "rejected"
    assert json.loads(json.dumps(found.figures, allow_nan=False)) == found.figures
    assert (found.figures["parity"], found.figures["margin_gain"], found.figures["preferred"]) == (
        None,
        None,
        0,
    )


def test_another_tokenizer_than_the_trained_one_is_noticed(engine: ScriptedEngine) -> None:
    found = evaluate(engine, parity=[*PARITY, {**PARITY[0], "logprobs": [-1.0] * 5}])
    assert found.outcome == "rejected"
    assert "different tokens" in found.reasons[0]


@pytest.mark.parametrize(
    ("answer", "said"),
    [(None, "empty, or never came to an end"), ("yes and " * 20, "loops: ")],
)
def test_answers_that_are_none_are_counted_and_shown(
    engine: ScriptedEngine, answer: str | None, said: str
) -> None:
    engine.says[CANDIDATE] = lambda question: (
        answer if question == SOUND[3] else f"{question} Gladly, at once."
    )
    found = evaluate(engine)
    assert found.outcome == "rejected"
    assert found.reasons[0].startswith(f"sound answers: 1 of {len(SOUND)} probes were not answered (live: 0)")
    assert found.figures["bad_answers"][0].startswith(f"{SOUND[3]!r}: {said}")


def test_an_engine_that_says_nothing_at_all_promotes_nobody(engine: ScriptedEngine) -> None:
    engine.says = {CANDIDATE: lambda _: None, LIVE: lambda _: None}
    found = evaluate(engine)
    assert found.outcome == "not_enough_evidence"
    assert found.figures["length_ratio"] is None


def test_answers_that_only_grew_longer_are_rejected(engine: ScriptedEngine) -> None:
    engine.says[CANDIDATE] = lambda question: f"{question} " + " ".join(map(str, range(200)))
    found = evaluate(engine)
    assert found.outcome == "rejected"
    assert found.reasons[0].startswith("length: ")


def test_a_candidate_that_is_no_better_is_rejected(engine: ScriptedEngine) -> None:
    engine.likes[LIVE] = prefers_good(0.1)
    found = evaluate(engine)
    assert found.outcome == "rejected"
    assert found.reasons[0] == (
        "held-out preference: prefers the chosen side in 10 of 10 held-out examples, the live one in 10"
    )


def test_without_held_out_examples_or_parity_there_is_not_enough_evidence(engine: ScriptedEngine) -> None:
    assert evaluate(engine, held_out=[]).outcome == "not_enough_evidence"
    assert evaluate(engine, parity=[]).outcome == "not_enough_evidence"


def test_a_large_hold_out_is_measured_in_part_and_a_few_at_a_time(engine: ScriptedEngine) -> None:
    found = evaluate(engine, held_out=[pair(number) for number in range(250)])
    assert found.figures["pairs"] == 200
    assert engine.most_running <= 2 * 8


@pytest.mark.parametrize("lost", ["answers", "logprobs"])
def test_when_the_engine_goes_away_nothing_is_concluded_and_nothing_goes_on(
    engine: ScriptedEngine, lost: str
) -> None:
    async def fail(call: str) -> None:
        if call == lost:
            asked.append(call)
            if len(asked) == 3:
                raise OSError("the engine went away")
            await asyncio.sleep(5)

    asked: list[str] = []

    engine.before = fail

    async def main() -> None:
        given = {"held_out": [pair(number) for number in range(20)], "parity": PARITY}
        with pytest.raises(OSError, match="went away"):
            await evaluation.evaluate(engine, adapter(CANDIDATE), None, **given)  # type: ignore[arg-type]
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(main())
    assert engine.running == 0
