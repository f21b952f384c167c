"""Two answers to choose from, and receipts of what was learned, from the question to the store."""

from __future__ import annotations

import asyncio
import random
from datetime import UTC, datetime
from pathlib import Path

import pytest

from assistant.receipts import Receipts
from assistant.ui.chat_events import ChatEvents, Offering
from assistant.ui.choice_events import ChoiceEvents
from assistant.ui.page import Doorman, Page
from assistant.ui.streams import Streams
from feedback.offers import Offer
from feedback.records import NotFound
from feedback.store import Verdict
from tests.assistant.ui.playing import last, play
from tests.assistant.ui.scripted import House, event, request, until
from training.records import Adapter

NAME = "lora-0123456789ab"


class At:
    """A page on which every question gets two answers."""

    def __init__(self, house: House, rival: str | None = None) -> None:
        self.house, self.page = house, Page()
        door = Doorman(house.accounts, "user")
        offering = Offering(1.0, lambda: rival)
        self.events = ChatEvents(house.chat, door, Streams(house.chat), [], offering=offering)
        receipts = Receipts(house.store.database, house.registry)
        self.choices = ChoiceEvents(self.events, house.store, door, receipts)

    async def ask(self, text: str = "How long?") -> dict[str, object]:
        return await last(self.events, self.page, self.events.ask(self.page, text, request()))

    async def choose(self, preference: str, who: str = "uwe") -> dict[str, object]:
        first = self.page.leaf
        return await self.choices.choose(self.page, request(who), event(turn=first, preference=preference))


def add(house: House, name: str = NAME) -> None:
    house.registry.add(Adapter(name, Path("/none"), "starter", "hash", None, 16, datetime.now(UTC)))


async def test_two_answers_are_written_at_once_and_shown_blind(house: House) -> None:
    add(house)
    at = At(house, NAME)
    pictures = await play(at.events, at.page, at.events.ask(at.page, "How long?", request()))
    assert any("Answer A" in parts.get("now", "") for parts in pictures)
    seen = str(pictures[-1]["past"])
    assert seen.count("Three to four days.") == 2
    assert "Which answer is better?" in seen
    assert NAME not in seen
    assert pictures[-1]["now"] == ""
    first, second = house.store.turns(at.page.conversation_id or "")
    assert {first.adapter, second.adapter} == {None, NAME}
    assert first.prompt_key == second.prompt_key
    assert not first.asked
    assert not second.asked


