"""Tests of one answer from question to store, against a fake engine: nothing said is lost on the way."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anyio
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from assistant.accounts import Account
from assistant.chat import Ask, Begun, Chat
from assistant.engine.client import Engines
from assistant.errors import EngineInterrupted, EngineRefused, EngineUnavailable
from assistant.keeping import answering
from assistant.routing import NoSuchModel
from feedback.database import Database
from feedback.records import NotFound, Turn
from feedback.store import Store
from tests.fake_engine import FakeEngine
from tests.tiny_model import make_adapter
from training.canaries import Canaries
from training.canary import Plan, arm
from training.records import Adapter, Check, Evaluation, Promotion
from training.registry import Registry

NOW = datetime.now(UTC)
ANN = Account("person-ann", "ann", "user", False, NOW)
BOB = replace(ANN, id="person-bob", name="bob")
STAFF = replace(ANN, id="person-eve", name="eve", role="staff")
HELLO = [{"role": "user", "content": "Where is my parcel?"}]


@pytest.fixture
async def engines(fake: FakeEngine) -> AsyncIterator[Engines]:
    found = Engines(fake.locate, poll_seconds=0.05)
    await found.start()
    yield found
    await found.close()


@pytest.fixture
def store(sqlite: Database) -> Store:
    return Store(sqlite)


@pytest.fixture
def registry(sqlite: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Registry:
    monkeypatch.setattr("training.registry.files.verify", lambda _: None)
    return Registry(sqlite, tmp_path / "adapters")


@pytest.fixture
def chat(store: Store, registry: Registry, engines: Engines) -> Chat:
    return with_settings(store, registry, engines)


def with_settings(store: Store, registry: Registry, engines: Engines, **more: Any) -> Chat:
    given: dict[str, Any] = {
        "system_prompt": "",
        "defaults": {"temperature": 0.8},
        "model": "starter",
        "max_tokens": 64,
    }
    return Chat(store, registry, engines, **given | more)


def live(registry: Registry, number: int) -> str:
    """Make, enter and promote an adapter."""
    name = f"lora-{number:012x}"
    path = make_adapter(registry.folder / name, Path("base"), seed=number)
    registry.add(Adapter(name, path, "starter", "0" * 64, None, 8, NOW))
    registry.record(Evaluation(name, None, "passed", (Check("loads", True, "yes"),), {}, NOW))
    registry.promote(name, actor="ann", reason="test")
    return name


async def answer(chat: Chat, ask: Ask) -> tuple[str, list[Turn]]:
    """The text of the first choice, and the turns as they are stored afterwards."""
    begun = await chat.begin(ask)
    whole = await chat.whole(begun)
    return whole["choices"][0]["message"]["content"], [chat.store.turn(turn.id) for turn in begun.turns]


def text_of(chunk: dict[str, Any]) -> str:
    return "".join(choice["delta"].get("content") or "" for choice in chunk["choices"])


def speakers(said: str) -> set[str]:
    return {word.partition("@")[2] for word in said.split()}


async def until(condition: Callable[[], Any]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.005)


# -- what is stored when ---------------------------------------------------------------------------


async def test_a_turn_is_pending_before_a_word_is_said_and_complete_when_all_is(
    chat: Chat, fake: FakeEngine
) -> None:
    before = datetime.now(UTC)
    begun = await chat.begin(Ask(ANN, HELLO, sampling={"temperature": 0.5, "seed": 7}))
    assert fake.requests == []
    pending = chat.store.turn(begun.id)
    assert (pending.status, pending.answer, pending.ended_at) == ("pending", "", None)
    assert (pending.question, pending.model, pending.adapter) == ("Where is my parcel?", "starter", None)

    said = ""
    async with aclosing(chat.stream(begun)) as chunks:
        async for chunk in chunks:
            assert chunk["id"] == begun.id
            assert chat.store.turn(begun.id).status == "pending"
            said += text_of(chunk)
    turn = chat.store.turn(begun.id)
    assert (turn.status, turn.answer, turn.error) == ("complete", said, None)
    assert speakers(said) == {"base"}
    assert turn.prompt == HELLO
    assert turn.sampling == {"temperature": 0.5, "seed": 7, "max_tokens": 64}
    assert (turn.finish_reason, turn.completion_tokens) == ("stop", 8)
    assert turn.prompt_tokens is not None
    assert turn.prompt_tokens > 0
    assert turn.first_token_at is not None
    assert turn.ended_at is not None
    assert before <= turn.created_at <= turn.first_token_at <= turn.ended_at


async def test_the_engine_is_sent_what_is_stored_and_nothing_else(
    store: Store, registry: Registry, engines: Engines, fake: FakeEngine
) -> None:
    name = live(registry, 1)
    chat = with_settings(store, registry, engines, system_prompt="Be kind.")
    await answer(chat, Ask(ANN, HELLO, sampling={"stop": ["x"]}))
    (turn,) = store.turns(store.conversations(ANN.id)[0].id)
    assert fake.requests[-1] == {
        "messages": [{"role": "system", "content": "Be kind."}, *HELLO],
        "model": name,
        "temperature": 0.8,
        "stop": ["x"],
        "max_tokens": 64,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    assert [dict(message) for message in turn.prompt] == fake.requests[-1]["messages"]
    assert turn.adapter == name


async def test_the_whole_answer_is_what_the_stream_says(chat: Chat) -> None:
    ask = Ask(ANN, HELLO, sampling={"seed": 1})
    begun = await chat.begin(ask)
    async with aclosing(chat.stream(begun)) as chunks:
        said = "".join([text_of(chunk) async for chunk in chunks])
    second = await chat.begin(ask)
    whole = await chat.whole(second)
    assert whole["choices"] == [
        {
            "index": 0,
            "message": {"role": "assistant", "content": said},
            "finish_reason": "stop",
            "logprobs": None,
            "turn_id": second.id,
            "asked": False,
        }
    ]
    assert (whole["id"], whole["object"], whole["model"]) == (second.id, "chat.completion", "base")
    usage = whole["usage"]
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"] > 8


async def test_with_several_choices_each_is_a_turn_of_its_own(chat: Chat) -> None:
    begun = await chat.begin(Ask(ANN, HELLO, sampling={"n": 3, "seed": 1}))
    whole = await chat.whole(begun)
    turns = [chat.store.turn(turn.id) for turn in begun.turns]
    assert [choice["turn_id"] for choice in whole["choices"]] == [turn.id for turn in turns]
    assert [choice["message"]["content"] for choice in whole["choices"]] == [turn.answer for turn in turns]
    assert len({turn.answer for turn in turns}) == 3
    assert {turn.status for turn in turns} == {"complete"}
    assert len({(turn.conversation_id, turn.parent_id, turn.prompt_key) for turn in turns}) == 1
    assert begun.id == turns[0].id
    assert all(turn.completion_tokens == 8 for turn in turns)


async def test_tools_that_the_model_calls_are_told_and_stored(chat: Chat) -> None:
    tool = {"type": "function", "function": {"name": "track", "parameters": {"type": "object"}}}
    begun = await chat.begin(Ask(ANN, HELLO, sampling={"tools": [tool]}))
    (choice,) = (await chat.whole(begun))["choices"]
    turn = chat.store.turn(begun.id)
    (call,) = choice["message"]["tool_calls"]
    assert call["type"] == "function"
    assert call["function"] == {"name": "track", "arguments": '{"echo": "Where is my parcel?"}'}
    assert (choice["finish_reason"], choice["message"]["content"]) == ("tool_calls", None)
    assert list(turn.tool_calls) == [call]
    assert turn.status == "complete"


# -- the reader goes away --------------------------------------------------------------------------


async def half(chat: Chat, begun: Begun, words: int) -> tuple[Any, str]:
    """The open stream after so many words."""
    chunks, said = chat.stream(begun), ""
    while len(said.split()) < words:
        said += text_of(await anext(chunks))
    return chunks, said


async def test_closed_after_some_words_it_is_stopped_with_those_and_the_engine_stops_too(
    chat: Chat, fake: FakeEngine
) -> None:
    fake.words, fake.rate = 5000, 500
    begun = await chat.begin(Ask(ANN, HELLO))
    chunks, said = await half(chat, begun, 5)
    await chunks.aclose()
    turn = chat.store.turn(begun.id)
    assert (turn.status, turn.answer, turn.error) == ("stopped", said, None)
    assert turn.completion_tokens == 5
    assert turn.ended_at is not None
    await until(lambda: fake.aborted == 1)
    assert fake.running == 0


@pytest.mark.parametrize("how", ["task", "scope", "deadline"])
async def test_cancelled_after_some_words_it_is_stopped_with_those(
    chat: Chat, fake: FakeEngine, how: str
) -> None:
    """As the web server cancels a reader's task, as anyio cancels a scope, and as a deadline does."""
    fake.words, fake.rate = 5000, 500
    begun, said = await chat.begin(Ask(ANN, HELLO)), [""]
    enough, scope = asyncio.Event(), anyio.CancelScope()

    async def read() -> None:
        async with aclosing(chat.stream(begun)) as chunks:
            async for chunk in chunks:
                said[0] += text_of(chunk)
                if len(said[0].split()) == 5:
                    enough.set()
                    scope.deadline = anyio.current_time()

    if how == "task":
        task = asyncio.create_task(read())
        await enough.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    elif how == "scope":
        async with anyio.create_task_group() as group:
            group.start_soon(read)
            await enough.wait()
            group.cancel_scope.cancel()
    else:
        with scope:
            await read()
    turn = chat.store.turn(begun.id)
    assert turn.status == "stopped"
    assert turn.answer == said[0]
    assert turn.answer
    await until(lambda: fake.running == 0)


