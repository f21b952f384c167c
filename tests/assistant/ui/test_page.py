"""The edge between handlers and gradio: who may, what goes where, errors in words."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import gradio as gr
import pytest

from assistant.accounts import AccountError
from assistant.errors import AssistantError
from assistant.ui.page import Doorman, Page, Parts, Wire, spoken
from tests.assistant.ui.scripted import House, request, until


@pytest.mark.parametrize("name", [None, "", "nobody"])
async def test_strangers_are_not_admitted(house: House, name: str | None) -> None:
    with pytest.raises(AccountError, match="signed out"):
        await Doorman(house.accounts, "user").admit(request(name))


async def test_a_role_below_is_not_admitted(house: House) -> None:
    assert (await Doorman(house.accounts, "admin").admit(request("ana"))).name == "ana"
    with pytest.raises(AccountError, match="role admin"):
        await Doorman(house.accounts, "admin").admit(request("uwe"))


async def test_a_locked_account_is_not_admitted(house: House) -> None:
    house.accounts.disable("uwe")
    with pytest.raises(AccountError):
        await Doorman(house.accounts, "user").admit(request("uwe"))


async def test_a_page_waits_for_those_who_draw_for_what_it_showed_before() -> None:
    page = Page()
    drawn = []

    async def follower(epoch: int) -> None:
        with page.following():
            await until(lambda: page.epoch != epoch)
            drawn.append("old")

    task = asyncio.create_task(follower(page.epoch))
    await asyncio.sleep(0)
    page.turn_away()
    await page.alone()
    drawn.append("new")
    await task
    assert drawn == ["old", "new"]


async def test_a_page_does_not_wait_for_ever() -> None:
    page = Page(followers=1)
    await asyncio.wait_for(page.alone(), 3)
    assert page.followers == 0


def wire() -> Wire:
    return Wire(box="the box", title="the title")


async def test_parts_go_to_their_components() -> None:
    async def handler() -> Parts:
        return {"title": "x"}

    assert await wire()(handler)() == {"the title": "x"}


async def test_nothing_new_is_said_aloud() -> None:
    async def handler() -> Parts:
        return {}

    assert await wire()(handler)() == {"the box": gr.skip()}
    assert await Wire()(handler)() is None


async def test_a_stream_goes_to_its_components_and_is_closed() -> None:
    closed = []

    async def handler() -> AsyncIterator[Parts]:
        try:
            yield {"box": 1}
            yield {"box": 2}
        finally:
            closed.append(True)

    pictures = wire()(handler)()
    assert await anext(pictures) == {"the box": 1}
    await pictures.aclose()
    assert closed == [True]


async def test_a_stream_without_a_picture_changes_nothing() -> None:
    async def handler() -> AsyncIterator[Parts]:
        for parts in ():
            yield parts

    assert [drawn async for drawn in wire()(handler)()] == [{"the box": gr.skip()}]


async def test_errors_that_are_meant_for_people_are_shown() -> None:
    async def handler() -> Parts:
        raise AssistantError("no <b>engine</b> is ready")

    with pytest.raises(gr.Error) as caught:
        await wire()(handler)()
    assert caught.value.message == "No &lt;b&gt;engine&lt;/b&gt; is ready."


async def test_other_errors_are_not() -> None:
    async def handler() -> AsyncIterator[Parts]:
        yield {}
        raise RuntimeError("password=secret")

    with pytest.raises(gr.Error) as caught:
        async for _ in wire()(handler)():
            pass
    assert "secret" not in caught.value.message


def test_silence_is_a_sentence_too() -> None:
    assert spoken("") == "Something went wrong."
