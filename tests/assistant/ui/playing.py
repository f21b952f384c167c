"""Plays the events of the chat page as the browser chains them, and collects what it would be shown."""

from __future__ import annotations

import inspect
from typing import Any

from assistant.ui.chat_events import ChatEvents
from assistant.ui.page import Page, Parts
from tests.assistant.ui.scripted import request


async def play(
    events: ChatEvents, page: Page, begun: Any, who: str = "uwe", into: list[Parts] | None = None
) -> list[Parts]:
    """All pictures of an event as the page chains them: the event, the growing answer, its end."""
    pictures = list[Parts]() if into is None else into
    await follow(begun, pictures)
    await follow(events.follow(page, request(who)), pictures)
    await follow(events.settle(page, request(who)), pictures)
    return pictures


async def follow(begun: Any, into: list[Parts]) -> None:
    """Collect pictures one by one: a test looks at them while they come."""
    if inspect.isawaitable(begun):
        into.append(await begun)
        return
    async for parts in begun:
        into += [parts]


async def last(events: ChatEvents, page: Page, begun: Any, who: str = "uwe") -> Parts:
    """How the page looks when all is drawn."""
    seen: Parts = {}
    for parts in await play(events, page, begun, who):
        seen |= parts
    return seen


def is_visible(update: Any) -> bool:
    return bool(update["visible"])
