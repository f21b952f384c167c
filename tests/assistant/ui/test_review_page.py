"""The page for reviews: its handlers over a real desk, and reviews by keyboard alone in a real browser."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from assistant.accounts import AccountError
from assistant.reviewing import ReviewDesk
from assistant.ui import review_page
from assistant.ui.page import Doorman
from assistant.ui.review_page import ReviewEvents, Shown
from feedback.database import Database
from feedback.records import NotFound
from feedback.review_records import Draft, Filters, ReviewSettings
from feedback.store import Store, Verdict
from tests.assistant.ui.browsing import Site
from tests.assistant.ui.scripted import House, event, request
from tests.feedback.reviewed import answered

ANSWER = "On its way."


@pytest.fixture
def desk(house: House, sqlite: Database) -> ReviewDesk:
    for name in ("stella", "sven"):
        house.accounts.add(name, "staff")
    return ReviewDesk(sqlite, house.accounts, ReviewSettings(double_share=0.0))


@pytest.fixture
def events(house: House, desk: ReviewDesk) -> ReviewEvents:
    return ReviewEvents(desk, house.accounts, Doorman(house.accounts, "staff"))


def complained(store: Store, count: int) -> list[str]:
    """So many turns with a thumb down."""
    turns = [answered(store, f"Question {number}?", ANSWER) for number in range(count)]
    for turn in turns:
        store.judge(turn.id, "ann", "user", Verdict("down"))
    return [turn.id for turn in turns]


async def opened(events: ReviewEvents, shown: Shown, name: str = "stella", **query: str) -> dict[str, Any]:
    return await events.load(shown, request(name, **query))


async def test_every_handler_turns_others_away(events: ReviewEvents, house: House) -> None:
    complained(house.store, 1)
    shown = Shown()
    given = {"shown": shown, "which": "1", "correction": "", "comment": "", "state": "", "kind": "",
             "adapter": "", "mine": False}  # fmt: skip
    handlers = [name for name in vars(ReviewEvents) if not name.startswith("_")]
    assert len(handlers) == 11
    for name in handlers:
        handler = getattr(events, name)
        for who in (request("uwe"), request(None)):
            known = {**given, "request": who, "event": event(task="1", verdict="right")}
            with pytest.raises(AccountError):
                await handler(**{part: known[part] for part in inspect.signature(handler).parameters})
    assert shown == Shown()


async def test_a_case_is_decided_and_the_next_one_comes(
    events: ReviewEvents, house: House, desk: ReviewDesk
) -> None:
    turns, shown = complained(house.store, 2), Shown()
    parts = await opened(events, shown)
    assert "The answer in question" in parts["case"]
    assert parts["correction"] == ANSWER
    assert "How to judge an answer" in parts["guideline"]
    which = parts["which"]
    chosen = event(task=which, verdict="right", fault="", exclude="", approve="")
    following = await events.save(shown, which, ANSWER, "", request("stella"), chosen)
    assert following["which"] not in ("", which)
    assert "You: 1 done" in following["progress"]
    last = await events.save(shown, following["which"], ANSWER, "", request("stella"), chosen)
    assert "Nothing to review now." in last["case"]
    assert last["writing"]["visible"] is False
    assert [row.verdict for row in desk.reader.found(turns)] == ["right", "right"]


async def test_what_is_chosen_and_typed_is_there_after_a_reload(
    events: ReviewEvents, house: House, desk: ReviewDesk
) -> None:
    complained(house.store, 1)
    shown = Shown()
    which = (await opened(events, shown))["which"]
    parts = await events.choose(shown, which, ANSWER, "", request("stella"), event(fault="style"))
    # Drawn anew, the button that saves would lose what was pressed meanwhile.
    assert list(parts) == ["trouble"]
    await events.choose(shown, which, ANSWER, "", request("stella"), event(toggle="exclude"))
    parts = await events.keep(shown, which, "On its way!", "too curt", request("stella"))
    assert "<ins>" in parts["diff"]
    again = Shown()
    parts = await opened(events, again)
    assert (parts["which"], parts["correction"], parts["comment"]) == (which, "On its way!", "too curt")
    assert again.draft == Draft("wrong", "style", "On its way!", False, False, "too curt")
    assert "You: 0 done, 1 draft" in parts["progress"]


async def test_what_comes_late_from_the_case_before_changes_nothing(
    events: ReviewEvents, house: House, desk: ReviewDesk
) -> None:
    complained(house.store, 2)
    shown = Shown()
    first = (await opened(events, shown))["which"]
    chosen = event(task=first, verdict="right")
    second = (await events.save(shown, first, ANSWER, "", request("stella"), chosen))["which"]
    assert await events.keep(shown, first, "typed before", "", request("stella")) == {}
    assert await events.choose(shown, first, "", "", request("stella"), event(verdict="wrong")) == {}
    assert await events.save(shown, first, "", "", request("stella"), chosen) == {}
    assert desk.reviews.draft(int(second), house.accounts.get("stella").id) is None


async def test_asked_again_after_a_lost_message_it_shows_where_it_is(
    events: ReviewEvents, house: House, desk: ReviewDesk
) -> None:
    turns, shown = complained(house.store, 3), Shown()
    first = (await opened(events, shown))["which"]
    second = (await events.save(shown, first, ANSWER, "", request("stella"), event(verdict="right")))["which"]
    await events.choose(shown, second, ANSWER, "", request("stella"), event(verdict="invalid"))
    again = event(verdict="right", again="yes")
    parts = await events.save(shown, first, ANSWER, "", request("stella"), again)
    assert parts["which"] == second
    assert 'data-verdict="invalid"' in parts["panel"]
    assert len(desk.reader.found(turns)) == 1
    # A server that has started anew knows no case.
    parts = await events.save(Shown(), first, ANSWER, "", request("stella"), again)
    assert parts["which"] not in ("", first)


async def test_what_is_refused_says_why_and_stays(events: ReviewEvents, house: House) -> None:
    complained(house.store, 1)
    shown = Shown()
    which = (await opened(events, shown))["which"]
    for chosen, words in (
        ({}, "Choose a verdict first"),
        ({"verdict": "wrong"}, "Say what is wrong"),
        ({"verdict": "nonsense"}, "Choose a verdict first"),
    ):
        parts = await events.save(shown, which, ANSWER, "", request("stella"), event(**chosen))
        assert words in parts["trouble"]["value"]
    parts = await events.save(shown, which, "Other.", "", request("stella"), event(verdict="right"))
    assert "needs no correction" in parts["trouble"]["value"]


async def test_undo_brings_the_case_back_as_it_was(
    events: ReviewEvents, house: House, desk: ReviewDesk
) -> None:
    turns, shown = complained(house.store, 2), Shown()
    which = (await opened(events, shown))["which"]
    chosen = event(verdict="wrong", fault="style")
    await events.save(shown, which, "Better.", "", request("stella"), chosen)
    parts = await events.undo(shown, request("stella"))
    assert (parts["which"], parts["correction"]) == (which, "Better.")
    assert 'data-verdict="wrong" data-fault="style"' in parts["panel"]
    assert desk.reader.found(turns) == []
    assert desk.reader.untouched() == 1


async def test_without_anything_to_undo_it_says_so(events: ReviewEvents) -> None:
    assert await events.undo(Shown(), request("stella")) == {}


async def test_skipped_tasks_are_found_in_the_list_and_taken_up(events: ReviewEvents, house: House) -> None:
    complained(house.store, 2)
    shown = Shown()
    which = (await opened(events, shown))["which"]
    assert (await events.skip(shown, which, request("stella")))["which"] != which
    parts = await events.list(shown, "skipped", "", "", True, request("stella"))
    assert parts["tasks"].count("<li>") == 1
    parts = await events.open(shown, request("stella"), event(task=which))
    assert parts["which"] == which
    assert parts["tabs"]["selected"] == "case"
    with pytest.raises(NotFound):
        await events.open(shown, request("stella"), event(task="not a number"))


async def test_an_address_names_a_task(events: ReviewEvents, house: House) -> None:
    complained(house.store, 3)
    first = (await opened(events, Shown()))["which"]
    other = str(int(first) + 1)
    assert (await opened(events, Shown(), task=other))["which"] == other
    assert (await opened(events, Shown(), "sven", task="99999"))["which"] != ""


async def test_two_of_the_staff_never_have_the_same_case(events: ReviewEvents, house: House) -> None:
    complained(house.store, 2)
    stella, sven = Shown(), Shown()
    hers, his = (await opened(events, stella))["which"], (await opened(events, sven, "sven"))["which"]
    assert hers != his
    parts = await events.open(sven, request("sven"), event(task=hers))
    assert "stella has this in hand." in parts["case"]
    assert parts["writing"]["visible"] is False
    assert await events.save(sven, hers, ANSWER, "", request("sven"), event(verdict="right")) == {}
    assert (await events.go_on(sven, request("sven")))["which"] == his


async def test_who_comes_late_with_a_verdict_is_told_and_goes_on(
    events: ReviewEvents, house: House, desk: ReviewDesk
) -> None:
    complained(house.store, 2)
    shown = Shown()
    which = (await opened(events, shown))["which"]
    desk.reviews.put_back(int(which), house.accounts.get("stella").id)
    desk.reviews.open(int(which), house.accounts.get("sven").id)
    parts = await events.save(shown, which, ANSWER, "", request("stella"), event(verdict="right"))
    assert parts["which"] not in ("", which)


async def test_saving_what_was_not_changed_writes_no_row(
    events: ReviewEvents, house: House, desk: ReviewDesk
) -> None:
    turns, shown = complained(house.store, 1), Shown()
    which = (await opened(events, shown))["which"]
    chosen = event(verdict="right")
    await events.save(shown, which, ANSWER, "", request("stella"), chosen)
    await events.open(shown, request("stella"), event(task=which))
    await events.save(shown, which, ANSWER, "", request("stella"), chosen)
    assert len(desk.reader.history(turns[0])) == 1


async def test_the_list_is_filtered_and_grows(events: ReviewEvents, house: House) -> None:
    complained(house.store, 60)
    shown = Shown()
    await opened(events, shown)
    parts = await events.list(shown, "", "", "", False, request("stella"))
    assert "Show more" in parts["tasks"]
    assert ("base", "base") in parts["adapter"]["choices"]
    assert "Show more" not in (await events.more(shown, request("stella")))["tasks"]
    parts = await events.list(shown, "<b>", "none", "lora-x", False, request("stella"))
    assert "No task is like that." in parts["tasks"]


async def test_agreement_is_drawn(events: ReviewEvents) -> None:
    assert "No answer has been seen by two yet." in (await events.agree(request("stella")))["agreement"]


def test_the_configuration_holds_no_data(desk: ReviewDesk, house: House) -> None:
    complained(house.store, 1)
    assert "Question 0" not in str(review_page.build(desk, house.accounts).get_config_file())


# -- in a browser

PICTURES = os.environ.get("APPRENTICE_PICTURES")
LONG = (
    "Delivery to **Austria** takes:\n\n1. three days to Vienna\n2. four days elsewhere\n\nIt costs 4 euros."
)


def take(page: Any, name: str) -> None:
    """A picture for whoever wants to look at it."""
    if PICTURES:
        page.wait_for_timeout(300)
        page.screenshot(path=Path(PICTURES) / f"{name}.png", full_page=True)


def furnish(site: Site) -> list[str]:
    """Turns to be reviewed: with passages, with comments, plain."""
    store = site.house.store
    passage = {"number": 1, "kind": "document", "id": "psg-1", "source": "doc-1",
               "title": "Shipping › Austria", "score": 0.74, "page": 2, "audience": "",
               "text": "Parcels to Austria take 3 to 4 days. Shipping costs 4 euros."}  # fmt: skip
    turns = [
        answered(store, "How long does delivery to Austria take?", LONG + " [1]", adapter="lora-3fa9c1d07e52",
                 searched="How long does delivery to Austria take?", passages=[passage]),
        answered(store, "Is the return free?", "Look it up. Returns are on the website."),
        answered(store, "When is the store in Hamburg open?", "Our store in Hamburg is open from 10 to 19."),
        answered(store, "Do you sell kayaks?", "Gladly! We have red ones."),
    ]  # fmt: skip
    for turn in turns:
        store.judge(turn.id, "ann", "user", Verdict("down"))
    store.judge(turns[3].id, "ann", "user", Verdict("down", ["facts"], "You have no kayaks at all."))
    return [turn.id for turn in turns]


def waited(page: Any, before: str) -> str:
    """The case after that of `before`."""
    from playwright.sync_api import TimeoutError as TookTooLong

    try:
        page.wait_for_function(
            "before => { const one = document.querySelector('#review-save');"
            " return one && one.dataset.task !== before }",
            arg=before,
        )
    except TookTooLong:
        pytest.fail(f"it stays at {before!r}: {page.locator('body').inner_text()}")
    return str(page.locator("#review-save").get_attribute("data-task"))


@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_three_answers_by_keyboard_alone(site: Site, open_page: Callable[..., Any], scheme: str) -> None:
    furnish(site)
    name = f"stella-{scheme}"
    site.session(name, "staff")
    page = open_page("/review/", name=name, color_scheme=scheme)
    keys = page.keyboard
    first = waited(page, "")
    take(page, f"review-{scheme}")
    keys.press("?")
    page.get_by_role("dialog").wait_for()
    take(page, f"review-help-{scheme}")
    keys.press("Escape")
    page.get_by_role("dialog").wait_for(state="detached")
    # 1: right, in one breath
    keys.press("1")
    keys.press("n")
    second = waited(page, first)
    # 2: wrong without saying what is refused, then said, corrected and commented on
    keys.press("2")
    keys.press("n")
    page.get_by_text("Say what is wrong with it").wait_for()
    keys.press("4")
    keys.press("e")
    page.wait_for_function("document.activeElement.closest('#review-correction')")
    keys.press("Control+End")
    keys.type(" Thank you for asking!")
    page.locator("#review-diff ins").first.wait_for()
    keys.press("Escape")
    keys.press("c")
    page.wait_for_function("document.activeElement.closest('#review-comment')")
    keys.type("too curt")
    take(page, f"review-correction-{scheme}")
    keys.press("Control+Enter")
    third = waited(page, second)
    # 3: an invalid vote on second thoughts, kept from training, in one breath; undone and saved again
    for key in "13in":
        keys.press(key)
    fourth = waited(page, third)
    keys.press("u")
    assert waited(page, fourth) == third
    page.locator('#review-panel [data-key="3"][aria-pressed="true"]').wait_for()
    page.locator('#review-panel [data-key="i"][aria-pressed="true"]').wait_for()
    keys.press("n")
    waited(page, third)
    person = site.house.accounts.get(name).id
    listed = site.reviews.reader.listed(person, Filters(mine=True), 50)
    ids = [one.task.turn_id for one in listed]
    found = [row for row in site.reviews.reader.found(ids) if row.person_id == person]
    told = [(row.verdict, row.fault, row.include, row.comment) for row in found]
    assert told == [
        ("right", None, True, ""),
        ("wrong", "style", True, "too curt"),
        ("invalid", None, False, ""),
    ]
    assert found[1].correction.endswith(" Thank you for asking!")
    page.get_by_text("You: 3 done").wait_for()


@pytest.mark.browser
@pytest.mark.parametrize("lost", ["question", "answer"])
def test_a_lost_message_costs_a_moment_and_no_verdict(
    site: Site, open_page: Callable[..., Any], lost: str
) -> None:
    furnish(site)
    name = f"sven-{lost}"
    site.session(name, "staff")
    page = open_page("/review/", name=name)
    first = waited(page, "")
    losses = []

    def lose(route: Any) -> None:
        if losses or '"key":"n"' not in route.request.post_data:
            return route.continue_()
        losses.append(lost)
        if lost == "answer":
            route.fetch()
        return route.fulfill(json={"event_id": "another"})

    page.route("**/queue/join*", lose)
    page.keyboard.press("1")
    page.keyboard.press("n")
    second = waited(page, first)
    assert losses
    page.keyboard.press("3")
    page.keyboard.press("n")
    waited(page, second)
    person = site.house.accounts.get(name).id
    listed = [one.task.turn_id for one in site.reviews.reader.listed(person, Filters(mine=True), 50)]
    found = [row for row in site.reviews.reader.found(listed) if row.person_id == person]
    assert sorted(row.verdict for row in found) == ["invalid", "right"]


@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_list_and_agreement_by_hand(site: Site, open_page: Callable[..., Any], scheme: str) -> None:
    furnish(site)
    page = open_page("/review/", name="root", color_scheme=scheme)
    waited(page, "")
    page.get_by_role("tab", name="All tasks").click()
    page.locator("#review-tasks li").first.wait_for()
    take(page, f"review-list-{scheme}")
    link = page.locator("#review-tasks li a").last
    wanted = link.get_attribute("data-task")
    link.click()
    page.wait_for_function(
        "wanted => document.querySelector('#review-panel [data-task]')?.dataset.task === wanted "
        "|| document.querySelector('[data-act=review_next]')",
        arg=wanted,
    )
    page.get_by_role("tab", name="Agreement").click()
    page.locator("#agreement").get_by_text("seen by two").or_(page.get_by_text("seen twice")).first.wait_for()
    take(page, f"review-agreement-{scheme}")


@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_on_a_phone_nothing_stands_out_of_the_page(
    site: Site, open_page: Callable[..., Any], scheme: str
) -> None:
    furnish(site)
    page = open_page("/review/", viewport={"width": 390, "height": 844}, color_scheme=scheme)
    waited(page, "")
    take(page, f"review-phone-{scheme}")
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    page.get_by_role("tab", name="All tasks").click()
    page.locator("#review-tasks li").first.wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") == 390
