"""Tests of the form in which staff approve an answer, and of the tick under a correction."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from assistant.accounts import Accounts
from assistant.ui.approval_form import ApprovalForm
from assistant.ui.page import Doorman, Page
from feedback.database import Database
from feedback.records import NotFound
from feedback.store import Ending, NewTurn
from retrieval.records import Unavailable
from tests.assistant.test_approvals import ASKED, World
from tests.assistant.ui.scripted import event, request

pytestmark = pytest.mark.anyio


@pytest.fixture
def world(sqlite: Database) -> Iterator[World]:
    found = World(sqlite)
    yield found
    found.library.close()


@pytest.fixture
def form(world: World, sqlite: Database) -> ApprovalForm:
    return ApprovalForm(world.store, Doorman(Accounts(sqlite), "staff"), world.approvals)


def own(world: World) -> str:
    """A turn of stella's, who is staff."""
    person = world.people["stella"].id
    where = world.store.start_conversation(person, ASKED).id
    turn = world.store.begin(NewTurn(where, None, person, ASKED, [], "m", None, {}))
    return world.store.end(turn, Ending("complete", "No idea.")).id


async def test_the_approver_sees_and_edits_what_will_be_shown(world: World, form: ApprovalForm) -> None:
    page, turn = Page(), own(world)
    parts = await form.open(page, request("stella"), event(turn=turn))
    assert (parts["approved_question"], parts["approved_answer"]) == (ASKED, "No idea.")
    parts = await form.approve(page, "Is it free?", "Green label.", request("stella"))
    assert parts["approving"]["visible"] is False
    made = world.approvals.rows.open()[0]
    assert (made.question, made.answer, made.turn_id) == ("Is it free?", "Green label.", turn)


async def test_what_is_refused_stays_open_and_says_why(world: World, form: ApprovalForm) -> None:
    page = Page()
    await form.open(page, request("stella"), event(turn=own(world)))
    parts = await form.approve(page, "Is it free?", " ", request("stella"))
    assert "needs a question and an answer" in parts["approving_problem"]["value"]
    world.books.fails = Unavailable("another process has the index")
    parts = await form.approve(page, "Is it free?", "Yes.", request("stella"))
    assert "nother process has the index" in parts["approving_problem"]["value"]
    assert page.approving is not None
    await form.close(page, request("stella"))
    assert world.approvals.rows.all() == []


async def test_closed_it_approves_nothing(world: World, form: ApprovalForm) -> None:
    await form.approve(Page(), "Is it free?", "Yes.", request("stella"))
    assert world.approvals.rows.all() == []


async def test_a_foreign_turn_is_not_shown(world: World, form: ApprovalForm) -> None:
    with pytest.raises(NotFound):
        await form.open(Page(), request("stella"), event(turn=world.said().id))
