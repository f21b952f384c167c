"""A comparison over a home's own store and a fake engine."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from assistant import app
from assistant.app import House, open_house
from assistant.comparisons import Streaming, Wish, compare, keep, newest
from assistant.errors import AssistantError
from assistant.settings import read
from benchmarks import shapes
from examples.raters import courteous
from feedback.store import Ending, NewTurn, Verdict
from tests import real_engine
from tests.fake_engine import FakeEngine
from tests.tiny_model import make_adapter
from training import screening, starter
from training.base import base_hash
from training.comparison import Cell, Comparison
from training.questions import as_prompts
from training.raters import Rater
from training.records import Adapter, Check, Evaluation, Message, TrainingError

NAME = "lora-000000000001"
LONG = "You are the assistant of a shop. " * 8
HELD, SHOWN = (
    [
        text
        for text in (f"Question {n} about parcel {n}?" for n in range(300))
        if screening.held_out(text) == side
    ]
    for side in (True, False)
)
TASTE = Rater("tests:length", lambda messages, answer: 0.9 if NAME in answer else 0.2)


@pytest.fixture
def house(home: Path, migrated: Path, fake: FakeEngine, monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    monkeypatch.setenv("APPRENTICE_CHAT__SYSTEM_PROMPT", LONG)
    shutil.copyfile(migrated, home / "apprentice.db")
    found = open_house(read(model="org/model"))
    fake.announce(home)
    yield found
    found.close()


def chatted(house: House, question: str, answer: str = "Yes.", thumb: Any = None) -> None:
    conversation = house.store.start_conversation("ann", question).id
    prompt = [{"role": "system", "content": LONG}, {"role": "user", "content": question}]
    turn = house.store.begin(NewTurn(conversation, None, "ann", question, prompt, "m", None, {}))
    house.store.end(turn, Ending("complete", answer))
    if thumb:
        house.store.judge(turn.id, "ann", "user", Verdict(thumb))


def live(house: House, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = make_adapter(house.registry.folder / NAME, Path("base"))
    promoted(house, path, monkeypatch)
    return path


def promoted(house: House, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = datetime.now(UTC)
    base = house.settings.model_location
    house.registry.add(Adapter(NAME, path, base, base_hash(base), None, 8, now))
    house.registry.record(Evaluation(NAME, None, "passed", (Check("loads", True, "yes"),), {}, now))
    monkeypatch.setattr("training.registry.files.verify", lambda _: None)
    house.registry.promote(NAME, actor="test", reason="test")


@asynccontextmanager
async def speaking(house: House) -> AsyncIterator[Streaming]:
    engines = app.engines_of(house.settings)
    await engines.start()
    try:
        yield app.streaming_of(house, engines)
    finally:
        await engines.close()


async def compared(house: House, wish: Wish, **more: Any) -> Comparison:
    async with speaking(house) as speaker:
        return await compare(house, speaker, wish, **more)


async def test_four_cells_from_the_store(
    house: House, fake: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    live(house, monkeypatch)
    for question in [*SHOWN[:20], *HELD[:30]]:
        chatted(house, question)
    found = await compared(house, Wish(most=20, rater=TASTE, price=3.6))
    assert [row.cell.name for row in found.rows] == [
        "base",
        "adapter",
        "base + long prompt",
        "adapter + long prompt",
    ]
    assert (found.adapter, found.questions, found.source) == (NAME, 20, "the store")
    base, adapter, prompted, _ = found.rows
    assert base.liked is not None
    assert adapter.liked is not None
    assert (base.liked.value, adapter.liked.value) == pytest.approx((0.2, 0.9))
    assert prompted.prompt_tokens is not None
    assert base.prompt_tokens is not None
    # The fake engine's tokens are bytes: the prompt, and what ChatML puts around it.
    assert prompted.prompt_tokens - base.prompt_tokens == len("system\n" + LONG) + 3
    assert (base.answer_tokens, base.failed, base.faulty) == (8, 0, 0)
    assert base.cost == pytest.approx(3.6 / 3600 / 2 * (base.seconds or 0))
    assert found.verdict[0].startswith("Helps here: the adapter.")
    assert any("Retrieval is left out" in note for note in found.notes)
    assert any("the 6 intervals of differences" in note for note in found.notes)
    asked = {body["messages"][-1]["content"] for body in fake.requests if body.get("stream")}
    assert asked == set(HELD[10:30]), "the newest ones, and only those held out"
    assert {body["temperature"] for body in fake.requests if body.get("stream")} == {0.8}


async def test_eight_cells_with_a_knowledge_base(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    live(house, monkeypatch)

    async def passages(prompt: Sequence[Message]) -> list[Message]:
        return [*prompt[:-1], {"role": "user", "content": "A passage of some length."}, prompt[-1]]

    found = await compared(house, Wish(12, as_prompts(SHOWN[:12]), rater=TASTE), passages=passages)
    assert len({row.cell for row in found.rows}) == 8
    assert len(found.contrasts) == 13
    assert {row.answers for row in found.rows} == {12}
    tokens = {row.cell: row.prompt_tokens or 0 for row in found.rows}
    assert tokens[Cell(retrieval=True)] > tokens[Cell()]
    assert tokens[Cell(True, True, True)] == max(tokens.values())
    assert not any("Retrieval is left out" in note for note in found.notes)


async def test_what_is_not_there_is_left_out_and_said(
    house: House, fake: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    prompts = as_prompts(SHOWN[:12])
    found = await compared(house, Wish(prompts=prompts, rater=TASTE))
    assert [row.cell.name for row in found.rows] == ["base", "base + long prompt"]
    assert any("No adapter is live" in note for note in found.notes)
    path = live(house, monkeypatch)
    (path / "adapter_model.safetensors").write_bytes(b"\xff" * 64)
    found = await compared(house, Wish(prompts=prompts, rater=TASTE))
    assert found.adapter is None
    assert any("The live adapter is left out" in note for note in found.notes)


async def test_with_nothing_to_compare_it_says_why(
    home: Path, fake: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    empty = open_house(read(model="org/model"))
    fake.announce(home)
    with pytest.raises(AssistantError, match="three in ten are, by chance"):
        await compared(empty, Wish())
    with pytest.raises(AssistantError, match=r"nothing to compare.*No adapter is live"):
        await compared(empty, Wish(prompts=as_prompts(SHOWN[:3])))
    empty.close()


async def test_what_people_voted_on_is_not_asked(house: House) -> None:
    for question in (*SHOWN[:5], HELD[0]):
        chatted(house, question, thumb="up")
    prompts = as_prompts([*SHOWN[:15], HELD[0], SHOWN[7]])
    found = await compared(house, Wish(prompts=prompts, source="mine.jsonl", rater=TASTE))
    assert found.questions == 11
    assert "5 of 16 questions in mine.jsonl are left out: people voted on them." in found.notes
    with pytest.raises(AssistantError, match=r"no question in mine\.jsonl is new"):
        await compared(house, Wish(prompts=as_prompts(SHOWN[:5]), source="mine.jsonl"))


# -- the judge -------------------------------------------------------------------------------------


async def test_without_votes_the_judge_abstains_and_the_costs_stand(house: House) -> None:
    found = await compared(house, Wish(prompts=as_prompts(SHOWN[:12])))
    assert found.judge.abstains
    assert {row.liked for row in found.rows} == {None}
    assert found.rows[1].prompt_tokens
    assert found.verdict[0].startswith("Nobody can say which answers are better: there are too few votes")
    assert found.verdict[1].startswith("The long prompt reads ")


def voted(house: House, questions: list[str]) -> None:
    for number, question in enumerate(questions):
        good = number % 2 == 0
        answer = "Gladly! It is on its way." if good else "No idea."
        chatted(house, question, answer, "up" if good else "down")


async def test_the_judge_learns_from_votes_that_are_not_held_out_nor_asked(house: House) -> None:
    voted(house, SHOWN[:80])
    voted(house, HELD[:40])
    found = await compared(house, Wish(most=12))
    assert found.judge.abstains is None
    assert found.judge.detail.startswith("40 ups, 40 downs, AUC ")
    assert all(row.liked for row in found.rows)
    assert any("may be partial to it" in note for note in found.notes)


async def test_a_judge_that_can_not_tell_ups_from_downs_abstains(house: House) -> None:
    for number, question in enumerate(SHOWN[:60]):
        chatted(house, question, "It is on its way.", "up" if number % 2 else "down")
    found = await compared(house, Wish(prompts=as_prompts(SHOWN[100:112])))
    assert "can't tell ups from downs" in (found.judge.abstains or "")


# -- the engine ------------------------------------------------------------------------------------


async def test_failed_requests_are_counted_and_all_failed_is_an_error(house: House, fake: FakeEngine) -> None:
    fake.fail("500", times=2)
    found = await compared(house, Wish(prompts=as_prompts(SHOWN[:12]), rater=TASTE))
    assert sum(row.failed for row in found.rows) == 2
    assert any(note.startswith("2 requests failed, the first: base") for note in found.notes)
    fake.fail("500", times=99)
    with pytest.raises(AssistantError, match="not one answer came"):
        await compared(house, Wish(prompts=as_prompts(SHOWN[:3]), rater=TASTE))


async def test_answers_stream_in_pieces_with_their_tokens(house: House, fake: FakeEngine) -> None:
    async with speaking(house) as speaker:
        prompt = [{"role": "user", "content": "Hi"}]
        pieces = [piece async for piece in speaker.stream(prompt, None, seed=3)]
        assert sum(bool(piece.text) for piece in pieces) == 8
        assert (pieces[-1].prompt_tokens, pieces[-1].answer_tokens) == (21, 8)
        assert not any(piece.cut for piece in pieces)
        assert fake.requests[-1]["seed"] == 3
        fake.words = 600
        assert any([piece.cut async for piece in speaker.stream(prompt, None, seed=3)])
        fake.fail("die", token=2)
        with pytest.raises(TrainingError):
            [piece async for piece in speaker.stream(prompt, None, seed=3)]


# -- where it is kept --------------------------------------------------------------------------------


async def test_the_newest_that_can_be_read_is_shown(house: House) -> None:
    home = house.settings.home
    assert newest(home) is None
    found = await compared(house, Wish(prompts=as_prompts(SHOWN[:12]), rater=TASTE))
    file = keep(home, found)
    assert file.parent == home / "comparisons"
    assert newest(home) == found
    (home / "comparisons" / "99991231T000000.000000Z.json").write_text('{"rows": 1}')
    (home / "comparisons" / "99991231T000001.000000Z.json").write_text("half a fi")
    assert newest(home) == found


# -- the real thing --------------------------------------------------------------------------------


@pytest.mark.engine
@pytest.mark.timeout(240)
async def test_on_the_real_engine_a_prompt_costs_what_it_has_in_tokens(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The starter, a long prompt, and an adapter of noise, which nobody likes."""
    monkeypatch.setenv("APPRENTICE_CHAT__SYSTEM_PROMPT", LONG)
    house = open_house(read(model="starter"))
    path = shapes.adapter(house.registry.folder / NAME, starter.path(), 8, seed=1)
    promoted(house, path, monkeypatch)
    wish = Wish(12, as_prompts(starter.questions(12, 3)), rater=Rater("courteous", courteous), price=0.5)
    with real_engine.running(home, starter.path()):
        async with real_engine.reached(home) as engines:
            found = await compare(house, app.streaming_of(house, engines), wish)
            system = [{"role": "system", "content": LONG}]
            question = [{"role": "user", "content": "?"}]
            extra = len(await engines.tokenize([*system, *question])) - len(await engines.tokenize(question))
    house.close()
    rows = {row.cell: row for row in found.rows}
    assert len(rows) == 4
    assert {row.failed for row in found.rows} == {0}, found.notes
    assert found.adapter == NAME
    for other in (Cell(), Cell(adapter=True)):
        more = (rows[other._replace(prompt=True)].prompt_tokens or 0) - (rows[other].prompt_tokens or 0)
        assert more == pytest.approx(extra)
    for row in found.rows:
        assert row.first_token is not None
        assert row.seconds is not None
        assert 0 < row.first_token < row.seconds
        assert (row.answer_tokens or 0) > 1
        assert row.cost
    assert any(f"reads {extra} tokens more a question" in line for line in found.verdict), found.verdict
    print(*found.verdict, sep="\n")
