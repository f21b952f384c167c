"""Tests of the composition root: a home is opened, the web part starts and stops, the worker drains."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import stat
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from assistant import app as module
from assistant import ui
from assistant.app import House, open_house, web, work
from assistant.comparisons import keep
from assistant.settings import Settings, read
from feedback.database import DatabaseUnavailable
from feedback.store import NewTurn
from tests.fake_engine import FakeEngine
from tests.feedback.days import turn
from tests.tiny_model import make_adapter
from training.comparison import Comparison, Judge
from training.monitor import Monitor
from training.records import Adapter, Check, Evaluation
from training.registry import Registry
from training.worker import Worker

HELLO = [{"role": "user", "content": "Hi"}]


@pytest.fixture
def house(home: Path, migrated: Path) -> Iterator[House]:
    shutil.copyfile(migrated, home / "apprentice.db")
    found = open_house(read(model="org/model"))
    yield found
    found.close()


@pytest.fixture
def pages(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Pages that take gradio a while to build; here only what they are given is kept."""
    given: list[dict[str, Any]] = []
    fake = ModuleType("assistant.ui.mount")
    fake.mount = lambda app, **services: given.append(services)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "assistant.ui.mount", fake)
    monkeypatch.setattr(ui, "mount", fake, raising=False)
    return given


def until(condition: Callable[[], Any]) -> None:
    end = time.monotonic() + 15
    while not condition():
        assert time.monotonic() < end, "it never came to that"
        time.sleep(0.01)


def live(house: House, number: int, canary: bool = False) -> str:
    """Make an adapter live, or start its canary."""
    name, now = f"lora-{number:012x}", datetime.now(UTC)
    path = make_adapter(house.registry.folder / name, Path("base"), seed=number)
    house.registry.add(Adapter(name, path, "org/model", "0" * 64, None, 8, now))
    house.registry.record(Evaluation(name, None, "passed", (Check("loads", True, "yes"),), {}, now))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("training.registry.files.verify", lambda _: None)
        act = house.canaries.start if canary else house.registry.promote
        act(name, actor="test", reason="test")
    return name


def pending(house: House) -> str:
    conversation = house.store.start_conversation("ann", "Hi").id
    return house.store.begin(NewTurn(conversation, None, "ann", "Hi", HELLO, "m", None, {})).id


# -- a home ----------------------------------------------------------------------------------------


def test_a_new_home_is_for_its_owner_only_and_ready_to_use(tmp_path: Path) -> None:
    settings = read(home=tmp_path / "new" / "home", model="org/model")
    house = open_house(settings)
    assert stat.S_IMODE(settings.home.stat().st_mode) == 0o700
    assert (settings.home / "apprentice.db").is_file()
    assert house.accounts.all() == []
    assert house.registry.folder == settings.home / "adapters"
    house.close()


def test_two_homes_never_meet(tmp_path: Path) -> None:
    one, two = (open_house(read(home=tmp_path / name, model="org/model")) for name in ("one", "two"))
    one.accounts.add("ann", "admin")
    one.runs.queue("dpo", "test")
    assert two.accounts.all() == []
    assert two.runs.all() == []
    one.close()
    two.close()


def test_what_was_said_is_there_again_after_a_restart(home: Path) -> None:
    first = open_house(read(model="org/model"))
    turn_id = pending(first)
    first.close()
    second = open_house(read(model="org/model"))
    assert second.store.turn(turn_id).question == "Hi"
    second.close()


def test_a_home_that_can_not_be_made_is_said_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DatabaseUnavailable, match="can't be made"):
        open_house(read(home=tmp_path / "file" / "home", model="org/model"))


# -- the web application ---------------------------------------------------------------------------


def test_pages_and_routes_share_one_set_of_services(house: House, pages: list[dict[str, Any]]) -> None:
    web(house)
    (given,) = pages
    desk = given["desk"]
    assert (given["accounts"], desk.runs, desk.registry) == (
        house.accounts,
        house.runs,
        house.registry,
    )
    assert given["chat"].store is house.store


