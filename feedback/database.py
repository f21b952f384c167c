"""Opens the database that a URL names and hands out transactions. Knows no table.

SQLite below 3.51.3 can corrupt a write-ahead log when two connections write or checkpoint at the same
moment (the "WAL-reset" race, sqlite.org/wal.html), and distributions still ship such versions. So every
write, and every close (which checkpoints too), happens under one lock file that all our processes share;
automatic checkpoints run inside a commit and are thereby covered. Reads take no lock.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock
from sqlalchemy import Connection, Engine, create_engine, event, exc, make_url

from feedback.records import FeedbackError


class DatabaseUnavailable(FeedbackError):
    """The database can't be opened or reached; the message says which and why."""


class Database:
    """One database, by location. Safe to share between threads; each process opens its own."""

    def __init__(self, engine: Engine, lock: FileLock | None) -> None:
        self._engine = engine
        self._lock = lock
        # FileLock is re-entrant inside one process, so threads need a lock of their own in front of it.
        self._threads = threading.Lock()

    @property
    def url(self) -> str:
        """The location, without its password."""
        return self._engine.url.render_as_string(hide_password=True)

    @property
    def location(self) -> str:
        """The location with its password: for a child process, never for a page or a log."""
        return self._engine.url.render_as_string(hide_password=False)

    @property
    def dialect(self) -> str:
        """`sqlite` or `postgresql`."""
        return self._engine.dialect.name

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A consistent view that writes nothing. Keep it short: a long one keeps the log from folding in."""
        with _foreign_errors(), self._engine.connect() as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction: all of it on a normal exit, nothing of it on an error."""
        with _foreign_errors(), self._exclusive(), self._engine.begin() as connection:
            yield connection

    def fold(self) -> None:
        """Fold the log of writes into the file, so that nothing that was deleted stands in it any more."""
        if self.dialect != "sqlite":
            return
        with self._exclusive():
            raw = self._engine.raw_connection()
            try:
                raw.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            finally:
                raw.close()

    def close(self) -> None:
        """Give every connection back; the last one to close folds the log in, hence the lock."""
        with self._exclusive():
            self._engine.dispose()

    @contextmanager
    def _exclusive(self) -> Iterator[None]:
        if self._lock is None:
            yield
            return
        with self._threads, self._lock:
            yield


def connect(url: str) -> Database:
    """Open `sqlite:///…` or `postgresql+psycopg://…`. Raises `DatabaseUnavailable` with one sentence."""
    try:
        parsed = make_url(url)
    except exc.ArgumentError:
        # What stands before an @ may be a password.
        shown = url.rpartition("@")[2]
        raise DatabaseUnavailable(f"{shown!r} is no database URL such as sqlite:////path/file.db") from None
    if parsed.get_backend_name() == "sqlite":
        return _connect_sqlite(url, parsed.database)
    if parsed.drivername != "postgresql+psycopg":
        raise DatabaseUnavailable(
            f"{parsed.drivername} is not served; use a SQLite file or postgresql+psycopg://user@host/name"
        )
    # A dead server is noticed when a connection is taken from the pool, not by the person who asks.
    return Database(create_engine(url, pool_pre_ping=True, pool_size=10, max_overflow=20), None)


def _connect_sqlite(url: str, file: str | None) -> Database:
    if not file or file == ":memory:":
        raise DatabaseUnavailable("an in-memory SQLite can't be shared between our processes; name a file")
    try:
        Path(file).parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DatabaseUnavailable(f"{Path(file).parent} can't be made: {error.strerror}") from error
    engine = create_engine(url, connect_args={"timeout": 30}, pool_size=10, max_overflow=20)

    @event.listens_for(engine, "connect")
    def _configure(connection: Any, _record: object) -> None:
        # Left alone, sqlite3 begins transactions late and reads outside of them; the hook below begins ours.
        connection.isolation_level = None
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "busy_timeout=30000"):
            connection.execute(f"PRAGMA {pragma}")
        # What is deleted is written over: no word of somebody who left stays in a page that is free.
        connection.execute("PRAGMA secure_delete=ON")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN")

    # A waiter asks again after 5 ms: at the default of 50 ms it loses the race to a busy writer for longer.
    return Database(engine, FileLock(f"{file}.lock", poll_interval=0.005))


@contextmanager
def _foreign_errors() -> Iterator[None]:
    """SQLAlchemy's word for "can't reach it" becomes ours; everything else is a bug and stays what it is."""
    try:
        yield
    except exc.TimeoutError as error:
        raise DatabaseUnavailable("the database does not answer: all connections are in use") from error
    except exc.DatabaseError as error:
        # SQLite reports a file that is none of its own, or a damaged one, by the bare class; its other
        # children (a broken constraint, say) are for the caller.
        if type(error) not in (exc.OperationalError, exc.DatabaseError):
            raise
        raise DatabaseUnavailable(f"the database does not answer: {error.orig}") from error
