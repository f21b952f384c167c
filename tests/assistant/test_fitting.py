"""What is left out of a dialogue that is too long, and how long the answer may be."""

from __future__ import annotations

from typing import Any

import pytest

from assistant.fitting import Fitting

DIALOGUE = [
    {"role": role, "content": f"{role} {number} " + "word " * 18}
    for number in range(6)
    for role in ("user", "assistant")
] + [{"role": "user", "content": "last"}]


class Counting:
    """An engine whose tokens are words."""

    def __init__(self, length: int) -> None:
        self.length = length

    async def context_length(self) -> int:
        return self.length

    async def tokenize(self, messages: list[dict[str, str]]) -> list[int]:
        return [0] * sum(len(message["content"].split()) for message in messages)


def fitting(length: int) -> Fitting:
    engines: Any = Counting(length)
    return Fitting(engines, 100)


@pytest.mark.anyio
async def test_a_short_dialogue_is_left_alone() -> None:
    messages, sampling = await fitting(10_000).fit(list(DIALOGUE), {})
    assert messages == DIALOGUE
    assert sampling == {"max_tokens": 100}


@pytest.mark.anyio
async def test_the_oldest_exchanges_go_first() -> None:
    messages, sampling = await fitting(140).fit(list(DIALOGUE), {})
    assert messages[-1] == DIALOGUE[-1]
    assert 1 < len(messages) < len(DIALOGUE)
    assert sampling["max_tokens"] >= 35


@pytest.mark.anyio
async def test_who_says_how_long_gets_what_the_engine_makes_of_it() -> None:
    given = {"max_tokens": 7}
    assert await fitting(10).fit(list(DIALOGUE), given) == (DIALOGUE, given)


def test_a_model_with_little_room_keeps_most_of_it_for_what_was_said() -> None:
    assert fitting(0).room(200) == 50
    assert fitting(0).room(10_000) == 100
