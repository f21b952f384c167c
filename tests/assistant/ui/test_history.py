"""The list of conversations and the page before the first question."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from assistant.accounts import Account
from assistant.ui import history
from assistant.ui.page import Page
from feedback.past import Listed
from feedback.records import Conversation
from feedback.searching import Found
from tests.assistant.ui.turns import NOON


def conversation(name: str, title: str, age: timedelta) -> Conversation:
    return Conversation(name, "person-1", title, NOON - age, NOON - age)


def test_conversations_are_listed_by_age_and_the_current_one_is_marked() -> None:
    listed = Listed(
        [replace(conversation("conv-0", "kept", timedelta(days=99)), pinned_at=NOON)],
        [
            conversation("conv-1", "today", timedelta(hours=1)),
            conversation("conv-2", "this week", timedelta(days=3)),
            conversation("conv-3", "long ago", timedelta(days=30)),
        ],
        True,
    )
    html = history.side(listed, Page(conversation_id="conv-2"), NOON)
    assert html.index("Pinned") < html.index(">kept<") < html.index("Last 24 hours")
    assert html.index("Last 24 hours") < html.index(">today<") < html.index("Last 7 days")
    assert html.index(">this week<") < html.index("Earlier") < html.index(">long ago<")
    assert html.count("aria-current") == 1
    assert 'href="/?chat=conv-2"' in html
    assert "older_chats" in html
    assert html.count(">Unpin<") == 1


def test_titles_are_text() -> None:
    one = conversation("conv-1", "<b>x</b>", timedelta())
    for page in (Page(), Page(renaming="conv-1"), Page(deleting="conv-1")):
        assert "<b>x" not in history.side(Listed([], [one], False), page, NOON)
    assert "<b>" not in history.side([Found(one, "<b>y</b>")], Page(wanted="x"), NOON)
    assert "<b>" not in history.heading("<b>x</b>")


def test_a_row_shows_the_field_or_the_question_in_place_of_its_title() -> None:
    listed = Listed([], [conversation("conv-1", "mine", timedelta())], False)
    html = history.side(listed, Page(renaming="conv-1"), NOON)
    assert '<form class="row-form" data-act="rename_chat" data-chat="conv-1">' in html
    assert 'aria-label="Title"' in html
    html = history.side(listed, Page(deleting="conv-1"), NOON)
    assert 'data-sure="yes"' in html
    assert "can't be undone" in html


def test_what_is_found_stands_with_its_place() -> None:
    found = [Found(conversation("conv-1", "mine", timedelta()), "… three days …")]
    html = history.side(found, Page(wanted="days"), NOON)
    assert "1 chat" in html
    assert "<small>… three days …</small>" in html
    assert "Nothing was found" in history.side([], Page(wanted="days"), NOON)
    assert "two letters" in history.side([], Page(wanted="d"), NOON)


def test_an_empty_list_says_what_will_be_there() -> None:
    assert "will be listed here" in history.side(Listed([], [], False), Page(), NOON)


def test_only_admins_are_shown_the_way_to_their_page() -> None:
    assert "/admin" in history.person(Account("p", "ana", "admin", False, NOON))
    guest = history.person(Account("p", "guest-17", "guest", False, NOON))
    assert "/login" in guest
    assert "/logout" not in guest
    assert "guest-17" not in guest
    assert "/account" in history.person(Account("p", "ana", "admin", False, NOON))
    html = history.person(Account("p", "<uwe>", "user", False, NOON))
    assert "/admin" not in html
    assert "<uwe>" not in html
    assert 'action="/logout"' in html


def test_the_empty_page_offers_questions() -> None:
    html = history.empty(["What?", 'Is "this" safe?'])
    assert html.count("ask_example") == 2
    assert "Is &quot;this&quot; safe?" in html
    assert 3 <= len(history.EXAMPLES) <= 4


def test_a_question_that_never_arrived_is_explained() -> None:
    assert "never reached the engine" in history.unanswered()
