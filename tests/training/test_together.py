"""Tests of doing many things a few at a time."""

from __future__ import annotations

import asyncio

import pytest

from training.together import together


def test_results_stand_in_the_order_of_the_items() -> None:
    async def act(number: int) -> int:
        await asyncio.sleep(0.001 * (5 - number))
        return number * 10

    assert asyncio.run(together(act, range(5), 3)) == [0, 10, 20, 30, 40]
    assert asyncio.run(together(act, [], 3)) == []


def test_never_more_at_once_than_asked_for() -> None:
    running = most = 0

    async def act(_: int) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.001)
        running -= 1

    asyncio.run(together(act, range(12), 4))
    assert (running, most) == (0, 4)


@pytest.mark.parametrize("end", ["error", "cancelled"])
def test_when_it_ends_early_nothing_goes_on_behind(end: str) -> None:
    ended: list[str] = []

    async def act(number: int) -> None:
        try:
            if number == 1 and end == "error":
                raise OSError("gone")
            await asyncio.sleep(60)
        finally:
            ended.append(f"{number}")

    async def main() -> None:
        task = asyncio.create_task(together(act, range(5), 3))
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(OSError if end == "error" else asyncio.CancelledError):
            await task
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(main())
    assert {"0", "1", "2"} <= set(ended)
    assert "4" not in ended, "what had not begun did not begin"
