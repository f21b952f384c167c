"""Answers in the making: followed, stopped, left alone."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from assistant.chat import Ask, Begun
from assistant.errors import EngineInterrupted
from assistant.ui.streams import Streams
from tests.assistant.ui.scripted import House, until


@pytest.fixture
def streams(house: House) -> Streams:
    return Streams(house.chat)


async def begun(house: House, question: str = "How long?") -> Begun:
    return await house.chat.begin(Ask(house.accounts.get("uwe"), [{"role": "user", "content": question}]))


async def test_followers_see_it_grow_to_its_end(house: House, streams: Streams) -> None:
    house.engines.pause = 0.02
    running = streams.start(await begun(house))
    seen = [text async for text in streams.follow(running)]
    assert seen[0] == ""
    assert len(seen) > 2
    assert running.done
    assert running.text == house.engines.answer
    assert house.store.turn(running.turn_id).answer == house.engines.answer
    assert house.store.turn(running.turn_id).status == "complete"


async def test_pictures_are_few_however_fast_the_words_come(house: House, streams: Streams) -> None:
    house.engines.answer = "word " * 2_000
    running = streams.start(await begun(house))
    seen = [text async for text in streams.follow(running)]
    assert len(seen) < 100


async def test_stopping_ends_it_on_the_engine_and_keeps_what_was_said(house: House, streams: Streams) -> None:
    house.engines.holds_after = 2
    running = streams.start(await begun(house))
    await until(lambda: running.text == "Three to ")
    assert house.engines.open == 1
    await streams.stop(running.turn_id)
    assert house.engines.open == 0
    turn = house.store.turn(running.turn_id)
    assert (turn.status, turn.answer) == ("stopped", "Three to ")
    assert streams.get(running.turn_id) is None


async def test_stopping_before_the_first_step_leaves_nothing_pending(house: House, streams: Streams) -> None:
    house.engines.holds_after = 0
    running = streams.start(await begun(house))
    await streams.stop(running.turn_id)
    assert house.store.turn(running.turn_id).status == "stopped"


async def test_stopping_what_has_ended_changes_nothing(house: House, streams: Streams) -> None:
    running = streams.start(await begun(house))
    async for _ in streams.follow(running):
        pass
    await streams.stop(running.turn_id)
    assert house.store.turn(running.turn_id).status == "complete"


async def test_a_follower_that_leaves_does_not_end_it(house: House, streams: Streams) -> None:
    house.engines.pause = 0.01
    running = streams.start(await begun(house))
    async for _ in streams.follow(running):
        break
    assert streams.get(running.turn_id) is running
    assert [text async for text in streams.follow(running)]
    assert house.store.turn(running.turn_id).status == "complete"


async def test_why_it_broke_off_is_kept_in_words(house: House, streams: Streams) -> None:
    house.engines.breaks, house.engines.breaks_after = EngineInterrupted("the engine went away"), 2
    running = streams.start(await begun(house))
    async for _ in streams.follow(running):
        pass
    assert running.error == "the engine went away"
    assert house.store.turn(running.turn_id).status == "interrupted"


async def test_a_bug_does_not_reach_the_page(
    house: House, streams: Streams, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("secret detail")

    one = await begun(house)
    monkeypatch.setattr(house.chat, "stream", broken)
    running = streams.start(one)
    async for _ in streams.follow(running):
        pass
    assert running.error is not None
    assert "secret" not in running.error


async def test_only_those_that_are_written_are_found(streams: Streams) -> None:
    assert streams.get(None) is None
    assert streams.get("turn-1") is None


async def test_followers_see_the_steps_of_tools(
    house: House, streams: Streams, monkeypatch: pytest.MonkeyPatch
) -> None:
    go = house.engines.go
    steps = [{"id": "c1", "name": "look", "arguments": "{}", "status": "running"}]

    async def stream(begun: Begun) -> AsyncIterator[dict[str, Any]]:
        yield {"choices": [{"index": 0, "delta": {}, "tool_steps": steps}]}
        await go.wait()
        yield {"choices": [{"index": 0, "delta": {"content": "Found."}}]}

    monkeypatch.setattr(house.chat, "stream", stream)
    running = streams.start(await begun(house))
    async for text in streams.follow(running):
        if running.steps:
            assert (text, running.steps) == ("", steps)
            go.set()
    assert running.text == "Found."
    assert running.steps == steps
