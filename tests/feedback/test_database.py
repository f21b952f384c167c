"""Tests of the way to a database: errors in our words, whole transactions, one writer at a time."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from feedback.database import Database, DatabaseUnavailable, connect
from feedback.records import FeedbackError
from feedback.schema import metadata
from feedback.store import Store

ROOT = Path(__file__).resolve().parents[2]

WRITER = """
import json, sys
from feedback.database import connect
from feedback.store import Ending, NewTurn, Store, Verdict

url, person = sys.argv[1:]
store = Store(connect(url))
conversation = store.start_conversation(person, "Hello?")
parent = None
while True:
    prompt = [{"role": "user", "content": "Hello?"}]
    turn = store.begin(NewTurn(conversation.id, parent, person, "Hello?", prompt, "base", None, {}))
    print(json.dumps(["begun", turn.id]), flush=True)
    store.end(turn, Ending("complete", "An answer of some length. " * 20))
    print(json.dumps(["ended", turn.id]), flush=True)
    rating = store.judge(turn.id, person, "user", Verdict("down", ["wrong"], "why", "better"))
    print(json.dumps(["rated", rating.id]), flush=True)
    parent = turn.id
"""


def test_a_url_that_is_none_is_refused_in_one_sentence() -> None:
    with pytest.raises(DatabaseUnavailable, match="no database URL"):
        connect("nonsense")


def test_a_refusal_does_not_show_the_password() -> None:
    with pytest.raises(DatabaseUnavailable) as refused:
        connect("postgresql//ann:secret@host/name")
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize("url", ["mysql://u@h/d", "postgresql+asyncpg://u@h/d", "oracle://u@h/d"])
def test_another_kind_of_database_is_refused_and_the_served_ones_named(url: str) -> None:
    with pytest.raises(DatabaseUnavailable, match="postgresql\\+psycopg"):
        connect(url)


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:"])
def test_sqlite_in_memory_is_refused(url: str) -> None:
    with pytest.raises(DatabaseUnavailable, match="name a file"):
        connect(url)


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DatabaseUnavailable, match="can't be made"):
        connect(f"sqlite:///{tmp_path}/file/x/facts.db")


def test_a_file_that_is_no_database_is_an_error_of_ours(tmp_path: Path) -> None:
    (tmp_path / "facts.db").write_text("not a database at all, but long enough to be read as one" * 40)
    database = connect(f"sqlite:///{tmp_path}/facts.db")
    with pytest.raises(DatabaseUnavailable), database.read() as connection:
        connection.execute(text("select * from x"))
    database.close()


def test_a_server_that_is_not_there_is_an_error_of_ours(free_port: Callable[[], int]) -> None:
    database = connect(f"postgresql+psycopg://ann:secret@127.0.0.1:{free_port()}/nothing")
    with pytest.raises(FeedbackError, match="does not answer"), database.read():
        pass
    assert "secret" not in database.url


def test_a_server_that_comes_back_is_used_again(postgres_url: str) -> None:
    database = connect(postgres_url)
    with database.read() as connection:
        own = connection.execute(text("select pg_backend_pid()")).scalar_one()
    other = create_engine(postgres_url, isolation_level="AUTOCOMMIT")
    with other.connect() as connection:
        connection.execute(text(f"select pg_terminate_backend({own})"))
    other.dispose()
    with database.read() as connection:
        assert connection.execute(text("select 1")).scalar_one() == 1
    database.close()


def test_sqlite_is_set_to_lose_nothing_that_was_committed(tmp_path: Path) -> None:
    database = connect(f"sqlite:///{tmp_path}/facts.db")
    with database.read() as connection:
        asked = ("journal_mode", "synchronous", "foreign_keys")
        found = [connection.exec_driver_sql(f"PRAGMA {name}").scalar_one() for name in asked]
    assert found == ["wal", 2, 1]
    database.close()


@pytest.fixture
def empty(database_url: str) -> Iterator[Database]:
    """A database of the test's own with a table `x` of numbers."""
    opened = connect(database_url)
    with opened.write() as connection:
        connection.execute(text("create table x (a integer)"))
    yield opened
    opened.close()


def test_a_transaction_is_all_or_nothing(empty: Database) -> None:
    def fail() -> None:
        with empty.write() as connection:
            connection.execute(text("insert into x values (1)"))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    with empty.write() as connection:
        connection.execute(text("insert into x values (2)"))
    with empty.read() as connection:
        assert connection.execute(text("select a from x")).scalars().all() == [2]


