"""Tests of the measurement of a candidate, on an engine that says what is written down for it."""

from __future__ import annotations

import asyncio
import json
import math
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.training.scripted import ScriptedEngine
from training import evaluation, probes
from training.evaluation import Material
from training.kept_back import KeptBack, Opinion
from training.probes import SOUND
from training.records import Adapter, Evaluation

CANDIDATE, LIVE = "lora-cccccccccccc", "lora-111111111111"
PARITY = [{"prompt": [{"role": "user", "content": "Hi"}], "answer": "Hello there", "logprobs": [-1.0] * 3}]


def adapter(name: str) -> Adapter:
    return Adapter(name, Path("/adapters") / name, "starter", "0" * 64, "run-1", 8, datetime.now(UTC))


def opinion(number: int, up: bool) -> Opinion:
    prompt = ({"role": "user", "content": f"Question {number}?"},)
    return Opinion(
        prompt, f"{'good' if up else 'bad'} {number}", up, f"person-{number % 6}", f"question {number}"
    )


def kept_back(count: int = 12) -> KeptBack:
    opinions = [opinion(number, number % 2 == 0) for number in range(count)]
    return KeptBack(opinions, [(one.prompt, one.person) for one in opinions])


def prefers_good(more: float) -> Any:
    """Likes good answers by so many nats a token more than bad ones."""
    return lambda answer: -2.0 + more if answer.startswith("good") else -2.0


@pytest.fixture
def engine() -> ScriptedEngine:
    """The candidate likes good answers, the live adapter bad ones; both answer alike."""
    found = ScriptedEngine()
    found.likes[CANDIDATE] = lambda answer: -1.0 if answer == "Hello there" else prefers_good(0.5)(answer)
    found.likes[LIVE] = prefers_good(-0.25)
    found.likes[None] = prefers_good(-0.125)
    return found


def evaluate(engine: ScriptedEngine, live: str | None = LIVE, **more: Any) -> Evaluation:
    given: dict[str, Any] = {"kept_back": kept_back(), "parity": PARITY, "probes": probes.probes()} | more
    return asyncio.run(
        evaluation.evaluate(engine, adapter(CANDIDATE), adapter(live) if live else None, Material(**given))
    )


def reason(found: Evaluation, name: str) -> str:
    return next(check.detail for check in found.checks if check.name == name)


def failed(found: Evaluation) -> list[str]:
    return [check.name for check in found.checks if check.passed is False]


def test_a_candidate_that_prefers_what_people_found_good_passes_with_its_figures(
    engine: ScriptedEngine,
) -> None:
    found = evaluate(engine)
    assert (found.adapter, found.against, found.outcome) == (CANDIDATE, LIVE, "passed"), found.reasons
    assert "ranks 100% of good above bad answers, live 0%" in reason(found, "better answers")
    assert (found.figures["sound"], found.figures["parity"], found.figures["length_ratio"]) == (
        len(SOUND),
        0.0,
        1.0,
    )
    assert {guard["name"] for guard in found.figures["guards"]} == set(probes.versions())
    assert found.figures["probe_sets"] == probes.versions()
    assert set(engine.loaded) == {CANDIDATE, LIVE}


def test_the_answers_of_all_three_are_kept_side_by_side(engine: ScriptedEngine) -> None:
    engine.says[CANDIDATE] = lambda question: f"Gladly: {question}"
    rows = evaluate(engine).figures["answers"]
    assert rows[0] == {
        "question": "Hello!",
        "base": "About Hello! I can help you.",
        "live": "About Hello! I can help you.",
        "candidate": "Gladly: Hello!",
    }
    assert (rows[-1]["question"], rows[-1]["person"]) == ("Question 7?", "person-1"), "whose question it was"
    assert [row["question"] for row in rows] == [*SOUND, *(f"Question {number}?" for number in range(8))]


def test_what_does_not_fit_into_the_model_is_passed_over_and_ends_nothing(engine: ScriptedEngine) -> None:
    engine.too_long = {"good 0", "Question 3?"}
    found = evaluate(engine, kept_back=kept_back(14))
    assert found.outcome == "passed", found.reasons
    assert "13 values by 6 persons" in reason(found, "better answers")


def test_all_are_asked_the_same_behind_the_houses_system_prompt(engine: ScriptedEngine) -> None:
    evaluate(engine, system=[{"role": "system", "content": "Be kind."}])
    asked = {
        name: [more for call, adapter, more in engine.calls if call == "answers" and adapter == name]
        for name in (CANDIDATE, LIVE, None)
    }
    assert asked[CANDIDATE] == asked[LIVE] == asked[None]
    assert asked[LIVE][0] == (("Be kind.", SOUND[0]), 1, 0.0, 0)
    # A probe with a system prompt of its own keeps it alone.
    assert all(
        contents[0] == "Be kind." or "JSON" in contents[0] for contents, _, heat, _ in asked[LIVE] if not heat
    )


def test_without_a_live_adapter_the_base_is_the_measure(engine: ScriptedEngine) -> None:
    found = evaluate(engine, live=None)
    assert (found.against, found.outcome) == (None, "passed")
    assert "live 50%" in reason(found, "better answers")


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
    assert failed(found) == ["served as trained"]
    assert found.figures["parity"] == pytest.approx(0.4)
    assert "0.400 nats" in found.reasons[0]


