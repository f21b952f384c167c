"""Fixtures for tests that need all tables, on either engine, many times: `location`, `database`, `sqlite`.

Tables are made once: SQLite's file is copied for each test, PostgreSQL's one database is emptied before
each. A conftest takes the fixtures over by importing them. Knows nothing of what tests keep in the tables.
"""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import URL, text

from assistant import migrations
from feedback.database import Database, connect
from feedback.schema import metadata

__all__ = ["database", "location", "migrated", "shared_postgres", "sqlite"]


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file with all tables and no row, to be copied."""
    file = tmp_path_factory.mktemp("migrated") / "empty.db"
    made = connect(f"sqlite:///{file}")
    migrations.upgrade(made)
    made.close()
    return file


@pytest.fixture(scope="session")
def shared_postgres(postgres_server: URL) -> Iterator[str]:
    """The location of a PostgreSQL database with all tables, for one test after the other."""
    name = f"shared_{uuid.uuid4().hex[:12]}"
    server = connect(postgres_server.render_as_string(hide_password=False))
    autonomous = server._engine.execution_options(isolation_level="AUTOCOMMIT")
    with autonomous.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    url = postgres_server.set(database=name).render_as_string(hide_password=False)
    made = connect(url)
    migrations.upgrade(made)
    made.close()
    yield url
    with autonomous.connect() as connection:
        connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    server.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def location(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where the test's database with all tables and no row is, on each engine in turn."""
    if request.param == "sqlite":
        return _copied(request.getfixturevalue("migrated"), tmp_path)
    url = str(request.getfixturevalue("shared_postgres"))
    emptied = connect(url)
    names = ", ".join(table.name for table in metadata.sorted_tables)
    with emptied.write() as connection:
        connection.execute(text(f"TRUNCATE {names} RESTART IDENTITY CASCADE"))
    emptied.close()
    return url


@pytest.fixture
def database(location: str) -> Iterator[Database]:
    """A database with all tables and no row, on each engine in turn."""
    found = connect(location)
    yield found
    found.close()


@pytest.fixture
def sqlite(migrated: Path, tmp_path: Path) -> Iterator[Database]:
    """A SQLite with all tables and no row, where the engine makes no difference."""
    found = connect(_copied(migrated, tmp_path))
    yield found
    found.close()


def _copied(file: Path, folder: Path) -> str:
    shutil.copyfile(file, folder / "all.db")
    return f"sqlite:///{folder / 'all.db'}"
