"""The chat page in a real browser, from the link of the first start to a corrected answer; and its wiring."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from assistant.errors import EngineInterrupted
from assistant.ui import chat_page
from tests.assistant.test_grounds import hit
from tests.assistant.ui.browsing import Site
from tests.assistant.ui.scripted import PASSWORD, House

LONG = " ".join(f"word{number}" for number in range(60))
EVENTS = {"open_chat", "show_turn", "ask_example", "answer_again", "edit_question", "rate", "say_more"}


def test_the_configuration_holds_no_data(house: House) -> None:
    house.store.start_conversation(house.accounts.get("uwe").id, "my secret")
    config = str(chat_page.build(house.chat, house.accounts).get_config_file())
    assert "secret" not in config
    assert "uwe" not in config
    assert "conv-" not in config


def test_every_event_of_the_script_is_listened_to(house: House) -> None:
    blocks = chat_page.build(house.chat, house.accounts)
    heard = {event for function in blocks.fns.values() for _, event in function.targets}
    assert {
        "open_chat",
        "show_turn",
        "ask_example",
        "answer_again",
        "edit_question",
        "rate",
        "say_more",
        "switch_documents",
        "switch_learning",
        "older_chats",
        "pin_chat",
        "rename_chat",
        "delete_chat",
        "leave_row",
        "choose",
        "open_receipt",
        "close_receipt",
    } <= heard


# -- in the browser ------------------------------------------------------------------------------------


def ask(page: Any, text: str) -> None:
    box = page.locator("#box textarea")
    box.fill(text)
    page.keyboard.press("Enter")


def answered(page: Any, count: int = 1) -> None:
    """Wait until so many answers stand there and none is being written."""
    page.locator("#send").wait_for()
    page.locator(f"#past .turn >> nth={count - 1}").wait_for()
    page.locator("#now .turn").wait_for(state="detached")


@pytest.mark.browser
def test_the_first_start(site: Site, open_page: Callable[..., Any]) -> None:
    site.forget_everybody()
    page = open_page(f"/setup?token={site.house.accounts.first_link()}", name=None)
    page.get_by_label("Name").fill("root")
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_label("The same password again").fill(PASSWORD)
    page.get_by_role("button", name="Create account").click()
    page.get_by_role("heading", name="How can I help?").wait_for()
    assert page.get_by_text("root").first.is_visible()
    page.get_by_role("link", name="Admin", exact=True).click()
    page.get_by_role("heading", name="Notices").wait_for()
    page.get_by_role("button", name="Sign out").click()
    page.get_by_role("heading", name="Sign in").wait_for()
    page.goto(site.url + "/admin")
    assert "/login?next=/admin" in page.url
    page.get_by_label("Name").fill("root")
    page.get_by_label("Password").fill(PASSWORD)
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="Notices").wait_for()


@pytest.mark.browser
def test_an_answer_streams_is_stopped_and_asked_for_again(site: Site, open_page: Callable[..., Any]) -> None:
    engines, page = site.house.engines, open_page()
    engines.answer, engines.pause = LONG, 0.05
    page.get_by_role("heading", name="How can I help?").wait_for()
    page.locator(".example").first.click()
    page.locator("#now .said", has_text="word3").wait_for()
    assert page.locator("#stop").is_visible()
    page.keyboard.press("Escape")
    page.locator(".tag", has_text="stopped").wait_for()
    assert engines.open == 0
    assert "word59" not in page.locator("#past").inner_text()
    address = page.url
    assert re.search(r"/\?chat=conv-", address)

    engines.answer, engines.pause = "**Three** days.", 0.0
    page.get_by_role("button", name="Answer again").click()
    page.get_by_role("group", name="answer 2 of 2").wait_for()
    assert page.locator(".said strong").inner_text() == "Three"
    page.get_by_role("button", name="Earlier answer").click()
    page.get_by_role("group", name="answer 1 of 2").wait_for()
    assert "word1" in page.locator(".said").inner_text()
    page.get_by_role("button", name="Later answer").click()
    page.get_by_role("group", name="answer 2 of 2").wait_for()
    assert page.locator(".meta", has_text="base").is_visible()
    assert page.locator("#history a[aria-current]").count() == 1


@pytest.mark.browser
def test_a_thumb_its_form_and_a_reload(site: Site, open_page: Callable[..., Any]) -> None:
    page = open_page()
    ask(page, "How long?")
    answered(page)
    # Nothing is no question, and changes nothing.
    ask(page, " ")
    page.wait_for_timeout(500)
    page.get_by_role("button", name="Good answer").click()
    page.locator(".thumb[aria-pressed=true][aria-label='Good answer']").wait_for()
    page.get_by_role("button", name="Bad answer").click()
    page.locator("#form").wait_for()
    page.locator("#reasons label", has_text="Unfriendly").click()
    page.get_by_label("In your own words").fill("too curt")
    correction = page.get_by_label("What it should have said")
    page.wait_for_function("document.querySelector('#correction textarea').value !== ''")
    correction.press("End")
    page.keyboard.type(" Or five.")
    page.locator("#difference ins").wait_for()
    # Closed by the key, opened again: nothing is lost.
    page.keyboard.press("Escape")
    page.locator("#form").wait_for(state="hidden")
    page.get_by_role("button", name="Tell us more").click()
    page.locator("#form").wait_for()
    assert correction.input_value() == site.house.engines.answer + " Or five."
    # What is deleted or pasted without a key that makes a letter is shown, too.
    correction.press("End")
    for _ in range(len(" Or five.")):
        page.keyboard.press("Backspace")
    page.locator("#difference ins").wait_for(state="detached")
    correction.fill("Gladly: three to four days.")
    page.locator("#difference ins", has_text="Gladly").wait_for()
    page.get_by_role("button", name="Send feedback").click()
    page.get_by_role("button", name="Your feedback").wait_for()
    page.reload()
    page.locator(".thumb[aria-pressed=true][aria-label='Bad answer']").wait_for()
    [judged] = site.house.store.judged()
    assert (judged.ratings[0].thumb, judged.ratings[0].reasons) == ("down", ["tone"])
    assert judged.ratings[0].comment == "too curt"
    assert judged.corrections[0].text == "Gladly: three to four days."
    page.get_by_role("button", name="Bad answer").click()
    page.locator(".thumb[aria-pressed=true]").wait_for(state="detached")


@pytest.mark.browser
def test_an_edit_is_a_branch_and_the_list_leads_back(site: Site, open_page: Callable[..., Any]) -> None:
    page = open_page()
    ask(page, "Is <b>this</b> text?")
    answered(page)
    assert page.locator(".bubble").inner_text() == "Is <b>this</b> text?"
    page.locator(".question").hover()
    page.get_by_role("button", name="Edit your message").click()
    page.locator("#editing").wait_for()
    page.locator("#box textarea").fill("one line")
    page.keyboard.press("Shift+Enter")
    page.keyboard.type("and another")
    page.keyboard.press("Enter")
    page.get_by_role("group", name="version of your message 2 of 2").wait_for()
    assert page.locator(".bubble").inner_text() == "one line\nand another"
    page.locator("#box textarea").press_sequentially("not sent yet")
    page.reload()
    page.wait_for_function("document.querySelector('#box textarea')?.value === 'not sent yet'")
    page.get_by_role("button", name="Earlier version of your message").click()
    page.locator(".bubble", has_text="Is <b>this</b> text?").wait_for()
    first = page.url
    page.get_by_role("link", name="New chat").click()
    page.get_by_role("heading", name="How can I help?").wait_for()
    assert page.url == site.url + "/"
    page.go_back()
    page.locator(".bubble").wait_for()
    assert page.url == first


@pytest.mark.browser
def test_what_goes_wrong_is_said_in_words(site: Site, open_page: Callable[..., Any]) -> None:
    engines, page = site.house.engines, open_page()
    engines.unready = "no engine is ready: it is starting"
    ask(page, "How long?")
    page.get_by_text("No engine is ready: it is starting.").wait_for()
    # It stays there when everything that follows the question has run its course.
    page.wait_for_timeout(500)
    assert page.get_by_text("No engine is ready: it is starting.").is_visible()
    assert page.locator("#box textarea").input_value() == "How long?"
    engines.unready = None
    page.get_by_role("button", name="Try again").click()
    answered(page)
    engines.breaks, engines.breaks_after = EngineInterrupted("the engine went away"), 2
    ask(page, "And now?")
    page.get_by_text("The answer broke off. The engine went away.").wait_for()
    engines.breaks = None
    page.get_by_role("button", name="Try again").click()
    page.get_by_role("group", name="answer 2 of 2").wait_for()


@pytest.mark.browser
def test_an_answer_goes_on_while_its_page_is_away(site: Site, open_page: Callable[..., Any]) -> None:
    engines, page = site.house.engines, open_page()
    engines.answer, engines.pause = LONG, 0.05
    ask(page, "Tell me all")
    page.locator("#now .said", has_text="word3").wait_for()
    page.reload()
    page.locator("#now .said", has_text="word9").wait_for()
    page.get_by_role("link", name="New chat").click()
    page.get_by_role("heading", name="How can I help?").wait_for()
    assert page.locator("#now .turn").count() == 0
    engines.pause = 0.0
    page.locator("#history a", has_text="Tell me all").first.click()
    page.locator("#past .said", has_text="word59").wait_for()


@pytest.mark.browser
def test_on_a_phone_the_list_is_a_drawer(site: Site, open_page: Callable[..., Any]) -> None:
    page = open_page(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    page.get_by_role("heading", name="How can I help?").wait_for()
    assert not page.locator("#side").is_visible()
    page.get_by_role("button", name="Show or hide the list").tap()
    page.locator("#history a").first.tap()
    page.locator(".bubble").first.wait_for()
    page.locator("#side").wait_for(state="hidden")
    wide = page.evaluate("document.documentElement.scrollWidth > innerWidth")
    assert not wide
    box = page.locator("#composer").bounding_box()
    assert box["y"] + box["height"] <= 844


@pytest.mark.browser
@pytest.mark.parametrize(("scheme", "dark"), [("light", False), ("dark", True)])
def test_light_and_dark_follow_the_system(open_page: Callable[..., Any], scheme: str, dark: bool) -> None:
    page = open_page(color_scheme=scheme)
    page.get_by_role("heading", name="How can I help?").wait_for()
    ground = page.evaluate("getComputedStyle(document.getElementById('shell')).backgroundColor")
    assert (sum(int(part) for part in re.findall(r"\d+", ground)[:3]) < 200) is dark


@pytest.mark.browser
def test_the_keyboard_reaches_everything(site: Site, open_page: Callable[..., Any]) -> None:
    page = open_page()
    page.get_by_role("heading", name="How can I help?").wait_for()
    ask(page, "How long?")
    answered(page)
    page.evaluate("document.activeElement.blur()")
    seen = set()
    for _ in range(60):
        page.keyboard.press("Tab")
        name = page.evaluate(
            "(e => e.ariaLabel || e.innerText.trim() || e.placeholder || '')(document.activeElement)"
        )
        outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        if page.evaluate("document.activeElement !== document.body") and name != "Ask a question":
            assert outline != "none", f"{name} can't be seen when it has the focus"
        seen.add(name)
    assert {"New chat", "Copy your message", "Edit your message", "Copy the answer", "Answer again"} <= seen
    assert {"Good answer", "Bad answer", "Ask a question", "Send", "Sign out", "Admin"} <= seen
    page.keyboard.press("Control+Shift+O")
    page.get_by_role("heading", name="How can I help?").wait_for()


@pytest.mark.browser
def test_two_people_at_once_see_their_own(site: Site, open_page: Callable[..., Any]) -> None:
    if not any(account.name == "eva" for account in site.house.accounts.all()):
        site.house.accounts.add("eva", "user", PASSWORD)
    site.house.engines.answers = {"mine": "for root", "hers": "for eva"}
    site.house.engines.pause = 0.1
    one = open_page()
    two = open_page("/login", name=None)
    two.get_by_label("Name").fill("eva")
    two.get_by_label("Password").fill(PASSWORD)
    two.keyboard.press("Enter")
    two.get_by_text("Your conversations will be listed here.").wait_for()
    ask(one, "mine")
    ask(two, "hers")
    answered(one)
    answered(two)
    assert one.locator(".said").inner_text() == "for root"
    assert two.locator(".said").inner_text() == "for eva"
    assert two.locator("#history a").count() == 1
    assert two.get_by_role("link", name="Admin").count() == 0
    # Somebody else's conversation is as good as none.
    two.goto(one.url)
    two.get_by_role("heading", name="How can I help?").wait_for()


@pytest.mark.browser
def test_sources_open_by_key_and_by_mark_and_documents_can_be_switched_off(
    site: Site, open_page: Callable[..., Any]
) -> None:
    site.house.shelf.empty, site.house.shelf.hits = False, [hit(1), hit(2, "Norway: 9 days.")]
    site.house.engines.answers = {"How long does it take?": "It takes 3 days [1]."}
    page = open_page("/")
    switch = page.get_by_role("switch", name="Documents")
    switch.wait_for()
    ask(page, "How long does it take?")
    answered(page)
    listed = page.locator("details.sources")
    assert not page.get_by_text("Norway: 9 days.").is_visible()
    page.locator(".sources summary").focus()
    page.keyboard.press("Enter")
    page.get_by_text("Norway: 9 days.").wait_for()
    # It stays open when the conversation is drawn again.
    page.get_by_role("button", name="Good answer").click()
    page.locator(".thumb[aria-pressed=true]").wait_for()
    assert listed.get_attribute("open") is not None
    page.locator(".sources summary").click()
    page.get_by_role("link", name="Source 1").click()
    page.wait_for_function("document.activeElement.id.startsWith('source-')")
    assert page.get_by_text("It takes 3 days.", exact=True).is_visible()
    assert "chat=" in page.url
    assert "#" not in page.url

    assert switch.get_attribute("aria-checked") == "true"
    switch.focus()
    page.keyboard.press("Space")
    page.locator(".switch[aria-checked=false]").wait_for()
    ask(page, "How long to Norway?")
    answered(page, 2)
    assert listed.count() == 1
    page.reload()
    page.locator(".switch[aria-checked=false]").wait_for()


@pytest.mark.browser
def test_on_a_phone_the_switch_is_large_and_sources_do_not_scroll_sideways(
    site: Site, open_page: Callable[..., Any]
) -> None:
    site.house.shelf.empty, site.house.shelf.hits = False, [hit(1, "long" * 100)]
    page = open_page("/", viewport={"width": 390, "height": 800})
    ask(page, "How long does it take?")
    answered(page)
    page.locator(".sources summary").click()
    page.locator(".sources li").first.wait_for()
    assert page.get_by_role("switch", name="Documents").bounding_box()["height"] >= 44
    assert page.evaluate("document.getElementById('talk').scrollWidth <= innerWidth")
