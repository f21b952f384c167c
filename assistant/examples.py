"""How approved answers stand in a prompt: as exchanges before the last question, beside the passages.

Among the passages (`grounding.with_passages`) they stand as well: the starter follows an example in both
places more often than in either alone. Pure. Knows no search and no store.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from assistant.grounding import with_passages
from feedback.records import EXAMPLE, Message


class Example(NamedTuple):
    """A question and the answer that staff approved for it."""

    question: str
    answer: str


def with_examples(messages: Sequence[Message], examples: Sequence[Example]) -> list[Message]:
    """The prompt with examples, the best first: the best one stands nearest to the last question.

    Their messages carry the name `example`, so that nobody takes them for something that was said.
    """
    place = max((i for i, one in enumerate(messages) if one.get("role") == "user"), default=len(messages))
    shown = [message for example in reversed(examples) for message in _exchange(example)]
    return [*messages[:place], *shown, *messages[place:]]


def among(passages: Sequence[Mapping[str, Any]]) -> list[Example]:
    """The examples among passages as a turn keeps them, the best first."""
    return [Example(str(one["title"]), str(one["text"])) for one in passages if one.get("kind") == "answer"]


def as_example(messages: Sequence[Message], question: str, answer: str) -> list[Message]:
    """The prompt as people get it when this approved answer, and nothing else, is found."""
    kept = {"number": 1, "kind": "answer", "title": question, "text": answer}
    return with_examples(with_passages(messages, [kept]), among([kept]))


def _exchange(example: Example) -> list[Message]:
    return [
        {"role": "user", "content": example.question, "name": EXAMPLE},
        {"role": "assistant", "content": example.answer, "name": EXAMPLE},
    ]
