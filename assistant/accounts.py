"""Who may come in: accounts with a role, browser sessions, API keys, the one-time link of the first start.

Passwords are hashed with Argon2; sessions, keys and the link are random and stored only as SHA-256, which
suffices for 256 random bits. Knows nothing of pages, and nothing of what people said.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any, cast

from pwdlib import PasswordHash
from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    Connection,
    ForeignKey,
    Row,
    String,
    Table,
    delete,
    func,
    insert,
    select,
    update,
)
from sqlalchemy.exc import IntegrityError
from uuid_utils import uuid7

from assistant.errors import AssistantError
from feedback.database import Database
from feedback.records import Role
from feedback.schema import Moment, metadata

ROLES: tuple[Role, ...] = ("user", "staff", "admin")
SESSION_DAYS = 30
SHORTEST_PASSWORD = 8
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,59}")

accounts = Table(
    "accounts",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("name", String(60), nullable=False, unique=True),
    Column("role", String(8), nullable=False),
    # NULL: the account has no password, only API keys.
    Column("password", String(200), nullable=True),
    Column("disabled", Boolean, nullable=False, default=False),
    Column("created_at", Moment, nullable=False),
    # Whose documents this person may see, besides those for everybody
    Column("groups", JSON, nullable=False, default=list, server_default="[]"),
)

credentials = Table(
    "credentials",
    metadata,
    Column("digest", String(64), primary_key=True),
    Column("kind", String(8), nullable=False),
    # NULL only for the link of the first start, which makes its account.
    Column("account_id", ForeignKey("accounts.id"), nullable=True, index=True),
    Column("created_at", Moment, nullable=False),
    Column("expires_at", Moment, nullable=True),
)


class AccountError(AssistantError):
    """The account can't be made or changed as asked; the message is one sentence."""


@dataclass(frozen=True, slots=True)
class Account:
    """A person, as far as the application knows them."""

    id: str
    name: str
    role: Role
    disabled: bool
    created_at: datetime
    groups: tuple[str, ...] = ()
    """Whose documents this person may see, besides those for everybody."""

    def may(self, role: Role) -> bool:
        """Whether this account has `role` or one above it."""
        return not self.disabled and ROLES.index(self.role) >= ROLES.index(role)