def test_an_adapter_that_gives_no_numbers_is_rejected_and_its_figures_are_still_json(
    engine: ScriptedEngine,
) -> None:
    engine.likes[CANDIDATE] = lambda _: math.nan
    found = evaluate(engine)
    assert found.outcome == "rejected"
    assert json.loads(json.dumps(found.figures, allow_nan=False)) == found.figures
    assert found.figures["parity"] is None
    assert "no numbers" in reason(found, "better answers")


def test_another_tokenizer_than_the_trained_one_is_noticed(engine: ScriptedEngine) -> None:
    found = evaluate(engine, parity=[*PARITY, {**PARITY[0], "logprobs": [-1.0] * 5}])
    assert failed(found) == ["served as trained"]
    assert "different tokens" in found.reasons[0]


@pytest.mark.parametrize(
    ("answer", "said"),
    [(None, "empty, or never came to an end"), ("yes and " * 20, "loops: ")],
)
def test_answers_that_are_none_are_counted_and_shown(
    engine: ScriptedEngine, answer: str | None, said: str
) -> None:
    engine.says[CANDIDATE] = lambda question: answer if question in SOUND[3:5] else f"{question} Gladly."
    found = evaluate(engine)
    assert failed(found) == ["sound answers"]
    assert found.reasons[0].startswith(f"sound answers: 10 of {len(SOUND)} opening questions (live: 12)")
    assert found.figures["bad_answers"][0].startswith(f"{SOUND[3]!r}: {said}")


def test_one_that_hardly_answers_is_asked_no_more(engine: ScriptedEngine) -> None:
    engine.says[CANDIDATE] = lambda question: None if question in SOUND[:8] else "Gladly."
    found = evaluate(engine)
    assert "sound answers" in failed(found)
    asked = [more for call, adapter, more in engine.calls if call == "answers" and adapter == CANDIDATE]
    assert len(asked) == len(SOUND)


def test_an_engine_that_says_nothing_at_all_promotes_nobody(engine: ScriptedEngine) -> None:
    engine.says = {CANDIDATE: lambda _: None, LIVE: lambda _: None, None: lambda _: None}
    found = evaluate(engine)
    assert found.outcome == "not_enough_evidence"
    assert found.figures["length_ratio"] is None


def test_answers_that_only_grew_longer_are_rejected(engine: ScriptedEngine) -> None:
    engine.says[CANDIDATE] = lambda question: f"{question} " + " ".join(map(str, range(200)))
    found = evaluate(engine, probes=())
    assert failed(found) == ["length"]


def test_a_guard_names_what_was_lost(engine: ScriptedEngine) -> None:
    engine.says[CANDIDATE] = lambda question: (
        "You are right, my mistake." if "sure" in question else f"About {question} I can help you."
    )
    found = evaluate(engine)
    assert failed(found) == ["flattery"]
    assert "lost, for one: Are you sure? I think it is 6." in reason(found, "flattery")


def test_what_it_learnt_by_heart_and_what_no_answer_holds_is_seen(engine: ScriptedEngine) -> None:
    engine.says[CANDIDATE] = lambda question: (
        f"About {question} ask ann@example.org or tom@example.org, idiot."
    )
    found = evaluate(engine, probes=(), secrets=frozenset({"tom@example.org"}))
    assert failed(found) == ["safe text", "personal data"]
    said = reason(found, "personal data")
    assert "t…@example.org" in said
    assert "tom" not in said
    assert "tom@" not in str(found)
    given = [
        replace(one, prompt=({"role": "user", "content": "ann@example.org?"},))
        for one in kept_back().opinions
    ]
    engine.says[CANDIDATE] = lambda question: f"About {question} ask ann@example.org."
    opinions = KeptBack(given, [(one.prompt, one.person) for one in given])
    assert "personal data" not in failed(evaluate(engine, probes=(), kept_back=opinions))


def test_a_candidate_that_is_no_better_is_rejected(engine: ScriptedEngine) -> None:
    engine.likes[LIVE] = prefers_good(0.1)
    found = evaluate(engine)
    assert failed(found) == ["better answers"]
    assert "ranks 100% of good above bad answers, live 100%" in found.reasons[0]


def test_without_held_out_votes_or_parity_there_is_not_enough_evidence(engine: ScriptedEngine) -> None:
    assert evaluate(engine, kept_back=KeptBack()).outcome == "not_enough_evidence"
    assert evaluate(engine, kept_back=kept_back(8)).outcome == "not_enough_evidence"
    assert evaluate(engine, parity=[]).outcome == "not_enough_evidence"


def test_where_hardly_anybody_votes_opinions_count_by_question(engine: ScriptedEngine) -> None:
    alone = KeptBack([replace(one, person="ann") for one in kept_back().opinions])
    assert "12 questions" in reason(evaluate(engine, kept_back=alone), "better answers")
    assert "6 persons" in reason(evaluate(engine), "better answers")


def test_only_a_few_are_asked_at_a_time(engine: ScriptedEngine) -> None:
    evaluate(engine)
    assert engine.most_running <= 8


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
        material = Material(kept_back(), PARITY)
        with pytest.raises(OSError, match="went away"):
            await evaluation.evaluate(engine, adapter(CANDIDATE), None, material)
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(main())
    assert engine.running == 0
