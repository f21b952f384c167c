"""Engines, against fake engines: which server, which adapter, and what becomes of each way to fail."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from assistant.engine import client, pool
from assistant.engine.client import AdapterRef, Engines, TrainingEngine, locate_home, locate_urls
from assistant.errors import EngineInterrupted, EngineRefused, EngineUnavailable
from tests import fake_engine
from tests.fake_engine import FakeEngine
from tests.tiny_model import make_adapter
from training.records import Refused, TrainingError

BODY: dict[str, Any] = {"messages": [{"role": "user", "content": "Where is my parcel?"}]}


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
def servers() -> Iterator[list[FakeEngine]]:
    with fake_engine.serve() as one, fake_engine.serve(key=one.key) as two:
        yield [one, two]


@pytest.fixture
def fake(servers: list[FakeEngine]) -> FakeEngine:
    servers[0].reset()
    return servers[0]


@pytest.fixture
def other(servers: list[FakeEngine]) -> FakeEngine:
    servers[1].reset()
    return servers[1]


@pytest.fixture
async def engines(fake: FakeEngine) -> AsyncIterator[Engines]:
    async with running(Engines(fake.locate, poll_seconds=0.02)) as started:
        yield started


@pytest.fixture
async def both(fake: FakeEngine, other: FakeEngine) -> AsyncIterator[Engines]:
    locate = locate_urls([fake.url, other.url], fake.key)
    async with running(Engines(locate, poll_seconds=0.02)) as started:
        yield started


class running:  # noqa: N801
    """Starts and closes."""

    def __init__(self, engines: Engines) -> None:
        self._engines = engines

    async def __aenter__(self) -> Engines:
        await self._engines.start()
        return self._engines

    async def __aexit__(self, *_: object) -> None:
        await self._engines.close()


@pytest.fixture
def adapter(tmp_path: Path) -> AdapterRef:
    return made(tmp_path, 1)


def made(folder: Path, number: int, **more: Any) -> AdapterRef:
    name = f"lora-{number:012x}"
    return AdapterRef(name, make_adapter(folder / name, Path("base"), seed=number, **more))


async def text(engines: Engines, adapter: AdapterRef | None = None, **more: Any) -> str:
    chunks = [chunk async for chunk in engines.stream({**BODY, **more}, adapter)]
    return "".join(c["delta"].get("content") or "" for chunk in chunks for c in chunk["choices"])


def speakers(said: str) -> set[str]:
    return {word.partition("@")[2] for word in said.split()}


async def until(condition: Any, seconds: float = 5.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.005)


# Answers


async def test_base_and_adapter_answer_streamed_and_whole(
    engines: Engines, fake: FakeEngine, adapter: AdapterRef
) -> None:
    assert speakers(await text(engines)) == {"base"}
    assert speakers(await text(engines, adapter)) == {adapter.name}
    whole = await engines.chat({**BODY, "n": 2}, adapter)
    assert [speakers(choice["message"]["content"]) for choice in whole["choices"]] == [{adapter.name}] * 2
    assert (await engines.complete({"prompt": "hello"}, None))["choices"][0]["text"]
    assert fake.loads == [adapter.name]


async def test_usage_comes_last_when_asked_for(engines: Engines) -> None:
    chunks = [c async for c in engines.stream({**BODY, "stream_options": {"include_usage": True}}, None)]
    assert chunks[-1]["usage"]["completion_tokens"] == 8


async def test_the_model_and_unknown_fields_never_come_from_the_request(
    engines: Engines, fake: FakeEngine
) -> None:
    for field in ("model", "lora_path", "chat_template", "kv_transfer_params"):
        with pytest.raises(EngineRefused, match=field) as refused:
            await engines.chat({**BODY, field: "../x"}, None)
        assert refused.value.status == 400
    assert not fake.requests


@pytest.mark.parametrize(
    "name", ["../x", "lora-XYZ", "lora-00000000000", "apprentice-base", "lora-0000000000012"]
)
async def test_names_that_are_no_names_never_reach_the_engine(
    engines: Engines, fake: FakeEngine, adapter: AdapterRef, name: str
) -> None:
    wrong = AdapterRef(name, adapter.path)
    for act in (engines.ensure(wrong), text(engines, wrong), engines.unload(name)):
        with pytest.raises(EngineRefused, match="not the name of an adapter"):
            await act
    assert not fake.loads
    assert not fake.requests


async def test_a_refusal_is_one_readable_sentence(engines: Engines) -> None:
    with pytest.raises(
        EngineRefused, match=r"^this model's maximum context length is 2048 tokens\. .*tokens$"
    ) as no:
        await text(engines, messages=[{"role": "user", "content": "x" * 3000}])
    assert no.value.status == 400


# Stopping


async def test_closing_the_stream_stops_the_engine_and_its_connection_is_not_used_again(
    engines: Engines, fake: FakeEngine
) -> None:
    fake.words, fake.rate = 1000, 100.0
    async with aclosing(engines.stream(BODY, None)) as chunks:
        async for _ in chunks:
            assert engines.in_flight() == 1
            break
    assert engines.in_flight() == 0
    await until(lambda: fake.running == 0)
    assert fake.aborted == 1
    cancelled = set(fake.connections)
    fake.connections.clear()
    fake.words = 2
    await text(engines)
    assert not fake.connections & cancelled


async def test_a_finished_stream_leaves_its_connection_for_the_next(
    engines: Engines, fake: FakeEngine
) -> None:
    for _ in range(3):
        await text(engines)
    assert len(fake.connections) == 1


async def test_a_cancelled_task_stops_the_engine(engines: Engines, fake: FakeEngine) -> None:
    fake.words, fake.rate = 1000, 100.0
    task = asyncio.create_task(text(engines))
    await until(lambda: fake.running == 1)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await until(lambda: fake.running == 0)
    assert engines.in_flight() == 0


async def test_nobody_gets_anothers_words_in_a_storm_of_cancellations(
    engines: Engines, fake: FakeEngine
) -> None:
    fake.words = 30

    async def one(number: int) -> None:
        body = {"messages": [{"role": "user", "content": f"nonce {number}"}], "seed": number}
        expected = "".join(fake_engine.plan(fake, {**body, "model": fake.model}, 0)[0])
        said = ""
        async with aclosing(engines.stream(body, None)) as chunks:
            async for chunk in chunks:
                said += chunk["choices"][0]["delta"].get("content", "")
                if number % 3 == 0 and len(said) > number:
                    return
        assert said == expected

    await asyncio.gather(*(one(number) for number in range(60)))
    await until(lambda: fake.running == 0)


# Faults


@pytest.mark.parametrize("kind", ["500", "reset"])
async def test_a_failure_before_the_first_chunk_is_tried_on_another_server(
    both: Engines, fake: FakeEngine, other: FakeEngine, kind: str
) -> None:
    fake.fail(kind)
    other.fail(kind)
    with pytest.raises(EngineUnavailable):
        await text(both)
    assert len(fake.requests) == len(other.requests) == 1
    fake.fail(kind)
    for _ in range(2):
        assert speakers(await text(both)) == {"base"}


@pytest.mark.parametrize("kind", ["500", "reset"])
async def test_alone_it_is_unavailable(engines: Engines, fake: FakeEngine, kind: str) -> None:
    fake.fail(kind)
    with pytest.raises(EngineUnavailable):
        await text(engines)
    assert len(fake.requests) == 1


@pytest.mark.parametrize("kind", ["die", "error", "stall"])
async def test_a_failure_after_the_first_chunk_interrupts(
    both: Engines, fake: FakeEngine, other: FakeEngine, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "NEXT_SECONDS", 0.2)
    fake.fail(kind, token=3)
    other.fail(kind, token=3)
    said: list[str] = []

    async def read() -> None:
        async for chunk in both.stream(BODY, None):
            said.append(chunk["choices"][0]["delta"].get("content") or "")  # noqa: PERF401

    with pytest.raises(EngineInterrupted):
        await read()
    assert len("".join(said).split()) == 3
    assert len(fake.requests) + len(other.requests) == 1
    assert both.in_flight() == 0


async def test_no_first_chunk_in_time_is_unavailable(
    engines: Engines, fake: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "FIRST_SECONDS", 0.1)
    fake.fail("hang")
    with pytest.raises(EngineUnavailable):
        await text(engines)


async def test_a_dead_engine_is_known_at_once_and_its_return_soon(engines: Engines, fake: FakeEngine) -> None:
    assert engines.ready() is None
    fake.stop()
    with pytest.raises(EngineUnavailable):
        await text(engines)
    assert "does not answer" in (engines.ready() or "")
    with pytest.raises(EngineUnavailable):
        await engines.context_length()
    fake.start()
    await engines.wait(5)
    assert await text(engines)


async def test_an_engine_that_says_it_is_unwell_is_left_out(
    both: Engines, fake: FakeEngine, other: FakeEngine
) -> None:
    fake.fail("unwell", times=1000)
    await both.refresh()
    for _ in range(4):
        await text(both)
    assert not fake.requests
    assert both.ready() is None


# Adapters


async def test_an_adapter_is_loaded_once_for_many_who_want_it(
    engines: Engines, fake: FakeEngine, adapter: AdapterRef
) -> None:
    fake.fail("slow_load", seconds=0.05)
    answers = await asyncio.gather(*(text(engines, adapter) for _ in range(20)))
    assert fake.loads == [adapter.name]
    assert all(speakers(said) == {adapter.name} for said in answers)
    warm_ups = [body for body in fake.requests if body.get("max_tokens") == 1]
    assert [body["model"] for body in warm_ups] == [adapter.name]


async def test_one_who_gives_up_does_not_spoil_the_load_for_others(
    engines: Engines, fake: FakeEngine, adapter: AdapterRef
) -> None:
    fake.fail("slow_load", seconds=0.1)
    first = asyncio.create_task(engines.ensure(adapter))
    await asyncio.sleep(0.03)
    second = asyncio.create_task(engines.ensure(adapter))
    first.cancel()
    await second
    assert speakers(await text(engines, adapter)) == {adapter.name}


async def test_an_engine_that_lost_its_adapters_gets_them_again(
    engines: Engines, fake: FakeEngine, adapter: AdapterRef
) -> None:
    await engines.ensure(adapter)
    fake.fail("gone")
    assert speakers(await text(engines, adapter)) == {adapter.name}
    assert fake.loads == [adapter.name] * 2
    fake.fail("gone", times=2)
    with pytest.raises(EngineRefused) as refused:
        await text(engines, adapter)
    assert refused.value.status == 404


async def test_after_a_restart_what_is_live_is_loaded_before_it_counts_as_ready(
    engines: Engines, fake: FakeEngine, adapter: AdapterRef
) -> None:
    await engines.keep(adapter)
    assert engines.missing(adapter.name) is None
    fake.stop()
    with pytest.raises(EngineUnavailable):
        await text(engines, adapter)
    fake.start()
    await engines.wait(5)
    assert "not loaded" in (engines.missing(adapter.name) or "")
    await engines.keep(adapter)
    assert engines.missing(adapter.name) is None
    assert engines.missing(None) is None
    assert fake.loads == [adapter.name] * 2


async def test_what_another_process_loaded_is_known(
    engines: Engines, fake: FakeEngine, adapter: AdapterRef
) -> None:
    fake.adapters[adapter.name] = str(adapter.path)
    await engines.ensure(adapter)
    assert not fake.loads
    async with running(Engines(fake.locate)) as late:
        assert late.missing(adapter.name) is None


def spoil(folder: Path, how: str) -> None:
    weights = folder / "adapter_model.safetensors"
    match how:
        case "truncated":
            weights.write_bytes(weights.read_bytes()[:-100])
        case "no weights":
            weights.unlink()
        case "no config":
            (folder / "adapter_config.json").unlink()
        case "broken config":
            (folder / "adapter_config.json").write_text("{")
        case "huge header":
            weights.write_bytes((8 << 30).to_bytes(8, "little") + b"{}")


BAD = ["truncated", "no weights", "no config", "broken config", "huge header", "rank"]


@pytest.mark.parametrize("how", BAD)
async def test_a_bad_adapter_is_refused_and_the_others_answer(
    engines: Engines, fake: FakeEngine, tmp_path: Path, adapter: AdapterRef, how: str
) -> None:
    bad = made(tmp_path, 2, rank=64 if how == "rank" else 8)
    spoil(bad.path, how)
    for act in (engines.ensure(bad), text(engines, bad)):
        with pytest.raises(EngineRefused) as refused:
            await act
        assert bad.name in str(refused.value)
        assert 400 <= refused.value.status < 500
    assert speakers(await text(engines, adapter)) == {adapter.name}
    assert engines.ready() is None


async def test_a_live_adapter_that_is_refused_holds_nothing_up(
    engines: Engines, fake: FakeEngine, tmp_path: Path
) -> None:
    bad = made(tmp_path, 2)
    spoil(bad.path, "truncated")
    await engines.keep(bad)
    assert engines.missing(bad.name) is None
    await engines.keep(bad)


async def test_an_adapter_whose_folder_is_gone_is_not_asked_for(
    engines: Engines, fake: FakeEngine, adapter: AdapterRef
) -> None:
    await engines.ensure(adapter)
    seen = len(fake.requests)
    spoil(adapter.path, "no config")
    with pytest.raises(EngineRefused) as refused:
        await text(engines, adapter)
    assert refused.value.status == 404
    assert len(fake.requests) == seen


async def test_reap_unloads_what_is_idle_and_not_kept(fake: FakeEngine, tmp_path: Path) -> None:
    async with running(Engines(fake.locate, idle_seconds=0.0)) as engines:
        kept, idle, busy = (made(tmp_path, number) for number in (1, 2, 3))
        for one in (kept, idle):
            await engines.ensure(one)
        fake.words, fake.rate = 1000, 100.0
        task = asyncio.create_task(text(engines, busy))
        await until(lambda: fake.running == 1)
        assert engines.in_flight(busy.name) == 1
        await engines.reap({kept.name})
        assert sorted(fake.adapters) == [kept.name, busy.name]
        await engines.unload(busy.name)
        assert busy.name in fake.adapters, "a stream uses it"
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await engines.unload(busy.name)
        await engines.unload(busy.name)
        assert sorted(fake.adapters) == [kept.name]


async def test_idle_means_not_used_for_a_while(fake: FakeEngine, adapter: AdapterRef) -> None:
    async with running(Engines(fake.locate, idle_seconds=30.0)) as engines:
        await engines.ensure(adapter)
        await engines.reap(())
        assert adapter.name in fake.adapters


async def test_there_are_never_more_adapters_than_the_engine_has_room_for(
    engines: Engines, fake: FakeEngine, tmp_path: Path
) -> None:
    adapters = [made(tmp_path, number) for number in range(1, 13)]
    for one in adapters:
        assert speakers(await text(engines, one)) == {one.name}
        assert len(fake.adapters) <= pool.MOST_ADAPTERS
    assert list(fake.adapters) == [one.name for one in adapters[-pool.MOST_ADAPTERS :]]


# Servers


async def test_the_least_busy_server_answers_with_the_adapter_made_sure_of(
    both: Engines, fake: FakeEngine, other: FakeEngine, adapter: AdapterRef
) -> None:
    for one in (fake, other):
        one.words, one.rate = 1000, 100.0
    tasks = [asyncio.create_task(text(both, adapter)) for _ in range(6)]
    await until(lambda: fake.running + other.running == 6)
    assert fake.running == other.running == 3
    assert fake.loads == other.loads == [adapter.name]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_ensure_loads_everywhere_or_where_it_is_told(
    both: Engines, fake: FakeEngine, other: FakeEngine, tmp_path: Path
) -> None:
    await both.ensure(made(tmp_path, 1))
    assert len(fake.loads) == len(other.loads) == 1
    await both.ensure(made(tmp_path, 2), other.server)
    assert (len(fake.loads), len(other.loads)) == (1, 2)
    fake.stop()
    await both.ensure(made(tmp_path, 3))
    assert len(other.loads) == 3


async def test_servers_of_others_may_serve_their_model_under_any_name() -> None:
    with fake_engine.serve(model="Qwen/Qwen2.5-0.5B-Instruct") as foreign:
        async with running(Engines(locate_urls([f"{foreign.url}/v1/"], foreign.key))) as engines:
            assert speakers(await text(engines)) == {"base"}
            assert foreign.requests[-1]["model"] == "Qwen/Qwen2.5-0.5B-Instruct"


async def test_the_engine_of_a_home_is_found_when_it_comes(tmp_path: Path, fake: FakeEngine) -> None:
    async with running(Engines(locate_home(tmp_path), poll_seconds=0.02)) as engines:
        assert engines.ready() == "no engine is running"
        fake.announce(tmp_path)
        await engines.wait(5)
        (tmp_path / "run" / "engine.json").write_text("{")
        await until(engines.ready)


# Tokens


async def test_tokens_and_log_probabilities(engines: Engines, fake: FakeEngine, adapter: AdapterRef) -> None:
    assert await engines.tokenize_text("hé") == list("hé".encode())
    prompt = await engines.tokenize(BODY["messages"])
    assert prompt[0] == fake_engine.START
    assert await engines.context_length() == 2048

    base = await engines.logprobs(BODY["messages"], "Soon.", None)
    ours = await engines.logprobs(BODY["messages"], "Soon.", adapter)

    assert len(base) == len(ours) == len("Soon.") + 1
    assert base != ours
    asked = fake.requests[-1]
    assert asked["prompt"] == [*prompt, *b"Soon.", fake_engine.END]
    assert asked["model"] == adapter.name


# What training asks


async def test_training_asks_for_answers_and_log_probabilities(
    engines: Engines, fake: FakeEngine, adapter: AdapterRef
) -> None:
    engine = TrainingEngine(engines)
    assert engine.ready() is None
    await engine.load(adapter.name, adapter.path)
    answers = await engine.answers(BODY["messages"], adapter.name, count=3, temperature=1.0, seed=7)
    assert len(set(answers)) == 3
    assert all(speakers(said) == {adapter.name} for said in answers)
    assert answers == await engine.answers(BODY["messages"], adapter.name, count=3, temperature=1.0, seed=7)
    assert len(await engine.logprobs(BODY["messages"], "Yes", adapter.name)) == 4
    await engine.unload(adapter.name)
    assert not fake.adapters
    with pytest.raises(Refused, match="has not been loaded"):
        await engine.answers(BODY["messages"], adapter.name, count=1, temperature=1.0, seed=7)


async def test_training_leaves_out_cut_and_empty_answers(engines: Engines, fake: FakeEngine) -> None:
    short = TrainingEngine(engines, max_tokens=3)
    assert await short.answers(BODY["messages"], None, count=4, temperature=1.0, seed=7) == []
    fake.words = 1
    assert len(await short.answers(BODY["messages"], None, count=4, temperature=1.0, seed=7)) == 4
    assert len(await short.answers(BODY["messages"], None, count=4, temperature=0.0, seed=7)) == 1


async def test_training_gets_its_own_errors(engines: Engines, fake: FakeEngine, tmp_path: Path) -> None:
    bad = made(tmp_path, 2)
    spoil(bad.path, "truncated")
    with pytest.raises(Refused, match="file not fully covered"):
        await TrainingEngine(engines).load(bad.name, bad.path)
    fake.stop()
    with pytest.raises(TrainingError):
        await TrainingEngine(engines, patience=0.05).answers(
            BODY["messages"], None, count=1, temperature=1.0, seed=7
        )


async def test_training_waits_for_an_engine_that_restarts(
    engines: Engines, fake: FakeEngine, adapter: AdapterRef
) -> None:
    engine = TrainingEngine(engines, patience=5)
    await engine.load(adapter.name, adapter.path)
    fake.stop()
    asked = asyncio.create_task(
        engine.answers(BODY["messages"], adapter.name, count=2, temperature=1.0, seed=1)
    )
    await asyncio.sleep(0.1)
    fake.start()
    assert len(await asked) == 2
    assert fake.loads == [adapter.name] * 2


def test_the_fields_of_a_request_are_named_once() -> None:
    assert {"messages", "stream", "temperature", "tools"} <= client.FIELDS
    assert not {"model", "chat_template", "lora_path"} & client.FIELDS
