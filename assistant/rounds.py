"""One answer in which the house's tools may be called: asked, called, asked again, until it is an answer.

Gives the engine's chunks without the calls, which are ours and not the client's, and tells of them in
`tool_steps`. What was called and what came of it stands in the `steps` that whoever asks hands in.
Knows no store and no page.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

from uuid_utils import uuid7

from assistant import prompt as prompts
from assistant import routing
from assistant.accounts import Account
from assistant.engine.client import AdapterRef, Engines
from assistant.errors import EngineRefused
from assistant.tools import Result, Toolbox
from feedback.records import BETWEEN, Message

log = logging.getLogger(__name__)

MOST_CALLS = 8
"""Calls in one round; further ones are refused."""
_LEAST_ROOM = 96
"""Tokens that an answer should have left; before it has fewer, results are cut and tools not offered."""
_SHORTEST_RESULT = 200
_OTHERWISE = ("tools", "tool_choice", "response_format", "logprobs")

Chunk = dict[str, Any]


@dataclass(slots=True)
class _Round:
    """What has been received in one round."""

    text: list[str] = field(default_factory=list)
    held: str = ""
    """White space before the first word: it is said with that word, and not at all before a call."""
    calls: dict[int, dict[str, Any]] = field(default_factory=dict)
    reason: str | None = None
    usage: Mapping[str, Any] = field(default_factory=dict)
    last: Chunk = field(default_factory=dict)
    """What the chunks have in common: id, time, model."""


class Rounds:
    """Answers with tools. `most` is how often in one answer they may be called."""

    def __init__(self, engines: Engines, toolbox: Toolbox | None, most: int) -> None:
        self._engines = engines
        self._toolbox = toolbox
        self._most = most

    def offered(self, model: str, sampling: Mapping[str, Any]) -> list[dict[str, Any]]:
        """The tools that go with a request: none unless it asks whatever is live for one answer in words
        and brings no tools of its own."""
        plain = model == routing.LIVE and not any(sampling.get(name) for name in _OTHERWISE)
        return self._toolbox.schemas if self._toolbox and plain and (sampling.get("n") or 1) == 1 else []

    async def stream(
        self, body: Mapping[str, Any], adapter: AdapterRef | None, account: Account, steps: list[Message]
    ) -> AsyncGenerator[Chunk, None]:
        """The answer as OpenAI chunks, as if it had been asked for once. Raises as `Engines.stream`.

        `steps` gets the messages between prompt and answer, as far as they came when it is closed early.
        """
        usage: dict[str, Any] = {}
        known: dict[tuple[str, str], Result] = {}
        said, tools = False, body["tools"]
        for left in range(self._most, -1, -1):
            request = await self._request(body, steps, tools if left else ())
            now = _Round()
            async with aclosing(self._ask(request, adapter)) as chunks:
                async for chunk in chunks:
                    for piece in _read(chunk, now, opening=not steps, before=BETWEEN if said else ""):
                        yield piece
            usage = _summed(usage, now.usage)
            # Calls that the end of the room cut off are none.
            calls = _calls(now, steps) if "tools" in request and now.reason != "length" else []
            if not calls and not now.text and "tools" in request:
                # A call that was broken so badly that the engine's parser took it for nothing.
                tools = ()
                continue
            if not calls:
                yield {**now.last, "choices": [_choice(now.held, now.reason or "stop")]}
                yield {**now.last, "choices": [], "usage": usage}
                return
            said = said or bool(now.text)
            # Who asks again for what has just been answered is to answer now.
            tools = () if all(_key(call) in known for call in calls) else tools
            steps.append({"role": "assistant", "content": "".join(now.text), "tool_calls": calls})
            async with aclosing(self._call(calls, account, steps, known)) as changes:
                async for _ in changes:
                    yield {**now.last, "choices": [_choice() | {"tool_steps": told(steps)}], "usage": usage}

    async def _ask(
        self, request: Mapping[str, Any], adapter: AdapterRef | None
    ) -> AsyncGenerator[Chunk, None]:
        """The engine's chunks. One that refuses a request with tools is asked without them."""
        begun = False
        try:
            async with aclosing(self._engines.stream(request, adapter)) as chunks:
                async for chunk in chunks:
                    begun = True
                    yield chunk
            return
        except EngineRefused as problem:
            if begun or "tools" not in request:
                raise
            log.error("the engine refuses tools and is asked without them: %s", problem)
        plain = {name: value for name, value in request.items() if name != "tools"}
        async with aclosing(self._engines.stream(plain, adapter)) as chunks:
            async for chunk in chunks:
                yield chunk

    async def _request(
        self, body: Mapping[str, Any], steps: list[Message], tools: Sequence[Mapping[str, Any]]
    ) -> dict[str, Any]:
        """What the engine is asked now. Results are cut, and tools not offered, where else an answer would
        not have room."""
        bound = "max_tokens" if "max_tokens" in body else "max_completion_tokens"
        most = int(body.get(bound) or _LEAST_ROOM)
        while True:
            request = {**body, "messages": [*body["messages"], *as_sent(steps)], "tools": list(tools)}
            if not tools:
                del request["tools"]
            room = await self._room(request["messages"], tools, most)
            if room >= min(most, _LEAST_ROOM):
                break
            if not _shorten(steps):
                if not tools:
                    break  # the engine refuses it, in words
                tools = ()
        return {**request, bound: max(1, min(most, room))}

    async def _room(self, messages: Sequence[Message], tools: Sequence[Mapping[str, Any]], most: int) -> int:
        """Tokens that are left for the answer; where it is surely at least `most`, just that."""
        length = await self._engines.context_length()
        if prompts.most_tokens([*messages, *tools]) + most <= length:
            return most
        return length - len(await self._engines.tokenize(messages, tools=tools))

    async def _call(
        self,
        calls: Sequence[Mapping[str, Any]],
        account: Account,
        steps: list[Message],
        known: dict[tuple[str, str], Result],
    ) -> AsyncGenerator[None, None]:
        """Make the calls, all at once; after each change, of which there is one at least, it yields.

        The same call is made once in an answer: its result is known.
        """
        assert self._toolbox is not None
        start, allowed = len(steps), calls[:MOST_CALLS]
        refused = {
            call["id"]: Result(f"Error: at most {MOST_CALLS} calls at once", True, 0.0)
            for call in calls[MOST_CALLS:]
        }
        running = {
            asyncio.create_task(self._toolbox.call(*key, account)): key
            for key in dict.fromkeys(map(_key, allowed))
            if key not in known
        }

        def settle() -> None:
            results = [known.get(_key(call)) for call in allowed] + list(refused.values())
            steps[start:] = [
                _returned(call, result) for call, result in zip(calls, results, strict=True) if result
            ]

        waiting = set(running)
        try:
            settle()
            yield
            while waiting:
                done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                known |= {running[task]: task.result() for task in done}
                settle()
                yield
        finally:
            for task in waiting:
                task.cancel()