def test_what_the_last_process_left_unfinished_is_interrupted_at_the_start(
    house: House, pages: list[dict[str, Any]], fake: FakeEngine
) -> None:
    turn_id = pending(house)
    fake.announce(house.settings.home)
    with TestClient(web(house)):
        turn = house.store.turn(turn_id)
    assert turn.status == "interrupted"
    assert turn.ended_at is not None


def test_ready_says_what_is_missing_until_an_answer_can_be_had(
    house: House, pages: list[dict[str, Any]], fake: FakeEngine
) -> None:
    with TestClient(web(house)) as client:
        reply = client.get("/readyz")
        assert (reply.status_code, reply.json()["reason"]) == (503, "no engine is running")
        fake.announce(house.settings.home)
        until(lambda: client.get("/readyz").status_code == 200)


def test_after_a_restart_of_the_engine_the_live_adapter_is_loaded_before_it_is_ready(
    house: House, pages: list[dict[str, Any]], fake: FakeEngine
) -> None:
    name = live(house, 1)
    fake.announce(house.settings.home)
    with TestClient(web(house)) as client:
        until(lambda: client.get("/readyz").status_code == 200)
        assert list(fake.adapters) == [name]
        fake.stop()
        until(lambda: client.get("/readyz").status_code == 503)
        fake.start()
        assert fake.adapters == {}
        until(lambda: client.get("/readyz").status_code == 200)
        assert list(fake.adapters) == [name]
    assert fake.loads == [name, name]


def test_a_promotion_elsewhere_is_loaded_without_anybody_asking(
    house: House, pages: list[dict[str, Any]], fake: FakeEngine
) -> None:
    fake.announce(house.settings.home)
    with TestClient(web(house)) as client:
        until(lambda: client.get("/readyz").status_code == 200)
        name = live(house, 1)
        until(lambda: name in fake.adapters)


