"""Who may come in: accounts with a role, browser sessions, API keys, the one-time link of the first start.

Passwords are hashed with Argon2; what people come in with stands in `credentials.py`. How accounts are looked
after is in `people.py`. Knows nothing of pages, and nothing of what people said.
"""

from __future__ import annotations

import re
import secrets
import threading
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
    Index,
    Row,
    String,
    Table,
    delete,
    false,
    func,
    insert,
    select,
    update,
)
from sqlalchemy.exc import IntegrityError
from uuid_utils import uuid7

from assistant import credentials as kept
from assistant.credentials import credentials
from assistant.errors import AssistantError
from feedback.database import Database
from feedback.records import Role
from feedback.schema import Moment, metadata

__all__ = ["Account", "AccountError", "Accounts", "accounts", "credentials"]

ROLES: tuple[Role, ...] = ("user", "staff", "admin")
"""What an account may be given. A guest is made by coming in, and is never made anything else."""
_RANK: dict[Role, int] = {"guest": 0, "user": 1, "staff": 2, "admin": 3}
SESSION_DAYS = 30
GUEST_DAYS = 7
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
    # Made by its own person, and no admin has approved it yet
    Column("pending", Boolean, nullable=False, default=False, server_default=false()),
    Index(None, "pending"),
    Index(None, "role"),
)


AT_ONCE = 4
"""Passwords that are looked at in the same moment: each takes 64 MiB and most of a core."""


class AccountError(AssistantError):
    """The account can't be made or changed as asked; the message is one sentence."""


class StillPending(AccountError):
    """The password is right, and an admin has to approve the account first."""


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
    pending: bool = False
    """Waits for an admin's approval."""

    def may(self, role: Role) -> bool:
        """Whether this account has `role` or one above it."""
        return self.open and _RANK[self.role] >= _RANK[role]

    @property
    def open(self) -> bool:
        """Whether its person may come in at all."""
        return not self.disabled and not self.pending