async def test_cancelled_before_the_first_word_it_is_stopped_and_empty(chat: Chat, fake: FakeEngine) -> None:
    fake.fail("hang")
    begun = await chat.begin(Ask(ANN, HELLO))
    task = asyncio.create_task(chat.whole(begun))
    await until(lambda: fake.requests)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    turn = chat.store.turn(begun.id)
    assert (turn.status, turn.answer, turn.first_token_at) == ("stopped", "", None)


# -- the engine goes away --------------------------------------------------------------------------


@pytest.mark.parametrize("fault", ["die", "error"])
async def test_broken_off_it_is_interrupted_with_what_was_said(
    chat: Chat, fake: FakeEngine, fault: str
) -> None:
    fake.fail(fault, token=3)
    begun, said = await chat.begin(Ask(ANN, HELLO)), ""
    with pytest.raises(EngineInterrupted) as problem:  # noqa: PT012
        async for chunk in chat.stream(begun):
            said += text_of(chunk)
    turn = chat.store.turn(begun.id)
    assert (turn.status, turn.answer, turn.error) == ("interrupted", said, str(problem.value))
    assert len(said.split()) == 3


@pytest.mark.parametrize("fault", ["500", "reset"])
async def test_failed_before_a_word_was_said_it_is_failed_with_the_reason(
    chat: Chat, fake: FakeEngine, fault: str
) -> None:
    fake.fail(fault, times=3)
    begun = await chat.begin(Ask(ANN, HELLO))
    with pytest.raises(EngineUnavailable):
        await chat.whole(begun)
    turn = chat.store.turn(begun.id)
    assert (turn.status, turn.answer) == ("failed", "")
    assert turn.error
    assert turn.ended_at is not None


