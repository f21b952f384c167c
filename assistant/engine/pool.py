"""The engines' servers, one `Upstream` each: whether it is well, which adapters it holds, and one call to it.

The only place that speaks HTTP to an engine, and where httpx's errors and the engine's replies become ours.
Knows nothing of what is asked; which server is asked is decided in `client`.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
import time
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from contextlib import aclosing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import anyio
import httpx

from assistant.errors import EngineInterrupted, EngineRefused, EngineUnavailable

Json = dict[str, Any]

CONNECT_SECONDS = 2.0
HEALTH_SECONDS = 5.0
FIRST_SECONDS = 600.0
"""Until the first chunk: a request may wait for its place in a full batch."""
NEXT_SECONDS = 60.0
# A loaded machine may miss an answer or two; a refused connection needs no second look.
MISSES = 3
# As many as our own engine keeps in memory (`max_cpu_loras`). One more name, and vLLM reads an adapter that
# has had to go from its folder at its next use; if the folder is gone by then, the engine dies (0.32).
MOST_ADAPTERS = 8
log = logging.getLogger(__name__)
LOOPBACK = {"127.0.0.1", "localhost", "::1"}


@dataclass(frozen=True, slots=True)
class Server:
    """Where an engine listens, and the key that it wants."""

    url: str
    key: str


@dataclass(frozen=True, slots=True)
class AdapterRef:
    """An adapter and the folder it is in, as the engine's machine sees it."""

    name: str
    path: Path


Locate = Callable[[], Sequence[Server]]


def locate_home(home: Path) -> Locate:
    """The engine that runs in this home, if any: what its `run/engine.json` says now."""
    file = home / "run" / "engine.json"

    def locate() -> Sequence[Server]:
        try:
            found = json.loads(file.read_bytes())
            return (Server(found["url"], found["key"]),)
        except (OSError, ValueError, KeyError, TypeError):
            return ()

    return locate


def locate_urls(urls: Sequence[str], key: str) -> Locate:
    """Servers that somebody else runs, all with the same key."""
    servers = tuple(Server(url.rstrip("/").removesuffix("/v1"), key) for url in urls)
    return lambda: servers


class AdapterUnknown(EngineRefused):
    """The server does not know the model or adapter (any more)."""


