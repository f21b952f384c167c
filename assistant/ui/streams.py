"""Answers that are being written now, each by a task of its own, so that a page only looks on.

Leaving or reloading a page does not stop its answer; the stop button does, and then the engine stops too.
Knows no page: followers get the text so far, a few times a second.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import aclosing
from typing import Any

from assistant.chat import Begun, Chat
from assistant.errors import AssistantError
from feedback.records import FeedbackError

log = logging.getLogger(__name__)

# Twenty-five pictures a second read as fluent; with many streams each gets fewer, since drawing costs
# a core about 2 ms (Markdown, gradio's diff and JSON) and half a core is all that pages may take.
SHORTEST_PAUSE = 0.04
PAUSE_PER_STREAM = 0.004


class Running:
    """One answer in the making."""

    def __init__(self, turn_id: str) -> None:
        self.turn_id = turn_id
        self.error: str | None = None
        """Why it broke off, in one sentence."""
        self.steps: Sequence[Mapping[str, Any]] = ()
        """The calls of tools so far."""
        self._pieces: list[str] = []
        self._task: asyncio.Task[None] | None = None
        self._begun = asyncio.Event()

    @property
    def text(self) -> str:
        """What has been said so far."""
        return "".join(self._pieces)

    @property
    def done(self) -> bool:
        """Whether the answer has ended and is in the store."""
        return self._task is None or self._task.done()


class Streams:
    """The answers that this process is writing. Used from the event loop only."""

    def __init__(self, chat: Chat) -> None:
        self._chat = chat
        self._running: dict[str, Running] = {}

    def start(self, begun: Begun) -> Running:
        """Let a stored turn be answered."""
        running = Running(begun.id)
        self._running[begun.id] = running
        running._task = asyncio.create_task(self._write(begun, running))
        running._task.add_done_callback(lambda _: self._running.pop(begun.id, None))
        return running

    def get(self, turn_id: str | None) -> Running | None:
        """The turn's answer, if it is being written here and now."""
        return self._running.get(turn_id) if turn_id else None

    async def stop(self, turn_id: str) -> None:
        """End an answer; what it said so far is in the store when this returns."""
        running = self._running.get(turn_id)
        if running is None or running._task is None:
            return
        # Cancelled before its first step a task ends without a trace: the turn would stay pending for ever.
        await running._begun.wait()
        running._task.cancel()
        await asyncio.wait({running._task})

    async def follow(self, running: Running, wanted: Callable[[], bool] = lambda: True) -> AsyncIterator[str]:
        """The text so far, whenever there is more of it or of the steps, until the answer has ended or is
        not `wanted`."""
        async for _ in self.watch([running], wanted):
            yield running.text

    async def watch(
        self, several: Sequence[Running], wanted: Callable[[], bool] = lambda: True
    ) -> AsyncIterator[None]:
        """Comes back whenever there is more of any of these answers, until all have ended."""
        shown: list[tuple[int, Sequence[Mapping[str, Any]]]] = []
        while (open_ := {one._task for one in several if one._task and not one.done}) and wanted():
            if (now := [(len(one._pieces), one.steps) for one in several]) != shown:
                shown = now
                yield
            pause = max(SHORTEST_PAUSE, PAUSE_PER_STREAM * len(self._running))
            await asyncio.wait(open_, timeout=pause, return_when=asyncio.FIRST_COMPLETED)

    async def _write(self, begun: Begun, running: Running) -> None:
        running._begun.set()
        try:
            async with aclosing(self._chat.stream(begun)) as chunks:
                async for chunk in chunks:
                    for choice in chunk.get("choices", ()):
                        running.steps = choice.get("tool_steps") or running.steps
                        piece = (choice.get("delta") or {}).get("content")
                        if piece and choice.get("index", 0) == 0:
                            running._pieces.append(piece)
        except (AssistantError, FeedbackError) as problem:
            running.error = str(problem)
        except Exception:
            log.exception("turn %s broke off", begun.id)
            running.error = "Something went wrong on our side; the log of the server says what."