class Accounts:
    """The accounts of one home. Safe to share between threads and processes."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._hasher = PasswordHash.recommended()
        self._verifying = threading.BoundedSemaphore(AT_ONCE)

    @property
    def database(self) -> Database:
        """Where they are kept."""
        return self._database

    @cached_property
    def _decoy(self) -> str:
        """Checked when the name is unknown: a wrong name takes as long as a wrong password."""
        return self._hasher.hash(secrets.token_urlsafe())

    def add(
        self,
        name: str,
        role: Role,
        password: str | None = None,
        pending: bool = False,
        most: int | None = None,
    ) -> Account:
        """A new account; without a password it can only use API keys. Raises `AccountError`.

        A `pending` one waits for approval; if `most` are waiting already it is refused.
        """
        account, values = self._new(name, role, password, pending)
        with one_of_a_name(name), self._database.write() as connection:
            waiting = select(func.count()).select_from(accounts).where(accounts.c.pending)
            if most is not None and connection.execute(waiting).scalar_one() >= most:
                raise AccountError("too many are waiting for approval already; try again another day")
            connection.execute(insert(accounts).values(values))
        return account

    def _new(
        self, name: str, role: Role, password: str | None, pending: bool = False
    ) -> tuple[Account, dict[str, Any]]:
        _check_name(name)
        check_role(role)
        account = fresh(name, role, pending=pending)
        return account, as_row(account, None if password is None else self.hashed(password))

    def new_guest(self) -> str:
        """A session for somebody without an account, as the person whom this session alone stands for.

        Guests whose session has ended go; what they said stays, under a bare id.
        """
        account = fresh(f"guest-{secrets.token_hex(6)}", "guest")
        with self._database.write() as connection:
            connection.execute(insert(accounts).values(as_row(account, None)))
            token = kept.issue(connection, "session", account.id, timedelta(days=GUEST_DAYS))
            here = select(credentials.c.digest).where(credentials.c.account_id == accounts.c.id)
            connection.execute(delete(accounts).where(accounts.c.role == "guest", ~here.exists()))
        return token

    def get(self, name: str) -> Account:
        """One account by name. Raises `AccountError`."""
        row = self._row(name)
        if row is None:
            raise AccountError(f"there is no account named {name}")
        return as_account(row)

    def of(self, person_id: str) -> Account | None:
        """The account of a person by their id, a guest's too, if it is there."""
        with self._database.read() as connection:
            row = connection.execute(select(accounts).where(accounts.c.id == person_id)).first()
        return None if row is None else as_account(row)

    def _row(self, name: str) -> Row[Any] | None:
        # What can't be a name is not asked for: PostgreSQL would take some of it for an error.
        if not _NAME.fullmatch(name):
            return None
        with self._database.read() as connection:
            return connection.execute(select(accounts).where(accounts.c.name == name)).first()

    def all(self) -> list[Account]:
        """Every account but those of guests, the oldest first."""
        query = select(accounts).where(accounts.c.role != "guest").order_by(accounts.c.id)
        with self._database.read() as connection:
            return [as_account(row) for row in connection.execute(query)]

    def any(self) -> bool:
        """Whether anybody has an account."""
        query = select(accounts.c.id).where(accounts.c.role != "guest").limit(1)
        with self._database.read() as connection:
            return connection.execute(query).first() is not None

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
            keep_an_admin(connection, account)
            connection.execute(update(accounts).where(accounts.c.id == account.id).values(disabled=True))
            kept.end_all(connection, account.id)
        return self.get(name)

    def delete(self, name: str) -> None:
        """Remove an account and what it could come in with. What the person said stays, under a bare id."""
        account = self.get(name)
        with self._database.write() as connection:
            keep_an_admin(connection, account)
            kept.forget(connection, account.id)
            connection.execute(delete(accounts).where(accounts.c.id == account.id))

    def sign_in(self, name: str, password: str, label: str = "") -> str | None:
        """A new session's token for the right name and password, else None. Raises `StillPending`."""
        row = self._row(name)
        if not self._right(row, password) or row is None or row.disabled:
            return None
        if row.pending:
            raise StillPending("your account waits until an admin approves it")
        # Unless it was changed while this one was looked at: that ends what the old one opened.
        still = select(accounts.c.id).where(
            accounts.c.id == row.id, accounts.c.password == row.password, accounts.c.disabled.is_(False)
        )
        with self._database.write() as connection:
            if connection.execute(still.with_for_update()).first() is None:
                return None
            return kept.issue(connection, "session", row.id, timedelta(days=SESSION_DAYS), label)

    def knows(self, name: str, password: str) -> bool:
        """Whether this is the password of the account."""
        return self._right(self._row(name), password)

    def _right(self, row: Row[Any] | None, password: str) -> bool:
        known = row.password if row is not None and row.password else self._decoy
        with self._verifying:
            right = self._hasher.verify(password, known)
        return right and row is not None and bool(row.password)

    def new_session(self, account: Account, label: str = "", life: timedelta | None = None) -> str:
        """A token for the browser's cookie, good for `SESSION_DAYS` or as long as told."""
        life = life or timedelta(days=SESSION_DAYS)
        with self._database.write() as connection:
            return kept.issue(connection, "session", account.id, life, label)

    def new_key(self, name: str, life: timedelta | None = None, label: str = "") -> str:
        """A new API key. It is shown this once; only its digest is kept. Raises `AccountError`."""
        account = self.get(name)
        if not account.open or account.role == "guest":
            raise AccountError(f"{name} is locked out; a key would open nothing")
        with self._database.write() as connection:
            return kept.issue(connection, "key", account.id, life, label, "sk-")

    def by_session(self, token: str) -> Account | None:
        """The account that a session cookie stands for, if it still does."""
        return self._bearer("session", token)

    def by_key(self, key: str) -> Account | None:
        """The account that an API key stands for, if it still does."""
        return self._bearer("key", key)

    def sign_out(self, token: str) -> None:
        """End one session."""
        with self._database.write() as connection:
            kept.spend(connection, "session", token)

    def first_link(self) -> str | None:
        """A fresh one-time token that makes the first admin; None when there is one already.

        An older link stops working: only the newest terminal can claim the home.
        """
        with self._database.write() as connection:
            if _admins(connection, with_password=True):
                return None
            connection.execute(delete(credentials).where(credentials.c.kind == "link"))
            return kept.issue(connection, "link", None, timedelta(days=7))

    def link_is_good(self, token: str) -> bool:
        """Whether the one-time link may still make the first admin."""
        with self._database.read() as connection:
            return (
                not _admins(connection, with_password=True)
                and kept.find(connection, "link", token) is not None
            )

    def make_first_admin(self, token: str, name: str, password: str) -> Account:
        """Spend the one-time link. Raises `AccountError` if it was spent or is not the newest."""
        account, values = self._new(name, "admin", password)
        with one_of_a_name(name), self._database.write() as connection:
            good = (
                not _admins(connection, with_password=True)
                and kept.find(connection, "link", token) is not None
            )
            if not good or not kept.spend(connection, "link", token):
                raise AccountError("this link was used or is out of date; the terminal shows the newest one")
            connection.execute(insert(accounts).values(values))
        return account

    def hashed(self, password: str) -> str:
        if len(password) < SHORTEST_PASSWORD:
            raise AccountError(f"a password has at least {SHORTEST_PASSWORD} characters")
        return self._hasher.hash(password)

    def _bearer(self, kind: kept.Kind, token: str) -> Account | None:
        with self._database.read() as connection:
            found = kept.find(connection, kind, token)
            if found is None:
                return None
            row = connection.execute(select(accounts).where(accounts.c.id == found.account_id)).first()
        account = None if row is None else as_account(row)
        if account is None or not account.open:
            return None
        if kept.stale(found):
            with self._database.write() as connection:
                kept.touch(connection, found)
        return account


