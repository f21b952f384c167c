"""What an admin decides with a reason: the question names what will happen, and the deed is written down."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

from assistant.accounts import AccountError
from assistant.ui.admin_page import AdminEvents
from assistant.ui.deciding import DecidingEvents, Decision
from assistant.ui.page import Doorman
from tests.assistant.ui.scripted import House, event, request
from tests.assistant.ui.test_admin_page import ONE, TWO, adapters, ana
from training.records import NotFound, Refused

__all__ = ["adapters"]


@pytest.fixture
def deciding(house: House) -> DecidingEvents:
    door = Doorman(house.accounts, "admin")
    return DecidingEvents(house.desk, door, AdminEvents(house.desk, door).everything)


def live(house: House) -> str | None:
    found = house.registry.live()
    return found.name if found else None


async def test_every_handler_turns_others_away(deciding: DecidingEvents) -> None:
    handlers = [name for name in vars(DecidingEvents) if not name.startswith("_")]
    assert len(handlers) == 9
    known: dict[str, Any] = {
        "decision": Decision("promote", "base"),
        "event": event(name=ONE, run="run-1"),
        "reason": "why",
    }
    for name in handlers:
        handler = getattr(deciding, name)
        for who in (request("uwe"), request(None)):
            named = known | {"request": who}
            with pytest.raises(AccountError):
                await handler(**{one: named[one] for one in inspect.signature(handler).parameters})


async def test_promoting_needs_a_reason_and_is_written_down(
    house: House, deciding: DecidingEvents, adapters: None
) -> None:
    decision = Decision()
    parts = await deciding.ask_promote(decision, ana(), event(name=ONE))
    assert parts["decision"]["visible"] is True
    assert f"Promote {ONE}" in parts["question"]
    assert "in place of the base model" in parts["question"]
    assert "not with what is live" not in parts["question"]
    parts = await deciding.decide(decision, "  ", ana())
    assert "needs a reason" in parts["refusal"]["value"]
    assert live(house) is None
    parts = await deciding.decide(decision, "answers better", ana())
    assert parts["decision"]["visible"] is False
    assert live(house) == ONE
    assert ">ana<" in parts["promotions"]
    assert "answers better" in parts["promotions"]
    (row,) = house.audit.page()
    assert (row.who, row.door, row.what, row.subject) == ("ana", "page", "adapter promoted", ONE)
    assert (row.before, row.after, row.reason) == ("base is live", f"{ONE} is live", "answers better")
    # The question is answered: confirming once more does nothing, and says so.
    with pytest.warns(UserWarning, match="ask again"):
        await deciding.decide(decision, "again", ana())
    assert len(house.registry.history()) == 1


async def test_rolling_back_names_where_it_goes_and_back_to_base(
    house: House, deciding: DecidingEvents, adapters: None
) -> None:
    house.registry.promote(ONE, actor="ana", reason="x")
    house.registry.promote(TWO, actor="ana", reason="x")
    decision = Decision()
    parts = await deciding.ask_rollback(decision, ana())
    assert f"Roll back to {ONE}" in parts["question"]
    assert f"in place of {TWO}" in parts["question"]
    await deciding.decide(decision, "too curt", ana())
    assert live(house) == ONE
    parts = await deciding.ask_base(decision, ana())
    assert f"in place of {ONE}" in parts["question"]
    await deciding.decide(decision, "start over", ana())
    assert live(house) is None


async def test_the_question_says_when_the_evaluation_was_beside_another(
    house: House, deciding: DecidingEvents, adapters: None
) -> None:
    house.registry.promote(TWO, actor="ana", reason="x")
    parts = await deciding.ask_promote(Decision(), ana(), event(name=ONE))
    assert "compared it with the base model, not with what is live" in parts["question"]


@pytest.mark.parametrize("act", ["promote", "rollback", "canary"])
async def test_what_another_admin_did_meanwhile_is_not_overruled_unseen(
    house: House, deciding: DecidingEvents, adapters: None, act: str
) -> None:
    house.registry.promote(ONE, actor="ana", reason="x")
    decision = Decision()
    if act == "rollback":
        await deciding.ask_rollback(decision, ana())
    elif act == "promote":
        await deciding.ask_promote(decision, ana(), event(name=TWO))
    else:
        await deciding.ask_canary(decision, ana(), event(name=TWO))
    house.registry.promote("base", actor="bea", reason="it was rude")
    parts = await deciding.decide(decision, "better", ana())
    told = f"a rollback goes to {ONE}" if act == "rollback" else "base was made live"
    assert f"Meanwhile {told}" in parts["refusal"]["value"]
    assert live(house) is None
    assert house.canaries.now() is None


async def test_a_canary_is_started_seen_and_stopped_each_with_its_reason(
    house: House, deciding: DecidingEvents, adapters: None
) -> None:
    house.registry.promote(ONE, actor="ana", reason="x")
    decision = Decision()
    parts = await deciding.ask_canary(decision, ana(), event(name=TWO))
    assert f"It answers 5% of conversations, and {ONE} the others." in parts["question"]
    parts = await deciding.decide(decision, " ", ana())
    assert "needs a reason" in parts["refusal"]["value"]
    parts = await deciding.decide(decision, "kinder", ana())
    assert "canary 5%" in parts["adapters"]
    assert "canary_start" not in parts["adapters"]
    assert "by ana: kinder" in parts["canary"]
    assert (
        f"The canary of {TWO} ends"
        in (await deciding.ask_promote(Decision(), ana(), event(name=TWO)))["question"]
    )
    parts = await deciding.ask_stop(decision, ana())
    assert f"Stop the canary of {TWO}" in parts["question"]
    parts = await deciding.decide(decision, "it flatters", ana())
    assert "No canary is running." in parts["canary"]
    assert "it flatters" in parts["canary"]
    await deciding.ask_stop(decision, ana())
    parts = await deciding.decide(decision, "again", ana())
    assert "No canary is running." in parts["refusal"]["value"]


async def test_only_the_canary_that_the_question_names_is_stopped(
    house: House, deciding: DecidingEvents, adapters: None
) -> None:
    decision, nothing = Decision(), Decision()
    await deciding.ask_stop(nothing, ana())
    house.canaries.start(ONE, actor="bea", reason="x")
    await deciding.ask_stop(decision, ana())
    house.canaries.stop(actor="bea", reason="x")
    house.canaries.start(TWO, actor="bea", reason="x")
    for asked in (decision, nothing):
        parts = await deciding.decide(asked, "it flatters", ana())
        assert f"Meanwhile a canary of {TWO} runs" in parts["refusal"]["value"]
    canary = house.canaries.now()
    assert canary is not None
    assert canary.adapter == TWO


async def test_a_rollback_goes_where_the_question_says_or_nowhere(
    house: House, deciding: DecidingEvents, adapters: None
) -> None:
    house.registry.promote(ONE, actor="ana", reason="x")
    house.registry.promote(TWO, actor="ana", reason="x")
    decision = Decision()
    await deciding.ask_rollback(decision, ana())
    house.registry.retire(ONE)
    parts = await deciding.decide(decision, "too curt", ana())
    assert "Meanwhile a rollback goes to base" in parts["refusal"]["value"]
    assert live(house) == TWO
    await deciding.ask_rollback(decision, ana())
    await deciding.decide(decision, "too curt", ana())
    assert live(house) is None


async def test_what_was_answered_while_it_was_confirmed_twice_is_no_rollback(
    house: House, deciding: DecidingEvents, adapters: None
) -> None:
    house.registry.promote(ONE, actor="ana", reason="x")
    with pytest.raises(Refused, match="ask again"):
        deciding._act(Decision(live=ONE), "ana", "why")
    assert live(house) == ONE


async def test_an_adapter_is_retired_once_and_for_all(
    house: House, deciding: DecidingEvents, adapters: None
) -> None:
    house.registry.promote(ONE, actor="ana", reason="x")
    decision = Decision()
    await deciding.ask_retire(decision, ana(), event(name=ONE))
    assert "is live; promote another" in (await deciding.decide(decision, "old", ana()))["refusal"]["value"]
    parts = await deciding.ask_retire(decision, ana(), event(name=TWO))
    assert "never be promoted" in parts["question"]
    await deciding.decide(decision, "it lies", ana())
    assert house.registry.get(TWO).retired
    assert house.audit.page()[0].reason == "it lies"


async def test_a_run_is_cancelled_after_a_question(house: House, deciding: DecidingEvents) -> None:
    run, decision = house.runs.queue("dpo", "by hand"), Decision()
    parts = await deciding.ask_cancel(decision, ana(), event(run=run.id))
    assert "taken out of the queue" in parts["question"]
    parts = await deciding.decide(decision, "", ana())
    assert ">cancelled<" in parts["runs"]
    await deciding.ask_cancel(decision, ana(), event(run=run.id))
    assert "has ended already" in (await deciding.decide(decision, "", ana()))["refusal"]["value"]
    with pytest.raises(NotFound):
        await deciding.ask_cancel(decision, ana(), event(run="run-1"))
    assert [(row.who, row.what) for row in house.audit.page()] == [
        ("ana", "run cancelled"),
        ("worker", "run queued"),
    ]


async def test_what_is_refused_says_why_and_the_question_stays(
    house: House, deciding: DecidingEvents
) -> None:
    decision = Decision()
    with pytest.raises(Refused, match="nothing to go back to"):
        await deciding.ask_rollback(decision, ana())
    assert decision == Decision()
    await deciding.ask_base(decision, ana())
    parts = await deciding.decide(decision, " ", ana())
    assert "needs a reason" in parts["refusal"]["value"]
    assert decision.act == "promote"
    parts = await deciding.dismiss(decision, ana())
    assert parts["decision"]["visible"] is False
    assert decision == Decision()


async def test_only_adapters_can_be_promoted(deciding: DecidingEvents) -> None:
    with pytest.raises(NotFound):
        await deciding.ask_promote(Decision(), ana(), event(name="lora-ffffffffffff"))
