"""The chat page's handlers, over a real store and a scripted engine."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from assistant.accounts import AccountError
from assistant.ui.chat_events import ChatEvents
from assistant.ui.page import Page, Parts
from feedback.records import NotFound, Turn
from tests.assistant.ui.playing import is_visible, last, play
from tests.assistant.ui.scripted import House, event, request, until


def turns(house: House, page: Page) -> list[Turn]:
    assert page.conversation_id is not None
    return house.store.turns(page.conversation_id)


# -- opening -------------------------------------------------------------------------------------------


async def test_a_new_page_is_empty_and_knows_who_is_there(events: ChatEvents) -> None:
    seen = await last(events, Page(), events.load(Page(), request("ana")), "ana")
    assert "How can I help?" in seen["past"]
    assert "What?" in seen["past"]
    assert ">ana<" in seen["person"]
    assert "/admin" in seen["person"]


async def test_a_stranger_gets_nothing(events: ChatEvents) -> None:
    for name in (None, "nobody"):
        with pytest.raises(AccountError):
            await last(events, Page(), events.load(Page(), request(name)))
        with pytest.raises(AccountError):
            await last(events, Page(), events.ask(Page(), "hello", request(name)))


async def test_a_reload_comes_back_to_the_conversation(house: House, events: ChatEvents) -> None:
    page = Page()
    await last(events, page, events.ask(page, "How long?", request()))
    seen = await last(events, Page(), events.load(Page(), request(chat=page.conversation_id)))
    assert "Three to four days." in seen["past"]
    assert f'data-chat="{page.conversation_id}"' in seen["past"]
    assert "How long?" in seen["title"]


async def test_a_foreign_conversation_is_as_good_as_none(house: House, events: ChatEvents) -> None:
    page = Page()
    await last(events, page, events.ask(page, "my secret", request("ana")), "ana")
    assert page.conversation_id is not None
    seen = await last(events, Page(), events.load(Page(), request("uwe", chat=page.conversation_id)))
    assert "secret" not in str(seen)
    seen = await last(
        events, Page(), events.open_chat(Page(), request("uwe"), event(chat=page.conversation_id))
    )
    assert "secret" not in str(seen)


async def test_a_new_chat_forgets_the_old_one(house: House, events: ChatEvents) -> None:
    page = Page()
    await last(events, page, events.ask(page, "How long?", request()))
    seen = await last(events, page, events.open_chat(page, request(), event(chat="")))
    assert "How can I help?" in seen["past"]
    assert page == Page(epoch=page.epoch, placed=True)
    assert "How long?" in seen["history"]


async def test_a_question_that_is_quicker_than_the_page_is_not_wiped_away(
    house: House, events: ChatEvents
) -> None:
    page, reloaded = Page(), Page()
    await last(events, page, events.ask(page, "How long?", request()))
    there = request(chat=page.conversation_id)
    seen = await last(events, reloaded, events.ask(reloaded, "And to Norway?", there))
    assert set(await events.load(reloaded, there)) == {"person", "box"}
    assert reloaded.conversation_id == page.conversation_id
    assert "How long?" in seen["past"]
    assert len(turns(house, page)) == 2


# -- asking --------------------------------------------------------------------------------------------


async def test_an_answer_streams_and_is_stored(house: House, events: ChatEvents) -> None:
    house.engines.pause = 0.02
    page = Page()
    pictures = await play(events, page, events.ask(page, "How long?", request()))
    assert "How long?" in pictures[0]["now"]
    assert pictures[0]["box"] == ""
    assert is_visible(pictures[0]["stop"])
    assert any("Three to" in parts["now"] and "days" not in parts["now"] for parts in pictures[1:-1])
    assert pictures[-1]["now"] == ""
    assert "Three to four days." in pictures[-1]["past"]
    assert is_visible(pictures[-1]["send"])
    assert [(turn.question, turn.status) for turn in turns(house, page)] == [("How long?", "complete")]


async def test_an_answer_that_ends_while_it_is_drawn_is_not_taken_for_a_lost_one(
    house: House, events: ChatEvents, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = events._screens.read

    def slowly(*given: Any) -> Any:
        found = read(*given)
        time.sleep(0.05)
        return found

    monkeypatch.setattr(events._screens, "read", slowly)
    page = Page()
    for parts in await play(events, page, events.ask(page, "How long?", request())):
        assert "Look again" not in parts.get("past", "")


async def test_texts_are_kept_to_the_letter(house: House, events: ChatEvents) -> None:
    question = "  def f():\n\n    return '<b>'\n"
    house.engines.answer = "```\n  a\n\n\n    b\n```\n"
    page = Page()
    seen = await last(events, page, events.ask(page, question, request()))
    [turn] = turns(house, page)
    assert (turn.question, turn.answer) == (question, house.engines.answer)
    assert "<code>  a\n\n\n    b\n</code>" in seen["past"]
    assert "&lt;b&gt;" in seen["past"]


async def test_a_second_question_follows_the_first(house: House, events: ChatEvents) -> None:
    page = Page()
    await last(events, page, events.ask(page, "one", request()))
    await last(events, page, events.ask(page, "two", request()))
    first, second = turns(house, page)
    assert second.parent_id == first.id
    assert [message["content"] for message in house.engines.asked[-1]["messages"]] == [
        "one",
        "Three to four days.",
        "two",
    ]


@pytest.mark.parametrize("text", ["", "  \n "])
async def test_nothing_is_no_question(house: House, events: ChatEvents, text: str) -> None:
    assert await last(events, Page(), events.ask(Page(), text, request())) == {}
    assert not house.engines.asked


async def test_an_example_is_a_question(house: House, events: ChatEvents) -> None:
    page = Page()
    seen = await last(events, page, events.ask_example(page, request(), event(text="What?")))
    assert "Three to four days." in seen["past"]
    assert "box" not in seen, "what was being typed stays"


async def test_the_same_words_in_a_new_chat_open_a_new_conversation(house: House, events: ChatEvents) -> None:
    first, second = Page(), Page()
    await last(events, first, events.ask(first, "How long?", request()))
    await last(events, second, events.ask(second, "How long?", request()))
    assert first.conversation_id != second.conversation_id


async def test_nobody_asks_in_a_foreign_conversation(house: House, events: ChatEvents) -> None:
    page = Page()
    await last(events, page, events.ask(page, "How long?", request("ana")), "ana")
    # Another person with the same page state: it can't happen by itself, but must not work either.
    with pytest.raises(NotFound):
        await last(events, page, events.ask(page, "and now?", request("uwe")))
    with pytest.raises(NotFound):
        await last(events, Page(), events.answer_again(Page(), request("uwe"), event(turn=page.leaf)))
    assert len(turns(house, page)) == 1


# -- siblings and branches -----------------------------------------------------------------------------


async def test_answering_again_keeps_the_older_answer_to_page_back_to(
    house: House, events: ChatEvents
) -> None:
    page = Page()
    await last(events, page, events.ask(page, "How long?", request()))
    house.engines.answer = "Four."
    seen = await last(events, page, events.answer_again(page, request(), event(turn=page.leaf)))
    assert "2/2" in seen["past"]
    assert "Four." in seen["past"]
    assert "box" not in seen, "what was being typed stays"
    first, second = turns(house, page)
    assert first.prompt_key == second.prompt_key
    seen = await last(events, page, events.show_turn(page, request(), event(turn=first.id)))
    assert "1/2" in seen["past"]
    assert "Three to four days." in seen["past"]
    assert page.leaf == first.id


async def test_an_edit_is_a_branch_and_the_older_one_comes_back_whole(
    house: House, events: ChatEvents
) -> None:
    page = Page()
    await last(events, page, events.ask(page, "one", request()))
    first = page.leaf
    await last(events, page, events.ask(page, "two", request()))
    parts = await events.edit_question(page, "typed", request(), event(turn=first))
    assert parts["box"] == "one"
    seen = await last(events, page, events.ask(page, "other", request()))
    assert seen["box"] == "typed"
    assert page.editing is None
    assert not is_visible(seen["editing"])
    assert "two" not in seen["past"]
    assert "2/2" in seen["past"]
    assert [turn.parent_id for turn in turns(house, page)] == [None, first, None]
    seen = await last(events, page, events.show_turn(page, request(), event(turn=first)))
    assert "two" in seen["past"]


async def test_an_edit_can_be_left(house: House, events: ChatEvents) -> None:
    page = Page()
    await last(events, page, events.ask(page, "one", request()))
    await events.edit_question(page, "half typed", request(), event(turn=page.leaf))
    await events.edit_question(page, "one", request(), event(turn=page.leaf))
    parts = await events.cancel_edit(page, request())
    assert parts["box"] == "half typed"
    assert page.editing is None


# -- stopping, leaving, coming back --------------------------------------------------------------------


async def test_stopping_keeps_what_was_said_and_frees_the_composer(house: House, events: ChatEvents) -> None:
    house.engines.holds_after = 2
    page, pictures = Page(), list[Parts]()
    task = asyncio.create_task(play(events, page, events.ask(page, "How long?", request()), into=pictures))
    await until(lambda: pictures and "Three to" in pictures[-1]["now"])
    parts = await events.stop(page, request())
    assert is_visible(parts["send"])
    await task
    assert house.engines.open == 0
    assert ">stopped<" in pictures[-1]["past"]
    assert "Three to" in pictures[-1]["past"]
    assert is_visible(pictures[-1]["send"])
    assert turns(house, page)[0].status == "stopped"


async def test_stopping_while_the_engine_is_still_being_asked(
    house: House, events: ChatEvents, monkeypatch: pytest.MonkeyPatch
) -> None:
    at, on = asyncio.Event(), asyncio.Event()

    async def slow() -> int:
        at.set()
        await on.wait()
        return 100_000

    monkeypatch.setattr(house.engines, "context_length", slow)
    house.engines.pause = 0.2
    page, pictures = Page(), list[Parts]()
    task = asyncio.create_task(play(events, page, events.ask(page, "How long?", request()), into=pictures))
    await at.wait()
    await events.stop(page, request())
    on.set()
    await task
    assert turns(house, page)[0].status == "stopped"
    assert "before the first word" in pictures[-1]["past"]


async def test_one_question_at_a_time(house: House, events: ChatEvents) -> None:
    house.engines.holds_after = 1
    page, pictures = Page(), list[Parts]()
    task = asyncio.create_task(play(events, page, events.ask(page, "one", request()), into=pictures))
    await until(lambda: events.busy(page))
    assert [parts async for parts in events.ask(page, "two", request())] == []
    again = events.answer_again(page, request(), event(turn=page.leaf))
    assert [parts async for parts in again] == []
    assert await events.edit_question(page, "", request(), event(turn=page.leaf)) == {}
    house.engines.go.set()
    await task
    assert len(turns(house, page)) == 1


async def test_a_second_enter_before_the_page_has_loaded_asks_nothing(
    house: House, events: ChatEvents
) -> None:
    house.engines.holds_after = 1
    page = Page()
    both = [
        asyncio.create_task(play(events, page, events.ask(page, "How long?", request()))) for _ in range(2)
    ]
    await until(lambda: events.busy(page))
    house.engines.go.set()
    await asyncio.gather(*both)
    assert len(house.store.conversations(house.accounts.get("uwe").id)) == 1
    assert len(turns(house, page)) == 1


async def test_whoever_waited_for_an_answer_shows_it_settled(house: House, events: ChatEvents) -> None:
    # A page that was asked before it had loaded has two that wait; either may be drawn last.
    page = Page()
    await last(events, page, events.ask(page, "How long?", request()))
    for _ in range(2):
        seen = await events.settle(page, request())
        assert is_visible(seen["send"])
        assert "Three to four days." in seen["past"]


async def test_another_chat_can_be_opened_while_an_answer_is_written(
    house: House, events: ChatEvents
) -> None:
    house.engines.holds_after = 1
    page, pictures = Page(), list[Parts]()
    task = asyncio.create_task(play(events, page, events.ask(page, "one", request()), into=pictures))
    await until(lambda: events.busy(page))
    left = page.conversation_id
    seen = await last(events, page, events.open_chat(page, request(), event(chat="")))
    await task
    assert "How can I help?" in seen["past"]
    assert seen["now"] == ""
    assert is_visible(seen["send"])
    assert all("Three to four" not in parts.get("now", "") for parts in pictures)
    # It goes on by itself, and whoever comes back sees it grow.
    back = list[Parts]()
    again = asyncio.create_task(
        play(events, page, events.open_chat(page, request(), event(chat=left)), into=back)
    )
    await until(lambda: back and "Three" in back[-1]["now"])
    assert is_visible(back[0]["stop"])
    house.engines.go.set()
    await again
    assert "Three to four days." in back[-1]["past"]


async def test_a_page_that_was_turned_away_is_not_written_on(
    house: House, events: ChatEvents, monkeypatch: pytest.MonkeyPatch
) -> None:
    at, on = asyncio.Event(), asyncio.Event()

    async def slow() -> int:
        at.set()
        await on.wait()
        return 100_000

    monkeypatch.setattr(house.engines, "context_length", slow)
    page, pictures = Page(), list[Parts]()
    task = asyncio.create_task(play(events, page, events.ask(page, "one", request()), into=pictures))
    await at.wait()
    await last(events, page, events.open_chat(page, request(), event(chat="")))
    on.set()
    await task
    assert page.leaf is None
    assert page.conversation_id is None
    # The question as it was asked; nothing after the page had turned to the new chat.
    assert [bool(parts) for parts in pictures] == [True, False]
