"""Fixtures for tests that need all tables, on either engine, many times: `location` and `database`.

PostgreSQL takes a third of a second to make a database, so there is one for all these tests, emptied
before each. A conftest takes them over by importing them. Knows nothing of what the tests keep in the tables.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import URL, create_engine, text

import assistant.accounts  # noqa: F401 - these two add their tables to the one metadata
import training.schema  # noqa: F401
from feedback.database import Database, connect
from feedback.schema import metadata


@pytest.fixture(scope="session")
def shared_postgres(postgres_server: URL) -> Iterator[str]:
    """The location of a PostgreSQL database with all tables, for one test after the other."""
    name = f"shared_{uuid.uuid4().hex[:12]}"
    server = create_engine(postgres_server, isolation_level="AUTOCOMMIT")
    url = postgres_server.set(database=name)
    with server.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    inside = create_engine(url)
    metadata.create_all(inside)
    inside.dispose()
    yield url.render_as_string(hide_password=False)
    with server.connect() as connection:
        connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    server.dispose()


@pytest.fixture(params=["sqlite", "postgresql"])
def location(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where the test's database is, on each engine in turn."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'all.db'}"
    return str(request.getfixturevalue("shared_postgres"))


@pytest.fixture
def database(location: str) -> Iterator[Database]:
    """A database with all tables and no row, on each engine in turn."""
    yield from _opened(location)


@pytest.fixture
def sqlite(tmp_path: Path) -> Iterator[Database]:
    """A SQLite with all tables and no row, where the engine makes no difference."""
    yield from _opened(f"sqlite:///{tmp_path / 'all.db'}")


def _opened(url: str) -> Iterator[Database]:
    found = connect(url)
    with found.write() as connection:
        if found.dialect == "sqlite":
            metadata.create_all(connection)
        else:
            names = ", ".join(table.name for table in metadata.sorted_tables)
            connection.execute(text(f"TRUNCATE {names} RESTART IDENTITY CASCADE"))
    yield found
    found.close()
