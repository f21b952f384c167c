"""Tests of `apprentice status` and `apprentice doctor`."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from fastapi import FastAPI
from sqlalchemy import text

from assistant.app import House
from assistant.commands import status as module
from assistant.files import write_json
from tests.assistant.commands.conftest import Cli
from tests.assistant.serving import served
from tests.fake_engine import FakeEngine


def test_a_quiet_home_says_so(cli: Cli, home: Path) -> None:
    assert json.loads(cli("status", "--json").out) == {
        "home": str(home),
        "web": None,
        "engine": "not started",
        "model": "org/model",
        "live": "base",
        "canary": None,
        "runs": {},
        "feedback": {"turns": 0, "up": 0, "down": 0, "corrections": 0, "choices": 0},
        "satisfied": {"asked": "no votes", "unasked": "no votes"},
        "documents": {"passages": 0},
    }
    assert "engine: not started" in cli("status").out


def test_a_busy_home_says_who_runs_and_counts_runs(cli: Cli, house: House, fake: FakeEngine) -> None:
    fake.announce(house.settings.home)
    house.runs.queue("dpo", "test")
    run = house.runs.claim("w")
    assert run is not None
    house.runs.finish(run, "failed")
    house.runs.queue("dpo", "test")
    app = FastAPI()
    app.add_api_route("/healthz", lambda: {"status": "alive"})
    with served(app) as url:
        write_json(house.settings.home / "run" / "web.json", {"url": url, "pid": 1})
        shown = json.loads(cli("status", "--json").out)
    assert (shown["engine"], shown["web"]) == ("ready", url)
    assert shown["runs"] == {"failed": 1, "queued": 1}


def test_what_died_and_left_its_note_is_not_taken_for_alive(cli: Cli, house: House) -> None:
    run = house.settings.home / "run"
    write_json(run / "web.json", {"url": "http://127.0.0.1:1", "pid": 1})
    write_json(run / "engine.json", {"url": "http://127.0.0.1:1", "key": "k", "pid": 1})
    shown = json.loads(cli("status", "--json").out)
    assert (shown["engine"], shown["web"]) == ("not answering", None)


def test_servers_of_others_are_asked(cli: Cli, fake: FakeEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("APPRENTICE_ENGINE_URLS", f"http://127.0.0.1:1,{fake.url}")
    assert json.loads(cli("status", "--json").out)["engine"] == "ready"


# -- doctor ----------------------------------------------------------------------------------------


def doctor(cli: Cli) -> tuple[int, dict[str, dict[str, str | bool]]]:
    done = cli("doctor", "--json")
    return done.status, {row["what"]: row for row in json.loads(done.out)}


@pytest.fixture
def complete(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine on which everything is installed, with room on its disk."""
    monkeypatch.setattr(module.importlib.util, "find_spec", lambda name: name)
    monkeypatch.setattr(module.shutil, "disk_usage", lambda _: os.terminal_size((0, 0)) and Usage())


class Usage:
    free = 50 * 2**30


@pytest.mark.usefixtures("complete")
def test_where_all_is_well_it_is_0(cli: Cli) -> None:
    status, found = doctor(cli)
    assert status == 0
    assert all(row["ok"] for row in found.values())
    assert {"python", "web part", "training part", "engine part", "home", "disk", "database", "model"} <= set(
        found
    )
    assert "WRONG" not in cli("doctor").out


@pytest.mark.usefixtures("complete")
def test_a_missing_part_is_named_with_the_command_that_mends_it(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        module.importlib.util, "find_spec", lambda name: None if name in ("torch", "vllm") else name
    )
    status, found = doctor(cli)
    assert status == 1
    assert found["training part"]["detail"] == "missing: torch"
    assert "apprentice[train]" in str(found["training part"]["mend"])
    assert not found["engine part"]["ok"]
    said = cli("doctor").out
    assert "WRONG training part: missing: torch\n      mend: pip install" in said
    monkeypatch.setenv("APPRENTICE_ENGINE_URLS", "http://127.0.0.1:1")
    assert doctor(cli)[1]["engine part"]["ok"], "somebody else's engine needs none here"


@pytest.mark.usefixtures("complete")
@pytest.mark.parametrize("fault", ["unreachable", "newer"])
def test_a_database_that_can_not_be_used_is_a_finding_and_no_traceback(
    cli: Cli, house: House, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    if fault == "unreachable":
        monkeypatch.setenv("APPRENTICE_DATABASE_URL", "postgresql+psycopg://u@127.0.0.1:1/none")
    else:
        with house.database.write() as connection:
            connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    status, found = doctor(cli)
    assert status == 1
    assert not found["database"]["ok"]
    assert found["database"]["mend"]


@pytest.mark.usefixtures("complete")
def test_a_full_disk_is_a_finding(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Usage, "free", 2**30)
    status, found = doctor(cli)
    assert (status, found["disk"]["detail"]) == (1, "1.0 GiB free")


@pytest.mark.usefixtures("complete")
def test_a_model_without_weights_is_a_finding_and_the_mend_fits_the_model(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "config.json").write_text("{}")
    monkeypatch.setenv("APPRENTICE_MODEL", str(tmp_path / "mine"))
    status, found = doctor(cli)
    assert status == 1
    assert "safetensors" in str(found["model"]["mend"])
    (tmp_path / "mine" / "model.safetensors").write_bytes(b"")
    assert doctor(cli)[1]["model"]["ok"]
    monkeypatch.setenv("APPRENTICE_MODEL", "starter")
    monkeypatch.setattr("training.starter.path", lambda: tmp_path / "not built")
    found = doctor(cli)[1]
    assert (found["model"]["ok"], found["model"]["mend"]) == (False, "python -m training.starter build")


@pytest.mark.usefixtures("complete")
def test_an_engine_that_was_started_and_does_not_answer_is_a_finding(cli: Cli, house: House) -> None:
    assert doctor(cli)[1]["engine"]["ok"], "not started is nothing wrong"
    write_json(house.settings.home / "run" / "engine.json", {"url": "http://127.0.0.1:1", "key": "k"})
    status, found = doctor(cli)
    assert (status, found["engine"]["detail"]) == (1, "not answering")
