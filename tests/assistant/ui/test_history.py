"""The list of conversations and the page before the first question."""

from __future__ import annotations

from datetime import timedelta

from assistant.accounts import Account
from assistant.ui import history
from feedback.records import Conversation
from tests.assistant.ui.turns import NOON


def conversation(name: str, title: str, age: timedelta) -> Conversation:
    return Conversation(name, "person-1", title, NOON - age, NOON - age)


def test_conversations_are_listed_by_age_and_the_current_one_is_marked() -> None:
    html = history.history(
        [
            conversation("conv-1", "today", timedelta(hours=1)),
            conversation("conv-2", "this week", timedelta(days=3)),
            conversation("conv-3", "long ago", timedelta(days=30)),
        ],
        "conv-2",
        NOON,
    )
    assert html.index("Last 24 hours") < html.index(">today<") < html.index("Last 7 days")
    assert html.index(">this week<") < html.index("Earlier") < html.index(">long ago<")
    assert html.count("aria-current") == 1
    assert 'href="/?chat=conv-2"' in html


def test_titles_are_text() -> None:
    html = history.history([conversation("conv-1", "<b>x</b>", timedelta())], None, NOON)
    assert "<b>" not in html


def test_an_empty_list_says_what_will_be_there() -> None:
    assert "will be listed here" in history.history([], None, NOON)


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
