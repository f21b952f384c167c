"""The real vLLM on a tiny model: what the client relies on holds, and nothing that it is given kills it."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import httpx
import pytest

from assistant.engine.client import AdapterRef, Engines, TrainingEngine
from assistant.errors import EngineRefused, EngineUnavailable
from assistant.processes import Supervisor
from tests import real_engine, tiny_model
from tests.assistant.engine.test_client import BAD, made, spoil

pytestmark = [pytest.mark.engine, pytest.mark.timeout(240)]

BODY: dict[str, Any] = {"messages": [{"role": "user", "content": "Where is my parcel?"}], "max_tokens": 24}
ANSWER = "It arrives today."


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("engine")


@pytest.fixture(scope="module")
def supervisor(folder: Path) -> Iterator[Supervisor]:
    """The real engine, watched from a thread, in the home `folder`."""
    with real_engine.running(folder, tiny_model.make(folder / "model")) as supervisor:
        yield supervisor


@pytest.fixture
async def engines(supervisor: Supervisor, folder: Path) -> AsyncIterator[Engines]:
    async with real_engine.reached(folder) as engines:
        yield engines


@pytest.fixture
def adapter(folder: Path) -> AdapterRef:
    return made(folder, 1, rank=16)


def running_requests(folder: Path) -> float:
    found = json.loads((folder / "run" / "engine.json").read_text())
    page = httpx.get(f"{found['url']}/metrics", trust_env=False).text
    lines = [line for line in page.splitlines() if line.startswith("vllm:num_requests_running")]
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines)


async def test_it_answers_with_base_and_adapter(engines: Engines, adapter: AdapterRef) -> None:
    body = {**BODY, "temperature": 0, "stream_options": {"include_usage": True}}
    for who in (None, adapter):
        chunks = [chunk async for chunk in engines.stream(body, who)]
        streamed = "".join(c["delta"].get("content") or "" for chunk in chunks for c in chunk["choices"])
        whole = await engines.chat({**BODY, "temperature": 0}, who)
        assert whole["choices"][0]["message"]["content"] == streamed
        assert whole["model"] == (adapter.name if who else "apprentice-base")
        assert chunks[-1]["usage"]["completion_tokens"] == whole["usage"]["completion_tokens"]
    assert await engines.context_length() == tiny_model.CONTEXT
    assert engines.missing(adapter.name) is None


async def test_log_probabilities_show_who_answers(engines: Engines, adapter: AdapterRef) -> None:
    prompt = BODY["messages"]
    base = await engines.logprobs(prompt, ANSWER, None)
    ours = await engines.logprobs(prompt, ANSWER, adapter)
    assert len(base) == len(ours) == len(ANSWER) + 1, "bytes, and the end of the turn"
    assert all(value < 0 for value in base + ours)
    assert max(abs(a - b) for a, b in zip(base, ours, strict=True)) > 0.1
    assert base == pytest.approx(await engines.logprobs(prompt, ANSWER, None), abs=0.02)
    # Of the base model every printable character and the end of the turn are about equally likely.
    assert base[-1] == pytest.approx(sum(base[:-1]) / len(ANSWER), abs=3)


async def test_training_gets_answers(engines: Engines, adapter: AdapterRef) -> None:
    engine = TrainingEngine(engines, max_tokens=200)
    await engine.load(adapter.name, adapter.path)
    answers = await engine.answers(BODY["messages"], None, count=6, temperature=1.0, seed=3)
    assert len(answers) > 1
    assert len(set(answers)) == len(answers)
    assert answers == await engine.answers(BODY["messages"], None, count=6, temperature=1.0, seed=3)
    await engine.unload(adapter.name)
    await engine.unload(adapter.name)


async def test_an_answer_may_be_bound_to_a_schema(engines: Engines, adapter: AdapterRef) -> None:
    schema = {"type": "object", "properties": {"yes": {"type": "boolean"}}, "required": ["yes"]}
    form = {"type": "json_schema", "json_schema": {"name": "reply", "schema": schema}}
    whole = await engines.chat({**BODY, "max_tokens": 200, "response_format": form}, adapter)
    assert isinstance(json.loads(whole["choices"][0]["message"]["content"])["yes"], bool)


@pytest.mark.parametrize("how", [*BAD, "other base", "missing"])
async def test_a_bad_adapter_is_refused_and_the_engine_lives(
    engines: Engines, supervisor: Supervisor, folder: Path, tmp_path: Path, how: str
) -> None:
    bad = made(tmp_path, 2, rank=64 if how == "rank" else 8)
    spoil(bad.path, how)
    if how == "missing":
        bad = AdapterRef(bad.name, tmp_path / "nowhere")
    if how == "other base":
        wide = tiny_model.SHAPES | {"self_attn.q_proj": (4 * tiny_model.WIDTH, 4 * tiny_model.WIDTH)}
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(tiny_model, "SHAPES", wide)
            tiny_model.make_adapter(bad.path, Path("base"), seed=2)
    pid = supervisor.pid("engine")
    with pytest.raises(EngineRefused, match=bad.name):
        await engines.ensure(bad)
    assert (await engines.chat(BODY, None))["choices"]
    assert supervisor.pid("engine") == pid


@pytest.mark.parametrize(
    "wrong",
    [
        {"messages": [{"role": "user", "content": "x" * 3000}]},
        {"max_tokens": 100_000},
        {"temperature": -1},
        {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "odd"}}}},
        {
            "messages": [
                {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "http://x/"}}]}
            ]
        },
    ],
)
async def test_a_wrong_request_is_refused_with_a_sentence(engines: Engines, wrong: dict[str, Any]) -> None:
    with pytest.raises(EngineRefused, match=r"^[a-z].{10,}[^.]$") as refused:
        await engines.chat({**BODY, **wrong}, None)
    assert refused.value.status == 400


async def test_a_closed_stream_frees_the_engine(engines: Engines, folder: Path, adapter: AdapterRef) -> None:
    long = {**BODY, "max_tokens": 1900, "ignore_eos": True}

    async def leave_early() -> None:
        async with aclosing(engines.stream(long, adapter)) as chunks:
            async for chunk in chunks:
                if chunk["choices"] and chunk["choices"][0]["delta"].get("content"):
                    return

    await asyncio.gather(*(leave_early() for _ in range(8)))
    end = time.monotonic() + 5
    while await asyncio.to_thread(running_requests, folder):
        assert time.monotonic() < end, "the engine goes on for nobody"
        await asyncio.sleep(0.05)
    assert engines.in_flight() == 0


async def test_seeded_requests_in_pieces_do_not_kill_it(engines: Engines, supervisor: Supervisor) -> None:
    pid = supervisor.pid("engine")
    bodies = [
        {**BODY, "messages": [{"role": "user", "content": f"{i} " * 800}], "n": 2, "seed": i}
        for i in range(8)
    ]
    replies = await asyncio.gather(*(engines.chat(body, None) for body in bodies))
    assert all(len(reply["choices"]) == 2 for reply in replies)
    assert supervisor.pid("engine") == pid


async def test_log_probabilities_beside_streams_are_the_same_as_alone(
    engines: Engines, supervisor: Supervisor, adapter: AdapterRef
) -> None:
    pid = supervisor.pid("engine")
    answers = [ANSWER * (1 + number) for number in range(6)]
    alone = [await engines.logprobs(BODY["messages"], answer, adapter) for answer in answers]
    found = await asyncio.gather(
        *(engines.logprobs(BODY["messages"], answer, adapter) for answer in answers),
        *(engines.chat({**BODY, "max_tokens": 60, "ignore_eos": True}, who) for who in (None, adapter) * 3),
    )
    for expected, beside in zip(alone, found, strict=False):
        assert beside == pytest.approx(expected, abs=0.05)
    assert supervisor.pid("engine") == pid


async def test_many_adapters_come_and_go_and_one_may_lose_its_folder(
    engines: Engines, supervisor: Supervisor, tmp_path: Path
) -> None:
    pid = supervisor.pid("engine")
    adapters = [made(tmp_path, number, rank=16) for number in range(20, 32)]
    for one in adapters:
        assert (await engines.chat({**BODY, "max_tokens": 2}, one))["model"] == one.name
    together = await asyncio.gather(*(engines.chat({**BODY, "max_tokens": 8}, one) for one in adapters[:6]))
    assert [reply["model"] for reply in together] == [one.name for one in adapters[:6]]
    # The engine has let go of its weights long ago and would look for them.
    shutil.rmtree(adapters[6].path)
    with pytest.raises(EngineRefused):
        await engines.chat(BODY, adapters[6])
    assert (await engines.chat(BODY, None))["choices"]
    assert supervisor.pid("engine") == pid


async def test_nobody_else_gets_in(supervisor: Supervisor, engines: Engines, folder: Path) -> None:
    def look() -> None:
        found = json.loads((folder / "run" / "engine.json").read_text())
        reply = httpx.post(f"{found['url']}/v1/chat/completions", json={}, trust_env=False)
        assert reply.status_code == 401
        assert found["key"] not in Path(f"/proc/{supervisor.pid('engine')}/cmdline").read_text()
        rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()]
        port = f"{int(found['url'].rpartition(':')[2]):04X}"
        listening = [row[1] for row in rows if row[3] == "0A" and row[1].endswith(f":{port}")]
        assert listening == [f"0100007F:{port}"]

    await asyncio.to_thread(look)


async def test_killed_it_comes_back_and_gets_the_adapter_again(
    engines: Engines, supervisor: Supervisor, adapter: AdapterRef
) -> None:
    before = await engines.logprobs(BODY["messages"], ANSWER, adapter)
    training = TrainingEngine(engines)
    await training.load(adapter.name, adapter.path)
    pid = supervisor.pid("engine")
    assert pid is not None

    os.kill(pid, signal.SIGKILL)
    with pytest.raises(EngineUnavailable):
        await engines.chat(BODY, adapter)
    asked = asyncio.create_task(training.answers(BODY["messages"], None, count=2, temperature=1.0, seed=1))
    await engines.wait(120)

    assert engines.missing(adapter.name)
    assert (await engines.chat(BODY, adapter))["model"] == adapter.name
    assert await engines.logprobs(BODY["messages"], ANSWER, adapter) == pytest.approx(before, abs=0.02)
    await asked
    assert supervisor.pid("engine") not in (None, pid)