def as_sent(steps: Sequence[Message]) -> list[dict[str, Any]]:
    """The messages as the engine takes them: without our remarks, and with arguments that are an object."""
    sent = []
    for step in steps:
        message = {name: step[name] for name in ("role", "content", "tool_call_id") if name in step}
        if calls := step.get("tool_calls"):
            message["tool_calls"] = [
                {
                    **call,
                    "function": {**call["function"], "arguments": _object(call["function"]["arguments"])},
                }
                for call in calls
            ]
        sent.append(message)
    return sent


def told(steps: Sequence[Message]) -> list[dict[str, Any]]:
    """The calls in their order, as clients and pages see them: what, with what, and what came of it.

    `status` is `running`, `done` or `failed`; a call whose answer was stopped stays `running`.
    """
    results = {step["tool_call_id"]: step for step in steps if step.get("role") == "tool"}
    found = []
    for call in (call for step in steps for call in step.get("tool_calls") or ()):
        result = results.get(call["id"])
        found.append(
            {
                "id": call["id"],
                **call["function"],
                "status": "running" if result is None else "failed" if result.get("failed") else "done",
                "result": result["content"] if result else None,
                "seconds": result.get("seconds") if result else None,
            }
        )
    return found


def _choice(content: str = "", reason: str | None = None) -> dict[str, Any]:
    return {"index": 0, "delta": {"content": content} if content else {}, "finish_reason": reason}