def test_the_canary_s_adapter_is_kept_loaded_beside_the_live_one_until_it_ends(
    house: House, pages: list[dict[str, Any]], fake: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    engines = module.engines_of(house.settings)
    engines._idle_seconds = 0.0
    monkeypatch.setattr(module, "engines_of", lambda _: engines)
    fake.announce(house.settings.home)
    first, second = live(house, 1), live(house, 2, canary=True)
    with TestClient(web(house)):
        until(lambda: set(fake.adapters) == {first, second})
        time.sleep(1.2)  # the janitor comes by each second
        assert set(fake.adapters) == {first, second}
        house.canaries.stop(actor="test", reason="test")
        until(lambda: set(fake.adapters) == {first})


def test_a_database_that_is_away_for_a_while_makes_it_unready_and_does_not_end_it(
    house: House, pages: list[dict[str, Any]], fake: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake.announce(house.settings.home)
    real, asked = Registry.live, []

    def away(self: Registry) -> Adapter | None:
        asked.append(1)
        raise DatabaseUnavailable("the database does not answer")

    with TestClient(web(house)) as client:
        until(lambda: client.get("/readyz").status_code == 200)
        monkeypatch.setattr(Registry, "live", away)
        reply = client.get("/readyz")
        assert (reply.status_code, reply.json()["reason"]) == (503, "the database does not answer")
        until(lambda: len(asked) > 1)
        monkeypatch.setattr(Registry, "live", real)
        name = live(house, 1)
        until(lambda: name in fake.adapters)


def test_it_ends_without_leaving_anything_behind(
    house: House, pages: list[dict[str, Any]], fake: FakeEngine
) -> None:
    fake.announce(house.settings.home)

    async def main() -> None:
        application = web(house)
        async with application.router.lifespan_context(application):
            assert len(asyncio.all_tasks()) > 1
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(main())


def test_behind_real_pages_the_routes_for_programs_keep_their_own_errors(
    house: House, fake: FakeEngine
) -> None:
    """A page at `/` takes every path that nobody took before: not those of programs."""
    key = house.accounts.add("ann", "admin") and house.accounts.new_key("ann")
    application = web(house)
    assert isinstance(application, FastAPI)
    client = TestClient(application, raise_server_exceptions=False, follow_redirects=False)
    assert client.get("/healthz").json() == {"status": "alive"}
    assert client.get("/v1/models").status_code == 401
    client.headers["authorization"] = f"Bearer {key}"
    assert [one["id"] for one in client.get("/v1/models").json()["data"]] == ["apprentice", "apprentice-base"]
    assert client.get("/v1/adapters").json()["data"] == []
    for path in ("/docs", "/openapi.json", "/redoc"):
        assert client.get(path).status_code != 200, f"{path} tells strangers what there is"


def test_the_pages_are_given_the_newest_comparison(house: House, pages: list[dict[str, Any]]) -> None:
    web(house)
    (given,) = pages
    assert given["desk"].comparison() is None
    now = datetime.now(UTC)
    found = Comparison(now, "m", None, "the store", 3, Judge("j"), (), (), ("Helps here: nothing.",), ())
    keep(house.settings.home, found)
    assert given["desk"].comparison() == found


# -- the worker ------------------------------------------------------------------------------------


def test_with_nothing_to_do_the_worker_drains_and_ends(house: House, fake: FakeEngine) -> None:
    fake.announce(house.settings.home)
    asyncio.run(work(house, once=True))
    assert house.runs.all() == []


def test_while_the_worker_works_the_days_are_kept_and_it_gives_a_sign_of_life(
    house: House, fake: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    turn(house.database, datetime.now(UTC))

    async def wait(self: Worker, *, once: bool, stop: asyncio.Event) -> None:
        await asyncio.to_thread(until, lambda: house.monitor.days.total().answers)

    monkeypatch.setattr(Worker, "work", wait)
    asyncio.run(work(house, once=False))
    assert house.monitor.days.mark().beat_at is not None


def test_trouble_with_monitoring_does_not_reach_the_worker(
    house: House, fake: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> bool:
        raise KeyError("a bug")

    monkeypatch.setattr(Monitor, "step", broken)
    fake.announce(house.settings.home)
    asyncio.run(work(house, once=True))


def test_without_a_worker_the_web_part_keeps_the_days(house: House, pages: list[dict[str, Any]]) -> None:
    turn(house.database, datetime.now(UTC))
    with TestClient(web(house), client=("127.0.0.1", 4000)) as client:
        until(lambda: 'apprentice_today_answers{adapter="base",outcome="complete"} 1.0' in figures(client))
    assert house.monitor.days.mark().beat_at is None
    (given,) = pages
    assert (given["desk"].monitor, given["desk"].cost_per_hour) == (house.monitor, 0.0)


def figures(client: TestClient) -> str:
    return client.get("/metrics").text


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_worker_in_order(
    house: House, fake: FakeEngine, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    begun: list[bool] = []

    async def wait(self: Worker, *, once: bool, stop: asyncio.Event) -> None:
        begun.append(once)
        os.kill(os.getpid(), number)
        async with asyncio.timeout(5):
            await stop.wait()

    monkeypatch.setattr(Worker, "work", wait)
    before = signal.getsignal(number)
    asyncio.run(work(house, once=False))
    assert begun == [False]
    signal.signal(number, before)


def test_the_pipeline_is_built_from_the_settings(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("APPRENTICE_PROMOTION__MODE", "auto")
    monkeypatch.setenv("APPRENTICE_CHAT__SYSTEM_PROMPT", "Be kind.")
    monkeypatch.setenv("APPRENTICE_TRAINING__MIN_EXAMPLES", "7")
    monkeypatch.setenv("APPRENTICE_PROMOTION__CANARY", "true")
    monkeypatch.setenv("APPRENTICE_PROMOTION__CANARY_STEPS", "10,50")
    settings: Settings = read(model="org/model")
    house = open_house(settings)
    found = module.pipeline_of(house, module.engines_of(settings))
    assert (found.auto_promote, found.system_prompt, found.base) == (True, "Be kind.", "org/model")
    assert (found.home, found.settings.min_examples) == (home, 7)
    assert found.canaries is house.canaries
    assert house.canaries.plan.steps == (0.1, 0.5)
    house.close()
