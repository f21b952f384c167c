"""Tests of reading files in: whole or not at all, once, and told from what was said here."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert

from feedback import importing, schema
from feedback.counting import id_at
from feedback.database import Database, connect
from feedback.days import Days
from feedback.importing import Imported, read_in
from feedback.schema import deletions
from feedback.store import Store
from tests.feedback.test_exchange import asked, exported
from tests.feedback.test_foreign import CALL, HI, NO, STEPS, TOOL, YES, owui
from tests.feedback.test_restoring import NOW
from tests.feedback.test_store import rows

ROOT = Path(__file__).resolve().parents[2]
PAIR = {"prompt": [HI], "chosen": [YES], "rejected": [NO]}
EVERY: list[dict[str, Any]] = [
    PAIR,
    {"prompt": "Where is mine?", "completion": "Lost.", "label": False},
    {"messages": [HI, {**NO, "weight": 0}, HI, *STEPS, YES], "tools": [TOOL]},
    {"input": {"messages": [HI]}, "preferred_output": [YES], "non_preferred_output": [NO]},
    owui(),
]


def read(database: Database, *given: Any) -> Imported:
    lines = (one if isinstance(one, str) else json.dumps(one) for one in given)
    return read_in(database, io.StringIO("\n".join(lines)), name="a.jsonl", by="root")


def test_every_form_becomes_answers_and_opinions(store: Store, database: Database) -> None:
    found = read(database, *EVERY)
    assert (found.stored, found.known, found.refused) == (5, 0, 0)
    assert found.forms == {
        "preference": 1,
        "unpaired": 1,
        "messages": 1,
        "openai_preference": 1,
        "open_webui": 1,
    }
    (first, second) = store.choices()
    assert {first.preference, second.preference} == {"first"}
    sides = store.compared([first])
    assert sides[first.first_turn_id].turn.answer == "On its way."
    assert sides[first.first_turn_id].turn.prompt_key == sides[first.second_turn_id].turn.prompt_key
    thumbs = {item.turn.answer: [row.thumb for row in item.ratings] for item in store.judged()}
    assert thumbs == {"Lost.": ["down"], "On its way.": ["up"], "No idea.": ["down"]}
    (used,) = [item.turn for item in store.judged() if item.turn.steps]
    assert (used.sampling, used.steps[0]["tool_calls"]) == ({"tools": [TOOL]}, [CALL])
    before = store.turn(str(used.parent_id))
    assert (before.answer, before.conversation_id) == ("No idea.", used.conversation_id)


def test_what_came_from_a_file_says_so_and_is_no_figure_of_the_house(
    store: Store, database: Database
) -> None:
    lived = asked(store)
    found = read(database, *EVERY)
    origins = {item.turn.origin for item in store.judged()}
    assert origins == {found.id}
    assert store.turn(lived.id).origin == ""
    assert all(turn.id >= id_at(NOW) for turn in (item.turn for item in store.judged()))
    # Neither satisfaction nor a canary's votes nor the days are of it.
    assert store.satisfaction().unasked.count == 0
    assert store.votes(0) == []
    days = Days(database)
    while days.refresh(lived.created_at):
        pass
    assert days.total().complete == 1
    assert days.newest(10, lived.created_at) == ["complete"]
    people = {item.turn.person_id for item in store.judged()}
    assert people == {found.id, *(person for person in people if person.startswith(f"{found.id}."))}
    assert all("u-1" not in person for person in people), "whoever it was elsewhere is not named here"


def test_what_was_imported_stays_so_in_a_raw_export(store: Store, database: Database) -> None:
    found = read(database, PAIR)
    details = [json.loads(row["details"]) for row in exported(store, "raw")]
    assert [one["origin"] for one in details] == [found.id, found.id]


def test_a_line_is_read_once_however_it_is_written(store: Store, database: Database) -> None:
    turned = json.dumps(dict(reversed(PAIR.items())), indent=None, separators=(",", ":"))
    found = read(database, PAIR, turned)
    assert (found.stored, found.known) == (1, 1)
    again = read(database, PAIR)
    assert (again.id, again.stored, again.known) == ("", 0, 1)
    assert (rows(database, schema.turns), rows(database, schema.imports)) == (2, 1)


def test_the_good_lines_are_stored_and_each_bad_one_is_named(store: Store, database: Database) -> None:
    found = read(database, "nonsense", PAIR, {"messages": []}, "", EVERY[1], "[" * 5000, "7")
    assert found.stored == 2
    assert [number for number, _ in found.reasons] == [1, 3, 6, 7]
    assert found.as_dict()["reasons"][1] == {
        "line": 3,
        "reason": "no message of the assistant in it is to be learned from",
    }


def test_an_array_is_read_like_lines(store: Store, database: Database) -> None:
    found = read_in(database, io.StringIO(json.dumps([owui(), {"x": 1}, PAIR], indent=2)), name="", by="root")
    assert (found.stored, [number for number, _ in found.reasons]) == (2, [2])


def test_many_refusals_are_counted_and_the_first_told(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importing, "MOST_TOLD", 3)
    found = read(database, *["x"] * 10)
    assert (found.refused, [number for number, _ in found.reasons]) == (10, [1, 2, 3])
    assert rows(database, schema.imports) == 0


def test_who_had_everything_deleted_does_not_come_back(store: Store, database: Database) -> None:
    asked(store, person="ann")
    asked(store, person="bob")
    lines = exported(store, "raw")
    other = [
        {**row, "turn_id": f"{row['turn_id']}x", "conversation_id": f"c{i}"} for i, row in enumerate(lines)
    ]
    row = {"id": "del-1", "person_id": "ann", "asked_by": "root", "asked_at": NOW, "stage": "done"}
    with database.write() as connection:
        connection.execute(insert(deletions).values(row))
    found = read(database, *other)
    assert (found.stored, found.refused) == (1, 1)
    assert "deleted" in found.reasons[0][1]


def test_an_error_in_the_middle_leaves_nothing(
    store: Store, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importing, "_AT_ONCE", 2)
    real, calls = importing.restore, []

    def breaks(connection: Any, histories: Any) -> list[str]:
        calls.append(1)
        if len(calls) == 2:
            raise RuntimeError("in the middle")
        return real(connection, histories)

    monkeypatch.setattr(importing, "restore", breaks)
    with pytest.raises(RuntimeError):
        read(database, *EVERY)
    tables = (schema.turns, schema.ratings, schema.conversations, schema.imports, schema.import_lines)
    assert [rows(database, table) for table in tables] == [0] * 5


KILLED = """
import os, signal, sys
from feedback import importing
from feedback.database import connect
importing._AT_ONCE = 2
real, calls = importing.restore, []
def dies(connection, histories):
    calls.append(1)
    if len(calls) == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return real(connection, histories)
importing.restore = dies
importing.read_in(connect(sys.argv[1]), open(sys.argv[2]), name="a", by="root")
"""


@pytest.fixture
def file(tmp_path: Path) -> Iterator[tuple[Database, Path]]:
    """A database in a file, and a file of every form."""
    opened = connect(f"sqlite:///{tmp_path}/killed.db")
    with opened.write() as connection:
        schema.metadata.create_all(connection)
    path = tmp_path / "lines.jsonl"
    path.write_text("".join(json.dumps(one) + "\n" for one in EVERY))
    yield opened, path
    opened.close()


def test_a_killed_import_leaves_nothing_and_the_next_one_reads_all(file: tuple[Database, Path]) -> None:
    database, path = file
    command = [sys.executable, "-c", KILLED, database.location, str(path)]
    done = subprocess.run(command, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, check=False)
    assert done.returncode == -signal.SIGKILL
    assert (rows(database, schema.turns), rows(database, schema.imports)) == (0, 0)
    with path.open() as lines:
        assert read_in(database, lines, name="a", by="root").stored == 5
