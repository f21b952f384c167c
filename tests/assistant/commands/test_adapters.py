"""Tests of `apprentice adapters` and `apprentice evaluate`."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from assistant.app import House
from tests.assistant.commands.conftest import Cli
from tests.fake_engine import FakeEngine
from tests.tiny_model import make_adapter
from training.records import Adapter, Check, Evaluation, Example, Outcome, Recipe, Refused
from training.workspace import Workspace

ONE, TWO = "lora-000000000001", "lora-000000000002"
WHY = ("--reason", "kinder answers")


@pytest.fixture(autouse=True)
def files(monkeypatch: pytest.MonkeyPatch) -> None:
    """How files are verified is the business of `training.adapters`: here a folder has to be there."""

    def verify(path: Path) -> None:
        if not path.is_dir():
            raise Refused(f"{path.name}: its files are gone")

    monkeypatch.setattr("training.registry.files.verify", verify)


def candidate(
    house: House, name: str, outcome: Outcome | None = "passed", run_id: str | None = None
) -> Adapter:
    path = make_adapter(house.registry.folder / name, Path("base"), seed=int(name[-1]))
    manifest = {"run": "run-1", "examples": [{"id": "1"}, {"id": "2"}], "metrics": {"loss": 0.5}}
    now = datetime.now(UTC)
    adapter = house.registry.add(Adapter(name, path, "org/model", "0" * 64, run_id, 8, now, manifest))
    if outcome:
        check = Check("length", outcome == "passed", "1.5 times as long")
        house.registry.record(Evaluation(name, None, outcome, (check,), {}, now))
    return adapter


def test_adapters_are_listed_with_what_is_known_of_them(cli: Cli, house: House) -> None:
    assert cli("adapters", "list").out.startswith("no adapters yet")
    candidate(house, ONE)
    candidate(house, TWO, "rejected")
    cli("adapters", "promote", ONE, *WHY)
    rows = {row["name"]: row for row in json.loads(cli("adapters", "list", "--json").out)}
    assert (rows[ONE]["live"], rows[ONE]["outcome"]) == (True, "passed")
    assert (rows[TWO]["live"], rows[TWO]["outcome"]) == (False, "rejected")
    assert rows[TWO]["reasons"] == ["length: 1.5 times as long"]
    assert ONE in cli("adapters", "list").out


def test_one_adapter_is_shown_with_where_it_comes_from_and_its_promotions(cli: Cli, house: House) -> None:
    candidate(house, ONE)
    cli("adapters", "promote", ONE, *WHY)
    shown = json.loads(cli("adapters", "show", ONE, "--json").out)
    assert (shown["name"], shown["live"], shown["run"]) == (ONE, True, "run-1")
    assert shown["examples"] == [{"id": "1"}, {"id": "2"}]
    assert "kinder answers" in shown["promotions"][0]
    text = cli("adapters", "show", ONE).out
    assert "examples: 2\n" in text
    assert "loss 0.5" in text


def test_another_base_model_is_told_wherever_adapters_are(cli: Cli, house: House) -> None:
    candidate(house, ONE)
    assert cli("adapters", "promote", ONE, *WHY).err == ""
    with house.database.write() as connection:
        connection.exec_driver_sql("UPDATE adapters SET base = 'org/older'")
    (row,) = json.loads(cli("adapters", "list", "--json").out)
    assert (row["live"], row["fits_the_base"]) == (False, False)
    assert "fits the base: no" in cli("adapters", "show", ONE).out
    shown = json.loads(cli("status", "--json").out)
    assert (shown["live"], shown["trained_on_another_base"]) == ("base", ONE)
    done = cli("adapters", "promote", ONE, *WHY)
    assert done.status == 1
    assert "another base model" in done.err


def test_a_promotion_over_what_it_was_not_measured_against_is_noted(cli: Cli, house: House) -> None:
    candidate(house, ONE)
    candidate(house, TWO)
    cli("adapters", "promote", ONE, *WHY)
    done = cli("adapters", "promote", TWO, *WHY)
    assert (done.status, done.out) == (0, f"{TWO} is live\n")
    assert f"compared it with base, not with {ONE}" in done.err


def test_the_way_there_and_back(cli: Cli, house: House) -> None:
    candidate(house, ONE)
    candidate(house, TWO)
    assert cli("adapters", "promote", ONE, *WHY).out == f"{ONE} is live\n"
    assert cli("adapters", "promote", TWO, *WHY).out == f"{TWO} is live\n"
    assert cli("adapters", "rollback", *WHY).out == f"{ONE} is live\n"
    assert cli("adapters", "retire", TWO).out == f"{TWO} is retired\n"
    assert cli("adapters", "promote", "base", *WHY).out == "base is live\n"
    (newest, *_) = house.registry.history()
    assert newest.reason == "kinder answers"
    assert newest.actor


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["promote", TWO, *WHY], "did not pass the gate (length: 1.5 times as long)"),
        (["promote", "lora-000000000003", *WHY], "there is no adapter lora-000000000003"),
        (["promote", ONE, "--reason", " "], "needs a reason"),
        (["retire", ONE], "is live"),
        (["retire", "lora-000000000003"], "there is no adapter"),
    ],
)
def test_what_may_not_be_is_1_with_the_reason(
    cli: Cli, house: House, arguments: list[str], said: str
) -> None:
    candidate(house, ONE)
    candidate(house, TWO, "rejected")
    cli("adapters", "promote", ONE, *WHY)
    done = cli("adapters", *arguments)
    assert (done.status, done.out) == (1, "")
    assert said in done.err
    assert len(house.registry.history()) == 1


def test_a_canary_begins_is_seen_and_is_vetoed(cli: Cli, house: House) -> None:
    candidate(house, ONE)
    candidate(house, TWO)
    cli("adapters", "promote", ONE, *WHY)
    assert cli("adapters", "canary", TWO, *WHY).out == f"{TWO} answers 5% of conversations from now on\n"
    rows = {row["name"]: row["share"] for row in json.loads(cli("adapters", "list", "--json").out)}
    assert rows == {ONE: 0.95, TWO: 0.05}
    assert "0.05" in cli("adapters", "list").out
    shown = json.loads(cli("adapters", "show", TWO, "--json").out)
    assert shown["canary"][0].endswith(
        "start at 5% by " + house.canaries.history()[0].actor + ": kinder answers"
    )
    assert shown["canary_votes"].startswith("the votes do not tell yet")
    refused = cli("adapters", "canary", TWO, *WHY)
    assert (refused.status, refused.err.count("\n")) == (1, 1)
    assert f"a canary of {TWO} is running" in refused.err
    assert cli("adapters", "canary-stop", *WHY).out == f"the canary of {TWO} is stopped; {ONE} answers all\n"
    assert "no canary is running" in cli("adapters", "canary-stop", *WHY).err
    assert "canary_votes" not in json.loads(cli("adapters", "show", TWO, "--json").out)


def test_files_that_are_gone_are_refused(cli: Cli, house: House) -> None:
    adapter = candidate(house, ONE)
    adapter.path.rename(adapter.path.with_name("gone"))
    done = cli("adapters", "promote", ONE, *WHY)
    assert done.status == 1
    assert "its files are gone" in done.err


# -- evaluate --------------------------------------------------------------------------------------


def with_run(house: House, name: str, pairs: int = 10) -> None:
    """A candidate whose run's directory holds examples."""
    run = house.runs.queue(f"m{name}", "test")

    def pair(number: int, held_out: bool) -> Example:
        prompt = ({"role": "user", "content": f"Question {number}?"},)
        return Example(prompt, f"good {number}", f"bad {number}", "siblings", (), (), "q", 1.0, held_out)

    class Gathered:
        training = [pair(number, False) for number in range(4)]
        held_out = [pair(number, True) for number in range(pairs)]
        counts = {"training": 4}

    work = Workspace(house.settings.home / "runs" / run.id)
    work.write(Gathered(), Recipe("dpo", "org/model"))
    (work.folder / "metrics.json").write_text("{}")
    candidate(house, name, None, run.id)


