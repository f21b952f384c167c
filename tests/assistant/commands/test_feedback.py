"""Tests of `apprentice feedback`: what was said goes out as JSONL, and comes in again elsewhere."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from assistant.app import House
from feedback.approved import Approved
from feedback.records import Thumb
from feedback.store import Ending, NewTurn, Verdict
from tests.assistant.commands.conftest import Cli


def say(house: House, question: str, thumb: Thumb, correction: str = "") -> str:
    """One answer that a person has judged."""
    conversation = house.store.start_conversation("ann", question).id
    prompt = [{"role": "user", "content": question}]
    turn = house.store.begin(NewTurn(conversation, None, "ann", question, prompt, "m", None, {}))
    house.store.end(turn, Ending("complete", "I do not know anything about that order, sorry."))
    house.store.judge(turn.id, "ann", "user", Verdict(thumb, (), "", correction))
    return turn.id


def lines(file: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


@pytest.mark.parametrize(
    ("kind", "keys"),
    [
        ("preference", {"prompt", "chosen", "rejected", "tools"}),
        ("unpaired", {"prompt", "completion", "tools", "label"}),
        ("sft", {"prompt", "completion", "tools"}),
        ("raw", {"turn"}),
    ],
)
def test_each_format_has_the_keys_that_its_reader_wants(
    cli: Cli, house: House, tmp_path: Path, kind: str, keys: set[str]
) -> None:
    for number in range(12):
        say(house, f"Where is order {number}?", "down", f"Order {number} will be with you on Monday.")
    out = tmp_path / "out.jsonl"
    done = cli("feedback", "export", "--format", kind, "--out", str(out))
    rows = lines(out)
    assert done.status == 0
    assert rows
    assert done.out == f"{len(rows)} lines in {out}\n"
    assert kind == "raw" or all(keys <= set(row) for row in rows)


def test_an_empty_home_gives_an_empty_file(cli: Cli, house: House, tmp_path: Path) -> None:
    for kind in ("preference", "unpaired", "sft", "raw"):
        out = tmp_path / f"{kind}.jsonl"
        assert cli("feedback", "export", "--format", kind, "--out", str(out)).out.startswith("0 lines")
        assert out.read_text() == ""


def test_what_goes_out_raw_comes_in_again(cli: Cli, house: House, tmp_path: Path) -> None:
    turn_id = say(house, "Where is it?", "down", "On its way.")
    out, other = tmp_path / "raw.jsonl", tmp_path / "other"
    cli("feedback", "export", "--format", "raw", "--out", str(out))
    done = cli("feedback", "import", str(out), "--home", str(other))
    assert (done.status, done.out) == (0, "1 lines read, 0 refused\n")
    cli("feedback", "export", "--format", "raw", "--out", str(tmp_path / "again.jsonl"), "--home", str(other))
    assert turn_id in (tmp_path / "again.jsonl").read_text()
    assert json.loads(cli("status", "--json", "--home", str(other)).out)["feedback"]["corrections"] == 1


def test_lines_that_can_not_be_used_are_named_and_the_others_are_read(
    cli: Cli, house: House, tmp_path: Path
) -> None:
    say(house, "Where is it?", "up")
    out = tmp_path / "raw.jsonl"
    cli("feedback", "export", "--format", "raw", "--out", str(out))
    out.write_text("not JSON\n" + out.read_text())
    done = cli("feedback", "import", str(out), "--home", str(tmp_path / "other"))
    assert (done.status, done.out) == (1, "1 lines read, 1 refused\n")
    assert done.err.startswith("line 1: ")


def test_a_folder_that_is_not_there_is_made(cli: Cli, house: House, tmp_path: Path) -> None:
    out = tmp_path / "new" / "folder" / "out.jsonl"
    assert cli("feedback", "export", "--format", "raw", "--out", str(out)).status == 0
    assert out.is_file()


def test_approved_answers_are_listed_and_taken_back(cli: Cli, house: House) -> None:
    assert "nothing is approved yet" in cli("feedback", "approvals").out
    turn = say(house, "Is it free?", "down")
    made = Approved(house.database).add(turn, "Is it free?", "Always.", "", "stella", 9)
    assert made.id in cli("feedback", "approvals").out
    found = json.loads(cli("feedback", "approvals", "--take-back", made.id, "--json").out)
    assert [one["state"] for one in found] == ["ended"]
    assert cli("feedback", "approvals", "--take-back", "appr-none").status == 1


def test_other_tools_files_are_read_and_a_second_time_known(cli: Cli, house: House, tmp_path: Path) -> None:
    file = tmp_path / "pairs.jsonl"
    row = {"prompt": "Where is it?", "chosen": "On its way.", "rejected": "No idea."}
    file.write_text(json.dumps(row) + "\n" + json.dumps({"x": 1}) + "\n")
    first = cli("feedback", "import", str(file))
    assert (first.status, first.out) == (1, "1 lines read, 1 refused\n")
    assert "line 2: it has none of the known forms" in first.err
    second = cli("feedback", "import", str(file), "--json")
    assert (json.loads(second.out)["known"], json.loads(second.out)["id"]) == (1, None)
    assert len(house.store.choices()) == 1