class Accounts:
    """The accounts of one home. Safe to share between threads and processes."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._hasher = PasswordHash.recommended()

    @cached_property
    def _decoy(self) -> str:
        """Checked when the name is unknown: a wrong name takes as long as a wrong password."""
        return self._hasher.hash(secrets.token_urlsafe())

    def add(self, name: str, role: Role, password: str | None = None) -> Account:
        """A new account; without a password it can only use API keys. Raises `AccountError`."""
        account, values = self._new(name, role, password)
        with _one_of_a_name(name), self._database.write() as connection:
            connection.execute(insert(accounts).values(values))
        return account

    def _new(self, name: str, role: Role, password: str | None) -> tuple[Account, dict[str, Any]]:
        _check_name(name)
        if role not in ROLES:
            raise AccountError(f"{role!r} is no role; it is one of {', '.join(ROLES)}")
        account = Account(f"person-{uuid7().hex}", name, role, False, datetime.now(UTC))
        hashed = None if password is None else self._hash(password)
        return account, {field.name: getattr(account, field.name) for field in fields(account)} | {
            "password": hashed
        }

    def get(self, name: str) -> Account:
        """One account by name. Raises `AccountError`."""
        row = self._row(name)
        if row is None:
            raise AccountError(f"there is no account named {name}")
        return _account(row)

    def _row(self, name: str) -> Row[Any] | None:
        # What can't be a name is not asked for: PostgreSQL would take some of it for an error.
        if not _NAME.fullmatch(name):
            return None
        with self._database.read() as connection:
            return connection.execute(select(accounts).where(accounts.c.name == name)).first()

    def all(self) -> list[Account]:
        """Every account, the oldest first."""
        with self._database.read() as connection:
            return [_account(row) for row in connection.execute(select(accounts).order_by(accounts.c.id))]

    def set_groups(self, name: str, groups: Iterable[str]) -> Account:
        """Whose documents a person may see, besides those for everybody. Raises `AccountError`."""
        chosen = sorted(set(groups))
        for group in chosen:
            check_group(group)
        account = self.get(name)
        with self._database.write() as connection:
            connection.execute(update(accounts).where(accounts.c.id == account.id).values(groups=chosen))
        return self.get(name)

    def groups(self) -> list[str]:
        """Every group that somebody is in."""
        return sorted({group for account in self.all() for group in account.groups})

    def disable(self, name: str) -> Account:
        """Lock an account out at once: its sessions and keys end. Raises `AccountError`."""
        account = self.get(name)
        with self._database.write() as connection:
            self._keep_an_admin(connection, account)
            connection.execute(update(accounts).where(accounts.c.id == account.id).values(disabled=True))
            connection.execute(delete(credentials).where(credentials.c.account_id == account.id))
        return self.get(name)

    def delete(self, name: str) -> None:
        """Remove an account and what it could come in with. What the person said stays, under a bare id."""
        account = self.get(name)
        with self._database.write() as connection:
            self._keep_an_admin(connection, account)
            connection.execute(delete(credentials).where(credentials.c.account_id == account.id))
            connection.execute(delete(accounts).where(accounts.c.id == account.id))

    def sign_in(self, name: str, password: str) -> str | None:
        """A new session's token for the right name and password, else None."""
        row = self._row(name)
        known = row.password if row is not None and row.password else self._decoy
        right = self._hasher.verify(password, known)
        if not right or row is None or not row.password or row.disabled:
            return None
        return self.new_session(_account(row))

    def new_session(self, account: Account) -> str:
        """A token for the browser's cookie, good for `SESSION_DAYS`."""
        return self._issue("session", account.id, timedelta(days=SESSION_DAYS))

    def new_key(self, name: str, life: timedelta | None = None) -> str:
        """A new API key. It is shown this once; only its digest is kept. Raises `AccountError`."""
        account = self.get(name)
        if account.disabled:
            raise AccountError(f"{name} is locked out; a key would open nothing")
        return "sk-" + self._issue("key", account.id, life, "sk-")

    def by_session(self, token: str) -> Account | None:
        """The account that a session cookie stands for, if it still does."""
        return self._bearer("session", token)

    def by_key(self, key: str) -> Account | None:
        """The account that an API key stands for, if it still does."""
        return self._bearer("key", key)

    def sign_out(self, token: str) -> None:
        """End one session."""
        with self._database.write() as connection:
            connection.execute(delete(credentials).where(credentials.c.digest == _digest(token)))

    def first_link(self) -> str | None:
        """A fresh one-time token that makes the first admin; None when there is one already.

        An older link stops working: only the newest terminal can claim the home.
        """
        with self._database.write() as connection:
            if _admins(connection, with_password=True):
                return None
            connection.execute(delete(credentials).where(credentials.c.kind == "link"))
        return self._issue("link", None, timedelta(days=7))

    def link_is_good(self, token: str) -> bool:
        """Whether the one-time link may still make the first admin."""
        with self._database.read() as connection:
            return (
                not _admins(connection, with_password=True)
                and self._credential(connection, "link", token) is not None
            )

    def make_first_admin(self, token: str, name: str, password: str) -> Account:
        """Spend the one-time link. Raises `AccountError` if it was spent or is not the newest."""
        account, values = self._new(name, "admin", password)
        with _one_of_a_name(name), self._database.write() as connection:
            good = (
                not _admins(connection, with_password=True)
                and self._credential(connection, "link", token) is not None
            )
            # Of two who come at once, only the one that deletes the link has it.
            spent = delete(credentials).where(credentials.c.digest == _digest(token))
            if not good or connection.execute(spent).rowcount != 1:
                raise AccountError("this link was used or is out of date; the terminal shows the newest one")
            connection.execute(insert(accounts).values(values))
        return account

    def _hash(self, password: str) -> str:
        if len(password) < SHORTEST_PASSWORD:
            raise AccountError(f"a password has at least {SHORTEST_PASSWORD} characters")
        return self._hasher.hash(password)

    def _issue(self, kind: str, account_id: str | None, life: timedelta | None, prefix: str = "") -> str:
        token, now = secrets.token_urlsafe(32), datetime.now(UTC)
        values = {
            "digest": _digest(prefix + token),
            "kind": kind,
            "account_id": account_id,
            "created_at": now,
            "expires_at": None if life is None else now + life,
        }
        with self._database.write() as connection:
            connection.execute(delete(credentials).where(credentials.c.expires_at < now))
            connection.execute(insert(credentials).values(values))
        return token

    def _bearer(self, kind: str, token: str) -> Account | None:
        with self._database.read() as connection:
            found = self._credential(connection, kind, token)
            if found is None:
                return None
            row = connection.execute(select(accounts).where(accounts.c.id == found.account_id)).first()
        return None if row is None or row.disabled else _account(row)

    @staticmethod
    def _credential(connection: Connection, kind: str, token: str) -> Row[Any] | None:
        query = select(credentials).where(credentials.c.digest == _digest(token), credentials.c.kind == kind)
        found = connection.execute(query).first()
        if found is None or (found.expires_at is not None and found.expires_at < datetime.now(UTC)):
            return None
        return found

    @staticmethod
    def _keep_an_admin(connection: Connection, account: Account) -> None:
        if account.role != "admin" or account.disabled:
            return
        # Of two admins who lock each other out at once, the second waits here and then is the only one.
        connection.execute(select(accounts.c.id).where(accounts.c.role == "admin").with_for_update())
        if _admins(connection) == 1:
            raise AccountError(f"{account.name} is the only admin; make another one first")


@contextmanager
def _one_of_a_name(name: str) -> Iterator[None]:
    try:
        yield
    except IntegrityError:
        raise AccountError(f"there is an account named {name} already") from None


def _admins(connection: Connection, with_password: bool = False) -> int:
    """How many admins there are; with `with_password`, only those who can sign in at the page."""
    query = select(func.count()).select_from(accounts)
    query = query.where(accounts.c.role == "admin", accounts.c.disabled.is_(False))
    if with_password:
        query = query.where(accounts.c.password.is_not(None))
    return int(connection.execute(query).scalar() or 0)


def check_group(group: str) -> None:
    """Raises `AccountError` for what can't be the name of a group."""
    if not _NAME.fullmatch(group):
        raise AccountError(
            "a group's name has 1 to 60 letters, digits and . _ @ - and begins with a letter or digit"
        )


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise AccountError("a name has 1 to 60 letters, digits and . _ @ - and begins with a letter or digit")


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def _account(row: Row[Any]) -> Account:
    return Account(row.id, row.name, cast(Role, row.role), row.disabled, row.created_at, tuple(row.groups))
