"""The command: what it prints and writes, with a fake service behind the real HTTP routes' shapes."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import typer
from fastapi import FastAPI, Request, Response
from typer.testing import CliRunner

from assistant import simulation
from assistant.commands import simulate

RATERS = Path(__file__).resolve().parents[3] / "examples" / "raters.py"
KEYS = [
    "round", "adapter", "promoted", "verdict", "reasons", "votes", "examples", "train_seconds",
    "vote_to_live_seconds", "heldout_score", "heldout_low", "heldout_high", "forgetting", "failed_requests",
    "parts",
]  # fmt: skip


def fake(outcome: str = "passed", state: str = "done") -> FastAPI:
    """An application whose every new adapter is more courteous than the one before."""
    app, rng = FastAPI(), random.Random(0)
    manner, live, runs, turns = {"base": 0.2}, ["base"], [], []

    @app.post("/v1/chat/completions")
    async def ask(request: Request, response: Response) -> dict[str, Any]:
        asked = await request.json()
        who = live[-1] if asked["model"] == "apprentice" else "base"
        turns.append(request.headers["authorization"])
        courteous = rng.random() < manner[who]
        text = "Thank you for asking! Yes. Can I help you with anything else?" if courteous else "Yes."
        response.headers["x-apprentice-adapter"] = who
        return {"id": f"turn-{len(turns)}", "choices": [{"message": {"content": text}}]}

    @app.post("/v1/feedback")
    async def vote(request: Request) -> dict[str, Any]:
        said = await request.json()
        assert turns[int(said["completion_id"].partition("-")[2]) - 1] == request.headers["authorization"]
        return {"rating": said["rating"]}

    @app.post("/v1/runs", status_code=201)
    async def queue() -> dict[str, Any]:
        runs.append({"id": f"run-{len(runs)}", "state": "queued"})
        return runs[-1]

    @app.get("/v1/runs")
    async def list_runs() -> dict[str, Any]:
        name = f"lora-{len(runs):012x}"
        manner[name] = min(0.95, 0.2 + 0.4 * len(runs))
        counts = {"training": 31, "held_out": 9}
        runs[-1] |= {"state": state, "reason": "only 2 examples", "seconds": {"train": 3.5}, "counts": counts}
        if state == "done":
            runs[-1]["adapter"] = name
        return {"data": runs[::-1]}

    @app.get("/v1/adapters")
    async def adapters() -> dict[str, Any]:
        rows = [
            {"name": n, "live": n == live[-1], "outcome": outcome, "reasons": ["in words"]} for n in manner
        ]
        return {"data": rows}

    @app.post("/v1/adapters/{name}/promote")
    async def promote(name: str) -> dict[str, Any]:
        live.append(name)
        return {"adapter": name}

    return app


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Puts an application in the place of the home's servers."""

    def put(app: FastAPI) -> None:
        @contextmanager
        def service(home: Path, tell: simulation.Wait) -> Iterator[str]:
            tell("the web part is starting")
            yield "http://service"

        transport = httpx.ASGITransport(app=app)
        monkeypatch.setattr(simulation, "service", service)
        monkeypatch.setattr(
            simulation, "client", lambda url: httpx.AsyncClient(base_url=url, transport=transport)
        )
        monkeypatch.setattr(
            simulate,
            "_keys",
            lambda settings, plan: {p.name: p.name for p in plan.people} | {"sim-admin": "a"},
        )

    return put


def run(*given: object) -> Any:
    app = typer.Typer()
    simulate.register(app)
    return CliRunner().invoke(app, [str(part) for part in given])


def test_three_rounds_are_played_and_shown(serve: Any, home: Path, tmp_path: Path) -> None:
    serve(fake())
    out = tmp_path / "figures.json"
    found = run("--rater", f"{RATERS}:courteous", "--votes", 24, "--rounds", 2, "--json", out, "--home", home)
    assert found.exit_code == 0, found.output
    written = json.loads(out.read_text())
    assert list(written) == ["rounds", "base"]
    assert [list(row) for row in written["rounds"]] == [KEYS, KEYS]
    first, second = written["rounds"]
    assert (first["round"], first["adapter"], first["promoted"]) == (1, "lora-000000000001", True)
    assert (first["votes"], first["examples"], first["train_seconds"]) == (24, 31, 3.5)
    assert first["heldout_low"] > written["base"]["heldout_high"]
    assert second["heldout_score"] > first["heldout_score"] > written["base"]["heldout_score"]
    assert (first["forgetting"], first["failed_requests"]) == (0.0, 0)
    assert first["parts"]["train"] == 3.5
    assert "lora-000000000002" in found.output
    assert f"{second['heldout_score']:.2f} ({second['heldout_low']:.2f}" in found.output
    assert "round 1: from the last vote to the first answer" in found.output
    assert out.with_suffix(".png").read_bytes().startswith(b"\x89PNG")


def test_without_json_the_picture_is_in_the_home(serve: Any, home: Path) -> None:
    serve(fake())
    found = run("--rater", f"{RATERS}:coin", "--votes", 8, "--rounds", 1, "--seed", 5, "--home", home)
    assert found.exit_code == 0, found.output
    assert (home / "simulate-5.png").stat().st_size > 10_000


