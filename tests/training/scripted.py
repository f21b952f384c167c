"""An engine that says what a test wrote down for it, and keeps a record of what it was asked."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from training.records import Message, Refused

Adapter = str | None
"""An adapter's name, None for the bare base model."""


@dataclass
class ScriptedEngine:
    """Without a word in it, each adapter answers soundly and likes every answer alike."""

    refuses: dict[str, str] = field(default_factory=dict)
    """Why an adapter can't be loaded."""
    says: dict[Adapter, Callable[[str], str | None]] = field(default_factory=dict)
    """The answer to a question; None for one that was empty or cut, which an engine leaves out."""
    likes: dict[Adapter, Callable[[str], float]] = field(default_factory=dict)
    """Log-probability of each token of an answer."""
    too_long: set[str] = field(default_factory=set)
    """Questions and answers that do not fit into the model."""
    not_ready: str | None = None
    before: Callable[[str], Awaitable[None]] | None = None
    """Called before each answer with the name of the call: the place for faults, pauses and cancellations."""
    loaded: list[str] = field(default_factory=list)
    calls: list[tuple[str, Adapter, Any]] = field(default_factory=list)
    running: int = 0
    most_running: int = 0

    def ready(self) -> str | None:
        return self.not_ready

    async def load(self, name: str, path: Path) -> None:
        await self._asked("load", name, path)
        if name in self.refuses:
            raise Refused(self.refuses[name])
        self.loaded.append(name)

    async def unload(self, name: str) -> None:
        await self._asked("unload", name, None)

    async def answers(
        self, prompt: Sequence[Message], adapter: Adapter, *, count: int, temperature: float, seed: int
    ) -> list[str]:
        await self._asked("answers", adapter, (tuple(m["content"] for m in prompt), count, temperature, seed))
        self._fits(str(prompt[-1]["content"]))
        said = self.says.get(adapter, lambda question: f"About {question} I can help you.")(
            prompt[-1]["content"]
        )
        return [] if said is None else [said] * count

    async def logprobs(self, prompt: Sequence[Message], answer: str, adapter: Adapter) -> list[float]:
        await self._asked("logprobs", adapter, answer)
        self._fits(answer)
        return [self.likes.get(adapter, lambda _: -1.0)(answer)] * (len(answer.split()) + 1)

    def _fits(self, text: str) -> None:
        if text in self.too_long:
            raise Refused("it is too long")

    async def _asked(self, call: str, adapter: Adapter, more: Any) -> None:
        self.calls.append((call, adapter, more))
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        try:
            await asyncio.sleep(0)
            if self.before is not None:
                await self.before(call)
        finally:
            self.running -= 1
