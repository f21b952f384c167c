"""The chat page when something does not work: nothing typed is lost, and the page says what is wrong."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from assistant.entry import AccountsSection
from assistant.errors import EngineInterrupted
from assistant.limits import Limits
from assistant.ui.chat_events import ChatEvents, said
from assistant.ui.page import Doorman, Page
from assistant.ui.streams import Streams
from feedback.records import NotFound
from tests.assistant.ui.playing import is_visible, last
from tests.assistant.ui.scripted import House, event, request, until


async def test_a_question_that_can_not_be_put_comes_back_to_the_composer(
    house: House, events: ChatEvents
) -> None:
    house.engines.unready = "no engine is ready: it is starting"
    page = Page()
    seen = await last(events, page, events.ask(page, "How long?", request()))
    assert seen["box"] == "How long?"
    assert "No engine is ready: it is starting." in seen["now"]
    assert "Try again" in seen["now"]
    assert is_visible(seen["send"])
    house.engines.unready = None
    seen = await last(events, page, events.ask(page, seen["box"], request()))
    assert seen["now"] == ""
    assert "Three to four days." in seen["past"]
    assert len(house.store.conversations(house.accounts.get("uwe").id)) == 1


async def test_an_example_that_can_not_be_put_leaves_what_is_typed(house: House, events: ChatEvents) -> None:
    house.engines.unready = "no engine is ready"
    page, example = Page(), event(text="What <b>?")
    for _ in range(2):
        seen = await last(events, page, events.ask_example(page, request(), example))
        assert "box" not in seen
        assert "in the box" not in str(seen)
        assert 'data-act="ask_example" data-text="What &lt;b&gt;?">Try again<' in seen["now"]
    house.engines.unready = None
    await last(events, page, events.ask_example(page, request(), example))
    assert len(house.store.conversations(house.accounts.get("uwe").id)) == 1


async def test_another_question_after_a_lost_one_opens_its_own_conversation(
    house: House, events: ChatEvents
) -> None:
    house.engines.unready = "no engine is ready"
    page = Page()
    await last(events, page, events.ask(page, "How long?", request()))
    lost = page.conversation_id
    house.engines.unready = None
    await last(events, page, events.ask(page, "Something else", request()))
    assert page.conversation_id != lost
    seen = await last(events, page, events.open_chat(page, request(), event(chat=lost)))
    assert seen["box"] == "How long?"
    assert "never reached the engine" in seen["past"]


@pytest.mark.parametrize("placed", [True, False])
async def test_what_was_switched_off_stays_off_when_a_lost_question_is_changed(
    house: House, events: ChatEvents, placed: bool
) -> None:
    house.engines.unready = "no engine is ready"
    page, again = Page(), Page()
    await events.switch_learning(page, request(), event(on=""))
    await events.switch_documents(page, request(), event(on=""))
    await last(events, page, events.ask(page, "How long?", request()))
    there = request(chat=page.conversation_id)
    if placed:
        await last(events, again, events.load(again, there))
        assert (again.learned_from, again.grounded) == (False, False)
    house.engines.unready = None
    await last(events, again, events.ask(again, "How long to Norway?", there))
    [lost, asked] = house.store.conversations(house.accounts.get("uwe").id)
    assert lost.id != asked.id
    assert [(one.learned_from, one.grounded) for one in (lost, asked)] == [(False, False)] * 2
    await last(events, again, events.open_chat(again, request(), event(chat="")))
    assert (again.learned_from, again.grounded) == (True, True)


async def turned_away(
    events: ChatEvents, page: Page, monkeypatch: pytest.MonkeyPatch, begun: Any, chat: str = ""
) -> None:
    """Open another chat while a question is put to the engine."""
    at, on, seen = asyncio.Event(), asyncio.Event(), events._screens.asked

    async def slow(*given: Any) -> Any:
        at.set()
        await on.wait()
        return await seen(*given)

    monkeypatch.setattr(events._screens, "asked", slow)
    task = asyncio.create_task(last(events, page, begun))
    await at.wait()
    await last(events, page, events.open_chat(page, request(), event(chat=chat)))
    on.set()
    await task


async def test_a_question_stays_in_the_chat_that_it_was_asked_in(
    house: House, events: ChatEvents, monkeypatch: pytest.MonkeyPatch
) -> None:
    page, other = Page(), Page()
    for one in (page, other):
        await last(events, one, events.ask(one, "How long?", request()))
    here, there = page.conversation_id, other.conversation_id
    assert here
    assert there
    first = page.leaf
    await turned_away(events, page, monkeypatch, events.ask(page, "To Norway?", request()), there)
    assert [(turn.question, turn.parent_id) for turn in house.store.turns(here)] == [
        ("How long?", None),
        ("To Norway?", first),
    ]
    assert len(house.store.turns(there)) == 1
    assert (page.conversation_id, page.leaf) == (there, other.leaf)


async def test_a_chat_that_nothing_is_learned_from_stays_so_when_a_new_one_is_opened(
    house: House, events: ChatEvents, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = Page()
    await events.switch_learning(page, request(), event(on=""))
    await events.switch_documents(page, request(), event(on=""))
    await turned_away(events, page, monkeypatch, events.ask(page, "How long?", request()))
    [asked] = house.store.conversations(house.accounts.get("uwe").id)
    assert (asked.learned_from, asked.grounded) == (False, False)
    assert (page.learned_from, page.grounded) == (True, True)


async def test_what_is_switched_off_while_a_question_is_put_counts(house: House, events: ChatEvents) -> None:
    page = Page(followers=1)
    task = asyncio.create_task(last(events, page, events.ask(page, "How long?", request())))
    await until(lambda: page.asking == page.epoch)
    await events.switch_learning(page, request(), event(on=""))
    page.followers = 0
    await task
    [asked] = house.store.conversations(house.accounts.get("uwe").id)
    assert not asked.learned_from


async def test_a_second_answer_that_fails_leaves_the_first(house: House, events: ChatEvents) -> None:
    page = Page()
    await last(events, page, events.ask(page, "How long?", request()))
    house.engines.unready = "no engine is ready"
    seen = await last(events, page, events.answer_again(page, request(), event(turn=page.leaf)))
    assert "Three to four days." in seen["past"]
    assert "No engine is ready." in seen["now"]
    assert "box" not in seen


async def test_an_edit_that_fails_stays_an_edit(house: House, events: ChatEvents) -> None:
    page = Page()
    await last(events, page, events.ask(page, "one", request()))
    await events.edit_question(page, "half typed", request(), event(turn=page.leaf))
    house.engines.unready = "no engine is ready"
    seen = await last(events, page, events.ask(page, "other", request()))
    assert page.editing is not None
    assert seen["box"] == "other"
    assert (await events.cancel_edit(page, request()))["box"] == "half typed"
    assert is_visible(seen["editing"])
    assert "one" in seen["past"]


async def test_an_answer_that_breaks_off_says_so_and_can_be_tried_again(
    house: House, events: ChatEvents
) -> None:
    house.engines.breaks, house.engines.breaks_after = EngineInterrupted("the engine went away"), 2
    page = Page()
    seen = await last(events, page, events.ask(page, "How long?", request()))
    assert "Three to" in seen["past"]
    assert "The answer broke off. The engine went away." in seen["past"]
    house.engines.breaks = None
    seen = await last(events, page, events.answer_again(page, request(), event(turn=page.leaf)))
    assert "2/2" in seen["past"]


def test_what_the_browser_sends_may_be_anything() -> None:
    assert said(event(turn="turn-1"), "turn") == "turn-1"
    assert said(event(turn=["turn-1"]), "turn") == ""
    assert said(event(), "turn") == ""
    odd: Any = type("Odd", (), {"_data": None})()
    assert said(odd, "turn") == ""


@pytest.mark.parametrize("turn", ["", "turn-1", "conv-1", "x" * 100_000])
async def test_turns_that_are_not_there(events: ChatEvents, turn: str) -> None:
    for handler in (events.show_turn, events.answer_again):
        with pytest.raises(NotFound):
            await last(events, Page(), handler(Page(), request(), event(turn=turn)))
    with pytest.raises(NotFound):
        await events.edit_question(Page(), "", request(), event(turn=turn))


async def test_a_question_that_comes_too_soon_is_not_lost(house: House) -> None:
    limits = Limits(AccountsSection(chat_limit="1/minute", guest_limit="1/minute"))
    door = Doorman(house.accounts, "guest", limits)
    events, page = ChatEvents(house.chat, door, Streams(house.chat), []), Page()
    await last(events, page, events.ask(page, "How long?", request()))
    seen = await last(events, page, events.ask(page, "And abroad?", request()))
    assert seen["box"] == "And abroad?"
    assert "Too many questions: 1 per 1 minute is the limit; wait" in seen["now"]
    assert len(house.engines.asked) == 1
    # A guest is somebody else, with a limit of their own.
    guest = house.accounts.by_session(house.accounts.new_guest())
    assert guest is not None
    theirs = Page()
    await last(events, theirs, events.ask(theirs, "How long?", request(guest.name)), guest.name)
    assert len(house.engines.asked) == 2
    assert house.store.conversations(guest.id)[0].title == "How long?"
