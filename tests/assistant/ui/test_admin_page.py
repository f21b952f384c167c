"""The admin page's handlers, over a real ledger and registry."""

from __future__ import annotations

import inspect
import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event as sql

from assistant.accounts import AccountError
from assistant.people import People
from assistant.ui import admin_page
from assistant.ui.admin_page import AdminEvents, Shown
from assistant.ui.page import Doorman
from feedback.alerts import Alarm
from feedback.database import Database
from feedback.store import Store
from tests.assistant.ui.scripted import House, event, request
from tests.assistant.ui.test_comparison_view import comparison
from training.records import Adapter, Check, Evaluation, NotFound
from training.registry import Registry

ONE, TWO = "lora-000000000001", "lora-000000000002"


@pytest.fixture
def events(house: House) -> AdminEvents:
    return AdminEvents(house.desk, Doorman(house.accounts, "admin"))


@pytest.fixture
def adapters(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two candidates that passed. That their files are there is the registry's business, not the page's."""
    monkeypatch.setattr(Registry, "_check_servable", lambda *_: None)
    for name in (ONE, TWO):
        now = datetime.now(UTC)
        manifest = {"examples": [{"source": "siblings", "votes": ["rating:1"], "people": ["p"]}]}
        house.registry.add(Adapter(name, Path("/x"), "starter", "hash", None, 16, now, manifest))
        checks = (Check("loads", True, "the engine serves it"),)
        answers = [{"question": "How long?", "live": "Long.", "candidate": "Four days."}]
        house.registry.record(Evaluation(name, None, "passed", checks, {"answers": answers}, now))


def ana(**query: str) -> Any:
    return request("ana", **query)


async def test_every_handler_turns_others_away(events: AdminEvents) -> None:
    calls: dict[str, tuple[Any, ...]] = {
        "load": (),
        "refresh": (),
        "ahead": (),
        "train": (),
        "watch": (event(run="run-1"),),
        "leave_run": (),
        "show_adapter": (event(name=ONE),),
        "leave_adapter": (),
        "show_notices": (),
        "see_notices": (),
    }
    handlers = {name for name in vars(AdminEvents) if not name.startswith("_")} - {"everything"}
    assert handlers == set(calls), "a new handler must be listed here"
    for name, given in calls.items():
        for who in (request("uwe"), request(None)):
            with pytest.raises(AccountError):
                await call(getattr(events, name), who, given)


async def call(handler: Any, who: Any, given: tuple[Any, ...]) -> None:
    """Call a handler with whatever it takes."""
    known = {"shown": Shown(), "request": who, "event": given[0] if given else event()}
    await handler(**{name: known[name] for name in inspect.signature(handler).parameters})


async def test_the_page_shows_what_there_is(events: AdminEvents, adapters: None) -> None:
    parts = await events.load(Shown(), ana())
    assert ">ana<" in parts["top"]
    assert "Ready" in parts["overview"]
    assert ONE in parts["adapters"]
    assert "No run yet." in parts["runs"]
    assert "APPRENTICE_MODEL" in parts["settings"]
    assert "Nothing has happened yet." in parts["notices"]
    assert "tabs" not in parts
    assert "0 of 32 new usable votes" in (await events.ahead(ana()))["due"]


async def test_training_is_queued_once_and_stands_in_the_audit(house: House, events: AdminEvents) -> None:
    parts = await events.train(Shown(), ana())
    assert "by hand: ana" in parts["runs"]
    await events.train(Shown(), ana())
    assert [run.method for run in house.runs.all()] == ["dpo"]
    assert [(row.who, row.door, row.what) for row in house.audit.page()] == [("ana", "page", "run queued")]


async def test_what_has_not_changed_is_not_sent_again(house: House, events: AdminEvents) -> None:
    shown = Shown()
    await events.load(shown, ana())
    assert await events.refresh(shown, ana()) == {}
    house.runs.queue("dpo", "by hand: bea")
    parts = await events.refresh(shown, ana())
    assert set(parts) == {"runs"}
    assert "bea" in parts["runs"]
    assert "runs" in await events.load(shown, ana())


def training_run(house: House) -> str:
    """A run that trains, with its directory."""
    house.runs.queue("dpo", "by hand")
    run = house.runs.claim("w")
    assert run is not None
    house.runs.beat(run, stage="train", progress=0.5)
    folder = house.desk.folder(run.id)
    folder.mkdir(parents=True)
    lines = [
        {"part": "train", "time": n, "step": n, "steps": 90, "loss": 1 / n, "rewards/accuracies": 0.5}
        for n in (1, 2, 3)
    ]
    (folder / "progress.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (folder / "trainer.log").write_text("loading the model\n<b>a warning</b>\n")
    return run.id


async def test_the_run_that_trains_is_shown_to_whoever_opens_the_page(
    house: House, events: AdminEvents
) -> None:
    run = training_run(house)
    for shown in (Shown(), Shown()):
        parts = await events.load(shown, ana())
        assert run in parts["watched"]
        assert "step 3 of 90" in parts["watched"]
        assert "&lt;b&gt;a warning&lt;/b&gt;" in parts["log"]
    shown = Shown()
    await events.load(shown, ana())
    parts = await events.leave_run(shown, ana())
    assert (parts["watched"], parts["log"]) == ("", "")


async def test_an_address_opens_a_run_or_an_adapter(
    house: House, events: AdminEvents, adapters: None
) -> None:
    run = house.runs.queue("dpo", "by hand")
    house.runs.cancel(run.id)
    parts = await events.load(Shown(), ana(run=run.id))
    assert run.id in parts["watched"]
    assert parts["tabs"]["selected"] == "runs"
    parts = await events.load(Shown(), ana(adapter=ONE))
    assert parts["tabs"]["selected"] == "adapters"
    assert "Four days." in parts["adapter"]
    parts = await events.load(Shown(), ana(run="run-gone", adapter="lora-gone"))
    assert (parts["watched"], parts["adapter"]) == ("", "")


async def test_runs_and_adapters_are_looked_at_closer(
    house: House, events: AdminEvents, adapters: None
) -> None:
    run, shown = house.runs.queue("dpo", "by hand", wishes={"rank": 8}), Shown()
    await events.load(shown, ana())
    assert "rank 8" in (await events.watch(shown, ana(), event(run=run.id)))["watched"]
    parts = await events.show_adapter(shown, ana(), event(name=TWO))
    assert "1 from siblings" in parts["adapter"]
    assert "1 vote of 1 person" in parts["adapter"]
    assert (await events.leave_adapter(shown, ana()))["adapter"] == ""
    for handler, given in ((events.watch, {"run": "run-1"}), (events.show_adapter, {"name": "lora-ff"})):
        with pytest.raises(NotFound):
            await handler(Shown(), ana(), event(**given))


async def test_notices_are_new_until_they_are_seen_by_each_admin(house: House, events: AdminEvents) -> None:
    house.accounts.add("bea", "admin")
    house.monitor.alerts.settle([Alarm("worker_silent", "no worker")], datetime.now(UTC))
    shown = Shown()
    parts = await events.load(shown, ana())
    assert "1 new notice" in parts["pill"]
    assert "No worker is there" in parts["notices"]
    parts = await events.see_notices(shown, ana())
    assert parts["pill"] == ""
    assert "notices_see" not in parts["notices"]
    assert "1 new notice" in (await events.load(Shown(), request("bea")))["pill"]
    assert (await events.show_notices(ana()))["tabs"]["selected"] == "overview"


async def test_an_engine_that_is_not_ready_says_why(house: House, events: AdminEvents) -> None:
    house.engines.unready = "it is starting"
    assert "It is starting." in (await events.refresh(Shown(), ana()))["overview"]


async def test_the_newest_comparison_is_shown(house: House, events: AdminEvents) -> None:
    assert "apprentice compare" in (await events.load(Shown(), ana()))["comparison"]
    found = comparison()
    desk = replace(house.desk, comparison=lambda: found)
    parts = await AdminEvents(desk, Doorman(house.accounts, "admin")).refresh(Shown(), ana())
    assert found.verdict[0] in parts["comparison"]


MOST_STATEMENTS = 20


async def test_the_first_paint_asks_the_same_few_questions_however_much_there_is(
    house: House, events: AdminEvents, sqlite: Database
) -> None:
    """A paint is as quick with much as with little if it runs the same statements and each reads a page."""

    async def statements() -> list[str]:
        said: list[str] = []
        note = lambda *given: said.append(str(given[2]))  # noqa: E731
        sql.listen(sqlite._engine, "before_cursor_execute", note)
        await events.load(Shown(), ana())
        sql.remove(sqlite._engine, "before_cursor_execute", note)
        return [one for one in said if not one.startswith(("BEGIN", "PRAGMA"))]

    few = await statements()
    store, now = Store(sqlite), datetime.now(UTC)
    for number in range(60):
        store.start_conversation(f"person-{number}", "Hello?")
        house.registry.add(Adapter(f"lora-{number:012}", Path("/x"), "starter", "h", None, 16, now))
        house.registry.record(Evaluation(f"lora-{number:012}", None, "rejected", (), {}, now))
        run = house.runs.queue("dpo", "by hand")
        house.runs.cancel(run.id)
        house.audit.note("ana", "role changed", f"person-{number}")
    many = await statements()
    assert len(many) == len(few) <= MOST_STATEMENTS
    # None reads what was said: with 100,000 conversations they are the same statements on the same rows.
    tables = ("FROM turns", "FROM conversations", "FROM ratings", "FROM corrections", "FROM choices")
    assert [one for one in many if any(table in one for table in tables)] == []


def test_the_configuration_holds_no_data(house: House, adapters: None) -> None:
    blocks = admin_page.build(house.desk, house.accounts, People(house.accounts))
    assert "lora-" not in str(blocks.get_config_file())
    assert "APPRENTICE_MODEL" not in str(blocks.get_config_file())
    assert "ana" not in [part["props"].get("value") for part in blocks.get_config_file()["components"]]
