"""Makes a dialogue fit the model: how long an answer may be, and which old exchanges are left out for it.

Asks the engine how many tokens there are. Knows no store and no adapter.
"""

from __future__ import annotations

from typing import Any

from assistant import prompt as prompts
from assistant.engine.client import Engines
from feedback.records import Message


class Fitting:
    """Fits dialogues to the context of the model that the engines serve."""

    def __init__(self, engines: Engines, max_tokens: int) -> None:
        self._engines = engines
        self._max_tokens = max_tokens

    def room(self, length: int) -> int:
        """Tokens for the answer. A model with little room gives the larger part of it to what was said."""
        return max(1, min(self._max_tokens, length // 4))

    async def fit(
        self, messages: list[Message], sampling: dict[str, Any]
    ) -> tuple[list[Message], dict[str, Any]]:
        """Leave out the oldest exchanges until the answer has room, and bound the answer by what is left.

        A client that says how long the answer may be, or offers tools, gets what the engine makes of it.
        """
        if sampling.get("max_tokens") or sampling.get("max_completion_tokens"):
            return messages, sampling
        length = await self._engines.context_length()
        room = self.room(length)
        if sampling.get("tools") or prompts.most_tokens(messages) + room <= length:
            return messages, {**sampling, "max_tokens": room}
        messages, used = await self._longest(messages, length - room)
        # Too long a question is refused by the engine, in words.
        return messages, {**sampling, "max_tokens": max(1, min(room, length - used))}

    async def _longest(self, messages: list[Message], most: int) -> tuple[list[Message], int]:
        """The dialogue and its tokens, without as many old exchanges as it takes to be at most so long."""
        used = len(await self._engines.tokenize(messages))
        versions = prompts.shorter(messages) if used > most else []
        if not versions:
            return messages, used
        low, high = 0, len(versions) - 1
        while low < high:
            middle = (low + high) // 2
            if len(await self._engines.tokenize(versions[middle])) <= most:
                high = middle
            else:
                low = middle + 1
        return versions[low], len(await self._engines.tokenize(versions[low]))
