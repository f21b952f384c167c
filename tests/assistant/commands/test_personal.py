"""Tests of a person's data from the terminal: taken along, and deleted."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

from assistant.app import House
from tests.assistant.commands.conftest import Cli
from tests.feedback.test_exchange import asked


def test_all_data_of_a_person_is_written_into_a_zip(cli: Cli, house: House, tmp_path: Path) -> None:
    ann = house.accounts.add("ann", "user")
    asked(house.store, "Anns question", person=ann.id)
    out = tmp_path / "ann.zip"
    done = cli("user", "export", "ann", "--out", str(out))
    assert (done.status, done.out) == (0, f"3 rows in {out}\n")
    with zipfile.ZipFile(out) as archive:
        assert b"Anns question" in archive.read("turns.jsonl")
    assert "no account named bob" in cli("user", "export", "bob").err


def test_a_person_is_deleted_with_all_data(cli: Cli, house: House) -> None:
    ann = house.accounts.add("ann", "user")
    asked(house.store, "Anns question", person=ann.id)
    done = cli("user", "delete", "ann", "--data")
    assert (done.status, done.out) == (0, "ann and all data are gone: 1 conversations, 0 examples\n")
    assert (house.accounts.all(), house.store.counts()["turns"]) == ([], 0)
    (row,) = json.loads(cli("user", "deletions", "--json").out)
    assert (row["stage"], row["person"]) == ("done", ann.id)
    assert "no account named ann" in cli("user", "delete", "ann", "--data").err


def test_without_data_what_was_said_stays_and_can_go_later(cli: Cli, house: House) -> None:
    ann = house.accounts.add("ann", "user")
    asked(house.store, "Anns question", person=ann.id)
    assert cli("user", "delete", "ann").out == "ann is gone\n"
    assert house.store.counts()["turns"] == 1
    assert cli("user", "delete", ann.id, "--data").status == 0
    assert house.store.counts()["turns"] == 0
