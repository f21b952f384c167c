"""What tests of the application share: databases with all tables, and a fake engine."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests import fake_engine
from tests.databases import database, location, migrated, shared_postgres, sqlite
from tests.fake_engine import FakeEngine

__all__ = ["database", "location", "migrated", "shared_postgres", "sqlite"]


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def one_engine() -> Iterator[FakeEngine]:
    with fake_engine.serve() as serving:
        yield serving


@pytest.fixture
def fake(one_engine: FakeEngine) -> FakeEngine:
    """A fake engine as if it had just been started."""
    one_engine.reset()
    return one_engine
