"""Accounts for simulated people, their way through HTTP, and the servers that are started for them."""

from __future__ import annotations

import json
import os
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from assistant import simulation
from assistant.accounts import AccountError, Accounts
from assistant.errors import AssistantError
from assistant.files import write_json
from feedback.database import Database
from training.simulate import RequestFailed

ASKED = ({"role": "user", "content": "Hello?"},)


def doors(answer: Callable[[httpx.Request], httpx.Response]) -> simulation.Http:
    client = httpx.AsyncClient(base_url="http://service", transport=httpx.MockTransport(answer))
    return simulation.Http(client, {"sim-0-1": "sk-one", "sim-admin": "sk-admin"}, "sim-admin")


def completion(text: str | None = "Hi!") -> httpx.Response:
    body = {"id": "turn-1", "choices": [{"message": {"role": "assistant", "content": text}}]}
    return httpx.Response(200, json=body, headers={"x-apprentice-adapter": "lora-1"})


def test_people_get_accounts_and_keys(database: Database) -> None:
    accounts = Accounts(database)
    found = simulation.keys(accounts, ["sim-0-1", "sim-0-2"], "sim-admin")
    assert {name: account.role for name, key in found.items() if (account := accounts.by_key(key))} == {
        "sim-0-1": "user",
        "sim-0-2": "user",
        "sim-admin": "admin",
    }
    again = simulation.keys(accounts, ["sim-0-1", "sim-0-2", "sim-0-3"], "sim-admin")
    assert len(accounts.all()) == 4
    assert again["sim-0-1"] != found["sim-0-1"]


def test_accounts_that_are_in_the_way_are_named(database: Database) -> None:
    accounts = Accounts(database)
    accounts.add("sim-admin", "user")
    with pytest.raises(AccountError, match="sim-admin is left from something else and is user, and admin is"):
        simulation.keys(accounts, [], "sim-admin")
    accounts.add("sim-0-1", "user")
    accounts.disable("sim-0-1")
    with pytest.raises(AccountError, match="is disabled; delete it first"):
        simulation.keys(accounts, ["sim-0-1"], "other-admin")


async def test_questions_go_as_the_person_who_asks() -> None:
    seen: list[tuple[str, Any]] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append((request.headers["authorization"], json.loads(request.content)))
        return completion()

    service = doors(answer)
    found = await service.ask("sim-0-1", ASKED, "apprentice", None)
    await service.ask("sim-admin", ASKED, "apprentice-base", 0.0)
    assert (found.id, found.text, found.adapter) == ("turn-1", "Hi!", "lora-1")
    asked = {"model": "apprentice", "messages": list(ASKED)}
    assert seen == [
        ("Bearer sk-one", asked),
        ("Bearer sk-admin", asked | {"model": "apprentice-base", "temperature": 0.0}),
    ]


async def test_an_answer_without_text_is_an_empty_one() -> None:
    found = await doors(lambda request: completion(None)).ask("sim-0-1", ASKED, "apprentice", None)
    assert found.text == ""


async def test_the_other_doors() -> None:
    seen: list[tuple[str, str, str, Any]] = []

    def answer(request: httpx.Request) -> httpx.Response:
        body = json.loads(request.content) if request.content else None
        seen.append((request.headers["authorization"][7:], request.method, request.url.path, body))
        return httpx.Response(200, json={"data": [{"id": "run-1"}], "id": "run-1"})

    service = doors(answer)
    await service.vote("sim-0-1", "turn-1", "down")
    assert (await service.queue_run())["id"] == "run-1"
    assert await service.runs() == await service.adapters() == [{"id": "run-1"}]
    await service.promote("lora-1", "it passed")
    assert seen == [
        ("sk-one", "POST", "/v1/feedback", {"completion_id": "turn-1", "rating": "down"}),
        ("sk-admin", "POST", "/v1/runs", {}),
        ("sk-admin", "GET", "/v1/runs", None),
        ("sk-admin", "GET", "/v1/adapters", None),
        ("sk-admin", "POST", "/v1/adapters/lora-1/promote", {"reason": "it passed"}),
    ]


