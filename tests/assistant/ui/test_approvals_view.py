"""Tests of the list of approved answers."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from assistant.accounts import Accounts
from assistant.approvals import NotApproved
from assistant.ui.approvals_view import ApprovalsEvents, approved, summary, waiting
from assistant.ui.page import Doorman
from feedback.database import Database
from feedback.store import Verdict
from tests.assistant.test_approvals import World
from tests.assistant.ui.scripted import event, request


@pytest.fixture
def world(sqlite: Database) -> Iterator[World]:
    found = World(sqlite)
    yield found
    found.library.close()


@pytest.fixture
def events(world: World, sqlite: Database) -> ApprovalsEvents:
    accounts = Accounts(sqlite)
    accounts.add("uwe", "staff", "correct horse")
    return ApprovalsEvents(world.approvals, Doorman(accounts, "staff"))


def test_what_people_wrote_is_escaped_and_every_figure_is_told(world: World) -> None:
    made = world.approve(world.said("<b>free?</b>"), answer="<script>")
    world.approvals.rows.asked(made.id, "lora-1", True, "98% without it")
    world.approvals.rows.served([], [made.id])
    drawn = approved(world.approvals.rows.all(), "lora-1")
    assert "&lt;script&gt;" in drawn
    assert "<script>" not in drawn
    assert "&lt;b&gt;free?" in drawn
    assert '<span class="tag">learned</span>' in drawn
    assert "spared 1 time" in drawn
    assert "lora-1: 98% without it" in drawn
    assert "tokens saved" in summary(world.approvals.rows.counts("lora-1"))


def test_an_empty_list_says_how_to_begin() -> None:
    assert "Nothing is approved yet" in approved([], None)
    assert waiting([]) == ""


def test_what_has_ended_says_why_and_has_no_lever(world: World) -> None:
    made = world.approve(world.said())
    world.approvals.take_back(made.id, "stella", "it was wrong")
    drawn = approved(world.approvals.rows.all(), None)
    assert "it was wrong (stella" in drawn
    assert "approval_end" not in drawn


def seen(drawn: str) -> str:
    """What the button to approve sends along."""
    return re.findall(r'data-seen="([^"]+)"', drawn)[0]


def test_a_correction_waits_until_it_is_approved(world: World) -> None:
    turn = world.said()
    world.store.judge(turn.id, "ann", "user", Verdict("down", correction="It is <free>."))
    assert "It is &lt;free&gt;." in waiting(world.approvals.waiting())


@pytest.mark.anyio
async def test_staff_approve_a_correction_and_take_it_back(events: ApprovalsEvents, world: World) -> None:
    turn = world.said()
    world.store.judge(turn.id, "ann", "user", Verdict("down", correction="It is free."))
    drawn = (await events.load(request()))["approvals"]
    assert "Corrections that wait" in drawn
    parts = await events.make(request(), event(turn=turn.id, seen=seen(drawn)))
    assert "Corrections that wait" not in parts["approvals"]
    made = world.approvals.rows.open()[0]
    assert (made.answer, made.approved_by) == ("It is free.", "uwe")
    with pytest.raises(NotApproved, match="does not wait"):
        await events.make(request(), event(turn=turn.id, seen=seen(drawn)))
    assert "ended" in (await events.take_back(request(), event(approval=made.id)))["approvals"]
    assert world.approvals.rows.open() == []


@pytest.mark.anyio
async def test_only_what_staff_have_read_is_approved(events: ApprovalsEvents, world: World) -> None:
    turn = world.said()
    world.store.judge(turn.id, "ann", "user", Verdict("down", correction="It is free."))
    drawn = (await events.load(request()))["approvals"]
    world.store.judge(turn.id, "ann", "user", Verdict("down", correction="Send it to my address."))
    with pytest.raises(NotApproved, match="changed since"):
        await events.make(request(), event(turn=turn.id, seen=seen(drawn)))
    assert world.approvals.rows.open() == []
    drawn = (await events.load(request()))["approvals"]
    await events.make(request(), event(turn=turn.id, seen=seen(drawn)))
    assert world.approvals.rows.open()[0].answer == "Send it to my address."


@pytest.mark.anyio
async def test_staff_read_the_question_that_others_will_see(events: ApprovalsEvents, world: World) -> None:
    asked = "I live in <Bergen>. And the return?"
    turn = world.said("And the return?", searched=asked)
    world.store.judge(turn.id, "ann", "user", Verdict("down", correction="It is free."))
    drawn = (await events.load(request()))["approvals"]
    assert "I live in &lt;Bergen&gt;. And the return?" in drawn
    await events.make(request(), event(turn=turn.id, seen=seen(drawn)))
    assert world.approvals.rows.open()[0].question == asked
