"""How everybody asks the engine: one `Engines` a process, over one server or several.

Picks the server, makes sure of the adapter there, streams, and tries another server when one is gone.
A request never names a server, a path or a model: those come from here. `pool` speaks to the servers.
"""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Any, TypeVar

from assistant.engine.pool import AdapterRef, Json, Locate, Server, Upstream, locate_home, locate_urls
from assistant.errors import EngineInterrupted, EngineRefused, EngineUnavailable
from training.records import Message, Refused, TrainingError

__all__ = ["AdapterRef", "Engines", "Server", "TrainingEngine", "locate_home", "locate_urls"]

log = logging.getLogger(__name__)
T = TypeVar("T")

ADAPTER_NAME = re.compile(r"lora-[0-9a-f]{12}")
_FIELDS = """
    messages prompt stream stream_options n stop seed max_tokens max_completion_tokens min_tokens ignore_eos
    temperature top_p top_k min_p repetition_penalty presence_penalty frequency_penalty logit_bias
    logprobs top_logprobs prompt_logprobs tools tool_choice parallel_tool_calls response_format
    structured_outputs chat_template_kwargs add_generation_prompt add_special_tokens
"""
FIELDS = frozenset(_FIELDS.split())
"""What a request may hold. vLLM knows more: files, templates, memory transfers, none of it for strangers."""
# The engine writes a page into its log for each adapter that it can't load.
_REFUSED_SECONDS = 30.0