async def test_chance_decides_who_stands_where(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    add(house)
    places = []
    for turned in (False, True):
        monkeypatch.setattr(random, "shuffle", lambda two, turned=turned: two.reverse() if turned else None)
        at = At(house, NAME)
        await at.ask()
        assert at.page.leaf is not None
        places.append(house.store.turn(at.page.leaf).adapter)
    assert places == [None, NAME]


@pytest.mark.parametrize("preference", ["first", "second", "tie", "both_bad"])
async def test_a_choice_is_stored_with_who_stood_where(house: House, preference: str) -> None:
    at = At(house)
    await at.ask()
    both = (at.page.leaf, at.page.beside)
    parts = await at.choose(preference)
    [choice] = house.store.choices()
    assert (choice.first_turn_id, choice.second_turn_id) == both
    assert choice.preference == preference
    assert at.page.leaf == both[1 if preference == "second" else 0]
    assert 'aria-label="answer' in str(parts["past"])
    # It is over, here and after a reload.
    assert "Which answer is better?" not in str(parts["past"])
    again = await last(at.events, Page(), at.events.load(Page(), request(chat=at.page.conversation_id)))
    assert "Which answer is better?" not in again["past"]


async def test_whoever_skips_has_chosen_nothing(house: House) -> None:
    at = At(house)
    await at.ask()
    parts = await at.choose("")
    assert house.store.choices() == []
    assert "Which answer is better?" not in str(parts["past"])


async def test_whoever_asks_on_has_chosen_nothing_and_goes_on(house: House) -> None:
    at = At(house)
    await at.ask()
    left = at.page.leaf
    await at.ask("And to Norway?")
    assert house.store.choices() == []
    assert {turn.parent_id for turn in house.store.turns(at.page.conversation_id or "")} == {None, left}
    assert at.choices._offers.open([left or ""]) is None


async def test_a_reload_shows_them_as_they_stood(house: House) -> None:
    at = At(house)
    await at.ask()
    page = Page()
    seen = await last(at.events, page, at.events.load(page, request(chat=at.page.conversation_id)))
    assert "Which answer is better?" in seen["past"]
    assert (page.leaf, page.beside) == (at.page.leaf, at.page.beside)


async def test_of_two_that_were_stopped_there_is_nothing_to_choose(house: House) -> None:
    house.engines.holds_after = 1
    at = At(house)
    task = asyncio.create_task(at.ask())
    await until(lambda: house.engines.open == 2)
    await until(lambda: at.page.beside is not None)
    parts = await at.events.stop(at.page, request())
    assert house.engines.open == 0
    assert "Which answer is better?" not in str(parts["past"])
    assert at.page.beside is None
    await task


@pytest.mark.parametrize("chosen", [True, False])
async def test_an_offer_that_ends_leaves_a_page_alone_that_has_turned_away(
    house: House, monkeypatch: pytest.MonkeyPatch, chosen: bool
) -> None:
    at = At(house)
    offers = at.choices._offers if chosen else at.events._offers
    end = offers.end

    def away(offer: Offer) -> None:
        at.page.turn_away()
        at.page.leaf = at.page.beside = None
        end(offer)

    monkeypatch.setattr(offers, "end", away)
    if not chosen:
        # Then it ends by itself.
        house.engines.answer = ""
    await at.ask()
    if chosen:
        assert await at.choose("second") == {}
        assert len(house.store.choices()) == 1
    assert at.page.leaf is None


async def test_an_offer_is_not_shown_on_a_page_that_has_turned_away(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    at, page = At(house), Page()
    await at.ask()
    find = at.events._offers.open

    def away(turn_ids: list[str]) -> Offer | None:
        page.turn_away()
        return find(turn_ids)

    monkeypatch.setattr(at.events._offers, "open", away)
    await at.events.open_chat(page, request(), event(chat=at.page.conversation_id))
    assert (page.leaf, page.beside) == (None, None)


async def test_nobody_chooses_for_others(house: House) -> None:
    at = At(house)
    await at.ask()
    with pytest.raises(NotFound):
        await at.choose("first", "ana")
    assert house.store.choices() == []


async def test_two_answers_are_never_given_where_tools_act(house: House) -> None:
    at = At(house)
    house.chat.has_tools = True
    await at.ask()
    assert len(house.store.turns(at.page.conversation_id or "")) == 1


# -- learning receipts ---------------------------------------------------------------------------------


async def learned(house: House) -> tuple[At, str]:
    """Uwe voted an answer down, and an adapter that learned from it is live."""
    at = At(house)
    at.events._offering = Offering()
    await at.ask()
    turn, account = at.page.leaf or "", house.accounts.get("uwe")
    rating = house.store.judge(turn, account.id, "user", Verdict("down"))
    examples = [{"votes": [f"rating:{rating.id}"], "people": [account.id]}]
    made = Adapter(NAME, Path("/none"), "s", "h", None, 8, datetime.now(UTC), {"examples": examples})
    house.registry.add(made)
    house.registry._write(NAME, "promote", "root", "good", None)
    return at, turn


async def test_whoever_taught_it_sees_old_and_new_and_votes_again(house: House) -> None:
    at, turn = await learned(house)
    page = Page()
    parts = await at.choices.tell(page, request())
    assert "It learned from you" in parts["receipt"]["value"]
    assert "How long?" in parts["receipt"]["value"]
    assert (await at.choices.tell(page, request("ana")))["receipt"]["visible"] is False
    house.engines.answer = "Two days."
    seen = await last(at.events, page, at.choices.open_receipt(page, request()))
    assert seen["receipt"]["visible"] is False
    assert str(seen["past"]).index("Three to four days.") < str(seen["past"]).index("Two days.")
    assert page.leaf not in (None, turn)
    assert house.store.turn(page.leaf or "").adapter == NAME
    # Once, and for good.
    assert (await at.choices.tell(Page(), request()))["receipt"]["visible"] is False
    # After that it is a conversation like any other.
    seen = await last(at.events, page, at.events.ask(page, "Thanks", request()))
    assert "Before" not in seen["past"]


async def test_a_receipt_that_is_closed_does_not_come_back(house: House) -> None:
    at, _turn = await learned(house)
    assert (await at.choices.close_receipt(Page(), request()))["receipt"]["visible"] is False
    assert (await at.choices.tell(Page(), request()))["receipt"]["visible"] is False


async def test_a_receipt_waits_until_the_engine_is_there(house: House) -> None:
    at, turn = await learned(house)
    house.engines.unready = "no engine is ready"
    page = Page()
    seen = await last(at.events, page, at.choices.open_receipt(page, request()))
    assert "No engine is ready" in seen["now"]
    assert page.before is None
    assert house.store.turn(turn).answer
    assert (await at.choices.tell(Page(), request()))["receipt"]["visible"] is True