@contextmanager
def one_of_a_name(name: str) -> Iterator[None]:
    """A name that is taken, in words. Raises `AccountError`."""
    try:
        yield
    except IntegrityError:
        raise AccountError(f"there is an account named {name} already") from None


def keep_an_admin(connection: Connection, account: Account) -> None:
    """Raise `AccountError` if this is the only admin, who is about to be one no more."""
    if account.role != "admin" or account.disabled:
        return
    # Of two admins who lock each other out at once, the second waits here and then is the only one.
    connection.execute(select(accounts.c.id).where(accounts.c.role == "admin").with_for_update())
    if _admins(connection) == 1:
        raise AccountError(f"{account.name} is the only admin; make another one first")


def _admins(connection: Connection, with_password: bool = False) -> int:
    """How many admins there are; with `with_password`, only those who can sign in at the page."""
    query = select(func.count()).select_from(accounts)
    query = query.where(accounts.c.role == "admin", ~accounts.c.disabled, ~accounts.c.pending)
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


def check_role(role: str) -> None:
    """Raises `AccountError` for what no account may be given."""
    if role not in ROLES:
        raise AccountError(f"{role!r} is no role; it is one of {', '.join(ROLES)}")


def fresh(name: str, role: Role, pending: bool = False) -> Account:
    """A new person, who stands in no table yet."""
    return Account(f"person-{uuid7().hex}", name, role, False, datetime.now(UTC), pending=pending)


def as_row(account: Account, password: str | None) -> dict[str, Any]:
    """An account as its table keeps it, with the hash of its password."""
    found = {field.name: getattr(account, field.name) for field in fields(account)}
    return found | {"groups": list(account.groups), "password": password}


def as_account(row: Row[Any]) -> Account:
    """A row of the table as a person."""
    role = cast(Role, row.role)
    return Account(row.id, row.name, role, row.disabled, row.created_at, tuple(row.groups), row.pending)