class Engines:
    """All engines of this process. Belongs to one event loop.

    `locate` is asked at each poll, so that servers may come and go. An adapter that no stream has used for
    `idle_seconds` may be unloaded by `reap`.
    """

    def __init__(self, locate: Locate, *, poll_seconds: float = 1.0, idle_seconds: float = 30.0) -> None:
        self._locate = locate
        self._poll_seconds = poll_seconds
        self._idle_seconds = idle_seconds
        self._upstreams: dict[Server, Upstream] = {}
        self._refused: dict[str, float] = {}
        self._turn = 0
        self._poll: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Look at the servers once, and from now on regularly."""
        await self.refresh()
        self._poll = asyncio.create_task(self._watch(), name="engines")

    async def close(self) -> None:
        """Stop looking, and close all connections."""
        if self._poll is not None:
            self._poll.cancel()
            await asyncio.gather(self._poll, return_exceptions=True)
        for upstream in self._upstreams.values():
            await upstream.close()
        self._upstreams.clear()

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(self._poll_seconds)
            await self.refresh()

    async def refresh(self) -> None:
        """Look now which servers there are and how they are."""
        servers = self._locate()
        for gone in set(self._upstreams) - set(servers):
            await self._upstreams.pop(gone).close()
        for server in servers:
            self._upstreams.setdefault(server, Upstream(server))
        await asyncio.gather(*(upstream.check() for upstream in self._upstreams.values()))

    def ready(self) -> str | None:
        """None when at least one server is well, else the reason in words."""
        if any(self._healthy()):
            return None
        return "; ".join(upstream.reason for upstream in self._upstreams.values()) or "no engine is running"

    @property
    def comebacks(self) -> int:
        """How often an engine was away and came back since this client was started."""
        return sum(upstream.comebacks for upstream in self._upstreams.values())

    async def wait(self, seconds: float) -> None:
        """Until a server is well, at most so long. Raises `EngineUnavailable`."""
        end = time.monotonic() + seconds
        while (reason := self.ready()) is not None:
            if time.monotonic() > end:
                raise EngineUnavailable(reason)
            await asyncio.sleep(min(0.1, self._poll_seconds))

    def missing(self, name: str | None) -> str | None:
        """None when a healthy server has the adapter loaded, else the reason in words.

        An adapter that the engine refuses is not waited for: another answers in its place.
        """
        if name is None or name in self._refused or any(name in one.loaded for one in self._healthy()):
            return None
        return f"adapter {name} is not loaded yet"

    def in_flight(self, name: str | None = None) -> int:
        """Requests that are being answered now: with this adapter, or without a name in all."""
        return sum(
            one.streams[name] if name is not None else one.streams.total() for one in self._upstreams.values()
        )

    async def context_length(self) -> int:
        """How many tokens prompt and answer may have together. Raises `EngineUnavailable`."""
        return min(one.context_length for one in self._some_healthy())

    async def ensure(self, adapter: AdapterRef, server: Server | None = None) -> None:
        """Have the adapter loaded and warmed up by one token, on one server or on every healthy one.

        Raises `EngineRefused` with the engine's reason, `EngineUnavailable` when no server is left to try.
        """
        _check_name(adapter.name)
        chosen = [one for one in self._some_healthy() if server in (None, one.server)]
        outcomes = await asyncio.gather(*(one.ensure(adapter) for one in chosen), return_exceptions=True)
        problems = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
        # A server that went away just now is no reason to wait for it; what it misses is loaded later.
        serious = [one for one in problems if not isinstance(one, EngineUnavailable)]
        if serious or len(problems) == len(chosen):
            raise (serious or problems or [EngineUnavailable("there is no such engine")])[0]

    async def keep(self, *wanted: AdapterRef) -> None:
        """Have these adapters loaded wherever an engine runs, and reap the others. Never raises."""
        for adapter in wanted:
            now = time.monotonic()
            try:
                if now >= self._refused.get(adapter.name, now):
                    await self.ensure(adapter)
                    self._refused.pop(adapter.name, None)
            except EngineUnavailable:
                return  # it will be back, and so shall we
            except EngineRefused as error:
                log.error("adapter %s, which people are to have, is refused: %s", adapter.name, error)
                self._refused[adapter.name] = now + _REFUSED_SECONDS
        try:
            await self.reap({adapter.name for adapter in wanted})
        except (EngineUnavailable, EngineRefused) as error:
            log.warning("nothing could be unloaded: %s", error)

    async def unload(self, name: str) -> None:
        """Have every server on which no stream uses the adapter forget it; `reap` sees to the others."""
        _check_name(name)
        await asyncio.gather(*(one.unload(name) for one in self._healthy()))

    async def reap(self, keep: Collection[str]) -> None:
        """Unload what no stream uses, is not to be kept, and was last used `idle_seconds` ago or earlier."""
        now = time.monotonic()
        for one in list(self._healthy()):
            for name, used in list(one.loaded.items()):
                if name in keep:
                    one.loaded[name] = now
                elif not one.streams[name] and now - used >= self._idle_seconds:
                    await one.unload(name)

    async def stream(self, body: Mapping[str, Any], adapter: AdapterRef | None) -> AsyncGenerator[Json, None]:
        """The answer to a chat request as OpenAI chunks. Close it (`aclosing`) to stop the engine.

        Raises `EngineRefused`, `EngineUnavailable` before the first chunk, `EngineInterrupted` after it.
        """
        async with aclosing(self._ask("/v1/chat/completions", {**body, "stream": True}, adapter)) as chunks:
            async for chunk in chunks:
                yield chunk

    async def chat(self, body: Mapping[str, Any], adapter: AdapterRef | None) -> Json:
        """The answer to a chat request in one piece. Raises as `stream`."""
        return await self._whole("/v1/chat/completions", {**body, "stream": False}, adapter)

    async def complete(self, body: Mapping[str, Any], adapter: AdapterRef | None) -> Json:
        """The answer to a text completion, whole. Raises as `stream`."""
        return await self._whole("/v1/completions", {**body, "stream": False}, adapter)

    async def tokenize(
        self,
        messages: Iterable[Message],
        *,
        add_generation_prompt: bool = True,
        tools: Sequence[Mapping[str, Any]] = (),
    ) -> list[int]:
        """The token ids of a dialogue in the model's own chat template, with the tools that are offered."""
        body: Json = {"messages": list(map(dict, messages)), "add_generation_prompt": add_generation_prompt}
        body |= {"tools": list(map(dict, tools))} if tools else {}
        found: list[int] = (await self._whole("/tokenize", body, None))["tokens"]
        return found

    async def tokenize_text(self, text: str) -> list[int]:
        """The token ids of a text, no special tokens added."""
        body = {"prompt": text, "add_special_tokens": False}
        found: list[int] = (await self._whole("/tokenize", body, None))["tokens"]
        return found

    async def logprobs(
        self, prompt_messages: Iterable[Message], answer: str, adapter: AdapterRef | None
    ) -> list[float]:
        """Log-probability (nats) of each of the answer's tokens after the prompt, end of turn included."""
        prompt = await self.tokenize(prompt_messages)
        tokens = [*await self.tokenize_text(answer), await self._end_of_turn()]
        body = {"prompt": prompt + tokens, "max_tokens": 1, "temperature": 0, "prompt_logprobs": 0}
        reply = await self.complete(body, adapter)
        rows = reply["choices"][0]["prompt_logprobs"][len(prompt) :]
        return [float(row[str(token)]["logprob"]) for row, token in zip(rows, tokens, strict=True)]

    async def _end_of_turn(self) -> int:
        """The token that the chat template puts after an answer: where two different ones begin to agree."""
        upstream = self._some_healthy()[0]
        if upstream.end_of_turn is None:
            question = {"role": "user", "content": "?"}
            first, second = [
                await self.tokenize(
                    [question, {"role": "assistant", "content": answer}], add_generation_prompt=False
                )
                for answer in ("A", "7")
            ]
            same = 0
            while same < min(len(first), len(second)) and first[-1 - same] == second[-1 - same]:
                same += 1
            if not same:
                raise EngineRefused(422, "the model's chat template does not show where an answer ends")
            upstream.end_of_turn = first[-same]
        return upstream.end_of_turn

    async def _whole(self, path: str, body: Mapping[str, Any], adapter: AdapterRef | None) -> Json:
        async with aclosing(self._ask(path, body, adapter)) as replies:
            return await anext(replies)

    async def _ask(
        self, path: str, body: Mapping[str, Any], adapter: AdapterRef | None
    ) -> AsyncGenerator[Json, None]:
        """Ask the least busy server, and once another one if it was gone before it said anything."""
        if adapter is not None:
            _check_name(adapter.name)
        if unknown := sorted(set(body) - FIELDS):
            raise EngineRefused(400, f"the field `{unknown[0]}` is not known here")
        name = adapter.name if adapter else None
        tried: list[Upstream] = []
        while True:
            upstream = self._pick(name, tried)
            tried.append(upstream)
            begun = False
            try:
                with upstream.streaming(name):
                    async with aclosing(upstream.ask(path, body, adapter)) as events:
                        async for event in events:
                            begun = True
                            yield event
                return
            except (EngineUnavailable, EngineInterrupted) as error:
                # The next request must not wait for the next poll to learn that this server is gone.
                await upstream.check()
                if begun or len(tried) > 1 or not any(one not in tried for one in self._healthy()):
                    raise
                log.warning("another engine is asked, since this failed: %s", error)

    def _pick(self, name: str | None, tried: Sequence[Upstream]) -> Upstream:
        """The least busy healthy server, of those one that has the adapter, of those another each time."""
        self._turn += 1
        free = [one for one in self._some_healthy() if one not in tried] or self._some_healthy()
        free = free[self._turn % len(free) :] + free[: self._turn % len(free)]
        return min(free, key=lambda one: (one.streams.total(), name is not None and name not in one.loaded))

    def _healthy(self) -> Iterable[Upstream]:
        return (upstream for upstream in self._upstreams.values() if upstream.healthy)

    def _some_healthy(self) -> list[Upstream]:
        if reason := self.ready():
            raise EngineUnavailable(reason)
        return list(self._healthy())


