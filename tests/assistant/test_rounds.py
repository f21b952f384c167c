"""Tests of answers in which the house's tools are called, against a fake engine with a script of calls."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from assistant.accounts import Account
from assistant.chat import Ask, Chat
from assistant.engine.client import Engines
from assistant.errors import EngineInterrupted
from assistant.rounds import MOST_CALLS, as_sent, told
from assistant.tools import Caller, Find, Toolbox, open_toolbox
from feedback import dialogues
from feedback.database import Database
from feedback.records import Turn
from feedback.store import Store
from retrieval.records import Hit, Passage
from tests import real_engine
from tests.fake_engine import FakeEngine
from training import starter
from training.registry import Registry
from training.screening import unfit
from training.starter import asking, calling, corpus

pytest.importorskip("langchain_core")

ANN = Account("person-ann", "ann", "user", False, datetime.now(UTC))
EVE = replace(ANN, id="person-eve", name="eve", role="staff")
ROOT = Path(__file__).parents[2]
HELLO = [{"role": "user", "content": "Where is order 1234?"}]
CALL = ("order_status", '{"order_id": "1234"}')
made: list[str] = []
free = asyncio.Event()


def order_status(order_id: str) -> dict[str, str]:
    """Look up the status of an order."""
    made.append(order_id)
    return {"status": "shipped"}


def broken() -> str:
    """Fail."""
    raise ValueError("secret")


def long() -> str:
    """Return much."""
    return "word " * 1_000


def whoami(caller: Caller) -> str:
    """Tell who asks."""
    return caller.account.name


async def waits() -> str:
    """Wait until the test is over."""
    await free.wait()
    return "free"


@pytest.fixture(autouse=True)
def fresh() -> None:
    global free
    made.clear()
    free = asyncio.Event()


@pytest.fixture
async def engines(fake: FakeEngine) -> AsyncIterator[Engines]:
    fake.calls = []
    found = Engines(fake.locate, poll_seconds=0.05)
    await found.start()
    yield found
    await found.close()


@pytest.fixture
def build(sqlite: Database, tmp_path: Path, engines: Engines) -> Callable[..., Chat]:
    def built(
        *functions: Callable[..., Any], rounds: int = 4, most: int = 64, find: Find | None = None
    ) -> Chat:
        return Chat(
            Store(sqlite),
            Registry(sqlite, tmp_path / "adapters"),
            engines,
            system_prompt="",
            defaults={"temperature": 0.8},
            model="starter",
            max_tokens=most,
            toolbox=Toolbox(functions or [order_status, broken, long, whoami, waits], seconds=5, find=find),
            tool_rounds=rounds,
        )

    return built


@pytest.fixture
def chat(build: Callable[..., Chat]) -> Chat:
    return build()


async def answer(chat: Chat, ask: Ask) -> tuple[dict[str, Any], Turn]:
    begun = await chat.begin(ask)
    whole = await chat.whole(begun)
    return whole, chat.store.turn(begun.id)


def ask(**more: Any) -> Ask:
    return Ask(more.pop("account", ANN), more.pop("messages", HELLO), **more)


async def test_a_call_is_made_and_the_engine_is_asked_again_with_its_result(
    chat: Chat, fake: FakeEngine
) -> None:
    fake.calls = [[CALL]]
    whole, turn = await answer(chat, ask())
    first, second = fake.requests
    assert made == ["1234"]
    assert first["tools"][0]["function"]["name"] == "order_status"
    call, result = second["messages"][1:]
    assert call["tool_calls"][0]["function"] == {"name": "order_status", "arguments": '{"order_id": "1234"}'}
    assert result == {
        "role": "tool",
        "tool_call_id": call["tool_calls"][0]["id"],
        "content": '{"status": "shipped"}',
    }
    [choice] = whole["choices"]
    assert choice["message"]["content"] == turn.answer
    assert "tool_calls" not in choice["message"]
    assert choice["finish_reason"] == turn.finish_reason == "stop"
    assert turn.status == "complete"
    assert turn.tool_calls == []
    assert [step["role"] for step in turn.steps] == ["assistant", "tool"]
    assert as_sent(turn.steps) == second["messages"][1:]
    [step] = choice["tool_steps"]
    assert (step["name"], step["status"], step["result"]) == ("order_status", "done", '{"status": "shipped"}')
    assert turn.prompt == HELLO
    assert turn.sampling["tools"] == first["tools"]


async def test_usage_is_that_of_all_rounds(chat: Chat, fake: FakeEngine, engines: Engines) -> None:
    fake.calls = [[CALL], [("order_status", '{"order_id": "99"}')]]
    whole, turn = await answer(chat, ask())
    usages = [
        len(await engines.tokenize(request["messages"], tools=request["tools"])) for request in fake.requests
    ]
    assert len(usages) == 3
    assert whole["usage"]["prompt_tokens"] == turn.prompt_tokens == sum(usages)
    assert whole["usage"]["completion_tokens"] == turn.completion_tokens == 3 * fake.words


async def test_without_calls_an_answer_is_what_it_was_without_tools(chat: Chat, fake: FakeEngine) -> None:
    whole, turn = await answer(chat, ask())
    assert len(fake.requests) == 1
    assert turn.steps == []
    assert len(turn.answer.split()) == fake.words
    assert "tool_steps" not in whole["choices"][0]


@pytest.mark.parametrize(
    "more",
    [
        {"sampling": {"n": 2}},
        {"sampling": {"response_format": {"type": "json_object"}}},
        {"sampling": {"tool_choice": "none"}},
        {"sampling": {"logprobs": True}},
        {"model": "apprentice-base"},
    ],
)
async def test_tools_are_offered_for_one_answer_in_words_of_the_live_house_only(
    chat: Chat, fake: FakeEngine, more: dict[str, Any]
) -> None:
    await answer(chat, ask(**more))
    assert "tools" not in fake.requests[0]


async def test_calls_of_a_clients_own_tools_go_to_the_client(chat: Chat, fake: FakeEngine) -> None:
    fake.calls = [[("theirs", "{}")]]
    theirs = {"type": "function", "function": {"name": "theirs", "parameters": {"type": "object"}}}
    whole, turn = await answer(chat, ask(sampling={"tools": [theirs]}))
    assert fake.requests[0]["tools"] == [theirs]
    assert whole["choices"][0]["message"]["tool_calls"][0]["function"]["name"] == "theirs"
    assert turn.tool_calls[0]["function"]["name"] == "theirs"
    assert turn.steps == []


async def test_a_tool_knows_for_whom_it_is_called(chat: Chat, fake: FakeEngine) -> None:
    fake.calls = [[("whoami", "{}")]]
    _, turn = await answer(chat, ask(account=EVE))
    assert turn.steps[1]["content"] == "eve"


async def test_what_a_tool_finds_in_a_groups_documents_is_learned_from_by_nobody(
    build: Callable[..., Chat], fake: FakeEngine
) -> None:
    async def search(query: str, caller: Caller) -> list[str]:
        """Search the documents."""
        return [hit.passage.text for hit in await caller.find(query)]

    async def find(question: str, account: Account, most: int | None) -> list[Hit]:
        return [Hit(Passage("psg-1", "doc-1", "document", "sales", "Margin", "40 %", None, 0), 0.8, 1.0)]

    chat = build(search, find=find)
    fake.calls = [[("search", '{"query": "margin"}')], []]
    _, told_of = await answer(chat, ask())
    said = {"role": "assistant", "content": told_of.answer}
    _, after = await answer(chat, ask(messages=[*HELLO, said, {"role": "user", "content": "Thanks"}]))
    assert after.parent_id == told_of.id
    assert [unfit(turn) for turn in (told_of, after)] == ["restricted", "restricted"]
    assert not dialogues.is_readable(told_of)
    assert not [
        message for request in fake.requests for message in request["messages"] if "audiences" in message
    ]


# -- rounds ----------------------------------------------------------------------------------------


async def test_calls_of_one_round_run_side_by_side_and_stand_in_their_order(
    build: Callable[..., Chat], fake: FakeEngine
) -> None:
    meet = asyncio.Barrier(2)

    async def slow(name: str) -> str:
        """Wait for the other."""
        await meet.wait()
        await asyncio.sleep(0.02 if name == "first" else 0)
        return name

    fake.calls = [[("slow", '{"name": "first"}'), ("slow", '{"name": "second"}')]]
    _, turn = await answer(build(slow), ask())
    assert [step.get("content") for step in turn.steps] == ["", "first", "second"]


async def test_after_so_many_rounds_an_answer_comes_without_tools(
    build: Callable[..., Chat], fake: FakeEngine
) -> None:
    fake.calls = [[("order_status", json.dumps({"order_id": str(number)}))] for number in range(9)]
    _, turn = await answer(build(rounds=3), ask())
    assert made == ["0", "1", "2"]
    assert ["tools" in request for request in fake.requests] == [True, True, True, False]
    assert turn.answer
    assert turn.status == "complete"


async def test_the_same_call_is_made_once_and_asking_for_it_again_ends_the_rounds(
    chat: Chat, fake: FakeEngine
) -> None:
    fake.calls = [[CALL, CALL], [CALL], [CALL], [CALL]]
    _, turn = await answer(chat, ask())
    assert made == ["1234"]
    assert ["tools" in request for request in fake.requests] == [True, True, False]
    assert [step["content"] for step in turn.steps if step["role"] == "tool"] == ['{"status": "shipped"}'] * 3
    assert turn.answer


async def test_too_many_calls_at_once_are_refused_in_words(chat: Chat, fake: FakeEngine) -> None:
    fake.calls = [
        [("order_status", json.dumps({"order_id": str(number)})) for number in range(MOST_CALLS + 2)]
    ]
    _, turn = await answer(chat, ask())
    assert sorted(made) == sorted(map(str, range(MOST_CALLS)))
    assert [step["content"] for step in turn.steps][-1] == f"Error: at most {MOST_CALLS} calls at once"
    assert len(turn.steps) == MOST_CALLS + 3


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (("fly", "{}"), "there is no tool 'fly'"),
        (("order_status", '{"order_id": '), "the arguments must be one JSON object"),
        (("order_status", '{"order_id": {}}'), "order_id: Input should be a valid string"),
        (("broken", "{}"), "broken failed, and nothing more is known"),
    ],
)
async def test_what_goes_wrong_is_told_to_the_model_which_goes_on(
    chat: Chat, fake: FakeEngine, call: tuple[str, str], said: str
) -> None:
    fake.calls = [[call]]
    whole, turn = await answer(chat, ask())
    assert said in turn.steps[1]["content"]
    assert whole["choices"][0]["tool_steps"][0]["status"] == "failed"
    assert turn.status == "complete"
    assert turn.answer
    # An engine refuses a dialogue in which arguments are no object.
    for message in fake.requests[1]["messages"]:
        for one in message.get("tool_calls", ()):
            assert isinstance(json.loads(one["function"]["arguments"]), dict)
    assert turn.steps[0]["tool_calls"][0]["function"]["arguments"] == call[1]


async def test_words_before_a_call_stay_in_the_answer(chat: Chat, fake: FakeEngine) -> None:
    fake.calls, fake.preamble = [[CALL]], "Let me look."
    whole, turn = await answer(chat, ask())
    assert turn.answer.startswith("Let me look.\n\n")
    assert whole["choices"][0]["message"]["content"] == turn.answer
    assert turn.steps[0]["content"] == "Let me look."


async def test_white_space_before_a_call_is_not_said(chat: Chat, fake: FakeEngine) -> None:
    fake.calls, fake.preamble = [[CALL]], "\n"
    _, turn = await answer(chat, ask())
    assert turn.answer == turn.answer.strip()
    assert turn.steps[0]["content"] == ""


async def test_a_call_that_the_engine_could_not_read_is_followed_by_an_answer_without_tools(
    chat: Chat, fake: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = chat._engines.stream

    async def swallows(body: Any, adapter: Any) -> AsyncIterator[dict[str, Any]]:
        async for chunk in real({**body, "max_tokens": 8}, adapter):
            if "tools" in body:
                for choice in chunk["choices"]:
                    choice["delta"].pop("content", None)
            yield chunk

    monkeypatch.setattr(chat._engines, "stream", swallows)
    _, turn = await answer(chat, ask())
    assert ["tools" in request for request in fake.requests] == [True, False]
    assert turn.answer
    assert turn.completion_tokens == 16


# -- streams ---------------------------------------------------------------------------------------


async def test_a_stream_tells_of_calls_in_a_field_of_its_own_and_reads_like_one_answer(
    chat: Chat, fake: FakeEngine
) -> None:
    fake.calls = [[CALL]]
    begun = await chat.begin(ask())
    chunks = [chunk async for chunk in chat.stream(begun)]
    choices = [choice for chunk in chunks for choice in chunk["choices"]]
    assert all(chunk["id"] == begun.id for chunk in chunks)
    assert not any("tool_calls" in choice["delta"] for choice in choices)
    assert [choice["delta"]["role"] for choice in choices if "role" in choice["delta"]] == ["assistant"]
    assert [choice["finish_reason"] for choice in choices if choice["finish_reason"]] == ["stop"]
    states = [choice["tool_steps"][0]["status"] for choice in choices if "tool_steps" in choice]
    assert states == ["running", "done"]
    assert [chunk for chunk in chunks if not chunk["choices"]] == chunks[-1:]
    assert chunks[-1]["usage"]["completion_tokens"] == 2 * fake.words


async def test_stopping_in_the_middle_of_a_call_keeps_what_was_there(chat: Chat, fake: FakeEngine) -> None:
    fake.calls, fake.preamble = [[CALL, ("waits", "{}")]], "Let me look."
    begun = await chat.begin(ask())
    async with aclosing(chat.stream(begun)) as chunks:
        async for chunk in chunks:
            steps = [step for choice in chunk["choices"] for step in choice.get("tool_steps", ())]
            if [step["status"] for step in steps] == ["done", "running"]:
                break
    turn = chat.store.turn(begun.id)
    assert (turn.status, turn.answer) == ("stopped", "Let me look.")
    assert [step["status"] for step in told(turn.steps)] == ["done", "running"]
    assert turn.prompt_tokens
    assert not [task for task in asyncio.all_tasks() if task.get_name() == "tool waits"]


async def test_being_cancelled_in_the_middle_of_a_call_keeps_what_was_there(
    chat: Chat, fake: FakeEngine
) -> None:
    fake.calls = [[("waits", "{}")]]
    begun = await chat.begin(ask())
    seen = asyncio.Event()

    async def read() -> None:
        async with aclosing(chat.stream(begun)) as chunks:
            async for chunk in chunks:
                if any("tool_steps" in choice for choice in chunk["choices"]):
                    seen.set()

    reading = asyncio.create_task(read())
    await asyncio.wait_for(seen.wait(), 60)
    reading.cancel()
    await asyncio.wait({reading})
    turn = chat.store.turn(begun.id)
    assert turn.status == "stopped"
    assert told(turn.steps)[0]["status"] == "running"


async def test_an_engine_that_goes_away_in_the_second_round_leaves_the_steps(
    chat: Chat, fake: FakeEngine
) -> None:
    fake.calls = [[CALL]]
    begun = await chat.begin(ask())

    async def read() -> None:
        async for chunk in chat.stream(begun):
            if any(step["status"] == "done" for c in chunk["choices"] for step in c.get("tool_steps", ())):
                fake.fail("die", token=2)

    with pytest.raises(EngineInterrupted):
        await read()
    turn = chat.store.turn(begun.id)
    assert turn.status == "interrupted"
    assert len(turn.answer.split()) == 2
    assert told(turn.steps)[0]["status"] == "done"


# -- room ------------------------------------------------------------------------------------------


async def test_a_result_is_cut_until_an_answer_has_room(chat: Chat, fake: FakeEngine) -> None:
    fake.max_model_len, fake.calls = 3_000, [[("long", "{}")]]
    await chat._engines.refresh()
    _, turn = await answer(chat, ask())
    assert turn.status == "complete"
    assert turn.answer
    assert 200 <= len(turn.steps[1]["content"]) < 2_500
    assert turn.steps[1]["content"].endswith("… [cut]")
    assert as_sent(turn.steps) == fake.requests[-1]["messages"][1:]


async def test_where_the_tools_have_no_room_the_answer_comes_without_them(
    chat: Chat, fake: FakeEngine
) -> None:
    fake.max_model_len = 400
    await chat._engines.refresh()
    _, turn = await answer(chat, ask())
    assert "tools" not in fake.requests[-1]
    assert turn.status == "complete"


async def test_an_engine_that_takes_no_tools_is_asked_without_them(
    chat: Chat, fake: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    from assistant.errors import EngineRefused

    real = chat._engines.stream

    def without_parser(body: Any, adapter: Any) -> Any:
        if "tools" in body:
            raise EngineRefused(400, '"auto" tool choice requires --enable-auto-tool-choice')
        return real(body, adapter)

    monkeypatch.setattr(chat._engines, "stream", without_parser)
    _, turn = await answer(chat, ask())
    assert turn.status == "complete"


# -- dialogues -------------------------------------------------------------------------------------


async def test_a_client_that_knows_only_question_and_answer_goes_on_in_its_conversation(
    chat: Chat, fake: FakeEngine
) -> None:
    fake.calls, fake.preamble = [[CALL]], "Let me look."
    _, first = await answer(chat, ask())
    said = {"role": "assistant", "content": first.answer}
    _, second = await answer(chat, ask(messages=[*HELLO, said, {"role": "user", "content": "Thanks"}]))
    assert second.conversation_id == first.conversation_id
    assert second.parent_id == first.id


async def test_another_answer_to_the_same_question_is_a_sibling_with_steps_of_its_own(
    chat: Chat, fake: FakeEngine
) -> None:
    fake.calls = [[CALL], []]
    _, first = await answer(chat, ask())
    _, second = await answer(chat, ask())
    assert (second.conversation_id, second.parent_id) == (first.conversation_id, first.parent_id)
    assert second.prompt_key == first.prompt_key
    assert (len(first.steps), len(second.steps)) == (2, 0)


# -- the real thing --------------------------------------------------------------------------------


@pytest.mark.engine
@pytest.mark.timeout(300)
async def test_on_the_real_engine_the_starter_looks_orders_up_and_leaves_the_tools_alone_otherwise(
    sqlite: Database, tmp_path: Path
) -> None:
    """And what a trainer is given of it are the very tokens that the engine read."""
    from transformers import AutoTokenizer

    count, rng = 20, random.Random("tools")
    orders = [calling.lookup(rng, fresh=True) for _ in range(count)]
    others = [asking.question(rng, corpus.other_than_orders(rng)) for _ in range(count)]
    box = open_toolbox(str(ROOT / "examples" / "shop_tools.py"), seconds=5)
    with real_engine.running(tmp_path, starter.path()):
        async with real_engine.reached(tmp_path) as engines:
            chat = Chat(
                Store(sqlite),
                Registry(sqlite, tmp_path / "adapters"),
                engines,
                system_prompt=starter.SYSTEM_PROMPT,
                defaults={"temperature": 0.0},
                model="starter",
                max_tokens=160,
                toolbox=box,
            )
            questions = [*(order.ask for order in orders), *others]
            asked = [Ask(ANN, [{"role": "user", "content": question}]) for question in questions]
            turns = [(await answer(chat, one))[1] for one in asked]
            used = next(turn for turn in turns if turn.steps)
            sent = [*used.prompt, *as_sent(used.steps)]
            read = await engines.tokenize(sent, tools=used.sampling["tools"])
    rendered = AutoTokenizer.from_pretrained(str(starter.path())).apply_chat_template(
        dialogues.corrected(used, "")[0],
        tools=json.loads(dialogues.tools(used)),
        add_generation_prompt=True,
        return_dict=True,
    )
    assert list(rendered["input_ids"]) == read
    assert {turn.status for turn in turns} == {"complete"}
    assert all(turn.answer for turn in turns)
    right = told_right = 0
    for order, turn in zip(orders, turns, strict=False):
        calls = told(turn.steps)
        if [(call["name"], json.loads(call["arguments"])) for call in calls] == [
            ("order_status", {"order_id": order.order_id})
        ]:
            right += 1
            told_right += all(word in turn.answer for word in json.loads(calls[0]["result"]).values())
    alone = sum(not turn.steps for turn in turns[count:])
    print(f"called rightly {right}/{count}, told {told_right}/{right}, left alone {alone}/{count}")
    assert right >= 0.8 * count
    assert told_right >= 0.8 * right
    assert alone >= 0.8 * count
