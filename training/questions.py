"""What simulated people ask: prompts from a file or made up, the part held out, and general questions.

Pure. Owns the hold-out of the simulation, which has nothing to do with the trainer's. Knows nobody who asks.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Mapping, Sequence
from statistics import fmean

from feedback.records import normalise
from training import probes
from training.records import Message, TrainingError

Prompt = Sequence[Message]

HELD_OUT = 0.28
SAMPLES = 192
"""Answers that a score is taken over: an interval of some ±0.06 where half of them please."""
# Its own salt: the trainer's hold-out divides what people vote on, and must not be the same part.
_SALT = "apprentice simulate"

GENERAL: Sequence[tuple[str, str]] = tuple(
    (probe.question, probe.expect or "") for probe in probes.read(probes.FOLDER / "forgetting.toml")
)
"""The gate's own probes of forgetting: a question and the pattern that a right answer holds as whole words.
They are about no domain, so that training on a domain's votes should not move them."""


class NoPrompts(TrainingError):
    """The prompts can't be used; the message is one sentence."""


def opening(prompt: Prompt) -> str:
    """The first thing that the person says in it."""
    content = next((message.get("content") for message in prompt if message.get("role") == "user"), "")
    if isinstance(content, str):
        return content
    return " ".join(str(part.get("text", "")) for part in content or () if isinstance(part, Mapping))


def is_held_out(prompt: Prompt) -> bool:
    """Whether nobody may vote on this: decided by a hash of the opening, the same for ever and everywhere."""
    digest = hashlib.sha256(f"{_SALT}\n{normalise(opening(prompt))}".encode(errors="replace")).digest()
    return int.from_bytes(digest[:8], "big") < HELD_OUT * 2**64


def split(prompts: Sequence[Prompt]) -> tuple[list[Prompt], list[Prompt]]:
    """The prompts to vote on and those held out, each once; of the latter no more than a score is taken over.

    Raises `NoPrompts` if either part is empty.
    """
    by_content = {json.dumps([dict(message) for message in prompt]): prompt for prompt in prompts}
    once = list(by_content.values())
    training = [prompt for prompt in once if not is_held_out(prompt)]
    held_out = [prompt for prompt in once if is_held_out(prompt)]
    if not training or not held_out:
        part = "held out" if training else "left to vote on"
        raise NoPrompts(f"of {len(once)} prompts none is {part}; 20 or more are needed")
    return training, held_out[:SAMPLES]


def read(text: str) -> list[Prompt]:
    """The prompts of a JSONL file, one `{"messages": [...]}` a line. Raises `NoPrompts`, naming the line."""
    found: list[Prompt] = []
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            found.append(_prompt(number, line))
    return found


def _prompt(number: int, line: str) -> Prompt:
    try:
        row = json.loads(line)
    except ValueError as error:
        raise NoPrompts(f"line {number} is not JSON: {error}") from None
    messages = row.get("messages") if isinstance(row, dict) else None
    if not isinstance(messages, list) or not all(isinstance(message, dict) for message in messages):
        raise NoPrompts(f'line {number}: expected {{"messages": [{{"role": …, "content": …}}, …]}}')
    if not messages or messages[-1].get("role") != "user" or not normalise(opening(messages)):
        raise NoPrompts(f"line {number}: the last message must be the user's, and their first not empty")
    return tuple(messages)


def as_prompts(questions: Sequence[str]) -> list[Prompt]:
    """Opening questions as prompts."""
    return [({"role": "user", "content": question},) for question in questions]


def enough(rounds: int, votes: int) -> int:
    """How many made-up questions fill the held-out sample and need not come twice in any round."""
    return max(round(SAMPLES / HELD_OUT * 1.1), round(rounds * votes / (1 - HELD_OUT) * 1.1))


def deal(prompts: Sequence[Prompt], people: int, seed: int) -> list[list[Prompt]]:
    """What each person asks, in their order: nobody asks what another one does, while there are enough."""
    order = random.Random(f"prompts {seed}").sample(prompts, len(prompts))
    return [order[number::people] or order for number in range(people)]


def percent_right(answers: Sequence[str | None]) -> float | None:
    """How many of the answers to `GENERAL`, in its order, are right, in percent; None are left out."""
    marks = [
        probes.holds(answer, expected)
        for (_, expected), answer in zip(GENERAL, answers, strict=True)
        if answer is not None
    ]
    return 100 * fmean(marks) if marks else None
