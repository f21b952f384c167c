"""How approved answers stand in a prompt: behind the system prompt, and as an exchange before the question.

To the questions of benchmarks/bench_approvals.py the starter said what was approved in 82 % when it stood in
both places, in 70 % when in one: the layout was chosen on those. Pure. Knows no search and no store.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from assistant.grounding import quoted
from feedback.records import EXAMPLE, Message

LEAD = "Passages:\n"
Kept = Mapping[str, Any]
"""An approved answer as a turn keeps it (`retrieval.records.as_json`): its title is the question."""


def with_examples(messages: Sequence[Message], examples: Sequence[Kept]) -> list[Message]:
    """The prompt with examples, the best first: the best one stands nearest to the last question.

    The messages of the exchanges carry the name `example`, so that nobody takes them for what was said.
    """
    if not examples:
        return list(messages)
    place = max((i for i, one in enumerate(messages) if one.get("role") == "user"), default=len(messages))
    said = [message for one in reversed(examples) for message in _exchange(one)]
    prompt = [*messages[:place], *said, *messages[place:]]
    block = LEAD + "\n\n".join(map(shown, examples))
    system = prompt[0].get("content") if prompt[0].get("role") == "system" else None
    if isinstance(system, str):
        return [{**prompt[0], "content": f"{system}\n\n{block}"}, *prompt[1:]]
    return [{"role": "system", "content": block}, *prompt]


def shown(example: Kept) -> str:
    """One approved answer as the model sees it behind the system prompt."""
    question = " ".join(quoted(str(example["title"])).split())
    return f"[{example['number']}] {question}\n{quoted(str(example['text'])).strip()}"


def split(passages: Sequence[Kept]) -> tuple[list[Kept], list[Kept]]:
    """Passages as a turn keeps them: approved answers, and those of documents."""
    answers = [one for one in passages if one.get("kind") == "answer"]
    return answers, [one for one in passages if one.get("kind") != "answer"]


def as_example(messages: Sequence[Message], question: str, answer: str) -> list[Message]:
    """The prompt as people get it when this approved answer, and nothing else, is found."""
    return with_examples(messages, [{"number": 1, "kind": "answer", "title": question, "text": answer}])


def _exchange(example: Kept) -> list[Message]:
    return [
        {"role": "user", "content": quoted(str(example["title"])), "name": EXAMPLE},
        {"role": "assistant", "content": quoted(str(example["text"])), "name": EXAMPLE},
    ]
