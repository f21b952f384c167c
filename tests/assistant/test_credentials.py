"""Sessions, keys and links as rows: what of them is kept, listed, spent and ended."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import func, select, update

from assistant import credentials as kept
from assistant.accounts import Accounts
from assistant.credentials import credentials
from feedback.database import Database

HOUR = timedelta(hours=1)


@pytest.fixture
def mia(database: Database) -> str:
    return Accounts(database).add("mia", "user").id


def test_what_is_listed_opens_nothing(database: Database, mia: str) -> None:
    with database.write() as connection:
        token = kept.issue(connection, "key", mia, None, "  for\tthe  script ", "sk-")
        (one,) = kept.listed(connection, mia, "key")
        assert kept.find(connection, "key", one.id) is None
        row = kept.find(connection, "key", token)
    assert row is not None
    assert row.account_id == mia
    assert (one.label, one.ending, one.used_at, one.current) == ("for the script", token[-4:], None, False)
    assert one.id not in token


def test_the_newest_stands_first_and_the_one_in_use_is_marked(database: Database, mia: str) -> None:
    with database.write() as connection:
        tokens = [kept.issue(connection, "session", mia, HOUR, label) for label in "abc"]
        found = kept.listed(connection, mia, "session", tokens[1])
    assert [(one.label, one.current) for one in found] == [("c", False), ("b", True), ("a", False)]


def test_what_has_run_out_is_neither_found_nor_listed_nor_kept(database: Database, mia: str) -> None:
    with database.write() as connection:
        old = kept.issue(connection, "session", mia, HOUR)
        connection.execute(update(credentials).values(expires_at=datetime.now(UTC) - timedelta(seconds=1)))
        assert kept.find(connection, "session", old) is None
        assert kept.listed(connection, mia, "session") == []
        kept.issue(connection, "session", mia, HOUR)
        assert connection.execute(select(func.count()).select_from(credentials)).scalar_one() == 1


def test_a_use_is_written_down_once_an_hour(database: Database, mia: str) -> None:
    with database.write() as connection:
        token = kept.issue(connection, "session", mia, HOUR)
        row = kept.find(connection, "session", token)
        assert row is not None
        assert kept.stale(row)
        kept.touch(connection, row)
        row = kept.find(connection, "session", token)
        assert row is not None
        assert not kept.stale(row)
        connection.execute(update(credentials).values(used_at=datetime.now(UTC) - 2 * HOUR))
        row = kept.find(connection, "session", token)
        assert row is not None
        assert kept.stale(row)


def test_a_token_is_spent_once_and_as_what_it_is(database: Database, mia: str) -> None:
    with database.write() as connection:
        token = kept.issue(connection, "reset", mia, HOUR)
        assert not kept.spend(connection, "session", token)
        assert kept.spend(connection, "reset", token)
        assert not kept.spend(connection, "reset", token)


def test_one_ends_only_ones_own(database: Database, mia: str) -> None:
    bob = Accounts(database).add("bob", "user").id
    with database.write() as connection:
        token = kept.issue(connection, "session", mia, HOUR)
        (one,) = kept.listed(connection, mia, "session")
        for whose, kind, which in (
            (bob, "session", one.id),
            (mia, "key", one.id),
            (mia, "session", one.id[:8]),
            (mia, "session", "%" * 16),
            (mia, "session", ""),
        ):
            assert not kept.end(connection, whose, kind, which)  # type: ignore[arg-type]
        assert kept.find(connection, "session", token) is not None
        assert kept.end(connection, mia, "session", one.id)
        assert kept.find(connection, "session", token) is None


def test_all_of_a_kind_end_but_one(database: Database, mia: str) -> None:
    with database.write() as connection:
        mine, other = (kept.issue(connection, "session", mia, HOUR) for _ in range(2))
        key = kept.issue(connection, "key", mia, None)
        assert kept.end_all(connection, mia, "session", but=mine) == 1
        assert kept.find(connection, "session", mine) is not None
        assert kept.find(connection, "session", other) is None
        assert kept.find(connection, "key", key) is not None
        assert kept.end_all(connection, mia) == 2
