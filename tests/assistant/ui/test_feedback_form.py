"""Thumbs and the form behind them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from assistant.ui.chat_events import ChatEvents
from assistant.ui.drafts import Drafts
from assistant.ui.feedback_form import PRAISE, REASONS, FeedbackForm
from assistant.ui.page import Doorman, Page
from assistant.ui.streams import Streams
from feedback.records import FeedbackError, NotFound
from feedback.store import MOST_REASONS, Verdict
from tests.assistant.ui.scripted import House, event, request, until


def written(parts: Any) -> tuple[list[str], str, str]:
    """What stands in the form."""
    return parts["reasons"]["value"], parts["comment"], parts["correction"]["value"]


class Setting:
    """A page with one answer on it, and the handlers."""

    def __init__(self, house: House) -> None:
        self.house, self.page = house, Page()
        self.door = Doorman(house.accounts, "user")
        self.events = ChatEvents(house.chat, self.door, Streams(house.chat), [])
        self.form = FeedbackForm(self.events, house.store, self.door, Drafts())

    async def ask(self) -> None:
        async for _ in self.events.ask(self.page, "How long?", request()):
            pass
        async for _ in self.events.follow(self.page, request()):
            pass

    @property
    def turn(self) -> str:
        assert self.page.leaf is not None
        return self.page.leaf

    @property
    def opinion(self) -> Verdict | None:
        return self.house.store.opinion([self.turn], self.house.accounts.get("uwe").id).get(self.turn)

    async def rate(self, thumb: str) -> dict[str, object]:
        return await self.form.rate(self.page, request(), event(turn=self.turn, thumb=thumb))


@pytest.fixture
async def at(house: House) -> Setting:
    setting = Setting(house)
    await setting.ask()
    return setting


async def test_one_click_saves(at: Setting) -> None:
    parts = await at.rate("up")
    assert at.opinion == Verdict("up", [])
    assert "form" not in parts
    assert 'data-thumb="" aria-pressed="true"' in str(parts["past"])


async def test_a_vote_is_changed_and_taken_back(at: Setting) -> None:
    await at.rate("up")
    await at.rate("down")
    assert at.opinion is not None
    assert at.opinion.thumb == "down"
    await at.rate("")
    assert at.opinion is not None
    assert at.opinion.thumb is None
    await at.rate("sideways")
    assert at.opinion is not None
    assert at.opinion.thumb is None


async def test_a_thumb_down_is_saved_before_the_form_opens(at: Setting) -> None:
    parts = await at.rate("down")
    assert at.opinion == Verdict("down", [])
    assert parts["form"]["visible"] is True  # type: ignore[index]
    assert "Three to four days." in str(parts["about"])
    assert written(parts) == ([], "", "Three to four days.")
    assert "Change the text above" in parts["difference"]["value"]  # type: ignore[index]


async def test_the_form_is_sent_whole(at: Setting) -> None:
    await at.rate("down")
    parts = await at.form.send(at.page, ["tone", "facts"], "curt", "Gladly: four days.", True, request())
    assert at.opinion == Verdict("down", ["facts", "tone"], "curt", "Gladly: four days.")
    assert parts["form"]["visible"] is False
    assert "Your feedback" in parts["past"]


async def test_nothing_is_lost_when_the_form_is_closed(at: Setting) -> None:
    await at.rate("down")
    await at.form.keep(at.page, ["tone"], "half a th", "Gladly", request())
    # The last letters come with the click that closes it; what was typed before may come behind it.
    parts = await at.form.close(at.page, ["tone"], "half a thou", "Gladly", request())
    await at.form.keep(at.page, ["tone"], "half a tho", "Gladly", request())
    assert parts["form"]["visible"] is False
    # Not an opinion yet: nothing is learned from half a thought.
    assert at.opinion == Verdict("down", [])
    # Another page of the same person, as after a reload:
    parts = await at.form.say_more(Page(), request(), event(turn=at.turn))
    assert written(parts) == (["tone"], "half a thou", "Gladly")


async def test_what_was_sent_can_be_changed(at: Setting) -> None:
    await at.rate("down")
    await at.form.send(at.page, ["tone"], "curt", "", True, request())
    parts = await at.form.say_more(at.page, request(), event(turn=at.turn))
    assert written(parts)[:2] == (["tone"], "curt")
    await at.form.send(at.page, [], "", "Better.", True, request())
    assert at.opinion == Verdict("down", [], "", "Better.")


async def test_words_wait_when_the_thumb_is_changed(at: Setting) -> None:
    await at.rate("down")
    await at.form.send(at.page, ["tone"], "curt", "Better.", True, request())
    parts = await at.rate("up")
    assert at.opinion == Verdict("up", [])
    parts = await at.rate("down")
    assert written(parts) == (["tone"], "curt", "Better.")
    assert at.opinion == Verdict("down", [])


async def test_newer_words_wait_rather_than_those_that_were_sent(at: Setting) -> None:
    await at.rate("down")
    await at.form.send(at.page, ["tone"], "curt", "Better.", True, request())
    await at.form.say_more(at.page, request(), event(turn=at.turn))
    await at.form.keep(at.page, ["tone"], "too curt", "Best.", request())
    await at.rate("up")
    assert written(await at.rate("down")) == (["tone"], "too curt", "Best.")


async def test_taking_the_vote_back_closes_the_form(at: Setting) -> None:
    await at.rate("down")
    parts = await at.rate("")
    assert parts["form"]["visible"] is False  # type: ignore[index]
    assert at.page.judging is None


async def test_too_long_a_text_keeps_the_form_open(at: Setting) -> None:
    await at.rate("down")
    parts = await at.form.send(at.page, [], "x" * 5_000, "", True, request())
    assert "at most" in parts["problem"]["value"]
    assert parts["problem"]["visible"] is True
    parts = await at.form.say_more(at.page, request(), event(turn=at.turn))
    assert parts["comment"] == "x" * 5_000


async def test_unknown_reasons_are_dropped(at: Setting) -> None:
    await at.rate("down")
    await at.form.send(at.page, ["tone", "<script>"], "", "", True, request())
    assert at.opinion == Verdict("down", ["tone"])
    assert len(REASONS) <= MOST_REASONS


async def test_the_correction_begins_with_the_answer_and_is_shown_as_a_diff(at: Setting) -> None:
    parts = await at.rate("down")
    assert written(parts)[2] == "Three to four days."
    parts = await at.form.keep(at.page, [], "", "Three to five days.", request())
    assert "four</del>" not in parts["difference"]
    assert "<del>" in parts["difference"]
    assert "five" in parts["difference"]
    # Left as it is it corrects nothing.
    await at.form.send(at.page, ["tone"], "", " Three to four days.", True, request())
    assert at.opinion == Verdict("down", ["tone"])


async def test_a_good_answer_is_praised_and_not_corrected(at: Setting) -> None:
    await at.rate("up")
    parts = await at.form.say_more(at.page, request(), event(turn=at.turn))
    assert "good" in parts["about"]
    assert parts["correction"]["visible"] is False
    assert [value for _, value in parts["reasons"]["choices"]] == [value for _, value in PRAISE]
    await at.form.send(at.page, ["friendly", "tone"], "thanks", "Something else", True, request())
    assert at.opinion == Verdict("up", ["friendly"], "thanks")


async def test_what_was_corrected_is_shown_under_the_answer(at: Setting) -> None:
    await at.rate("down")
    parts = await at.form.send(at.page, [], "", "Three to <b> days.", True, request())
    assert "Your correction" in parts["past"]
    assert "<b>" not in parts["past"]


async def test_without_an_open_form_nothing_is_stored(at: Setting) -> None:
    await at.form.keep(at.page, ["tone"], "x", "y", request())
    await at.form.send(at.page, ["tone"], "x", "y", True, request())
    assert at.opinion is None


@pytest.mark.parametrize("comment", ["curt", "x" * 5_000])
async def test_a_form_that_opens_while_another_is_sent_stays_open(
    at: Setting, monkeypatch: pytest.MonkeyPatch, comment: str
) -> None:
    judge, first = at.house.store.judge, at.turn
    await at.ask()

    def meanwhile(*given: Any) -> Any:
        at.page.judging = at.turn
        return judge(*given)

    await at.form.rate(at.page, request(), event(turn=first, thumb="down"))
    monkeypatch.setattr(at.house.store, "judge", meanwhile)
    sent = at.form.send(at.page, [], comment, "Better.", True, request())
    if comment == "curt":
        assert "form" not in await sent
        assert at.form._drafts.get(at.house.accounts.get("uwe").id, first) is None
    else:
        with pytest.raises(FeedbackError, match="at most"):
            await sent
    assert at.page.judging == at.turn
    assert at.opinion is None
    parts = await at.form.say_more(at.page, request(), event(turn=first))
    assert written(parts) == ([], comment, "Better.")


async def test_what_is_typed_stays_with_its_answer_when_another_form_opens(
    at: Setting, monkeypatch: pytest.MonkeyPatch
) -> None:
    admit, first = at.door.admit, at.turn
    await at.ask()

    async def meanwhile(given: Any) -> Any:
        at.page.judging = at.turn
        return await admit(given)

    for handler in (at.form.keep, at.form.close):
        await at.form.say_more(at.page, request(), event(turn=first))
        with monkeypatch.context() as patch:
            patch.setattr(at.door, "admit", meanwhile)
            assert await handler(at.page, [], handler.__name__, "", request()) == {}
        assert at.page.judging == at.turn
        assert (await at.form.say_more(Page(), request(), event(turn=first)))["comment"] == handler.__name__
        assert (await at.form.say_more(Page(), request(), event(turn=at.turn)))["comment"] == ""


async def test_nobody_judges_for_others(at: Setting) -> None:
    for handler in (at.form.rate, at.form.say_more):
        with pytest.raises(NotFound):
            await handler(Page(), request("ana"), event(turn=at.turn, thumb="down"))
    at.page.judging = at.turn
    parts = await at.form.send(at.page, [], "", "wrong", True, request("ana"))
    assert parts["problem"]["visible"] is True
    assert at.opinion is None


async def test_while_an_answer_is_written_the_others_can_be_judged(at: Setting) -> None:
    first = at.turn
    at.house.engines.holds_after = 1
    task = asyncio.create_task(at.ask())
    await until(lambda: at.events.busy(at.page))
    parts = await at.form.rate(at.page, request(), event(turn=first, thumb="up"))
    assert parts["past"].count("<article") == 1
    at.house.engines.go.set()
    await task