class Upstream:
    """One server. `healthy`, `reason`: as of the last look. `loaded`: adapters and their last use."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.healthy = False
        self.reason = "the engine has not been asked yet"
        self.base = ""
        self.context_length = 0
        self.loaded: dict[str, float] = {}
        self.streams: Counter[str | None] = Counter()
        self.end_of_turn: int | None = None
        self.comebacks = 0
        """How often it was away, after it had once been well, and is well again."""
        self._was_well = False
        self._misses = 0
        self._lock = asyncio.Lock()
        self._client = httpx.AsyncClient(
            base_url=server.url,
            headers={"Authorization": f"Bearer {server.key}"} if server.key else {},
            timeout=httpx.Timeout(FIRST_SECONDS, connect=CONNECT_SECONDS, pool=None),
            # Less than vLLM's five seconds, so that no request meets a connection that is just being closed.
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=50, keepalive_expiry=3.0),
            # Reading the machine's certificates takes longer than an answer's first token; most need none.
            verify=server.url.startswith("https:"),
            # An engine is never behind the proxy that the environment may name for the world outside.
            trust_env=False,
        )

    async def close(self) -> None:
        """Give the connections back; streams that are still open end with `EngineInterrupted`."""
        await self._client.aclose()

    async def check(self) -> None:
        """Ask whether the server is well and, when it comes (back) up, what it serves. Never raises."""
        try:
            async with asyncio.timeout(HEALTH_SECONDS):
                try:
                    await self._look()
                except (httpx.ReadError, httpx.RemoteProtocolError):
                    await self._look()  # the first went over an idle connection that the server had closed
                self._misses = 0
        except (httpx.TimeoutException, TimeoutError):
            self._misses += 1
            if self._misses >= MISSES or not self.healthy:
                self._lost("does not answer in time")
        except httpx.TransportError:
            self._lost("does not answer; it may still be starting")
        except (ValueError, KeyError, TypeError):
            self._lost("does not speak vLLM's protocol")

    async def _look(self) -> None:
        reply = await self._client.get("/health")
        if reply.status_code != 200:
            self._lost(f"is not well (status {reply.status_code})")
        elif not self.healthy:
            await self._learn()

    async def _learn(self) -> None:
        reply = await self._client.get("/v1/models")
        if reply.status_code != 200:
            self._lost(f"refuses our key, or serves no models (status {reply.status_code})")
            return
        cards = reply.json()["data"]
        base = next((card for card in cards if not card.get("parent")), None)
        if base is None:
            self._lost("serves no model")
            return
        self.base = base["id"]
        self.context_length = int(base.get("max_model_len") or 0)
        self.loaded = {card["id"]: time.monotonic() for card in cards if card.get("parent")}
        self.end_of_turn = None
        self.comebacks += self._was_well
        self.healthy, self.reason, self._was_well = True, "", True

    def _lost(self, reason: str) -> None:
        if self.healthy or self.reason != f"the engine {reason}":
            log.warning("the engine at %s %s", self.server.url, reason)
        # People read the reason, and where the engine stands is none of their business.
        self.healthy, self.reason, self.loaded = False, f"the engine {reason}", {}

    @contextmanager
    def streaming(self, name: str | None) -> Iterator[None]:
        """Count a request while it lasts: its adapter stays loaded, and the server is known to be busy."""
        self.streams[name] += 1
        try:
            yield
        finally:
            self.streams[name] -= 1
            if not self.streams[name]:
                del self.streams[name]
            if name in self.loaded:
                self.loaded[name] = time.monotonic()

    async def ensure(self, adapter: AdapterRef) -> None:
        """Have the adapter loaded and warm. Many callers cost one load. Raises `EngineRefused`."""
        self._still_there(adapter)
        if adapter.name in self.loaded:
            return
        async with self._lock:
            if adapter.name not in self.loaded:
                await self._make_room()
                await self._load(adapter)
                self.loaded[adapter.name] = time.monotonic()

    def _still_there(self, adapter: AdapterRef) -> None:
        # Checked here, since the engine might not survive finding out: see MOST_ADAPTERS. Other machines'
        # disks can't be seen from here.
        local = urlsplit(self.server.url).hostname in LOOPBACK
        if local and not (adapter.path / "adapter_config.json").is_file():
            raise EngineRefused(404, f"adapter {adapter.name} has no adapter_config.json in its folder")

    async def _load(self, adapter: AdapterRef) -> None:
        reply = await self._post(
            "/v1/load_lora_adapter",
            {"lora_name": adapter.name, "lora_path": str(adapter.path.absolute())},
        )
        # Names are content hashes and never used twice, so what has this name already is this adapter.
        known = reply.status_code == 400 and "already been loaded" in reply.text
        if reply.status_code >= 500 and (await self._get("/health")).status_code != 200:
            # vLLM answers 500 both for an adapter that it can't read and when it is dying.
            self._lost("died")
            raise EngineUnavailable(f"the engine died while it loaded adapter {adapter.name}")
        if reply.status_code != 200 and not known:
            status = reply.status_code if reply.status_code < 500 else 422
            raise EngineRefused(status, f"adapter {adapter.name} can't be served: {sentence(reply)}")
        warm_up = {"model": adapter.name, "prompt": ".", "max_tokens": 1, "temperature": 0}
        try:
            async with aclosing(self.events("/v1/completions", warm_up)) as events:
                await anext(events)
        except EngineRefused:
            await self._forget(adapter.name)
            raise

    async def _make_room(self) -> None:
        oldest_first = sorted(self.loaded, key=lambda name: self.loaded[name])
        idle = [name for name in oldest_first if not self.streams[name]]
        for name in idle[: max(0, len(self.loaded) - MOST_ADAPTERS + 1)]:
            await self._forget(name)

    async def unload(self, name: str) -> None:
        """Have the server forget the adapter, unless a stream uses it; unknown names are fine."""
        async with self._lock:
            if not self.streams[name]:
                await self._forget(name)

    async def _forget(self, name: str) -> None:
        self.loaded.pop(name, None)
        reply = await self._post("/v1/unload_lora_adapter", {"lora_name": name})
        if reply.status_code not in (200, 404):
            raise EngineRefused(reply.status_code, f"adapter {name} can't be unloaded: {sentence(reply)}")

    async def ask(
        self, path: str, body: Mapping[str, Any], adapter: AdapterRef | None
    ) -> AsyncGenerator[Json, None]:
        """The reply to a request, event by event, from the adapter named, loaded first if need be."""
        for retried in (False, True):
            if adapter is not None:
                await self.ensure(adapter)
            request = {**body, "model": adapter.name if adapter else self.base}
            try:
                async with aclosing(self.events(path, request)) as events:
                    async for event in events:
                        yield event
                return
            except AdapterUnknown:
                if adapter is None:
                    self._lost("serves another model now")
                    raise EngineUnavailable(self.reason) from None
                if retried:
                    raise
                # It came back empty, or another process of ours unloaded the adapter. Nothing was said yet.
                self.loaded.pop(adapter.name, None)

    async def events(self, path: str, body: Json) -> AsyncGenerator[Json, None]:
        """The events of a streamed reply, or the one that a whole reply is.

        Raises `EngineUnavailable` before the first event, `EngineInterrupted` after it, `EngineRefused` and
        `AdapterUnknown` for a 4xx. Closing it closes the connection; the engine notices and stops.
        """
        begun = False
        try:
            request = self._client.build_request("POST", path, json=body)
            async with asyncio.timeout(FIRST_SECONDS):
                reply = await self._client.send(request, stream=True)
            try:
                if not _is_stream(reply):
                    await reply.aread()
                    yield _whole(reply)
                    return
                lines, done = reply.aiter_lines(), False
                while True:
                    async with asyncio.timeout(NEXT_SECONDS if begun else FIRST_SECONDS):
                        line = await anext(lines, None)
                    if line is None and done:
                        return
                    if line is None:
                        raise httpx.RemoteProtocolError("the stream ended without its end mark")
                    # What follows the end mark is read too: a connection is used again only if it is empty.
                    done = done or line == "data: [DONE]"
                    if line.startswith("data: ") and not done:
                        event = _event(line, begun)
                        begun = True
                        yield event
            finally:
                # Whoever cancels us may cancel each of our awaits; the connection is closed all the same.
                with anyio.move_on_after(CONNECT_SECONDS, shield=True):
                    await reply.aclose()
        except (httpx.TransportError, httpx.StreamError, TimeoutError) as error:
            if isinstance(error, httpx.ConnectError):
                self._lost("does not answer; it may still be starting")
            if begun:
                raise EngineInterrupted("the engine went away in the middle of the answer") from error
            raise EngineUnavailable("the engine does not answer") from error

    async def _post(self, path: str, body: Mapping[str, Any]) -> httpx.Response:
        return await self._send(self._client.build_request("POST", path, json=body))

    async def _get(self, path: str) -> httpx.Response:
        return await self._send(self._client.build_request("GET", path))

    async def _send(self, request: httpx.Request) -> httpx.Response:
        try:
            async with asyncio.timeout(NEXT_SECONDS):
                return await self._client.send(request)
        except (httpx.TransportError, TimeoutError) as error:
            raise EngineUnavailable("the engine does not answer") from error


def _is_stream(reply: httpx.Response) -> bool:
    return reply.status_code < 400 and "text/event-stream" in reply.headers.get("content-type", "")


def _whole(reply: httpx.Response) -> Json:
    if reply.status_code == 404:
        raise AdapterUnknown(404, sentence(reply))
    if reply.status_code in (401, 403):
        raise EngineUnavailable("the engine refuses our key")
    if reply.status_code >= 500:
        raise EngineUnavailable(f"the engine failed: {sentence(reply)}")
    if reply.status_code >= 400:
        raise EngineRefused(reply.status_code, sentence(reply))
    whole: Json = reply.json()
    return whole


def _event(line: str, begun: bool) -> Json:
    event: Json = json.loads(line.removeprefix("data: "))
    if "error" in event:
        problem = f"the engine failed: {_readable(_message(event))}"
        raise EngineInterrupted(problem) if begun else EngineUnavailable(problem)
    return event


def sentence(reply: httpx.Response) -> str:
    """What the engine's error reply says, as one readable sentence without capital and full stop."""
    try:
        text = _message(reply.json())
    except ValueError:
        text = reply.text
    return _readable(text) or f"status {reply.status_code} without a reason"


def _message(content: Any) -> str:
    """The message in OpenAI's, vLLM's or FastAPI's shape of an error."""
    for key in ("error", "message", "detail"):
        if isinstance(content, dict) and key in content:
            return _message(content[key])
    return content if isinstance(content, str) else json.dumps(content)


def _readable(text: str) -> str:
    # vLLM's own wrapping, and its note of which parameter it was, say nothing to a person.
    text = re.sub(r"^Call to \w+ method failed: |^Loading lora \S+ failed: |\s*\(parameter=.*\)$", "", text)
    if invalid := re.search(r"validation error.*?'loc': '([^']*)', 'msg': '([^']*)'", text, re.DOTALL):
        text = f"{invalid[1].removeprefix('body.')}: {invalid[2]}"
    text = " ".join(text.split())[:300].rstrip(".")
    return re.sub(r"^[A-Z](?=[a-z']*\b)", lambda first: first[0].lower(), text)
