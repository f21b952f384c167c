"""Opinions in a real store become examples on both sides of the split, with fresh answers where they help."""

from __future__ import annotations

from dataclasses import replace

import pytest

from feedback.records import Message, Thumb
from feedback.store import Ending, NewTurn, Store, Verdict
from tests.training.scripted import ScriptedEngine
from training import gathering, screening, vote_model
from training.records import Adapter, Refused, TrainingSettings

SETTINGS = TrainingSettings(anchors=0.0, draws=4, most_questions=6)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def voted(store: Store, question: str, answer: str, thumb: Thumb, person: str = "ann") -> None:
    """A conversation of one turn, rated by its owner."""
    prompt: list[Message] = [{"role": "user", "content": question}]
    conversation = store.start_conversation(person, question)
    turn = store.begin(NewTurn(conversation.id, None, person, question, prompt, "model", None, {}))
    store.end(turn, Ending("complete", answer, finish_reason="stop"))
    store.judge(turn.id, person, "user", Verdict(thumb))


def questions(held_out: bool, count: int) -> list[str]:
    found = (f"What about thing number {number}?" for number in range(1000))
    return [question for question in found if screening.held_out(question) is held_out][:count]


def vote_for_courtesy(store: Store, asked: list[str]) -> None:
    for number, question in enumerate(asked):
        answer = f"Thank you for asking. It is {number}." if number % 2 else f"It is {number}. Go away."
        voted(store, question, answer, "up" if number % 2 else "down", person=f"person {number % 5}")


async def nothing(_share: float) -> None:
    """Progress that nobody looks at."""


async def gathered(store: Store, engine: ScriptedEngine, live: Adapter | None = None) -> gathering.Gathered:
    return await gathering.gather(store, engine, live, SETTINGS, nothing)


async def test_siblings_become_pairs_on_their_side_of_the_split(store: Store) -> None:
    for question in (*questions(False, 3), *questions(True, 2)):
        voted(store, question, "A good answer, with reasons.", "up")
        voted(store, question, "No.", "down")
    found = await gathered(store, ScriptedEngine())
    assert [example.chosen for example in found.training] == ["A good answer, with reasons."] * 3
    assert len(found.held_out) == 2
    assert all(example.held_out for example in found.held_out)
    assert (found.counts["training"], found.counts["held_out"]) == (3, 2)


async def test_no_answers_are_drawn_without_a_model_of_the_votes_that_can_be_trusted(store: Store) -> None:
    voted(store, questions(False, 1)[0], "Thank you for asking.", "up")
    engine = ScriptedEngine()
    assert (await gathered(store, engine)).training == []
    assert [call for call in engine.calls if call[0] == "answers"] == []


async def test_lonely_votes_are_paired_with_fresh_answers_of_what_is_live(store: Store) -> None:
    vote_for_courtesy(store, questions(False, 80))
    live = "lora-0123456789ab"
    engine = ScriptedEngine(says={live: lambda question: f"Thank you for asking. It is {len(question)}."})
    found = await gathered(store, engine, adapter(live))
    asked = [call for call in engine.calls if call[0] == "answers"]
    assert len(asked) == SETTINGS.most_questions
    assert {call[1] for call in asked} == {live}
    assert {call[2][1] for call in asked} == {SETTINGS.draws}
    assert len({call[2][3] for call in asked}) == len(asked), "no two questions share a seed"
    ranked = [example for example in found.training if example.source == "ranked"]
    assert ranked
    assert all(example.votes and example.people for example in ranked)
    assert found.counts["vote_model_auc"] > 0.8


async def test_a_question_too_long_for_the_model_stops_no_run(store: Store) -> None:
    asked = questions(False, 80)
    vote_for_courtesy(store, asked)
    engine = ScriptedEngine(says={None: lambda question: f"Thank you for asking. It is {len(question)}."})
    engine.too_long = set(asked[:3])
    found = await gathered(store, engine)
    assert found.training
    assert not {example.prompt[-1]["content"] for example in found.training} & engine.too_long


async def test_for_held_out_votes_nothing_is_drawn_or_ranked(store: Store) -> None:
    vote_for_courtesy(store, questions(False, 80) + questions(True, 10))
    engine = ScriptedEngine()
    found = await gathered(store, engine)
    drawn = {call[2][0][-1] for call in engine.calls if call[0] == "answers"}
    assert drawn
    assert not drawn & set(questions(True, 10))
    assert found.held_out == []


async def test_what_the_base_is_right_about_is_rehearsed_beside_the_votes(store: Store) -> None:
    for question in questions(False, 8):
        voted(store, question, "A good answer, with reasons.", "up")
        voted(store, question, "No.", "down")
    settings = replace(SETTINGS, anchors=0.5)
    system = [{"role": "system", "content": "Be kind."}]
    found = await gathering.gather(store, ScriptedEngine(), None, settings, nothing, system)
    assert found.counts["examples"] == {"siblings": 8, "held_out": 0, "anchor": 4}
    assert found.counts["training"] == 8
    rehearsed = found.training[8:]
    assert [example.source for example in rehearsed] == ["anchor"] * 4
    assert all(example.chosen == example.rejected and not example.votes for example in rehearsed)


async def test_held_out_votes_teach_the_ranking_nothing(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    vote_for_courtesy(store, questions(False, 4) + questions(True, 4))
    seen: list[str] = []
    monkeypatch.setattr(
        vote_model,
        "fit",
        lambda judged: seen.extend(item.opening for item in judged),  # returns None
    )
    await gathered(store, ScriptedEngine())
    assert sorted(seen) == sorted(questions(False, 4))


async def test_a_live_adapter_that_is_broken_does_not_stop_learning(store: Store) -> None:
    vote_for_courtesy(store, questions(False, 80))
    live = "lora-0123456789ab"
    engine = ScriptedEngine(refuses={live: "truncated"})
    with pytest.raises(Refused):
        await engine.load(live, adapter(live).path)
    await gathered(store, engine, adapter(live))
    assert {call[1] for call in engine.calls if call[0] == "answers"} == {None}


def test_an_export_needs_no_engine(store: Store) -> None:
    question = questions(False, 1)[0]
    voted(store, question, "A good answer, with reasons.", "up")
    voted(store, question, "No.", "down")
    assert [example.rejected for example in gathering.from_votes(store).training] == ["No."]


def test_only_votes_after_the_mark_count_as_new(store: Store) -> None:
    asked = questions(False, 3)
    voted(store, asked[0], "An answer.", "up")
    mark = store.newest()
    assert gathering.new_votes(store, {}) == 1
    assert gathering.new_votes(store, mark) == 0
    voted(store, asked[1], "An answer.", "down")
    assert gathering.new_votes(store, mark) == 1


def adapter(name: str) -> Adapter:
    from datetime import UTC, datetime
    from pathlib import Path

    return Adapter(name, Path("/adapters") / name, "base", "hash", None, 16, datetime.now(UTC))
