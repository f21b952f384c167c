"""The list of conversations: searched, lengthened, its rows named, pinned and deleted."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from assistant.ui.chat_events import ChatEvents
from assistant.ui.history_events import HistoryEvents
from assistant.ui.page import Doorman, Page
from feedback.past import PAGE
from feedback.records import Invalid, NotFound
from retrieval.records import RetrievalError
from tests.assistant.ui.playing import last
from tests.assistant.ui.scripted import House, event, request, until


@pytest.fixture
def rows(house: House, events: ChatEvents) -> HistoryEvents:
    return HistoryEvents(events, house.store, Doorman(house.accounts, "user"), events._streams)


async def asked(events: ChatEvents, text: str, who: str = "uwe") -> Page:
    page = Page()
    await last(events, page, events.ask(page, text, request(who)), who)
    return page


async def test_words_of_turns_are_found(events: ChatEvents, rows: HistoryEvents) -> None:
    await asked(events, "How long to Austria?")
    await asked(events, "Which tent?")
    page = Page()
    parts = await rows.search(page, "austria ", request())
    assert "Austria?" in parts["history"]
    assert "tent" not in parts["history"]
    assert "Austria?" not in (await rows.search(page, "austria", request("ana")))["history"]
    parts = await rows.search(page, "", request())
    assert "tent" in parts["history"]


async def test_the_list_goes_on_by_pages(house: House, rows: HistoryEvents) -> None:
    account = house.accounts.get("uwe")
    for number in range(PAGE + 1):
        house.store.start_conversation(account.id, f"number {number}")
    page = Page()
    parts = await rows.search(page, "", request())
    assert "number 0" not in parts["history"]
    parts = await rows.older(page, request())
    assert "number 0" in parts["history"]
    assert "older_chats" not in parts["history"]


async def test_a_chat_is_renamed_pinned_and_found_again(events: ChatEvents, rows: HistoryEvents) -> None:
    page = await asked(events, "How long?")
    name = page.conversation_id or ""
    parts = await rows.rename(page, request(), event(chat=name))
    assert 'name="title"' in parts["history"]
    parts = await rows.rename(page, request(), event(chat=name, title="Delivery times"))
    assert "<h1>Delivery times</h1>" in parts["title"]
    assert ">Delivery times<" in parts["history"]
    parts = await rows.pin(page, request(), event(chat=name, on="yes"))
    assert "Pinned" in parts["history"]
    parts = await rows.pin(page, request(), event(chat=name))
    assert "Pinned" not in parts["history"]
    with pytest.raises(Invalid):
        await rows.rename(page, request(), event(chat=name, title=" "))


async def test_a_row_can_be_left_as_it_is(events: ChatEvents, rows: HistoryEvents) -> None:
    page = await asked(events, "How long?")
    await rows.delete(page, request(), event(chat=page.conversation_id))
    assert page.deleting == page.conversation_id
    parts = await rows.leave_row(page, request())
    assert "sure" not in parts["history"]
    assert page.deleting is None


async def test_a_chat_is_deleted_once_it_is_said_to_be_meant(
    house: House, events: ChatEvents, rows: HistoryEvents
) -> None:
    page = await asked(events, "How long?")
    name = page.conversation_id
    parts = await rows.delete(page, request(), event(chat=name))
    assert 'data-sure="yes"' in parts["history"]
    parts = await rows.delete(page, request(), event(chat=name, sure="yes"))
    assert "How can I help?" in parts["past"]
    assert page.conversation_id is None
    with pytest.raises(NotFound):
        house.store.conversation(str(name), house.accounts.get("uwe").id)


async def test_an_answer_that_is_being_written_is_stopped_before(
    house: House, events: ChatEvents, rows: HistoryEvents
) -> None:
    house.engines.holds_after = 1
    page = Page()
    task = asyncio.create_task(last(events, page, events.ask(page, "How long?", request())))
    await until(lambda: events.busy(page))
    other = Page()
    parts = await rows.delete(other, request(), event(chat=page.conversation_id, sure="yes"))
    assert "How long?" not in parts["history"]
    task.cancel()


async def test_nobody_touches_what_is_not_theirs(events: ChatEvents, rows: HistoryEvents) -> None:
    page = await asked(events, "mine", "ana")
    given: dict[str, Any] = {"chat": page.conversation_id, "title": "x", "on": "yes", "sure": "yes"}
    for handler in (rows.rename, rows.pin, rows.delete):
        with pytest.raises(NotFound):
            await handler(Page(), request("uwe"), event(**given))


async def test_a_chat_is_gone_though_an_index_can_not_be_mended(house: House, events: ChatEvents) -> None:
    def fails() -> None:
        raise RetrievalError("no index")

    door = Doorman(house.accounts, "user")
    rows = HistoryEvents(events, house.store, door, events._streams, fails)
    page = await asked(events, "How long?")
    parts = await rows.delete(page, request(), event(chat=page.conversation_id, sure="yes"))
    assert "How can I help?" in parts["past"]