def test_an_evaluation_is_printed_and_kept(cli: Cli, house: House, fake: FakeEngine) -> None:
    fake.announce(house.settings.home)
    with_run(house, ONE)
    done = cli("evaluate", ONE, "--json")
    found = json.loads(done.out)
    kept = house.registry.evaluation(ONE)
    assert kept is not None
    assert (found["adapter"], found["against"], found["outcome"]) == (ONE, "base", kept.outcome)
    assert found["sound"] == 12
    assert {guard["name"] for guard in found["guards"]} >= {"forgetting", "flattery"}
    assert found["reasons"] == kept.reasons
    assert done.status == (1 if kept.outcome == "rejected" else 0)
    assert ONE in fake.loads
    assert "outcome: " in cli("evaluate", ONE).out


def test_a_rejected_one_is_1(cli: Cli, house: House, fake: FakeEngine) -> None:
    fake.announce(house.settings.home)
    with_run(house, ONE)
    (house.registry.get(ONE).path / "adapter_model.safetensors").write_bytes(b"\xff" * 64)
    done = cli("evaluate", ONE)
    assert done.status == 1
    assert "outcome: rejected" in done.out
    assert "loads: " in done.out


def test_it_can_be_compared_with_another_one_or_the_base(cli: Cli, house: House, fake: FakeEngine) -> None:
    fake.announce(house.settings.home)
    with_run(house, ONE)
    candidate(house, TWO)
    cli("adapters", "promote", TWO, *WHY)
    for against, found in (([], TWO), (["--against", TWO], TWO), (["--against", "base"], "base")):
        assert json.loads(cli("evaluate", ONE, *against, "--json").out)["against"] == found


@pytest.mark.parametrize(
    ("name", "engine", "said"),
    [
        (ONE, False, "no engine is running; start it with `apprentice up`"),
        (TWO, True, "there is no adapter"),
        ("lora-000000000003", True, "directory"),
    ],
)
def test_what_can_not_be_measured_is_1_with_the_reason(
    cli: Cli, house: House, fake: FakeEngine, name: str, engine: bool, said: str
) -> None:
    with_run(house, ONE)
    candidate(house, "lora-000000000003")
    if engine:
        fake.announce(house.settings.home)
    done = cli("evaluate", name)
    assert (done.status, done.out) == (1, "")
    assert said in done.err
