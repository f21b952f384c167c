"""The chat page in a real browser: the list, two answers, receipts, consent, and what axe-core finds."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe

from feedback.store import Verdict
from tests.assistant.ui.browsing import Site
from tests.assistant.ui.test_chat_page import LONG, answered, ask
from training.records import Adapter

pytestmark = pytest.mark.browser
NAME = "lora-0123456789ab"


def serious(page: Any) -> list[str]:
    """What axe-core calls serious or critical, in one line each."""
    found = Axe().run(page).response["violations"]
    return [
        f"{one['id']}: {one['help']}: {one['nodes'][0]['html'][:200]}"
        for one in found
        if one["impact"] in ("serious", "critical")
    ]


def start(open_page: Callable[..., Any], name: str, **options: Any) -> Any:
    """The page of somebody who has not been here before."""
    page = open_page(name=name, **options)
    page.get_by_role("heading", name="How can I help?").wait_for()
    return page


def test_a_question_that_is_typed_early_is_not_lost(site: Site, open_page: Callable[..., Any]) -> None:
    page = open_page(name="early")
    box = page.locator("#box textarea")
    box.wait_for()
    # Whenever the box takes something, the page listens: pressed once, it is asked.
    box.fill("How long?")
    box.press("Enter")
    answered(page)
    assert page.locator(".bubble").inner_text() == "How long?"
    page.reload()
    page.wait_for_function("document.activeElement === document.querySelector('#box textarea')")


def test_a_chat_is_found_named_pinned_and_deleted(site: Site, open_page: Callable[..., Any]) -> None:
    page = start(open_page, "lister")
    site.house.engines.answers = {"Which tent?": "The Fjell 2.", "How long?": "Three days."}
    for question in ("Which tent?", "How long?"):
        ask(page, question)
        answered(page)
        page.wait_for_timeout(450)
        page.get_by_role("link", name="New chat").click()
        page.get_by_role("heading", name="How can I help?").wait_for()
    page.keyboard.press("Control+k")
    page.keyboard.type("fjell")
    page.get_by_role("heading", name="1 chat").wait_for()
    assert page.locator("#history small").inner_text() == "The Fjell 2."
    page.get_by_label("Search your conversations").fill("")
    page.locator("#history a", has_text="How long?").wait_for()

    row = page.locator("#history li", has_text="Which tent?")
    row.get_by_label("More for Which tent?").focus()
    page.keyboard.press("Enter")
    row.get_by_role("button", name="Rename").click()
    page.get_by_label("Title").wait_for()
    page.wait_for_function("document.activeElement.name === 'title'")
    page.keyboard.type("Camping")
    page.keyboard.press("Enter")
    page.locator("#history a", has_text="Camping").wait_for()
    row = page.locator("#history li", has_text="Camping")
    row.hover()
    row.get_by_label("More for Camping").click()
    row.get_by_role("button", name="Pin").click()
    page.get_by_role("heading", name="Pinned").wait_for()
    row.hover()
    row.get_by_label("More for Camping").click()
    row.get_by_role("button", name="Delete").click()
    page.get_by_text("This can't be undone.").wait_for()
    assert serious(page) == []
    page.keyboard.press("Escape")
    page.get_by_text("This can't be undone.").wait_for(state="detached")
    row.hover()
    row.get_by_label("More for Camping").click()
    row.get_by_role("button", name="Delete").click()
    page.locator(".row-form").get_by_role("button", name="Delete").click()
    page.locator("#history a", has_text="Camping").wait_for(state="detached")
    assert page.locator("#history a").count() == 1


def test_of_two_answers_one_is_chosen_blind(
    site: Site, open_page: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    engines = site.house.engines
    page = start(open_page, "chooser")
    monkeypatch.setattr(random, "random", lambda: 0.0)
    engines.answer, engines.pause = LONG, 0.02
    ask(page, "How long?")
    page.locator("#now .side", has_text="word5").nth(1).wait_for()
    page.get_by_role("button", name="B is better").wait_for()
    assert page.locator("#past .meta").count() == 0
    assert serious(page) == []
    page.reload()
    page.get_by_role("button", name="B is better").click()
    page.get_by_role("group", name="of 2").wait_for()
    [choice] = [
        one for one in site.house.store.choices() if one.person_id == site.house.accounts.get("chooser").id
    ]
    assert choice.preference == "second"
    assert choice.second_turn_id == page.locator("#past .turn").get_attribute("data-turn")


def test_whoever_taught_it_is_shown_what_changed(site: Site, open_page: Callable[..., Any]) -> None:
    house = site.house
    page = start(open_page, "teacher")
    ask(page, "How long?")
    answered(page)
    account = house.accounts.get("teacher")
    turn = page.locator("#past .turn").get_attribute("data-turn")
    rating = house.store.judge(turn, account.id, "user", Verdict("down"))
    examples = [{"votes": [f"rating:{rating.id}"], "people": [account.id]}]
    house.registry.add(
        Adapter(NAME, Path("/none"), "s", "h", None, 8, datetime.now(UTC), {"examples": examples})
    )
    house.registry._write(NAME, "promote", "root", "good", None)
    house.engines.answer = "Two days, and gladly."
    page.goto(site.url)
    page.get_by_text("It learned from you.").wait_for()
    assert serious(page) == []
    page.get_by_role("button", name="Show me").click()
    page.locator("#past .side", has_text="Two days, and gladly.").wait_for()
    assert page.locator("#past .side").first.inner_text().endswith("Three to four days.")
    page.get_by_role("button", name="Good answer").click()
    page.locator(".thumb[aria-pressed=true]").wait_for()
    assert serious(page) == []
    page.goto(site.url)
    page.get_by_role("heading", name="How can I help?").wait_for()
    page.wait_for_timeout(300)
    assert not page.get_by_text("It learned from you.").is_visible()
    house.registry._write(None, "rollback", "root", "the test is over", None)


def test_one_click_keeps_a_chat_out_of_training(site: Site, open_page: Callable[..., Any]) -> None:
    page = start(open_page, "private")
    ask(page, "My secret")
    answered(page)
    page.get_by_role("button", name="Do not learn from this chat").click()
    page.get_by_text("Nothing is trained on this chat").wait_for()
    page.get_by_role("button", name="Good answer").click()
    page.locator(".thumb[aria-pressed=true]").wait_for()
    page.reload()
    page.get_by_text("Nothing is trained on this chat").wait_for()
    mine = site.house.accounts.get("private").id
    assert [one.learned_from for one in site.house.store.judged() if one.turn.person_id == mine] == [False]
    page.get_by_role("button", name="Learn from it again").click()
    page.get_by_role("button", name="Do not learn from this chat").wait_for()
    assert [one.learned_from for one in site.house.store.judged() if one.turn.person_id == mine] == [True]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_axe_finds_nothing_serious(
    site: Site, open_page: Callable[..., Any], scheme: str, width: int
) -> None:
    site.house.engines.answer = "**Three** days.\n\n```\ncode\n```\n\n| a | b |\n|---|---|\n| 1 | 2 |"
    page = start(open_page, "axe", color_scheme=scheme, viewport={"width": width, "height": 800})
    assert serious(page) == []
    ask(page, "How long?")
    answered(page)
    page.get_by_role("button", name="Bad answer").click()
    page.locator("#form").wait_for()
    assert serious(page) == []
    assert not page.evaluate("document.documentElement.scrollWidth > innerWidth")