def broken(request: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError("connection refused")


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (broken, "POST /v1/feedback: ConnectError: connection refused"),
        (lambda _: httpx.Response(503, json={"error": {"message": "starting"}}), "503: starting"),
        (lambda _: httpx.Response(502, text="<html>bad gateway"), "502: <html>bad gateway"),
        (lambda _: httpx.Response(400, json={"error": "text"}), '400: {"error":"text"}'),
        (lambda _: httpx.Response(200, text="no json"), "the response is no JSON object"),
        (lambda _: httpx.Response(200, json=[1]), "the response is no JSON object"),
    ],
)
async def test_what_fails_is_said_in_one_sentence(
    answer: Callable[[httpx.Request], httpx.Response], reason: str
) -> None:
    with pytest.raises(RequestFailed) as refused:
        await doors(answer).vote("sim-0-1", "turn-1", "up")
    assert reason in str(refused.value)


async def test_a_response_without_an_answer_is_a_failure() -> None:
    for response in (
        httpx.Response(200, json={"id": "turn-1", "choices": []}, headers={"x-apprentice-adapter": "a"}),
        httpx.Response(200, json={"id": "turn-1", "choices": [{"message": {"content": "Hi"}}]}),
    ):
        with pytest.raises(RequestFailed, match="no answer in the response"):
            await doors(lambda _, given=response: given).ask("sim-0-1", ASKED, "apprentice", None)  # type: ignore[misc]


SERVER = """
import http.server, json, os, subprocess, sys
port, folder = int(sys.argv[1]), sys.argv[2]
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
threshold = os.environ["APPRENTICE_TRAINING__MIN_EXAMPLES"]
open(folder + "/pids", "w").write(f"{os.getpid()} {child.pid} {threshold}")
asked = 0
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        global asked
        asked += 1
        body = json.dumps({"status": "ready"} if asked > 2 else {"reason": "the engine starts"}).encode()
        self.send_response(200 if asked > 2 else 503)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *given):
        pass
http.server.HTTPServer(("127.0.0.1", port), Handler).serve_forever()
"""


@pytest.fixture
def up(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A small server stands for `up`; gives the file into which it writes its processes."""
    monkeypatch.setattr(
        simulation, "_up", lambda home, port: [sys.executable, "-c", SERVER, str(port), str(tmp_path)]
    )
    return tmp_path / "pids"


def gone(pids: list[int]) -> bool:
    """Whether the processes have ended, at the latest in a moment; a zombie has."""

    def lives(pid: int) -> bool:
        try:
            return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
        except OSError:
            return False

    end = time.monotonic() + 5
    while any(map(lives, pids)) and time.monotonic() < end:
        time.sleep(0.05)
    return not any(map(lives, pids))


def test_servers_of_our_own_are_started_and_ended(up: Path, home: Path) -> None:
    told: list[str] = []
    with simulation.service(home, told.append) as url:
        assert httpx.get(f"{url}/readyz").status_code == 200
        *pids, threshold = map(int, up.read_text().split())
        assert threshold == simulation.NEVER
    assert gone(pids)
    assert "the engine starts" in told


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_they_end_whatever_happens(up: Path, home: Path, error: type[BaseException]) -> None:
    with pytest.raises(error), simulation.service(home, lambda why: None):
        raise error
    assert gone([int(pid) for pid in up.read_text().split()[:2]])


def test_servers_that_do_not_start_say_why(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    script = "print('apprentice: the home is up already'); raise SystemExit(1)"
    monkeypatch.setattr(simulation, "_up", lambda home, port: [sys.executable, "-c", script])
    with (
        pytest.raises(AssistantError, match="did not start: apprentice: the home is up already"),
        simulation.service(home, lambda why: None),
    ):
        pass


def test_a_running_service_is_found_and_left_alone(
    up: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with simulation.service(home, lambda why: None) as url:
        write_json(home / "run" / "web.json", {"url": url, "pid": os.getpid()})
        monkeypatch.setattr(simulation, "_up", lambda home, port: pytest.fail("started a second one"))
        assert simulation.running(home) == url
        with simulation.service(home, lambda why: None) as found:
            assert found == url
        assert httpx.get(f"{url}/readyz").status_code == 200
    assert simulation.running(home) is None


@pytest.mark.parametrize(
    "content", [{}, {"url": "http://127.0.0.1:9", "pid": "x"}, {"url": "nonsense", "pid": 1}]
)
def test_what_a_dead_one_left_behind_is_passed_over(home: Path, content: dict[str, Any]) -> None:
    write_json(home / "run" / "web.json", content)
    assert simulation.running(home) is None


def test_a_port_that_somebody_else_has_by_now_is_passed_over(home: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        url = f"http://127.0.0.1:{other.getsockname()[1]}"
        write_json(home / "run" / "web.json", {"url": url, "pid": 2**22 + 1})
        assert simulation.running(home) is None