def _read(chunk: Chunk, now: _Round, *, opening: bool, before: str) -> list[Chunk]:
    """Take a chunk in; what of it is for the reader. `before` is put before the first word of the round."""
    now.last = {name: value for name, value in chunk.items() if name not in ("choices", "usage")}
    now.usage = chunk.get("usage") or now.usage
    pieces = []
    for choice in chunk.get("choices", ()):
        delta = dict(choice.get("delta") or {})
        _collect(delta.pop("tool_calls", None) or (), now.calls)
        content = now.held + (delta.pop("content", None) or "")
        if content.strip() or now.text:
            delta |= {"content": content if now.text else before + content} if content else {}
            now.text += [content] if content else []
            content = ""
        now.held = content
        now.reason = choice.get("finish_reason") or now.reason
        if not opening:
            delta.pop("role", None)
        if delta:
            pieces.append({**now.last, "choices": [{**choice, "delta": delta, "finish_reason": None}]})
    return pieces


def _collect(deltas: Sequence[Mapping[str, Any]], calls: dict[int, dict[str, Any]]) -> None:
    for delta in deltas:
        call = calls.setdefault(delta.get("index", 0), {"id": "", "name": "", "arguments": ""})
        more = delta.get("function") or {}
        call["id"] = call["id"] or delta.get("id") or ""
        call["name"] = call["name"] or more.get("name") or ""
        call["arguments"] += more.get("arguments") or ""


def _calls(now: _Round, steps: Sequence[Message]) -> list[dict[str, Any]]:
    """The calls of a round as a message has them, each with an id that no other call of the answer has."""
    taken = {call["id"] for step in steps for call in step.get("tool_calls") or ()}
    found = []
    for place in sorted(now.calls):
        call = now.calls[place]
        name = call["id"] if call["id"] and call["id"] not in taken else f"call-{uuid7().hex}"
        taken.add(name)
        function = {"name": call["name"], "arguments": call["arguments"]}
        found.append({"id": name, "type": "function", "function": function})
    return found


def _key(call: Mapping[str, Any]) -> tuple[str, str]:
    return call["function"]["name"], call["function"]["arguments"]


def _returned(call: Mapping[str, Any], result: Result) -> dict[str, Any]:
    groups = {"audiences": list(result.audiences)} if result.audiences else {}
    return {
        "role": "tool",
        "tool_call_id": call["id"],
        "content": result.text,
        "failed": result.failed,
        "seconds": round(result.seconds, 3),
        **groups,
    }


def _object(arguments: str) -> str:
    """Arguments that chat templates can read: an engine refuses a dialogue with others."""
    try:
        return arguments if isinstance(json.loads(arguments), dict) else "{}"
    except (ValueError, RecursionError):
        return "{}"


def _shorten(steps: list[Message]) -> bool:
    """Cut the longest results to half; whether there was anything to cut."""
    longest = max((len(step["content"]) for step in steps if step["role"] == "tool"), default=0)
    most = max(_SHORTEST_RESULT, longest // 2)
    for place, step in enumerate(steps):
        if step["role"] == "tool" and len(step["content"]) > most:
            steps[place] = {**step, "content": f"{step['content'][: most - 8]}… [cut]"}
    return longest > most


def _summed(before: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, Any]:
    """Usage of several rounds: counts are added, anything else is that of the newest."""
    counts = {name: value for name, value in now.items() if isinstance(value, int)}
    return {**before, **now} | {name: value + int(before.get(name) or 0) for name, value in counts.items()}
