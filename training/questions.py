"""What simulated people ask: prompts from a file or made up, the part held out, and general questions.

Pure. Owns the hold-out of the simulation, which has nothing to do with the trainer's. Knows nobody who asks.
"""

from __future__ import annotations

import hashlib
import json
import random
import re
from collections.abc import Mapping, Sequence
from statistics import fmean

from feedback.records import normalise
from training.records import Message, TrainingError

Prompt = Sequence[Message]

HELD_OUT = 0.28
SAMPLES = 192
"""Answers that a score is taken over: an interval of some ±0.06 where half of them please."""
# Its own salt: the trainer's hold-out divides what people vote on, and must not be the same part.
_SALT = "apprentice simulate"
_YES_OR_NO = re.compile(r"\b(yes|no)\b", re.IGNORECASE)

GENERAL: Sequence[tuple[str, str]] = (
    ("What is 2 plus 3?", "5"),
    ("What is 7 plus 6?", "13"),
    ("What is 12 plus 9?", "21"),
    ("What is 25 plus 31?", "56"),
    ("What is 40 plus 17?", "57"),
    ("What is 33 plus 44?", "77"),
    ("What is 18 plus 63?", "81"),
    ("What is 56 plus 28?", "84"),
    ("What is 9 plus 72?", "81"),
    ("What is 61 plus 37?", "98"),
    ("Sort fox, cup and ant alphabetically.", r"ant\W+(and )?cup\W+(and )?fox"),
    ("Sort tree, bird and apple alphabetically.", r"apple\W+(and )?bird\W+(and )?tree"),
    ("Sort milk, door and king alphabetically.", r"door\W+(and )?king\W+(and )?milk"),
    ("Sort zoo, egg and hat alphabetically.", r"egg\W+(and )?hat\W+(and )?zoo"),
    ("Sort lemon, rain and queen alphabetically.", r"lemon\W+(and )?queen\W+(and )?rain"),
    ("Sort ship, sand and snow alphabetically.", r"sand\W+(and )?ship\W+(and )?snow"),
    ("Sort boat, bear and bread alphabetically.", r"bear\W+(and )?boat\W+(and )?bread"),
    ("Sort wolf, fish and nest alphabetically.", r"fish\W+(and )?nest\W+(and )?wolf"),
    ("Spell cat backwards, letter by letter.", r"t\W*a\W*c"),
    ("Spell lamp backwards, letter by letter.", r"p\W*m\W*a\W*l"),
    ("Spell bird backwards, letter by letter.", r"d\W*r\W*i\W*b"),
    ("Spell moon backwards, letter by letter.", r"n\W*o\W*o\W*m"),
    ("Spell ship backwards, letter by letter.", r"p\W*i\W*h\W*s"),
    ("Spell tree backwards, letter by letter.", r"e\W*e\W*r\W*t"),
    ("Spell milk backwards, letter by letter.", r"k\W*l\W*i\W*m"),
    ("Spell hand backwards, letter by letter.", r"d\W*n\W*a\W*h"),
    ("Which day comes after Monday?", "tuesday"),
    ("Which day comes before Sunday?", "saturday"),
    ("Which day comes after Thursday?", "friday"),
    ("Which day comes before Wednesday?", "tuesday"),
    ("Which month comes after March?", "april"),
    ("Which month comes before August?", "july"),
    ("Which month comes after November?", "december"),
    ("How many days has a week?", "7|seven"),
    ("How many months has a year?", "12|twelve"),
    ("How many days has June?", "30|thirty"),
    ("Is ice colder than steam?", "yes"),
    ("Is a mouse bigger than an elephant?", "no"),
    ("Is a week longer than a day?", "yes"),
    ("Can a fish fly to the moon?", "no"),
    ("Is snow cold?", "yes"),
    ("Is a stone soft?", "no"),
    ("Is iron a metal?", "yes"),
    ("Can a spoon talk?", "no"),
    ("Is a rocket faster than a bicycle?", "yes"),
    ("Is coal white?", "no"),
    ("Is the sun hot?", "yes"),
    ("Is a feather heavier than an apple?", "no"),
)
"""A question and the pattern that a right answer holds as whole words. They are about no domain, so that
training on a domain's votes should not move them; a model that answers none can't be seen to forget."""


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


def is_right(answer: str, expected: str) -> bool:
    """Whether an answer to a general question is right.

    >>> is_right("No, it is not. Yes, really.", "no"), is_right("That is 15.", "5|five")
    (True, False)
    """
    if expected in ("yes", "no"):
        found = _YES_OR_NO.search(answer)
        return found is not None and found[0].lower() == expected
    return re.search(rf"(?<!\w)(?:{expected})(?!\w)", answer, re.IGNORECASE) is not None


def percent_right(answers: Sequence[str | None]) -> float | None:
    """How many of the answers to `GENERAL`, in its order, are right, in percent; None are left out."""
    marks = [
        is_right(answer, expected)
        for (_, expected), answer in zip(GENERAL, answers, strict=True)
        if answer is not None
    ]
    return 100 * fmean(marks) if marks else None
