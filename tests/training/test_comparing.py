"""Asking in every cell, with an engine that is scripted."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from training.comparing import AT_ONCE, Asked, Piece, Plan, ask
from training.comparison import Cell, cells
from training.raters import BadRater
from training.records import Message, TrainingError

SYSTEM = ({"role": "system", "content": "Be kind. " * 50},)
ADAPTER = "lora-000000000001"
THREE = cells(("prompt", "adapter", "retrieval"))
EXAMPLE = [{"role": "user", "content": "Like?"}, {"role": "assistant", "content": "This."}]
PASSAGE = {"role": "user", "content": "Passages: tents are green."}
QUESTIONS = [({"role": "user", "content": f"Question {number}?"},) for number in range(12)]


@dataclass
class Scripted:
    """Answers with as many words as it is told to; counts how many it writes at once."""

    pause: float = 0.0
    words: Sequence[str] = ("Thank ", "you.")
    broken: set[str] = field(default_factory=set)
    cut: bool = False
    usage: bool = True
    asked: list[tuple[list[Message], str | None, int]] = field(default_factory=list)
    open: int = 0
    most: int = 0

    async def stream(
        self, prompt: Sequence[Message], adapter: str | None, *, seed: int
    ) -> AsyncIterator[Piece]:
        self.asked.append((list(prompt), adapter, seed))
        self.open += 1
        self.most = max(self.most, self.open)
        try:
            if prompt[-1]["content"] in self.broken:
                raise TrainingError("the engine is gone")
            for word in self.words:
                await asyncio.sleep(self.pause)
                yield Piece(word)
            yield Piece(cut=self.cut)
            if self.usage:
                yield Piece("", sum(len(message["content"]) for message in prompt), len(self.words))
        finally:
            self.open -= 1


async def passages(prompt: Sequence[Message]) -> list[Message]:
    helps = prompt[-1]["content"] == "Question 1?"
    return [*prompt[:-1], *([PASSAGE] if helps else []), prompt[-1]]


async def examples(prompt: Sequence[Message]) -> list[Message]:
    return [*prompt[:-1], *EXAMPLE, prompt[-1]]


def plan(**more: Any) -> Plan:
    given = {"questions": QUESTIONS, "cells": THREE, "system": SYSTEM, "adapter": ADAPTER}
    return Plan(**{**given, "passages": passages, "judge": lambda messages, text: 0.5, **more})


async def asked(speaker: Scripted, **more: Any) -> Asked:
    return await ask(speaker, plan(**more))  # type: ignore[arg-type]


async def test_every_question_is_asked_in_all_eight_cells() -> None:
    speaker = Scripted()
    found = await asked(speaker)
    assert Counter((a.question, a.cell) for a in found.answers) == {
        (number, cell): 1 for number in range(12) for cell in THREE
    }
    assert not found.complaints
    assert speaker.most == AT_ONCE
    sent = [(prompt, adapter) for prompt, adapter, _ in speaker.asked if prompt[-1] == QUESTIONS[1][0]]
    question = QUESTIONS[1][0]
    for adapter in (None, ADAPTER):
        for prompt in ([question], [PASSAGE, question], [*SYSTEM, question], [*SYSTEM, PASSAGE, question]):
            assert sent.count((prompt, adapter)) == 1
    # Where there is no passage, retrieval asks the same as without it.
    other = [prompt for prompt, _, _ in speaker.asked if prompt[-1] == QUESTIONS[2][0]]
    assert other.count([QUESTIONS[2][0]]) == 4


async def test_without_a_knowledge_base_there_are_four() -> None:
    speaker = Scripted()
    found = await asked(speaker, passages=None, cells=cells(("prompt", "adapter")))
    assert len(found.answers) == 4 * 12
    assert not any(PASSAGE in prompt for prompt, _, _ in speaker.asked)


async def test_examples_stand_by_base_and_adapter_alone() -> None:
    speaker = Scripted()
    found = await asked(speaker, passages=None, examples=examples, cells=cells(("adapter", "examples")))
    assert [cell.name for cell in cells(("adapter", "examples"))] == [
        "base",
        "adapter",
        "base + examples",
        "adapter + examples",
    ]
    assert len(found.answers) == 4 * 12
    assert sum(prompt[:2] == EXAMPLE for prompt, _, _ in speaker.asked) == 2 * 12


async def test_the_order_is_shuffled_by_the_seed_and_a_question_has_one_seed() -> None:
    speakers = [Scripted() for _ in range(3)]
    for speaker, seed in zip(speakers, (0, 0, 1), strict=True):
        await asked(speaker, seed=seed)
    first, again, other = ([(str(p), a) for p, a, _ in speaker.asked] for speaker in speakers)
    assert first == again != other
    # Cells are mixed: no cell is asked in one go.
    halves = [[adapter for _, adapter in part] for part in (first[:48], first[48:])]
    assert all(10 < half.count(ADAPTER) < 38 for half in halves)
    seeds = {(prompt[-1]["content"], seed) for prompt, _, seed in speakers[2].asked}
    assert len(seeds) == 12


async def test_times_begin_when_it_is_asked() -> None:
    async def slow(prompt: Sequence[Message]) -> Sequence[Message]:
        await asyncio.sleep(0.05)
        return prompt

    cell = Cell(retrieval=True)
    found = await asked(Scripted(pause=0.02), passages=slow, cells=[Cell(), cell], questions=QUESTIONS[:1])
    times = {answer.cell: answer for answer in found.answers}
    for answer, before in ((times[Cell()], 0.0), (times[cell], 0.05)):
        assert before + 0.02 <= answer.first_token < before + 0.04 + 0.5
        assert answer.seconds >= answer.first_token + 0.02
    assert (times[cell].answer_tokens, times[cell].characters) == (2, 10)
    assert times[cell].prompt_tokens == len("Question 0?")


async def test_a_failed_request_costs_one_answer_and_is_told() -> None:
    found = await asked(Scripted(broken={"Question 3?"}))
    assert len(found.answers) == 11 * 8
    assert len(found.complaints) == 8
    assert any(text == "adapter + long prompt + retrieval: the engine is gone" for text in found.complaints)
    silent = await asked(Scripted(usage=False), questions=QUESTIONS[:1])
    assert "how many tokens" in silent.complaints[0]


@pytest.mark.parametrize(
    ("speaker", "faulty"),
    [
        (Scripted(), False),
        (Scripted(cut=True), True),
        (Scripted(words=("  ",)), True),
        (Scripted(words=("again ",) * 40), True),
    ],
)
async def test_cut_empty_and_looping_answers_are_faulty(speaker: Scripted, faulty: bool) -> None:
    found = await asked(speaker, questions=QUESTIONS[:1])
    assert {answer.faulty for answer in found.answers} == {faulty}


async def test_the_judge_sees_the_bare_question_and_nothing_of_the_cell() -> None:
    seen = []

    def judge(messages: Sequence[Message], text: str) -> float:
        seen.append((messages, text))
        return 0.9

    found = await asked(Scripted(), judge=judge, questions=QUESTIONS[1:2])
    assert seen == [(QUESTIONS[1], "Thank you.")] * 8
    assert {answer.liked for answer in found.answers} == {0.9}
    empty = await asked(Scripted(words=("",)), judge=judge, questions=QUESTIONS[:1])
    assert {answer.liked for answer in empty.answers} == {0.0}
    nobody = await asked(Scripted(), judge=None, questions=QUESTIONS[:1])
    assert {answer.liked for answer in nobody.answers} == {None}


async def test_a_rater_that_breaks_is_told() -> None:
    def judge(messages: Sequence[Message], text: str) -> float:
        raise BadRater("it returned 'x'")

    found = await asked(Scripted(), judge=judge, questions=QUESTIONS[:1])
    assert not found.answers
    assert "it returned 'x'" in found.complaints[0]


async def test_it_says_how_far_it_is() -> None:
    heard: list[float] = []
    await ask(Scripted(), plan(questions=QUESTIONS[:2]), lambda what, share: heard.append(share))  # type: ignore[arg-type]
    assert heard == [number / 16 for number in range(17)]
