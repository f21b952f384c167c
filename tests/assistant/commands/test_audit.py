"""`apprentice audit …` and what `doctor` says of the chain."""

from __future__ import annotations

import getpass
import json

from sqlalchemy import update

from assistant.app import House
from assistant.audit import entries
from tests.assistant.commands.conftest import Cli


def test_what_is_done_at_the_terminal_is_written_down_with_its_user(cli: Cli, house: House) -> None:
    assert cli("audit", "list").out.startswith("nothing of that kind")
    run = cli("train").out.strip()
    assert cli("runs", "cancel", run).status == 0
    rows = json.loads(cli("audit", "list", "--json").out)
    assert [(row["what"], row["subject"], row["door"]) for row in rows] == [
        ("run cancelled", run, "command line"),
        ("run queued", run, "command line"),
    ]
    assert {row["who"] for row in rows} == {getpass.getuser()}
    assert run in cli("audit", "list", "--what", "run queued").out


def test_a_whole_chain_is_told_and_a_broken_one_named(cli: Cli, house: House) -> None:
    cli("train")
    done = cli("audit", "verify")
    assert (done.status, done.err) == (0, "")
    assert "1 rows, the chain is whole" in done.out
    findings = json.loads(cli("doctor", "--json").out)
    assert next(found for found in findings if found["what"] == "audit log")["ok"]
    with house.database.write() as connection:
        connection.execute(update(entries).values(who="eve"))
    done = cli("audit", "verify", "--json")
    assert (done.status, json.loads(done.out)["broken"]) == (1, 1)
    findings = json.loads(cli("doctor", "--json").out)
    assert not next(found for found in findings if found["what"] == "audit log")["ok"]
