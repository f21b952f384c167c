"""Canaries on the real product: its own engine, votes over HTTP, the worker that leads them to their ends.

The tests stand in an order; each leaves the home fit for the next. What answers is beside the point here, so
the model is a tiny one and the votes look at who answered.
"""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from assistant import app
from assistant.settings import read
from tests import tiny_model
from tests.running import Running, running, wait_for
from training import adapters
from training.base import base_hash
from training.records import Adapter, Check, Evaluation

pytestmark = [pytest.mark.engine, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model.make(tmp_path_factory.mktemp("model") / "tiny")


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, model: Path) -> Iterator[Running]:
    settings = {
        "APPRENTICE_MODEL": str(model),
        "APPRENTICE_PROMOTION__CANARY_STEPS": "30,60",
        "APPRENTICE_TRAINING__MIN_EXAMPLES": "100000",
        "APPRENTICE_TRAINING__POLL_SECONDS": "0.5",
        "APPRENTICE_CHAT__MAX_TOKENS": "4",
    }
    with running(tmp_path_factory.mktemp("canary"), **settings) as up:
        yield up


@pytest.fixture(scope="module")
def people(house: Running) -> dict[str, httpx.Client]:
    return {role: house.person(role, role) for role in ("user", "staff", "admin")}


@pytest.fixture(scope="module")
def names(house: Running, model: Path, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Three published adapters that passed the gate; the first one is live."""
    opened = app.open_house(read(home=house.home, model=str(model)))
    found = []
    for seed in (1, 2, 3):
        staged = tiny_model.make_adapter(tmp_path_factory.mktemp("staged") / "adapter", model, seed=seed)
        hashed = base_hash(str(model))
        manifest = {"base": {"location": str(model), "hash": hashed}}
        name, path = adapters.publish(staged, opened.registry.folder, manifest, "# card")
        now = datetime.now(UTC)
        opened.registry.add(Adapter(name, path, str(model), hashed, None, 8, now))
        opened.registry.record(Evaluation(name, None, "passed", (Check("loads", True, "yes"),), {}, now))
        found.append(name)
    opened.close()
    house.command("adapters", "promote", found[0], "--reason", "the first one")
    return found


asked = 0


def ask(people: dict[str, httpx.Client]) -> httpx.Response:
    """An answer to a question that nobody asked before: the first of a new conversation."""
    global asked
    asked += 1
    body = {"model": "apprentice", "messages": [{"role": "user", "content": f"Question {asked}?"}]}
    reply = people["user"].post("/v1/chat/completions", json=body)
    assert reply.status_code == 200, reply.text
    return reply


def go_on(people: dict[str, httpx.Client], reply: httpx.Response, question: str) -> str:
    """Who answers the next question of the same conversation."""
    said = reply.json()["choices"][0]["message"]["content"]
    messages = [
        {"role": "user", "content": f"Question {asked}?"},
        {"role": "assistant", "content": said},
        {"role": "user", "content": question},
    ]
    body = {"model": "apprentice", "messages": messages}
    return people["user"].post("/v1/chat/completions", json=body).headers["x-apprentice-adapter"]


def vote_until_it_ends(house: Running, people: dict[str, httpx.Client], name: str, good: bool) -> list[str]:
    """Ask and vote, for the canary's answers and against all others (or the reverse), until it has ended.

    Returns who answered.
    """
    by: list[str] = []
    end = time.monotonic() + 300
    while share(house, name) not in (0.0, 1.0):
        assert time.monotonic() < end, steps(house, name)
        for _ in range(10):
            reply = ask(people)
            by.append(reply.headers["x-apprentice-adapter"])
            thumb = "up" if (by[-1] == name) is good else "down"
            body = {"completion_id": reply.json()["id"], "rating": thumb}
            assert people["user"].post("/v1/feedback", json=body).status_code == 200
    return by


def share(house: Running, name: str) -> float:
    rows = json.loads(house.command("adapters", "list", "--json"))
    return float(next(row["share"] for row in rows if row["name"] == name))


def live(house: Running) -> str:
    return str(json.loads(house.command("status", "--json"))["live"])


def steps(house: Running, name: str) -> list[str]:
    """The canary's steps, the newest first."""
    found: dict[str, Any] = json.loads(house.command("adapters", "show", name, "--json"))
    return list(found["canary"])


def test_a_canary_that_is_liked_is_widened_and_promoted_by_its_votes(
    house: Running, people: dict[str, httpx.Client], names: list[str]
) -> None:
    first, second, _ = names
    body = {"reason": "it passed the gate"}
    begun = people["admin"].post(f"/v1/adapters/{second}/canary", json=body)
    assert begun.json()["share"] == 0.3, begun.text
    began = time.monotonic()
    by = vote_until_it_ends(house, people, second, good=True)
    assert set(by) == {first, second}
    assert live(house) == second
    found = steps(house, second)
    print(
        f"{len(by)} votes, {by.count(second)} of them on the canary, {time.monotonic() - began:.0f} s:", found
    )
    assert [step.split()[2] for step in reversed(found)] == ["start", "widen", "promote"]
    assert "it is not worse by 10 points: thumbs up in 100% of" in found[0]
    assert {ask(people).headers["x-apprentice-adapter"] for _ in range(5)} == {second}


def test_a_canary_that_is_disliked_is_rolled_back_by_its_votes(
    house: Running, people: dict[str, httpx.Client], names: list[str]
) -> None:
    _, second, third = names
    house.command("adapters", "canary", third, "--reason", "it passed the gate")
    began = time.monotonic()
    by = vote_until_it_ends(house, people, third, good=False)
    assert live(house) == second
    found = steps(house, third)
    print(
        f"{len(by)} votes, {by.count(third)} of them on the canary, {time.monotonic() - began:.0f} s:", found
    )
    assert found[0].split()[2] == "rollback"
    assert "its answers are liked less: thumbs up in 0% of" in found[0]
    assert {ask(people).headers["x-apprentice-adapter"] for _ in range(5)} == {second}


def test_a_veto_is_in_force_on_the_next_turn_though_the_worker_is_dead(
    house: Running, people: dict[str, httpx.Client], names: list[str]
) -> None:
    _, second, third = names
    house.command("adapters", "canary", third, "--reason", "once more")
    (worker,) = house.pids("assistant worker")
    # Stopped in its tracks: a killed one would be started again at once.
    os.kill(worker, signal.SIGSTOP)
    try:
        reply = wait_for(
            lambda: reply if (reply := ask(people)).headers["x-apprentice-adapter"] == third else None, 60
        )
        assert go_on(people, reply, "And now?") == third
        vetoed = people["staff"].post("/v1/adapters/canary-stop", json={"reason": "it flatters"})
        assert vetoed.status_code == 200, vetoed.text
        assert go_on(people, reply, "And then?") == second

        house.command("adapters", "canary", third, "--reason", "once more")
        assert go_on(people, reply, "Is it back?") == third
        people["admin"].post("/v1/adapters/base/promote", json={"reason": "kill switch"})
        assert go_on(people, reply, "And who is it now?") == "base"
    finally:
        os.kill(worker, signal.SIGCONT)
    assert share(house, third) == 0.0
    assert "base was made live: kill switch" in steps(house, third)[0]