def _check_name(name: str) -> None:
    # vLLM takes any name, `../x` too.
    if not ADAPTER_NAME.fullmatch(name):
        raise EngineRefused(400, f"`{name}` is not the name of an adapter")


class TrainingEngine:
    """What training asks of the engine (`training.records.Engine`), patient while the engine restarts.

    Raises training's own errors: `Refused` with the engine's reason, `TrainingError` when it stays away.
    """

    def __init__(self, engines: Engines, *, max_tokens: int = 512, patience: float = 180.0) -> None:
        self._engines = engines
        self._max_tokens = max_tokens
        self._patience = patience
        self._paths: dict[str, Path] = {}

    def ready(self) -> str | None:
        """None when an answer can be had, else the reason in words."""
        return self._engines.ready()

    async def load(self, name: str, path: Path) -> None:
        """Make the adapter servable everywhere."""
        await self._patiently(lambda: self._engines.ensure(AdapterRef(name, path)))
        self._paths[name] = path

    async def unload(self, name: str) -> None:
        """Forget the adapter; unknown names are fine."""
        self._paths.pop(name, None)
        await self._patiently(lambda: self._engines.unload(name))

    async def answers(
        self, prompt: Sequence[Message], adapter: str | None, *, count: int, temperature: float, seed: int
    ) -> list[str]:
        """`count` fresh answers to `prompt`; those cut by the token limit or empty are left out."""
        body = {
            "messages": [dict(message) for message in prompt],
            # Without chance all would be the same, and the engine refuses to write it twice.
            "n": count if temperature > 0 else 1,
            "temperature": temperature,
            "seed": seed,
            "max_tokens": self._max_tokens,
        }
        reply = await self._patiently(lambda: self._engines.chat(body, self._adapter(adapter)))
        said = [
            choice["message"]["content"] or ""
            for choice in reply["choices"]
            if choice["finish_reason"] != "length"
        ]
        return [text for text in said if text.strip()]

    async def logprobs(self, prompt: Sequence[Message], answer: str, adapter: str | None) -> list[float]:
        """Log-probability (nats) of each of the answer's tokens after `prompt`, end of turn included."""
        return await self._patiently(lambda: self._engines.logprobs(prompt, answer, self._adapter(adapter)))

    def _adapter(self, name: str | None) -> AdapterRef | None:
        if name is None:
            return None
        if name not in self._paths:
            raise Refused(f"adapter {name} has not been loaded")
        return AdapterRef(name, self._paths[name])

    async def _patiently(self, act: Callable[[], Awaitable[T]]) -> T:
        """`act`, and if the engine went away meanwhile, once more when it is back: all may be repeated."""
        try:
            await self._engines.wait(self._patience)
            try:
                return await act()
            except (EngineUnavailable, EngineInterrupted) as error:
                log.warning("asked again as soon as the engine is back: %s", error)
            await self._engines.refresh()
            await self._engines.wait(self._patience)
            return await act()
        except EngineRefused as error:
            raise Refused(str(error)) from error
        except (EngineUnavailable, EngineInterrupted) as error:
            raise TrainingError(str(error)) from error