def test_a_read_does_not_wait_for_a_writer_and_sees_nothing_half_done(empty: Database) -> None:
    with empty.write() as writing:
        writing.execute(text("insert into x values (1)"))
        with empty.read() as reading:
            assert reading.execute(text("select count(*) from x")).scalar_one() == 0
    with empty.read() as reading:
        assert reading.execute(text("select count(*) from x")).scalar_one() == 1


def test_threads_write_one_after_the_other(empty: Database) -> None:
    with empty.write() as connection:
        connection.execute(text("insert into x values (0)"))

    def add() -> None:
        for _ in range(10):
            with empty.write() as connection:
                connection.execute(text("update x set a = a + 1"))

    threads = [threading.Thread(target=add) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with empty.read() as connection:
        assert connection.execute(text("select a from x")).scalar_one() == 40


def _hold(url: str, entered: multiprocessing.synchronize.Event, seconds: float) -> None:
    with connect(url).write() as connection:
        connection.execute(text("select 1"))
        entered.set()
        time.sleep(seconds)


def test_a_second_process_waits_for_the_first_to_end_its_write(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/facts.db"
    context = multiprocessing.get_context("spawn")
    entered = context.Event()
    holder = context.Process(target=_hold, args=(url, entered, 0.6))
    holder.start()
    assert entered.wait(30)
    begun = time.monotonic()
    with connect(url).write() as connection:
        connection.execute(text("select 1"))
    waited = time.monotonic() - begun
    holder.join(30)
    assert waited > 0.3


def test_the_write_lock_of_a_killed_process_is_free_again(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/facts.db"
    context = multiprocessing.get_context("spawn")
    entered = context.Event()
    holder = context.Process(target=_hold, args=(url, entered, 600.0))
    holder.start()
    assert entered.wait(30)
    holder.kill()
    holder.join(30)
    begun = time.monotonic()
    with connect(url).write() as connection:
        connection.execute(text("select 1"))
    assert time.monotonic() - begun < 5


def test_kill_9_of_one_of_two_writers_loses_nothing_that_was_acknowledged(database_url: str) -> None:
    """Two processes write without a pause, one is killed in the middle, then the other one too."""
    opened = connect(database_url)
    with opened.write() as connection:
        metadata.create_all(connection)
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, database_url, person], cwd=ROOT, stdout=subprocess.PIPE, text=True
        )
        for person in ("ann", "bob")
    ]
    told: list[list[str]] = [[], []]

    def listen(index: int) -> None:
        stream = writers[index].stdout
        assert stream is not None
        told[index].extend(line for line in stream if line.endswith("\n"))

    listeners = [threading.Thread(target=listen, args=(index,)) for index in (0, 1)]
    try:
        for listener in listeners:
            listener.start()
        _wait_until(lambda: all(len(lines) >= 60 for lines in told))
        os.kill(writers[0].pid, signal.SIGKILL)
        _wait_until(lambda: len(told[1]) >= 150)
        os.kill(writers[1].pid, signal.SIGKILL)
    finally:
        for writer in writers:
            writer.kill()
            writer.wait()
        for listener in listeners:
            listener.join()
    _check_acknowledged(opened, [json.loads(line) for lines in told for line in lines])
    opened.close()


def _wait_until(holds: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "the writers are too slow"
        time.sleep(0.02)


def _check_acknowledged(database: Database, told: list[tuple[str, str | int]]) -> None:
    store = Store(database)
    histories = {history.turn.id: history for history in store.histories()}
    kept = {rating.id: rating for history in histories.values() for rating in history.ratings}
    for kind, key in told:
        if kind == "begun":
            assert store.turn(str(key)).question == "Hello?"
        elif kind == "ended":
            assert histories[str(key)].turn.status == "complete"
        else:
            assert kept[int(key)].thumb == "down"
    # No rating without its correction: the two are one transaction.
    assert all(len(item.ratings) == len(item.corrections) for item in histories.values())
    # And it goes on: the next write is taken.
    assert store.start_conversation("carl", "Still there?").title == "Still there?"
    if database.dialect == "sqlite":
        file = database.url.removeprefix("sqlite:///")
        with sqlite3.connect(file) as raw:
            assert raw.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            assert raw.execute("PRAGMA foreign_key_check").fetchall() == []
        raw.close()
