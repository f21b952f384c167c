"""What every test may ask for: a home of its own, a database on either engine, a store, a free port.

PostgreSQL is started here, once a test process, when a test first asks for it; nothing stays behind.
Knows nothing of the product but where its tables are described.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from sqlalchemy import URL, create_engine, make_url, text
from sqlalchemy.exc import OperationalError, SQLAlchemyError

from assistant.notices import seen_until
from feedback.database import Database, connect
from feedback.schema import (
    alerts,
    approvals,
    causes,
    choices,
    conversations,
    corrections,
    days,
    deletions,
    gap_turns,
    gaps,
    import_lines,
    imports,
    metadata,
    offers,
    ratings,
    receipts,
    review_drafts,
    review_tasks,
    reviews,
    search_texts,
    turns,
)
from feedback.store import Store

FACTS = [conversations, turns, ratings, corrections, choices, days, alerts, approvals, causes]
FACTS += [review_tasks, review_drafts, reviews, gaps, gap_turns, search_texts, offers]
# The last is the application's; whoever deletes a person looks there too.
FACTS += [imports, import_lines, deletions, receipts, seen_until]

EXTERNAL = "APPRENTICE_TEST_POSTGRES_URL"
"""A PostgreSQL server to test on, by a role that may create databases, in place of one of our own."""
_EXTERNAL_URL = os.environ.get(EXTERNAL)
_PATIENCE = 60.0
"""Seconds that a server may take to start."""


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home that belongs to this test alone; nobody's own settings reach the test."""
    for name in [name for name in os.environ if name.startswith("APPRENTICE_")]:
        monkeypatch.delenv(name)
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setenv("APPRENTICE_HOME", str(folder))
    return folder


@pytest.fixture
def free_port() -> Callable[[], int]:
    """Gives a TCP port on loopback that nobody listens on at the moment."""
    return _free_port


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The location of an empty database, on each engine in turn."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'facts.db'}"
        return
    yield from _own_database(request.getfixturevalue("postgres_server"))


@pytest.fixture
def postgres_url(postgres_server: URL) -> Iterator[str]:
    """The location of an empty PostgreSQL database that belongs to this test alone."""
    yield from _own_database(postgres_server)


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """A database with the tables of the facts and no row, on each engine in turn."""
    if request.param == "sqlite":
        opened = connect(f"sqlite:///{tmp_path / 'facts.db'}")
        with opened.write() as connection:
            metadata.create_all(connection, FACTS)
    else:
        opened = connect(request.getfixturevalue("_postgres_facts"))
        with opened.write() as connection:
            names = ", ".join(table.name for table in FACTS)
            connection.execute(text(f"TRUNCATE {names} RESTART IDENTITY CASCADE"))
    yield opened
    opened.close()


@pytest.fixture
def store(database: Database) -> Store:
    """A store in an empty database, on each engine in turn."""
    return Store(database)


@pytest.fixture(scope="session")
def _postgres_facts(postgres_server: URL) -> Iterator[str]:
    """One PostgreSQL database with the tables of the facts, emptied for each test: a new one takes longer."""
    for url in _own_database(postgres_server):
        engine = create_engine(url)
        metadata.create_all(engine, FACTS)
        engine.dispose()
        yield url


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[URL]:
    """A running PostgreSQL server, ours alone unless APPRENTICE_TEST_POSTGRES_URL names another."""
    if _EXTERNAL_URL:
        yield make_url(_EXTERNAL_URL)
        return
    programs = _programs()
    if programs is None:
        pytest.skip(f"no PostgreSQL: no initdb in PATH or /usr/lib/postgresql, and no {EXTERNAL}")
    # Not under pytest's own folders: those are closed to the other user that the server may have to run as,
    # and their names would make the path of the socket longer than the system takes.
    folder = Path(tempfile.mkdtemp(prefix="apprentice-pg-"))
    try:
        with _Server(programs, folder) as url:
            yield url
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _programs() -> Path | None:
    """The folder of PostgreSQL's programs: the PATH's, or else the newest that Debian keeps."""
    found = shutil.which("initdb")
    if found:
        # Links into one version's folder are common, and `postgres` itself is seldom linked too.
        return Path(found).resolve().parent
    kept = sorted(
        Path("/usr/lib/postgresql").glob("*/bin/initdb"),
        key=lambda program: [int(part) for part in program.parts[4].split(".") if part.isdigit()],
    )
    return kept[-1].parent if kept else None


