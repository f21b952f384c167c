"""What the corpus hands to the build, and what the score asks and gets: plain values.

Knows no generator, no tokenizer and no engine.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

Message = dict[str, Any]


def turn(ask: str, answer: str) -> list[Message]:
    """A question and its answer."""
    return [{"role": "user", "content": ask}, {"role": "assistant", "content": answer}]


@dataclass(frozen=True)
class Conversation:
    """Messages as OpenAI writes them, and the tools that are offered in it."""

    messages: list[Message]
    tools: list[dict[str, Any]] | None = None


@dataclass(frozen=True)
class Reply:
    """A generated answer: its text, its tool calls as (name, arguments), its length, whether it ended."""

    text: str
    calls: tuple[tuple[str, dict[str, Any]], ...] = ()
    tokens: int = 0
    ended: bool = True


@dataclass(frozen=True)
class Case:
    """A prompt of the score, and the test of its answer."""

    prompt: Conversation
    is_right: Callable[[Reply], bool] = field(repr=False)
