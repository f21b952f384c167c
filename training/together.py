"""Does the same with many things, a few at a time. Leaves nothing running behind when one of them fails.

Knows nothing of what is done.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


async def together(act: Callable[[T], Awaitable[R]], items: Iterable[T], at_once: int) -> list[R]:
    """The results of `act` on each item, in order; the first error ends all of it."""
    room = asyncio.Semaphore(at_once)

    async def one(item: T) -> R:
        async with room:
            return await act(item)

    tasks = [asyncio.create_task(one(item)) for item in items]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
