"""One server: when it counts as well, what its replies mean, and what its connections survive."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import httpx
import pytest

from assistant.engine import pool
from assistant.engine.pool import Server, Upstream, locate_home, locate_urls, sentence
from assistant.errors import EngineUnavailable
from tests import fake_engine
from tests.fake_engine import FakeEngine

MISSING = "{'type': 'missing', 'loc': 'body.messages', 'msg': 'Field required'}"
BODY: dict[str, Any] = {"messages": [{"role": "user", "content": "Hello"}], "stream": True}


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
def served() -> Iterator[FakeEngine]:
    with fake_engine.serve() as fake:
        yield fake


@pytest.fixture
def fake(served: FakeEngine) -> FakeEngine:
    served.reset()
    return served


@pytest.fixture
async def upstream(fake: FakeEngine) -> AsyncIterator[Upstream]:
    upstream = Upstream(fake.server)
    await upstream.check()
    yield upstream
    await upstream.close()


async def words(upstream: Upstream) -> int:
    async with aclosing(upstream.ask("/v1/chat/completions", BODY, None)) as events:
        return len([event async for event in events if event["choices"][0]["delta"].get("content")])


def test_a_home_without_a_readable_announcement_has_no_engine(tmp_path: Path) -> None:
    locate, file = locate_home(tmp_path), tmp_path / "run" / "engine.json"
    assert locate() == ()
    file.parent.mkdir()
    for broken in ("", "[]", '{"url": "http://127.0.0.1:1"}', "3"):
        file.write_text(broken)
        assert locate() == ()
    file.write_text(json.dumps({"url": "http://127.0.0.1:1", "key": "k", "model": "m", "pid": 1}))
    assert locate() == (Server("http://127.0.0.1:1", "k"),)


def test_addresses_may_be_given_as_clients_know_them() -> None:
    urls = ["http://a:1", "http://a:1/", "http://a:1/v1", "http://a:1/v1/"]
    assert set(locate_urls(urls, "k")()) == {Server("http://a:1", "k")}


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (
            {
                "error": {
                    "message": "Call to add_lora method failed: LoRA rank 64 is greater than 32.",
                    "code": 500,
                }
            },
            "LoRA rank 64 is greater than 32",
        ),
        (
            {"error": {"message": "Loading lora lora-1 failed: No adapter found for <path>"}},
            "no adapter found for <path>",
        ),
        (
            {"error": {"message": "This model's length is 2.\nToo long. (parameter=input_tokens, value=3)"}},
            "this model's length is 2. Too long",
        ),
        (
            {"message": f"1 validation error:\n  {MISSING}"},
            "messages: Field required",
        ),
        ({"error": "Unauthorized"}, "unauthorized"),
        ({"detail": [{"msg": "x"}]}, '[{"msg": "x"}]'),
        ("", "status 500 without a reason"),
        ("<html>", "<html>"),
    ],
)
def test_replies_become_readable(content: Any, expected: str) -> None:
    body = {"text": content} if isinstance(content, str) else {"json": content}
    assert sentence(httpx.Response(500, **body)) == expected


async def test_it_is_well_when_it_says_so(upstream: Upstream, fake: FakeEngine) -> None:
    assert upstream.healthy
    assert (upstream.base, upstream.context_length) == ("apprentice-base", 2048)
    fake.fail("unwell")
    await upstream.check()
    assert "503" in upstream.reason
    await upstream.check()
    assert (upstream.healthy, upstream.reason) == (True, "")


async def test_one_slow_answer_is_forgiven_and_three_are_not(
    upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "HEALTH_SECONDS", 0.0)
    for _ in range(pool.MISSES - 1):
        await upstream.check()
        assert upstream.healthy
    await upstream.check()
    assert not upstream.healthy
    monkeypatch.undo()
    await upstream.check()
    assert upstream.healthy


@pytest.mark.parametrize("reply", [b"<html></html>", b"[]", b"{}", b'{"data": []}'])
async def test_a_server_of_another_kind_is_not_well(reply: bytes) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        head = f"HTTP/1.1 200 OK\r\ncontent-length: {len(reply)}\r\nconnection: close\r\n\r\n"
        writer.write(head.encode() + reply)
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        upstream = Upstream(Server(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", ""))
        await upstream.check()
        assert not upstream.healthy
        assert "protocol" in upstream.reason or "no model" in upstream.reason
        await upstream.close()


async def test_a_wrong_key_is_named(fake: FakeEngine) -> None:
    upstream = Upstream(Server(fake.url, "wrong"))
    await upstream.check()
    assert "refuses our key" in upstream.reason
    await upstream.close()


async def test_idle_connections_that_broke_do_no_harm(upstream: Upstream, fake: FakeEngine) -> None:
    for _ in range(5):
        assert await words(upstream) == 8
        fake.break_connections()
        await asyncio.sleep(0.02)
        await upstream.check()
        assert upstream.healthy


async def test_a_base_that_is_served_no_more_is_another_engine(upstream: Upstream, fake: FakeEngine) -> None:
    upstream.base = "gone"
    with pytest.raises(EngineUnavailable, match="another model"):
        await words(upstream)
    assert not upstream.healthy
    await upstream.check()
    assert await words(upstream) == 8


async def test_streams_are_counted_by_adapter(upstream: Upstream) -> None:
    upstream.loaded["lora-1"] = 0.0
    with upstream.streaming(None), upstream.streaming("lora-1"):
        assert (upstream.streams[None], upstream.streams["lora-1"], upstream.streams.total()) == (1, 1, 2)
    assert not upstream.streams
    assert upstream.loaded["lora-1"] > 0
