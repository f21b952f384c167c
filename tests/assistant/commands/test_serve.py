"""Tests of `apprentice up`, `web`, `worker`, `engine`, short of the processes themselves."""

from __future__ import annotations

import json
import os
import signal
import socket
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from filelock import FileLock

from assistant.app import House
from assistant.commands import serve
from assistant.errors import AssistantError
from assistant.processes import Child
from assistant.settings import read
from tests.assistant.commands.conftest import Cli
from tests.assistant.serving import served


@pytest.fixture
def port(free_port: Callable[[], int]) -> int:
    return free_port()


@pytest.fixture
def supervised(monkeypatch: pytest.MonkeyPatch) -> list[Child]:
    """What is given to a supervisor; each says at once that it is ready, and ends."""
    given: list[Child] = []

    class Supervisor:
        def __init__(self, children: Sequence[Child]) -> None:
            given.extend(children)

        def run(self, on_ready: Callable[[], None] = lambda: None) -> None:
            on_ready()

    monkeypatch.setattr("assistant.processes.Supervisor", Supervisor)
    return given


@pytest.fixture
def taken() -> Iterator[int]:
    """A port on which somebody listens."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


def test_up_starts_the_three_parts_and_says_where_to_go(
    cli: Cli, home: Path, supervised: list[Child], port: int
) -> None:
    done = cli("up", "--port", str(port))
    assert done.status == 0
    assert [child.name for child in supervised] == ["engine", "web", "worker"]
    assert f"Apprentice answers at http://127.0.0.1:{port}" in done.out
    assert "/setup?token=" in done.out
    web, worker = supervised[1:]
    assert [*web.command][1:] == ["-m", "assistant", "web", "--host", "127.0.0.1", "--port", str(port)]
    assert worker.nice > 0
    assert all(child.env["APPRENTICE_HOME"] == str(home) for child in (web, worker))
    assert all(child.env["APPRENTICE_MODEL"] == "org/model" for child in (web, worker))
    assert all(child.log.parent == home / "logs" for child in supervised)


def test_the_link_of_the_first_start_is_shown_until_there_is_an_admin(
    cli: Cli, house: House, supervised: list[Child], port: int
) -> None:
    token = cli("up", "--port", str(port)).out.partition("token=")[2].split()[0]
    assert house.accounts.link_is_good(token)
    house.accounts.add("ann", "admin", "correct horse")
    assert "token=" not in cli("up", "--port", str(port)).out


def test_with_servers_of_others_no_engine_is_started(
    cli: Cli, supervised: list[Child], port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("APPRENTICE_ENGINE_URLS", "http://127.0.0.1:1")
    assert cli("up", "--port", str(port)).status == 0
    assert [child.name for child in supervised] == ["web", "worker"]


def test_a_home_that_is_up_is_not_started_twice(
    cli: Cli, home: Path, supervised: list[Child], port: int
) -> None:
    (home / "run").mkdir()
    with FileLock(home / "run" / "up.lock"):
        done = cli("up", "--port", str(port))
    assert done.status == 1
    assert "is up already" in done.err
    assert supervised == []
    assert cli("up", "--port", str(port)).status == 0, "and the lock is given back"
    assert cli("up", "--port", str(port)).status == 0


def test_a_port_that_is_taken_is_said_before_anything_is_started(
    cli: Cli, supervised: list[Child], taken: int
) -> None:
    done = cli("up", "--port", str(taken))
    assert done.status == 1
    assert f"can't listen on 127.0.0.1:{taken}" in done.err
    assert "try --port" in done.err
    assert supervised == []


def test_an_address_that_is_not_ours_is_said(cli: Cli, supervised: list[Child], port: int) -> None:
    done = cli("up", "--host", "no.such.host.invalid", "--port", str(port))
    assert done.status == 1
    assert "can't listen on no.such.host.invalid" in done.err


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:80"),
        ("0.0.0.0", "http://127.0.0.1:80"),
        ("::", "http://127.0.0.1:80"),
        ("::1", "http://[::1]:80"),
        ("example.org", "http://example.org:80"),
    ],
)
def test_the_address_can_be_typed_into_a_browser(host: str, url: str) -> None:
    assert serve._reachable(host, 80) == url


def test_a_free_port_is_free(port: int, taken: int) -> None:
    serve._require_free("127.0.0.1", port)
    with pytest.raises(AssistantError):
        serve._require_free("127.0.0.1", taken)


def test_ready_is_what_the_web_part_says() -> None:
    app, status = FastAPI(), [503]

    def readyz() -> Any:
        from fastapi.responses import JSONResponse

        return JSONResponse({}, status[0])

    app.add_api_route("/readyz", readyz)
    with served(app) as url:
        assert not serve._is_ready(url)
        status[0] = 200
        assert serve._is_ready(url)
    assert not serve._is_ready(url)


def test_the_engine_gets_the_settings_of_its_section(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    for name, value in {
        "KV_CACHE_GIB": "0.25",
        "THREADS": "1",
        "ARGUMENTS": "--seed 7",
        "TOOL_PARSER": "",
    }.items():
        monkeypatch.setenv(f"APPRENTICE_ENGINE__{name}", value)
    found = serve.engine_settings(read(model="org/model"))
    assert (found.model, found.home, found.kv_cache_gib, found.threads) == ("org/model", home, 0.25, 1)
    assert tuple(found.extra) == ("--seed", "7")


def test_the_web_part_says_where_it_is_as_long_as_it_runs(
    cli: Cli, home: Path, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Any] = []

    def run(app: object, **given: Any) -> None:
        seen.append((json.loads((home / "run" / "web.json").read_text()), given["host"], given["port"]))
        raise RuntimeError("it broke")

    monkeypatch.setattr("uvicorn.run", run)
    monkeypatch.setattr("assistant.app.web", lambda house: house)
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(RuntimeError):
        cli("web", "--port", str(port))
    signal.signal(signal.SIGTERM, before)
    assert seen == [({"url": f"http://127.0.0.1:{port}", "pid": os.getpid()}, "127.0.0.1", port)]
    assert not (home / "run" / "web.json").exists()


def test_the_worker_drains_with_once(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[bool] = []

    async def work(house: House, once: bool) -> None:
        given.append(once)

    monkeypatch.setattr("assistant.app.work", work)
    assert cli("worker", "--once").status == cli("worker").status == 0
    assert given == [True, False]


def test_the_engine_alone_is_supervised_too(cli: Cli, supervised: list[Child]) -> None:
    assert cli("engine").status == 0
    assert [child.name for child in supervised] == ["engine"]