async def test_what_the_engine_refuses_is_failed_with_its_reason(chat: Chat) -> None:
    begun = await chat.begin(Ask(ANN, [{"role": "user", "content": "long " * 1000}]))
    with pytest.raises(EngineRefused, match="maximum context length") as refused:
        await chat.whole(begun)
    assert refused.value.status == 400
    turn = chat.store.turn(begun.id)
    assert turn.status == "failed"
    assert "maximum context length" in str(turn.error)


async def test_an_error_of_ours_is_failed_too_and_not_a_reader_who_left(
    chat: Chat, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = await chat.begin(Ask(ANN, HELLO))
    monkeypatch.setattr("assistant.chat.receive", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        await chat.whole(begun)
    turn = chat.store.turn(begun.id)
    assert (turn.status, turn.error) == ("failed", "an error of ours; it stands in the log")


async def test_without_an_engine_nothing_is_stored(store: Store, registry: Registry) -> None:
    nowhere = Engines(lambda: (), poll_seconds=0.05)
    await nowhere.start()
    chat = with_settings(store, registry, nowhere)
    with pytest.raises(EngineUnavailable):
        await chat.begin(Ask(ANN, HELLO))
    await nowhere.close()
    assert store.conversations(ANN.id) == []


async def test_killed_under_many_streams_each_ends_soon_with_its_turn_and_chat_comes_back(
    chat: Chat, registry: Registry, engines: Engines, fake: FakeEngine
) -> None:
    name = live(registry, 1)
    fake.words, fake.rate = 50_000, 200
    said: dict[int, str] = {}

    async def person(number: int) -> Turn:
        account = replace(ANN, id=f"person-{number}")
        begun = await chat.begin(Ask(account, [{"role": "user", "content": f"Question {number}?"}]))
        with pytest.raises(EngineInterrupted):  # noqa: PT012
            async with aclosing(chat.stream(begun)) as chunks:
                async for chunk in chunks:
                    said[number] = said.get(number, "") + text_of(chunk)
        return chat.store.turn(begun.id)

    people = [asyncio.create_task(person(number)) for number in range(20)]
    await until(lambda: len([text for text in said.values() if text]) == 20)
    await asyncio.to_thread(fake.stop)
    async with asyncio.timeout(5):
        turns = await asyncio.gather(*people)
    for number, turn in enumerate(turns):
        assert (turn.status, turn.answer) == ("interrupted", said[number])
        assert turn.question == f"Question {number}?"
        assert turn.error
    fake.words = 8
    await asyncio.to_thread(fake.start)
    await until(lambda: engines.ready() is None)
    again, (turn,) = await answer(chat, Ask(ANN, HELLO))
    assert (speakers(again), turn.status) == ({name}, "complete"), (
        "the empty engine was given its adapter back"
    )


# -- who answers -----------------------------------------------------------------------------------


async def test_the_live_adapter_answers_from_its_promotion_to_its_rollback(
    chat: Chat, registry: Registry
) -> None:
    first, turns = await answer(chat, Ask(ANN, HELLO))
    assert speakers(first) == {"base"}
    name = live(registry, 1)
    second, (turn,) = await answer(chat, Ask(ANN, HELLO))
    assert (speakers(second), turn.adapter) == ({name}, name)
    registry.rollback(actor="ann", reason="worse")
    third, (turn,) = await answer(chat, Ask(ANN, HELLO))
    assert (speakers(third), turn.adapter) == ({"base"}, None)
    assert turns[0].adapter is None


async def test_an_answer_ends_on_the_adapter_that_it_began_with(
    chat: Chat, registry: Registry, fake: FakeEngine
) -> None:
    first = live(registry, 1)
    begun = await chat.begin(Ask(ANN, HELLO))
    chunks, said = await half(chat, begun, 2)
    second = live(registry, 2)
    other, _ = await answer(chat, Ask(BOB, HELLO))
    said += "".join([text_of(chunk) async for chunk in chunks])
    assert (speakers(said), speakers(other)) == ({first}, {second})
    assert chat.store.turn(begun.id).adapter == first


async def test_when_the_live_adapter_is_refused_the_one_before_it_answers_and_the_turn_says_so(
    chat: Chat, registry: Registry
) -> None:
    good, bad = live(registry, 1), live(registry, 2)
    (registry.get(bad).path / "adapter_config.json").unlink()
    said, (turn,) = await answer(chat, Ask(ANN, HELLO))
    assert (speakers(said), turn.adapter) == ({good}, good)


async def test_when_all_are_refused_the_base_answers(chat: Chat, registry: Registry) -> None:
    for number in (1, 2, 3):
        (registry.get(live(registry, number)).path / "adapter_config.json").unlink()
    said, (turn,) = await answer(chat, Ask(ANN, HELLO))
    assert (speakers(said), turn.adapter) == ({"base"}, None)


@pytest.mark.parametrize("how", ["retired", "tainted", "rolled back"])
async def test_nobody_who_was_put_away_stands_in(
    chat: Chat, registry: Registry, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = live(registry, 1), live(registry, 2)
    if how == "retired":
        registry.retire(first)
        broken = second
    elif how == "tainted":
        monkeypatch.setattr(registry, "tainted", lambda: {first: "it learned from somebody who is gone"})
        broken = second
    else:
        registry.rollback(actor="ann", reason="worse")
        broken = first
    (registry.get(broken).path / "adapter_config.json").unlink()
    said, _ = await answer(chat, Ask(ANN, HELLO))
    assert speakers(said) == {"base"}


async def test_staff_may_ask_an_adapter_by_name_and_hear_why_it_does_not_answer(
    chat: Chat, registry: Registry
) -> None:
    first, second = live(registry, 1), live(registry, 2)
    said, _ = await answer(chat, Ask(STAFF, HELLO, model=first))
    assert speakers(said) == {first}
    (registry.get(second).path / "adapter_config.json").unlink()
    with pytest.raises(EngineRefused, match=second):
        await chat.begin(Ask(STAFF, HELLO, model=second))
    with pytest.raises(NoSuchModel):
        await chat.begin(Ask(STAFF, HELLO, model="lora-000000000009"))
    with pytest.raises(NoSuchModel):
        await chat.begin(Ask(ANN, HELLO, model=first))


async def test_the_base_can_be_asked_while_an_adapter_is_live(chat: Chat, registry: Registry) -> None:
    live(registry, 1)
    said, (turn,) = await answer(chat, Ask(ANN, HELLO, model="apprentice-base"))
    assert (speakers(said), turn.adapter) == ({"base"}, None)


async def test_after_a_change_of_the_base_it_answers_alone_and_its_old_adapters_are_no_models(
    chat: Chat, registry: Registry, sqlite: Database
) -> None:
    old = live(registry, 1)
    canary(registry, sqlite, 2, 0.999999)
    registry.fits = lambda _: False
    said, (turn,) = await answer(chat, Ask(ANN, HELLO))
    assert (speakers(said), turn.adapter) == ({"base"}, None)
    assert answering(registry) == []
    with pytest.raises(NoSuchModel, match="another base model"):
        await chat.begin(Ask(STAFF, HELLO, model=old))
    registry.fits = lambda adapter: adapter.name == old
    assert [one.name for one in answering(registry)] == [old]
    _, (turn,) = await answer(chat, Ask(ANN, HELLO))
    assert turn.adapter == old


# -- in a canary -----------------------------------------------------------------------------------


def canary(registry: Registry, database: Database, number: int, share: float) -> tuple[str, Canaries]:
    """Make an adapter and start its canary."""
    name = f"lora-{number:012x}"
    path = make_adapter(registry.folder / name, Path("base"), seed=number)
    registry.add(Adapter(name, path, "starter", "0" * 64, None, 8, NOW))
    registry.record(Evaluation(name, None, "passed", (Check("loads", True, "yes"),), {}, NOW))
    canaries = Canaries(database, registry, Plan(steps=(share,)))
    canaries.start(name, actor="ann", reason="test")
    return name, canaries


async def test_a_canary_answers_its_share_of_conversations_from_their_first_turn_to_their_last(
    chat: Chat, registry: Registry, sqlite: Database
) -> None:
    before = live(registry, 1)
    name, _ = canary(registry, sqlite, 2, 0.5)
    found: list[str] = []
    for number in range(16):
        history: list[dict[str, Any]] = []
        turns = [await exchange(chat, history, f"{question} {number}?") for question in ("One", "Two")]
        assert len({turn.conversation_id for turn in turns}) == 1
        (adapter,) = {turn.adapter for turn in turns}
        assert adapter == (name if arm(turns[0].conversation_id, name, 0.5) else before)
        found.append(adapter)
    assert set(found) == {name, before}


async def test_a_veto_and_a_way_back_to_the_base_are_in_force_on_the_next_turn(
    chat: Chat, registry: Registry, sqlite: Database
) -> None:
    before = live(registry, 1)
    name, canaries = canary(registry, sqlite, 2, 0.999999)
    history: list[dict[str, Any]] = []
    assert (await exchange(chat, history, "One?")).adapter == name
    canaries.stop(actor="eve", reason="it flatters")
    assert (await exchange(chat, history, "Two?")).adapter == before
    canaries.start(name, actor="ann", reason="once more")
    assert (await exchange(chat, history, "Three?")).adapter == name
    registry.promote("base", actor="eve", reason="enough")
    assert (await exchange(chat, history, "Four?")).adapter is None


async def test_a_canary_that_can_not_be_served_leaves_its_conversations_to_what_is_live(
    chat: Chat, registry: Registry, sqlite: Database
) -> None:
    before = live(registry, 1)
    name, _ = canary(registry, sqlite, 2, 0.999999)
    (registry.get(name).path / "adapter_config.json").unlink()
    said, (turn,) = await answer(chat, Ask(ANN, HELLO))
    assert (speakers(said), turn.adapter) == ({before}, before)


# -- asked for a rating ----------------------------------------------------------------------------


@pytest.mark.parametrize(("share", "expected"), [(0.0, False), (1.0, True)])
async def test_whether_a_rating_is_asked_for_is_stored_before_the_answer_and_told(
    store: Store, registry: Registry, engines: Engines, share: float, expected: bool
) -> None:
    chat = with_settings(store, registry, engines, ask_share=share)
    begun = await chat.begin(Ask(ANN, HELLO, sampling={"n": 2}))
    assert [store.turn(turn.id).asked for turn in begun.turns] == [expected] * 2
    async with aclosing(chat.stream(begun)) as chunks:
        told = [choice["asked"] async for chunk in chunks for choice in chunk["choices"]]
    assert set(told) == {expected}
    whole = await chat.whole(await chat.begin(Ask(ANN, HELLO)))
    assert whole["choices"][0]["asked"] is expected


async def test_a_share_of_the_answers_is_drawn_by_chance(
    store: Store, registry: Registry, engines: Engines, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("assistant.chat.random", random.Random(1))
    chat = with_settings(store, registry, engines, ask_share=0.25)
    begun = [await chat.begin(Ask(ANN, HELLO)) for _ in range(100)]
    assert 15 <= sum(one.turns[0].asked for one in begun) <= 35


# -- its place in a conversation -------------------------------------------------------------------


async def exchange(chat: Chat, history: list[dict[str, Any]], question: str, **more: Any) -> Turn:
    """Ask as a client that keeps its own history, and add what was said to it."""
    history.append({"role": "user", "content": question})
    said, (turn,) = await answer(chat, Ask(ANN, list(history), **more))
    history.append({"role": "assistant", "content": said})
    return turn


async def test_a_client_that_sends_its_whole_history_goes_on_in_one_conversation(chat: Chat) -> None:
    history: list[dict[str, Any]] = []
    turns = [await exchange(chat, history, question) for question in ("One?", "Two?", "Three?")]
    assert len({turn.conversation_id for turn in turns}) == 1
    assert [turn.parent_id for turn in turns] == [None, turns[0].id, turns[1].id]
    assert [turn.question for turn in turns] == ["One?", "Two?", "Three?"]


async def test_with_a_system_prompt_of_its_own_too(chat: Chat) -> None:
    history: list[dict[str, Any]] = [{"role": "system", "content": "Be short."}]
    turns = [await exchange(chat, history, question) for question in ("One?", "Two?")]
    assert turns[1].parent_id == turns[0].id
    assert turns[1].prompt[0] == {"role": "system", "content": "Be short."}


async def test_the_same_prompt_again_is_a_sibling(chat: Chat) -> None:
    history: list[dict[str, Any]] = []
    await exchange(chat, history, "One?")
    first = await exchange(chat, history, "Two?")
    history[2:] = []
    again = await exchange(chat, history, "Two?")
    assert (again.conversation_id, again.parent_id, again.prompt_key) == (
        first.conversation_id,
        first.parent_id,
        first.prompt_key,
    )
    assert again.id != first.id


async def test_another_question_at_the_same_place_is_a_branch(chat: Chat) -> None:
    history: list[dict[str, Any]] = []
    root = await exchange(chat, history, "One?")
    first = await exchange(chat, history, "Two?")
    history[2:] = []
    branch = await exchange(chat, history, "Something else?")
    assert (branch.conversation_id, branch.parent_id) == (root.conversation_id, root.id)
    assert branch.prompt_key != first.prompt_key


async def test_a_new_opening_is_a_new_conversation_with_its_title(chat: Chat) -> None:
    await exchange(chat, [], "One?")
    await exchange(chat, [], "Another one?")
    assert [found.title for found in chat.store.conversations(ANN.id)] == ["Another one?", "One?"]


async def test_two_people_who_ask_the_same_do_not_meet(chat: Chat) -> None:
    _, (anns,) = await answer(chat, Ask(ANN, HELLO))
    _, (bobs,) = await answer(chat, Ask(BOB, HELLO))
    assert anns.conversation_id != bobs.conversation_id
    with pytest.raises(NotFound):
        chat.store.conversation(anns.conversation_id, BOB.id)


async def test_a_foreign_conversation_can_not_be_written_in(chat: Chat) -> None:
    _, (turn,) = await answer(chat, Ask(ANN, HELLO))
    with pytest.raises(NotFound):
        await chat.begin(Ask(BOB, HELLO, conversation_id=turn.conversation_id))
    assert len(chat.store.turns(turn.conversation_id)) == 1


async def test_a_page_says_itself_where_a_turn_belongs(chat: Chat) -> None:
    _, (first,) = await answer(chat, Ask(ANN, HELLO))
    place = {"conversation_id": first.conversation_id, "parent_id": first.id}
    _, (second,) = await answer(chat, Ask(ANN, [{"role": "user", "content": "And now?"}], **place))
    assert (second.conversation_id, second.parent_id) == (first.conversation_id, first.id)


# -- long dialogues --------------------------------------------------------------------------------


async def test_a_long_dialogue_loses_its_oldest_exchanges_and_keeps_its_conversation(
    store: Store, registry: Registry, engines: Engines, fake: FakeEngine
) -> None:
    chat = with_settings(store, registry, engines, system_prompt="Be kind.", max_tokens=256)
    history: list[dict[str, Any]] = []
    turns = [await exchange(chat, history, f"Question {number}: " + "why? " * 60) for number in range(9)]
    assert len({turn.conversation_id for turn in turns}) == 1
    assert [turn.parent_id for turn in turns[1:]] == [turn.id for turn in turns[:-1]]
    lengths = [len(turn.prompt) for turn in turns]
    assert max(lengths) < 2 + 2 * 8, "the last ones were cut"
    for turn, request in zip(turns, fake.requests, strict=True):
        assert [dict(message) for message in turn.prompt] == request["messages"]
        assert turn.prompt[0] == {"role": "system", "content": "Be kind."}
        assert turn.prompt[1]["role"] == "user"
        assert turn.prompt[-1]["content"] == turn.question
        assert turn.prompt_tokens is not None
        assert turn.prompt_tokens + 256 <= fake.max_model_len
        assert request["max_tokens"] == 256


async def test_a_question_that_leaves_little_room_gets_a_short_answer(chat: Chat, fake: FakeEngine) -> None:
    _, (turn,) = await answer(chat, Ask(ANN, [{"role": "user", "content": "x" * 2000}]))
    assert turn.prompt_tokens is not None
    assert fake.requests[-1]["max_tokens"] == fake.max_model_len - turn.prompt_tokens


async def test_a_model_with_little_context_gives_most_of_it_to_what_was_said(
    store: Store, registry: Registry, engines: Engines, fake: FakeEngine
) -> None:
    chat = with_settings(store, registry, engines, max_tokens=4096)
    history: list[dict[str, Any]] = []
    for number in range(3):
        await exchange(chat, history, f"Question {number}? " + "why? " * 20)
    assert [request["max_tokens"] for request in fake.requests] == [fake.max_model_len // 4] * 3
    assert len(fake.requests[-1]["messages"]) == 5, "there was room for all of it"


async def test_a_client_that_bounds_the_answer_itself_is_taken_at_its_word(
    chat: Chat, fake: FakeEngine
) -> None:
    for field in ("max_tokens", "max_completion_tokens"):
        await answer(chat, Ask(ANN, HELLO, sampling={field: 3}))
        assert fake.requests[-1][field] == 3
        assert chat.store.turns(chat.store.conversations(ANN.id)[0].id)[-1].finish_reason == "length"


# -- nothing but words comes from outside ----------------------------------------------------------

words = st.text(max_size=30) | st.sampled_from(
    ["lora-000000000001", "../../etc/passwd", "/adapters/x", "http://evil:1/v1", "apprentice"]
)


async def test_nothing_that_a_person_sends_chooses_a_path_or_a_server(
    chat: Chat, registry: Registry, fake: FakeEngine
) -> None:
    """Whatever is said or asked for: the engine hears a name from the registry, or its own base model's."""
    name = live(registry, 1)
    account = itertools.cycle((ANN, STAFF))

    @settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
    @given(model=words, content=words, question=words)
    def attempts(model: str, content: str, question: str) -> None:
        tried.append((model, content, question))

    tried: list[tuple[str, str, str]] = [("apprentice", "Hi", name)]
    attempts()
    for model, content, question in tried:
        messages = [{"role": "assistant", "content": content}, {"role": "user", "content": question}]
        try:
            await answer(chat, Ask(next(account), messages, model=model))
        except (NoSuchModel, EngineRefused):
            continue
    assert {request["model"] for request in fake.requests} <= {name, fake.model}
    assert set(fake.loads) == {name}
    assert all(set(request) <= {"messages", "model", "temperature", "max_tokens", "stream", "stream_options",
                                "prompt"} for request in fake.requests)  # fmt: skip


async def test_a_field_that_the_engine_must_not_hear_is_refused(chat: Chat, fake: FakeEngine) -> None:
    begun = await chat.begin(Ask(ANN, HELLO, sampling={"lora_path": "/tmp"}))
    with pytest.raises(EngineRefused, match="`lora_path` is not known"):
        await chat.whole(begun)
    assert fake.requests == []


async def test_half_characters_reach_neither_the_engine_nor_the_store(chat: Chat, fake: FakeEngine) -> None:
    _, (turn,) = await answer(chat, Ask(ANN, [{"role": "user", "content": "a\ud83d b\x00"}]))
    assert turn.question == "a\ufffd b\ufffd"
    assert fake.requests[-1]["messages"] == [{"role": "user", "content": "a\ufffd b\ufffd"}]


# -- many at once, while adapters change -----------------------------------------------------------


async def test_flips_under_many_streams_leave_each_answer_whole_and_from_one_adapter(
    chat: Chat, registry: Registry, fake: FakeEngine
) -> None:
    fake.words, fake.rate = 12, 3000
    for number in (1, 2):
        live(registry, number)
    answers: list[tuple[str, Turn]] = []

    async def person(number: int) -> None:
        account = replace(ANN, id=f"person-{number}")
        for count in range(3):
            said, (turn,) = await answer(
                chat, Ask(account, [{"role": "user", "content": f"Question {number}.{count}?"}])
            )
            answers.append((said, turn))

    def flip(number: int) -> Promotion:
        if number % 3 == 2:
            return registry.rollback(actor="ann", reason="test")
        return registry.promote(f"lora-{1 + number % 2:012x}", actor="ann", reason="test")

    async with asyncio.TaskGroup() as group:
        for number in range(10):
            group.create_task(person(number))
        for number in range(20):
            await asyncio.to_thread(flip, number)
    assert len(answers) == 30
    for said, turn in answers:
        assert speakers(said) == {turn.adapter or "base"}, "a vote would be booked to another adapter"
        assert len(said.split()) == 12
        assert (turn.status, turn.answer) == ("complete", said)