class _Server:
    """A cluster in `folder`, from `initdb` to its end; it dies with us even if we are killed."""

    def __init__(self, programs: Path, folder: Path) -> None:
        self._programs = programs
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        # PostgreSQL refuses to run as root.
        self._user = "postgres" if os.geteuid() == 0 else None

    def __enter__(self) -> URL:
        data, log = self._folder / "data", self._folder / "log"
        if self._user:
            shutil.chown(self._folder, self._user)
        quiet = ["--no-sync", "--no-locale", "--encoding=UTF8", "--auth=trust", "--username=tester"]
        made = self._start([self._programs / "initdb", "-D", data, *quiet], log)
        if made.wait(timeout=_PATIENCE):
            pytest.fail(f"initdb failed:\n{log.read_text()}")
        port = _free_port()
        options = {
            "listen_addresses": "127.0.0.1",
            "port": port,
            "unix_socket_directories": self._folder,
            # The machine does not lose power in a test; what is killed here are clients.
            "fsync": "off",
            "max_connections": 60,
            "shared_buffers": "16MB",
        }
        flags = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        self._process = self._start([self._programs / "postgres", "-D", data, *flags], log)
        url = URL.create("postgresql+psycopg", "tester", host="127.0.0.1", port=port, database="postgres")
        try:
            self._wait(url, log)
        except BaseException:
            self.__exit__()
            raise
        return url

    def __exit__(self, *_: object) -> None:
        if self._process is None or self._process.poll() is not None:
            return
        # "Fast shutdown" in PostgreSQL's words: clients are cut off, nothing is waited for.
        self._process.send_signal(signal.SIGINT)
        try:
            self._process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self._process.send_signal(signal.SIGQUIT)
            self._process.wait(timeout=20)

    def _start(self, command: list[object], log: Path) -> subprocess.Popen[bytes]:
        with log.open("ab") as out:
            return subprocess.Popen(
                [str(part) for part in command],
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                user=self._user,
                group=self._user,
                extra_groups=[] if self._user else None,
                # A Ctrl-C in the terminal is for us; the server is ended in order, by us.
                start_new_session=True,
                preexec_fn=_die_with_parent if sys.platform == "linux" else None,
                env={"PATH": os.environ.get("PATH", ""), "LC_ALL": "C", "TZ": "UTC"},
            )

    def _wait(self, url: URL, log: Path) -> None:
        engine = create_engine(url)
        deadline = time.monotonic() + _PATIENCE
        try:
            while True:
                try:
                    with engine.connect():
                        return
                except OperationalError as error:
                    ended = self._process is None or self._process.poll() is not None
                    if ended or time.monotonic() > deadline:
                        pytest.fail(f"PostgreSQL did not start: {error}\n{log.read_text()}")
                    time.sleep(0.05)
        finally:
            engine.dispose()


def _die_with_parent() -> None:
    """In the child: ask the kernel for SIGINT when the process that started it is gone (prctl(2))."""
    ctypes.CDLL(None).prctl(1, signal.SIGINT)


def _own_database(server: URL) -> Iterator[str]:
    """A fresh database on the server, dropped again with whatever still hangs on it."""
    name = f"test_{uuid.uuid4().hex[:16]}"
    engine = create_engine(server, isolation_level="AUTOCOMMIT")
    try:
        with engine.connect() as connection:
            connection.execute(text(f"CREATE DATABASE {name}"))
        yield server.set(database=name).render_as_string(hide_password=False)
    finally:
        with suppress(SQLAlchemyError), engine.connect() as connection:
            connection.execute(text(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)"))
        engine.dispose()
