"""Builds what the engine is sent from what was said: the system prompt, the dialogue, room for the answer.

Pure: counts tokens by a function that is handed in. Knows no store and no server.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from feedback.records import Message, Turn, storable


def dialogue(branch: Sequence[Turn], question: str) -> list[Message]:
    """The messages of a branch (oldest turn first) with a new question at the end."""
    messages: list[Message] = []
    for turn in branch:
        messages.append({"role": "user", "content": turn.question})
        if turn.answer:
            messages.append({"role": "assistant", "content": turn.answer})
    return [*messages, {"role": "user", "content": question}]


def with_system(messages: Sequence[Message], system_prompt: str) -> list[Message]:
    """Put the house's system prompt first, unless the dialogue brings its own or the house has none."""
    if not system_prompt or (messages and messages[0].get("role") == "system"):
        return list(messages)
    return [{"role": "system", "content": system_prompt}, *messages]


def cleaned(message: Message) -> Message:
    """The message without what neither a database keeps nor JSON carries: what is sent is what is stored."""
    content = message.get("content")
    return {**message, "content": storable(content)} if isinstance(content, str) else message


def most_tokens(messages: Sequence[Message]) -> int:
    """No prompt has more tokens than this: byte-level tokenizers never make more tokens than bytes."""
    said = (json.dumps(dict(message), ensure_ascii=False) for message in messages)
    return sum(len(text.encode(errors="replace")) + 16 for text in said)


def shorter(messages: Sequence[Message]) -> list[list[Message]]:
    """The same prompt without its oldest exchange, without its two oldest … down to the last question.

    A dialogue is cut before a user's message, so that it never opens with an answer to nothing.
    """
    start = 1 if messages and messages[0].get("role") == "system" else 0
    cuts = [index for index in range(start + 1, len(messages)) if messages[index].get("role") == "user"]
    return [[*messages[:start], *messages[index:]] for index in cuts]


def branch(turns: Mapping[str, Turn], leaf: str | None) -> list[Turn]:
    """The turns from the first one to `leaf`, oldest first."""
    found: list[Turn] = []
    while leaf is not None and leaf in turns:
        found.append(turns[leaf])
        leaf = turns[leaf].parent_id
    return found[::-1]


def last_question(messages: Sequence[Message]) -> str:
    """The text of the newest user message; parts of other kinds (images …) are left out."""
    for message in reversed(messages):
        if message.get("role") == "user":
            return text_of(message.get("content"))
    return ""


def first_question(messages: Sequence[Message]) -> str:
    """The text of the first user message: what the conversation opened with."""
    return next((text_of(m.get("content")) for m in messages if m.get("role") == "user"), "")


def text_of(content: Any) -> str:
    """The text of an OpenAI message's content, which is a string or a list of parts."""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return "\n".join(str(part.get("text", "")) for part in content if isinstance(part, Mapping))
    return ""
