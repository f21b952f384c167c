"""Puts an answer together from the engine's OpenAI chunks: words, calls of tools, how it ended.

Pure. Knows no store and no turn.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class Received:
    """What has been received of one choice so far."""

    text: list[str] = field(default_factory=list)
    tool_calls: dict[int, dict[str, Any]] = field(default_factory=dict)
    tool_steps: Sequence[Mapping[str, Any]] = ()
    finish_reason: str | None = None
    tokens: int = 0

    def calls(self) -> list[dict[str, Any]]:
        """The tool calls in the order in which the model began them."""
        return [self.tool_calls[index] for index in sorted(self.tool_calls)]


def receive(chunk: Mapping[str, Any], received: Sequence[Received]) -> None:
    """Add what a chunk brings to each choice; calls of tools come in parts, by their index."""
    for choice in chunk.get("choices", ()):
        progress, delta = received[choice["index"]], choice.get("delta") or {}
        if delta.get("content"):
            progress.text.append(delta["content"])
            progress.tokens += 1
        for call in delta.get("tool_calls") or ():
            known = progress.tool_calls.setdefault(call.get("index", 0), {"type": "function", "function": {}})
            known |= {name: call[name] for name in ("id", "type") if call.get(name)}
            function, more = known["function"], call.get("function") or {}
            function["name"] = function.get("name") or more.get("name")
            function["arguments"] = function.get("arguments", "") + (more.get("arguments") or "")
        progress.tool_steps = choice.get("tool_steps") or progress.tool_steps
        progress.finish_reason = choice.get("finish_reason") or progress.finish_reason
