"""Tests of the migrations, on both databases: from nothing to the tables of today, once, or not at all."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import inspect, text

from assistant import accounts, audit, migrations, notices
from assistant.migrations import NewerDatabase
from feedback.database import Database, connect
from feedback.schema import metadata
from feedback.store import Ending, NewTurn, Store, Verdict

ROOT = Path(__file__).resolve().parents[2]

UPGRADER = """
import sys
from assistant import accounts, audit, migrations, notices
from feedback.database import connect
database = connect(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
migrations.upgrade(database)
database.close()
"""

# Dies by its own hand as soon as the tables of the facts stand and before those of training do.
KILLED = """
import os, signal, sys
from alembic.operations import Operations
real = Operations.create_table
def create_table(self, name, *given, **named):
    if name == "adapters":
        os.kill(os.getpid(), signal.SIGKILL)
    return real(self, name, *given, **named)
Operations.create_table = create_table
from alembic import op
op.create_table = lambda name, *given, **named: create_table(op._proxy, name, *given, **named)
from assistant import accounts, audit, migrations, notices
from feedback.database import connect
migrations.upgrade(connect(sys.argv[1]))
"""


@pytest.fixture
def empty(database_url: str) -> Iterator[Database]:
    """A database without a table, on each engine in turn."""
    found = connect(database_url)
    yield found
    found.close()


def named(name: str | None, kind: str, _parents: object) -> bool:
    """SQLite keeps its full-text index in tables of its own, PostgreSQL in an index on an expression."""
    return not (kind == "table" and str(name).startswith("search_words")) and name != "ix_search_texts_words"


def tables(database: Database) -> set[str]:
    with database.read() as connection:
        found = inspect(connection).get_table_names()
    return {name for name in found if named(name, "table", None)}


def revision(database: Database) -> str | None:
    with database.read() as connection:
        return MigrationContext.configure(connection).get_current_revision()


def head() -> str | None:
    return ScriptDirectory.from_config(migrations.config()).get_current_head()


def test_from_nothing_it_makes_exactly_the_tables_that_the_code_knows(empty: Database) -> None:
    migrations.upgrade(empty)
    assert revision(empty) == head()
    with empty.read() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "include_name": named})
        assert compare_metadata(context, metadata) == []
    ours = {accounts.accounts.name, audit.entries.name, notices.seen_until.name}
    assert ours <= set(metadata.tables)
    assert tables(empty) == {*metadata.tables, "alembic_version"}


def test_what_is_kept_survives_the_next_start(empty: Database) -> None:
    migrations.upgrade(empty)
    store = Store(empty)
    conversation = store.start_conversation("ann", "Hello?")
    prompt = [{"role": "user", "content": "Hello?"}]
    turn = store.begin(NewTurn(conversation.id, None, "ann", "Hello?", prompt, "base", None, {}))
    ended = store.end(turn, Ending("complete", "Hello."))
    before = tables(empty)
    migrations.upgrade(empty)
    assert store.turn(turn.id) == ended
    assert (tables(empty), revision(empty)) == (before, head())


def test_an_id_of_an_opinion_is_never_used_again(empty: Database) -> None:
    """Adapters name votes by id, so a deleted row's number must not come back."""
    migrations.upgrade(empty)
    store = Store(empty)
    conversation = store.start_conversation("ann", "Hello?")
    prompt = [{"role": "user", "content": "Hello?"}]
    turn = store.end(
        store.begin(NewTurn(conversation.id, None, "ann", "Hello?", prompt, "base", None, {})),
        Ending("complete", "Hello."),
    )
    first = store.judge(turn.id, "ann", "user", Verdict("up"))
    with empty.write() as connection:
        connection.execute(text("DELETE FROM ratings"))
    assert store.judge(turn.id, "ann", "user", Verdict("down")).id > first.id


def test_two_processes_that_start_at_once_upgrade_once(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'new.db'}"
    starters = [
        subprocess.Popen(
            [sys.executable, "-c", UPGRADER, url],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    for starter in starters:
        assert starter.stdout is not None
        assert starter.stdout.readline() == "ready\n"
    outcomes = [starter.communicate("go\n", timeout=60) for starter in starters]
    assert [starter.returncode for starter in starters] == [0, 0], outcomes
    assert revision(connect(url)) == head()
    assert tables(connect(url)) == {*metadata.tables, "alembic_version"}


def test_several_that_start_at_once_upgrade_once(database_url: str, empty: Database) -> None:
    barrier = threading.Barrier(3)

    def start() -> None:
        own = connect(database_url)
        barrier.wait(10)
        migrations.upgrade(own)
        own.close()

    with ThreadPoolExecutor(3) as pool:
        for starter in [pool.submit(start) for _ in range(3)]:
            starter.result(timeout=30)
    assert revision(empty) == head()
    ours = {accounts.accounts.name, audit.entries.name, notices.seen_until.name}
    assert ours <= set(metadata.tables)
    assert tables(empty) == {*metadata.tables, "alembic_version"}


def test_killed_in_the_middle_it_leaves_nothing_and_the_next_start_goes_through(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'new.db'}"
    done = subprocess.run(
        [sys.executable, "-c", KILLED, url], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    empty = connect(url)
    assert tables(empty) == set()
    migrations.upgrade(empty)
    assert revision(empty) == head()


def test_an_error_in_the_middle_leaves_nothing_either(
    empty: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    from alembic import op

    real = op.create_table

    def create_table(name: str, *given: object, **named: object) -> object:
        if name == "ratings":
            raise OSError("the disk is full")
        return real(name, *given, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(op, "create_table", create_table)
    with pytest.raises(OSError, match="full"):
        migrations.upgrade(empty)
    assert tables(empty) == set()
    monkeypatch.undo()
    migrations.upgrade(empty)
    assert revision(empty) == head()


def test_a_database_of_a_newer_version_is_refused_and_left_alone(empty: Database) -> None:
    migrations.upgrade(empty)
    with empty.write() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(NewerDatabase, match=r"9999.*update the program or restore a backup"):
        migrations.upgrade(empty)
    assert revision(empty) == "9999"


def test_an_upgrade_works_from_any_working_directory(
    empty: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "alembic.ini").write_text("[alembic]\nscript_location = nowhere\n")
    monkeypatch.chdir(tmp_path)
    assert os.getcwd() == str(tmp_path)
    migrations.upgrade(empty)
    assert revision(empty) == head()
