"""The people of the admin page: what is drawn, and what the handlers do and refuse."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from assistant.accounts import AccountError
from assistant.people import People
from assistant.ui import people_view as view
from assistant.ui.page import Doorman
from assistant.ui.people_view import Looking, PeopleEvents
from tests.assistant.ui.browsing import Site
from tests.assistant.ui.scripted import PASSWORD, House, event, request


@pytest.fixture
def people(house: House) -> People:
    return People(house.accounts)


@pytest.fixture
def events(people: People) -> PeopleEvents:
    return PeopleEvents(people, Doorman(people.accounts, "admin"))


def admin() -> Any:
    return SimpleNamespace(username="ana", query_params={}, headers={"origin": "https://here"})


def test_names_and_labels_are_escaped(people: People) -> None:
    people.new_key(people.accounts.get("uwe"), "<img src=x>")
    one = people.person("uwe")
    drawn = view.detail(one, people.keys(one.account)) + view.link("<b>", "/password?token=<i>")
    assert "&lt;img src=x&gt;" in drawn
    assert not re.search(r"<(img|i|b>&lt;)", drawn.replace("<b>A link", ""))


def test_a_list_says_what_part_of_it_is_shown(people: People) -> None:
    found, _ = people.page()
    assert "51–52 of 200 people" in view.table(found, 200, 50)
    assert 'data-act="people_more" data-after="100"' in view.table(found, 200, 50)
    assert 'data-after="0"' in view.table(found, 200, 50)
    assert "people_more" not in view.table(found, 2, 0)
    assert "Nobody" in view.table([], 0, 0)


async def test_everybody_is_shown_and_nobody_chosen(events: PeopleEvents) -> None:
    parts = await events.load(Looking(), admin())
    assert "ana" in parts["people"]
    assert "uwe" in parts["people"]
    assert parts["person"] == ""


async def test_who_waits_is_counted_and_approved(events: PeopleEvents, people: People) -> None:
    people.sign_up("wim", PASSWORD)
    looking = Looking()
    parts = await events.show(looking, admin(), event(which="pending"))
    assert "Waiting (1)" in parts["filters"]
    assert "uwe" not in parts["people"]
    parts = await events.open(looking, admin(), event(name="wim"))
    assert "person_approve" in parts["person"]
    await events.approve(looking, admin(), event(name="wim"))
    assert people.accounts.sign_in("wim", PASSWORD)


async def test_an_account_is_made_with_a_link(events: PeopleEvents, people: People) -> None:
    parts = await events.invite(Looking(), " mia ", "staff", "sales, , shop", admin())
    (token,) = re.findall(r"<code>https://here/password\?token=([\w-]+)</code>", parts["link"])
    found = people.by_link(token)
    assert found is not None
    assert (found.name, found.role, found.groups) == ("mia", "staff", ("sales", "shop"))
    with pytest.raises(AccountError, match="already"):
        await events.invite(Looking(), "mia", "staff", "", admin())
    with pytest.raises(AccountError, match="no role"):
        await events.invite(Looking(), "eve", "root", "", admin())


async def test_levers(events: PeopleEvents, people: People) -> None:
    looking, uwe = Looking(chosen="uwe"), people.accounts.get("uwe")
    session, key = people.accounts.new_session(uwe), people.new_key(uwe, "script")
    await events.end_key(looking, admin(), event(name="uwe", key=people.keys(uwe)[0].id))
    assert people.accounts.by_key(key) is None
    await events.end_sessions(looking, admin(), event(name="uwe"))
    assert people.accounts.by_session(session) is None
    await events.save(looking, "staff", "b,a", admin())
    changed = people.accounts.get("uwe")
    assert (changed.role, changed.groups) == ("staff", ("a", "b"))
    parts = await events.make_link(looking, admin(), event(name="uwe"))
    assert "https://here/password?token=" in parts["link"]
    # A link is shown once.
    assert (await events.load(looking, admin()))["link"] == ""
    parts = await events.disable(looking, admin(), event(name="uwe"))
    assert "Let in again" in parts["person"]
    assert not people.accounts.get("uwe").open
    await events.enable(looking, admin(), event(name="uwe"))
    assert people.accounts.get("uwe").open


async def test_nobody_locks_themselves_out(events: PeopleEvents) -> None:
    with pytest.raises(AccountError, match="another admin can"):
        await events.disable(Looking(), admin(), event(name="ana"))
    with pytest.raises(AccountError, match="only admin"):
        await events.save(Looking(chosen="ana"), "user", "", admin())
    with pytest.raises(AccountError, match="choose somebody first"):
        await events.save(Looking(), "user", "", admin())


async def test_what_a_browser_makes_up_is_nothing(events: PeopleEvents) -> None:
    looking = Looking()
    await events.show(looking, admin(), event(which="<b>"))
    await events.more(looking, admin(), event(after="-5"))
    assert (looking.which, looking.after) == ("all", 0)
    assert "uwe" not in (await events.search(looking, "=ana", admin()))["people"]


async def test_who_was_chosen_and_is_gone_is_chosen_no_more(events: PeopleEvents, people: People) -> None:
    looking = Looking(chosen="uwe")
    people.accounts.delete("uwe")
    assert (await events.load(looking, admin()))["person"] == ""


@pytest.mark.parametrize("name", [None, "uwe"])
async def test_none_of_it_is_for_others(events: PeopleEvents, name: str | None) -> None:
    who, nothing = request(name), event(name="ana", key="x", which="all", after="0")
    for handler in (
        events.show,
        events.more,
        events.open,
        events.approve,
        events.enable,
        events.disable,
        events.make_link,
        events.end_sessions,
        events.end_key,
    ):
        with pytest.raises(AccountError, match=r"signed out|role admin"):
            await handler(Looking(), who, nothing)
    for call in (
        events.load(Looking(), who),
        events.search(Looking(), "", who),
        events.save(Looking(chosen="ana"), "user", "", who),
        events.invite(Looking(), "x", "admin", "", who),
    ):
        with pytest.raises(AccountError, match=r"signed out|role admin"):
            await call


@pytest.mark.browser
def test_an_admin_invites_somebody_who_chooses_a_password_and_makes_a_key(
    site: Site, open_page: Callable[..., Any], tmp_path: Path
) -> None:
    page = open_page("/admin/")
    page.get_by_role("tab", name="People").click()
    page.locator("#people-list").get_by_text("root").wait_for()
    page.locator("#people-new").get_by_label("Name").fill("mia")
    page.get_by_role("button", name="Make it, with a link").click()
    address = page.locator("#people-link code").inner_text()
    page.locator("#person-detail").get_by_text("mia").first.wait_for()
    page.screenshot(path=tmp_path / "people.png", full_page=True)
    mine = open_page(address.removeprefix(site.url), None)
    mine.get_by_label("Password", exact=True).fill(PASSWORD)
    mine.get_by_label("The same password again").fill(PASSWORD)
    mine.get_by_role("button", name="Save and sign in").click()
    mine.locator("#person").get_by_text("mia").click()
    mine.get_by_label("What is the new key for?").fill("my script")
    mine.get_by_role("button", name="Make a key").click()
    key = mine.locator("code").inner_text()
    assert site.house.accounts.by_key(key) == site.house.accounts.get("mia")
    mine.screenshot(path=tmp_path / "account.png", full_page=True)
    page.locator("#people-list").get_by_role("row", name="mia").get_by_role("button", name="Open").click()
    page.get_by_role("button", name="Lock out").click()
    page.get_by_role("button", name="Let in again").wait_for()
    mine.goto(f"{site.url}/account")
    mine.get_by_role("heading", name="Sign in").wait_for()
