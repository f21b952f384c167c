"""The admin page's handlers, over a real ledger and registry."""

from __future__ import annotations

import inspect
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from assistant.accounts import AccountError
from assistant.ui import admin_page
from assistant.ui.admin_page import AdminEvents, Decision
from assistant.ui.page import Doorman
from tests.assistant.ui.scripted import House, event, request
from tests.assistant.ui.test_comparison_view import comparison
from training.records import Adapter, Check, Evaluation, NotFound, Refused
from training.registry import Registry

ONE, TWO = "lora-000000000001", "lora-000000000002"


@pytest.fixture
def events(house: House) -> AdminEvents:
    door = Doorman(house.accounts, "admin")
    return AdminEvents(house.runs, house.registry, house.canaries, house.monitor, door, house.engines.ready)


@pytest.fixture
def adapters(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two candidates that passed. That their files are there is the registry's business, not the page's."""
    monkeypatch.setattr(Registry, "_check_servable", lambda *_: None)
    for name in (ONE, TWO):
        now = datetime.now(UTC)
        house.registry.add(Adapter(name, Path("/x"), "starter", "hash", None, 16, now))
        checks = (Check("loads", True, "the engine serves it"),)
        house.registry.record(Evaluation(name, None, "passed", checks, {}, now))


def ana() -> Any:
    return request("ana")


async def test_every_handler_turns_others_away(events: AdminEvents) -> None:
    calls = {
        "load": (),
        "refresh": (),
        "train": (),
        "cancel": (event(run="run-1"),),
        "ask_promote": (event(name=ONE),),
        "ask_rollback": (),
        "ask_base": (),
        "ask_canary": (event(name=ONE),),
        "ask_stop": (),
        "decide": (),
        "dismiss": (),
    }
    handlers = {name for name in vars(AdminEvents) if not name.startswith("_")}
    assert handlers == set(calls), "a new handler must be listed here"
    for name, given in calls.items():
        for who in (request("uwe"), request(None)):
            with pytest.raises(AccountError):
                await call(getattr(events, name), who, given)


async def call(handler: Any, who: Any, given: tuple[Any, ...]) -> None:
    """Call a handler with whatever it takes."""
    known = {"decision": Decision("promote", "base"), "request": who, "event": event(), "reason": "why"}
    known |= {"event": given[0]} if given else {}
    await handler(**{name: known[name] for name in inspect.signature(handler).parameters})


async def test_the_page_shows_what_there_is(events: AdminEvents, adapters: None) -> None:
    parts = await events.load(ana())
    assert ">ana<" in parts["top"]
    assert "Ready" in parts["overview"]
    assert ONE in parts["adapters"]
    assert "No run yet." in parts["runs"]


async def test_training_is_queued_once(house: House, events: AdminEvents) -> None:
    parts = await events.train(ana())
    assert "by hand: ana" in parts["runs"]
    await events.train(ana())
    assert [run.method for run in house.runs.all()] == ["dpo"]


async def test_a_run_is_cancelled(house: House, events: AdminEvents) -> None:
    run = house.runs.queue("dpo", "by hand")
    parts = await events.cancel(ana(), event(run=run.id))
    assert ">cancelled<" in parts["runs"]
    with pytest.raises(Refused):
        await events.cancel(ana(), event(run=run.id))
    with pytest.raises(NotFound):
        await events.cancel(ana(), event(run="run-1"))


async def test_promoting_needs_a_reason_and_is_written_down(
    house: House, events: AdminEvents, adapters: None
) -> None:
    decision = Decision()
    parts = await events.ask_promote(decision, ana(), event(name=ONE))
    assert parts["decision"]["visible"] is True
    assert ONE in parts["question"]
    parts = await events.decide(decision, "  ", ana())
    assert "needs a reason" in parts["refusal"]["value"]
    assert house.registry.live() is None
    parts = await events.decide(decision, "answers better", ana())
    assert parts["decision"]["visible"] is False
    live = house.registry.live()
    assert live is not None
    assert live.name == ONE
    assert ">ana<" in parts["promotions"]
    assert "answers better" in parts["promotions"]
    # The question is answered: confirming once more does nothing.
    await events.decide(decision, "again", ana())
    assert len(house.registry.history()) == 1


async def test_rolling_back_and_back_to_base(house: House, events: AdminEvents, adapters: None) -> None:
    house.registry.promote(ONE, actor="ana", reason="x")
    house.registry.promote(TWO, actor="ana", reason="x")
    decision = Decision()
    await events.ask_rollback(decision, ana())
    await events.decide(decision, "too curt", ana())
    live = house.registry.live()
    assert live is not None
    assert live.name == ONE
    await events.ask_base(decision, ana())
    await events.decide(decision, "start over", ana())
    assert house.registry.live() is None


async def test_a_canary_is_started_seen_and_stopped_each_with_its_reason(
    house: House, events: AdminEvents, adapters: None
) -> None:
    house.registry.promote(ONE, actor="ana", reason="x")
    parts = await events.load(ana())
    assert "No canary is running." in parts["canary"]
    assert 'data-act="canary_start" data-name="' + TWO in parts["adapters"]
    decision = Decision()
    parts = await events.ask_canary(decision, ana(), event(name=TWO))
    assert "It answers 5% of conversations." in parts["question"]
    parts = await events.decide(decision, " ", ana())
    assert "needs a reason" in parts["refusal"]["value"]
    parts = await events.decide(decision, "kinder", ana())
    assert "canary 5%" in parts["adapters"]
    assert "canary_start" not in parts["adapters"]
    assert "by ana: kinder" in parts["canary"]
    await events.ask_stop(decision, ana())
    parts = await events.decide(decision, "it flatters", ana())
    assert "No canary is running." in parts["canary"]
    assert "it flatters" in parts["canary"]
    await events.ask_stop(decision, ana())
    parts = await events.decide(decision, "again", ana())
    assert "No canary is running." in parts["refusal"]["value"]


async def test_what_is_refused_says_why_and_the_question_stays(house: House, events: AdminEvents) -> None:
    decision = Decision()
    await events.ask_rollback(decision, ana())
    parts = await events.decide(decision, "why not", ana())
    assert "nothing to go back to" in parts["refusal"]["value"]
    assert decision.act == "rollback"
    parts = await events.dismiss(decision, ana())
    assert parts["decision"]["visible"] is False
    assert decision == Decision()


async def test_only_adapters_can_be_promoted(events: AdminEvents) -> None:
    with pytest.raises(NotFound):
        await events.ask_promote(Decision(), ana(), event(name="lora-ffffffffffff"))


async def test_an_engine_that_is_not_ready_says_why(house: House, events: AdminEvents) -> None:
    house.engines.unready = "it is starting"
    assert "It is starting." in (await events.refresh(ana()))["overview"]


async def test_the_newest_comparison_is_shown(house: House) -> None:
    door = Doorman(house.accounts, "admin")
    given = (house.runs, house.registry, house.canaries, house.monitor, door, house.engines.ready)
    assert "apprentice compare" in (await AdminEvents(*given).load(ana()))["comparison"]
    found = comparison()
    parts = await AdminEvents(*given, lambda: found).refresh(ana())
    assert found.verdict[0] in parts["comparison"]


def test_the_configuration_holds_no_data(house: House, adapters: None) -> None:
    blocks = admin_page.build(
        house.runs, house.registry, house.canaries, house.monitor, house.accounts, house.engines.ready
    )
    assert "lora-" not in str(blocks.get_config_file())
    assert "ana" not in [part["props"].get("value") for part in blocks.get_config_file()["components"]]
