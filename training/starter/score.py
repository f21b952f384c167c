"""Measures an engine on the cases of `cases.py`: one line a skill, each a share with its count.

Owns the asking over HTTP and the table. Does not know what the cases mean, nor whose model answers.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import httpx

from training.starter import cases
from training.starter.records import Conversation, Reply

MOST_TOKENS = 160
_AT_ONCE = 24
_TIMEOUT = 300.0


class ScoreError(Exception):
    """The engine can't be measured; the message is one sentence."""


@dataclass(frozen=True)
class Line:
    """One measured share: `hits` of `count` cases; `bar` is the share that is meant, if any."""

    name: str
    hits: int
    count: int
    bar: float | None = None

    @property
    def share(self) -> float:
        """0 to 1."""
        return self.hits / max(1, self.count)

    def __str__(self) -> str:
        meant = (
            ""
            if self.bar is None
            else f"  meant {self.bar:.0%}" + ("" if self.share >= self.bar else "  MISSED")
        )
        return f"{self.name:<54} {self.share:6.1%}  n={self.count}{meant}"


class Asker:
    """An OpenAI-compatible server that answers many conversations at once."""

    def __init__(self, url: str, key: str = "", model: str = "") -> None:
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        base = url.rstrip("/").removesuffix("/v1")
        self._client = httpx.AsyncClient(base_url=base, headers=headers, timeout=_TIMEOUT)
        self._gate = asyncio.Semaphore(_AT_ONCE)
        self._model = model

    async def __aenter__(self) -> Asker:
        if not self._model:
            self._model = (await self._json("GET", "/v1/models"))["data"][0]["id"]
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.aclose()

    async def replies(
        self, prompts: Sequence[Conversation], temperature: float = 0.0, seed: int = 0
    ) -> list[Reply]:
        """One answer a prompt, in their order; greedy at temperature 0. Raises `ScoreError`."""
        return list(
            await asyncio.gather(
                *(self._reply(prompt, temperature, seed + place) for place, prompt in enumerate(prompts))
            )
        )

    async def _reply(self, prompt: Conversation, temperature: float, seed: int) -> Reply:
        body: dict[str, Any] = {
            "model": self._model,
            "messages": prompt.messages,
            "temperature": temperature,
            "max_tokens": MOST_TOKENS,
        }
        if temperature:
            body |= {"seed": seed, "top_p": 1.0}
        if prompt.tools:
            body["tools"] = prompt.tools
        async with self._gate:
            made = await self._json("POST", "/v1/chat/completions", body)
        choice = made["choices"][0]
        return Reply(
            choice["message"].get("content") or "",
            tuple(map(_call, choice["message"].get("tool_calls") or ())),
            made["usage"]["completion_tokens"],
            choice["finish_reason"] in ("stop", "tool_calls"),
        )

    async def _json(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        try:
            answer = await self._client.request(method, path, json=body)
        except httpx.HTTPError as error:
            raise ScoreError(
                f"{self._client.base_url} does not answer: {str(error) or type(error).__name__}"
            ) from None
        if answer.status_code != httpx.codes.OK:
            raise ScoreError(f"{path} answers {answer.status_code}: {answer.text[:300]}")
        return answer.json()


def _call(written: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    wanted = written["function"]
    try:
        arguments = json.loads(wanted["arguments"])
    except ValueError:
        arguments = {"": wanted["arguments"]}
    return wanted["name"], arguments


async def _lines(asker: Asker, count: int, seed: str) -> list[Line]:
    found: list[Line] = []
    for name, bar, make in cases.LINES:
        drawn = list(cases.cases(make, name, count, seed))
        replies = await asker.replies([one.prompt for one in drawn])
        hits = sum(one.is_right(reply) for one, reply in zip(drawn, replies, strict=True))
        found.append(Line(name, hits, count, bar))
    return found


async def _manners(asker: Asker, count: int, seed: str) -> list[Line]:
    rng = random.Random(f"{seed} manners")
    asked = [cases.open_question(rng).prompt for _ in range(count)]
    said = await asker.replies(asked, temperature=0.8, seed=1)
    lines = [Line("well-formed at temperature 0.8", sum(map(cases.well_formed, said)), count)]
    return lines + [Line(name, sum(test(one.text) for one in said), count) for name, test in cases.MANNERS]


async def measured(url: str, key: str, model: str, count: int, seed: str) -> list[Line]:
    """All lines of a server; raises `ScoreError`."""
    async with Asker(url, key, model) as asker:
        return [*await _lines(asker, count, seed), *await _manners(asker, 2 * count, seed)]


def score(url: str, key: str = "", model: str = "", count: int = 200, seed: str = cases.SEED) -> list[Line]:
    """`count` cases a line, twice as many for the manners. Raises `ScoreError` in one sentence."""
    return asyncio.run(measured(url, key, model, count, seed))