def test_a_refusal_by_the_gate_is_no_failure(serve: Any, home: Path, tmp_path: Path) -> None:
    serve(fake(outcome="rejected"))
    out = tmp_path / "figures.json"
    found = run("--rater", f"{RATERS}:liar", "--votes", 8, "--rounds", 1, "--json", out, "--home", home)
    assert found.exit_code == 0, found.output
    [first] = json.loads(out.read_text())["rounds"]
    assert (first["verdict"], first["promoted"], first["vote_to_live_seconds"]) == ("rejected", False, None)
    assert "round 1: rejected: in words" in found.output


def test_a_failed_run_is_exit_1_and_still_written(serve: Any, home: Path, tmp_path: Path) -> None:
    serve(fake(state="failed"))
    out = tmp_path / "figures.json"
    found = run("--rater", f"{RATERS}:coin", "--votes", 8, "--rounds", 2, "--json", out, "--home", home)
    assert found.exit_code == 1, found.output
    rounds = json.loads(out.read_text())["rounds"]
    assert [row["reasons"] for row in rounds] == [["the run ended as failed: only 2 examples"]] * 2
    assert [row["adapter"] for row in rounds] == [None, None]
    assert "round 2: failed: the run ended as failed: only 2 examples" in found.output
    assert out.with_suffix(".png").exists()


def test_what_was_measured_stays_when_it_is_broken_off(
    serve: Any, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from training.simulate import Simulation

    async def interrupted(self: Simulation, number: int) -> None:
        raise KeyboardInterrupt

    serve(fake())
    monkeypatch.setattr(Simulation, "round", interrupted)
    out = tmp_path / "figures.json"
    found = run("--rater", f"{RATERS}:coin", "--json", out, "--home", home)
    assert found.exit_code not in (0, 2)
    written = json.loads(out.read_text())
    assert written["rounds"] == []
    assert written["base"]["heldout_score"] == 0.5


def test_prompts_come_from_a_file(serve: Any, home: Path, tmp_path: Path) -> None:
    file = tmp_path / "prompts.jsonl"
    rows = [{"messages": [{"role": "user", "content": f"Question number {n}"}]} for n in range(40)]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    serve(fake())
    found = run("--rater", f"{RATERS}:coin", "--prompts", file, "--votes", 8, "--rounds", 1, "--home", home)
    assert found.exit_code == 0, found.output


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (["--rater", "nothing"], "'nothing' is no rater: expected FILE.py:FUNCTION"),
        (["--rater", "none.py:rate"], "none.py is no file"),
        (["--rater", f"{RATERS}:unknown"], "has no function unknown"),
        (["--rater", f"{RATERS}:coin@0.9", "--rater", f"{RATERS}:liar@0.2"], "add up to 1.1"),
        (
            ["--rater", f"{RATERS}:coin", "--rater", f"{RATERS}:liar", "--people", "1"],
            "1 people can't play 2",
        ),
        (["--rater", f"{RATERS}:coin", "--prompts", "none.jsonl"], "none.jsonl can't be read"),
        (["--rater", f"{RATERS}:coin", "--json", "no/such/folder.json"], "in a folder that is there"),
        (["--rater", f"{RATERS}:coin", "--json", "figures.png"], "a file that is not named .png"),
    ],
)
def test_wrong_use_is_one_sentence_and_exit_2(
    serve: Any, home: Path, given: list[str], sentence: str
) -> None:
    serve(FastAPI())
    found = run(*given, "--home", home)
    assert found.exit_code == 2
    assert sentence in found.output
    assert found.output.startswith("apprentice: ")
    assert found.output.count("\n") == 1


def test_a_bad_line_of_the_prompts_is_exit_2(serve: Any, home: Path, tmp_path: Path) -> None:
    file = tmp_path / "prompts.jsonl"
    file.write_text("{}\n")
    found = run("--rater", f"{RATERS}:coin", "--prompts", file, "--home", home)
    assert found.exit_code == 2
    assert f"{file}: line 1: expected" in found.output


@pytest.mark.parametrize(
    "given", [[], ["--rater", f"{RATERS}:coin", "--rounds", 0], ["--rater", "a", "--seed", -1]]
)
def test_what_the_options_themselves_refuse_is_exit_2(home: Path, given: list[object]) -> None:
    assert run(*given, "--home", home).exit_code == 2


def test_people_and_an_admin_get_accounts_in_the_home(home: Path) -> None:
    from assistant import app, settings
    from training import questions

    prompts = questions.as_prompts([f"Question number {n}" for n in range(40)])
    plan = simulate.make_plan([f"{RATERS}:coin@0.7", f"{RATERS}:liar@0.3"], 3, prompts, 8, seed=2)
    keys = simulate._keys(settings.read(), plan)
    house = app.open_house(settings.read())
    try:
        found = {name: house.accounts.by_key(key) for name, key in keys.items()}
    finally:
        house.close()
    assert {name: account and account.role for name, account in found.items()} == {
        "sim-2-1": "user",
        "sim-2-2": "user",
        "sim-2-3": "user",
        "sim-admin": "admin",
    }
    assert [person.rater.name.rpartition(":")[2] for person in plan.people] == ["coin", "coin", "liar"]
