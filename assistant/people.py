"""How accounts are looked after: by admins (invite, approve, lock, roles, one-time links) and by their own
persons (sessions, keys, password).

Every act is one transaction and says who did it in the log of the audit that it is handed. Knows no page.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from sqlalchemy import Select, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from assistant import credentials as kept
from assistant.accounts import (
    Account,
    AccountError,
    Accounts,
    accounts,
    as_account,
    as_row,
    check_group,
    check_role,
    fresh,
    keep_an_admin,
)
from assistant.credentials import Credential, credentials, identities
from feedback.records import Role
from feedback.schema import deletions

log = logging.getLogger(__name__)

LINK_DAYS = 3
MOST_PENDING = 200
"""Sign-ups that may wait: whoever fills the queue must not fill the database."""
MOST_KEYS = 20
"""Keys that a person may have."""
Which = Literal["all", "pending", "disabled", "admin", "staff", "guest"]
Note = Callable[[str, str, str, str, str], object]
"""Keeps an act: who, what, whom, before, after."""


@dataclass(frozen=True, slots=True)
class Person:
    """An account with what an admin wants to know of it."""

    account: Account
    has_password: bool
    sessions: int
    keys: int
    used_at: datetime | None
    """When it last came in, to the hour."""
    identities: tuple[str, ...] = ()
    """Issuers at which its person can sign in."""


def to_log(actor: str, act: str, subject: str, before: str, after: str) -> None:
    """The audit of last resort."""
    log.info("%s: %s %s: %s -> %s", actor, act, subject, before or "nothing", after or "nothing")


class People:
    """The accounts of one home, as they are looked after. Safe to share between threads and processes."""

    def __init__(self, book: Accounts, note: Note = to_log) -> None:
        self._database = book.database
        self.accounts = book
        self._note = note

    # -- looking -----------------------------------------------------------------------------------

    def page(
        self, which: Which = "all", search: str = "", after: int = 0, most: int = 50
    ) -> tuple[list[Person], int]:
        """A page of people, those who wait first, then the newest; and how many there are in all."""
        query = _chosen(which, search)
        with self._database.read() as connection:
            total = connection.execute(query.with_only_columns(func.count()).order_by(None)).scalar_one()
            ordered = query.order_by(accounts.c.pending.desc(), accounts.c.id.desc())
            rows = connection.execute(ordered.offset(max(0, after)).limit(most)).all()
            ids = [row.id for row in rows]
            counts: dict[tuple[str, str], int] = {}
            used: dict[str, datetime] = {}
            for row in connection.execute(_used(ids)):
                counts[row.account_id, row.kind] = row.many
                if row.used_at is not None:
                    used[row.account_id] = max(row.used_at, used.get(row.account_id, row.used_at))
            issuers: dict[str, tuple[str, ...]] = {}
            for row in connection.execute(
                select(identities.c.account_id, identities.c.issuer).where(identities.c.account_id.in_(ids))
            ):
                issuers[row.account_id] = (*issuers.get(row.account_id, ()), row.issuer)
        return [
            Person(
                as_account(row),
                row.password is not None,
                counts.get((row.id, "session"), 0),
                counts.get((row.id, "key"), 0),
                used.get(row.id),
                issuers.get(row.id, ()),
            )
            for row in rows
        ], int(total)

    def person(self, name: str) -> Person:
        """One person by name. Raises `AccountError`."""
        account = self.accounts.get(name)
        found, _ = self.page("guest" if account.role == "guest" else "all", search=f"={name}", most=1)
        return found[0]

    def waiting(self) -> int:
        """How many sign-ups wait for an admin."""
        query = select(func.count()).select_from(accounts).where(accounts.c.pending)
        with self._database.read() as connection:
            return int(connection.execute(query).scalar_one())

    def sessions(self, account: Account, token: str | None = None) -> list[Credential]:
        """A person's sessions; `token` is the one that asks."""
        with self._database.read() as connection:
            return kept.listed(connection, account.id, "session", token)

    def keys(self, account: Account) -> list[Credential]:
        """A person's API keys."""
        with self._database.read() as connection:
            return kept.listed(connection, account.id, "key")

    def make_first_admin(self, token: str, name: str, password: str) -> Account:
        """The account of whoever has the link of the first start. Raises `AccountError`."""
        account = self.accounts.make_first_admin(token, name, password)
        self._note(name, "make the first admin", name, "", account.role)
        return account

    # -- acts of a person --------------------------------------------------------------------------

    def sign_up(self, name: str, password: str) -> Account:
        """Ask for an account; an admin has to approve it. Raises `AccountError`."""
        account = self.accounts.add(name, "user", password, pending=True, most=MOST_PENDING)
        self._note(name, "sign up", name, "", "pending")
        return account

    def new_key(self, account: Account, label: str) -> str:
        """A key for oneself, shown this once. Raises `AccountError`."""
        if len(self.keys(account)) >= MOST_KEYS:
            raise AccountError(f"you have {MOST_KEYS} keys already; end one of them first")
        key = self.accounts.new_key(account.name, label=label)
        self._note(account.name, "make key", account.name, "", label)
        return key

    def end(self, account: Account, kind: kept.Kind, credential_id: str, actor: str) -> None:
        """End one session or key of a person. Raises `AccountError` if it is not theirs."""
        with self._database.write() as connection:
            ended = kept.end(connection, account.id, kind, credential_id)
        if not ended:
            raise AccountError(f"there is no such {kind}; it may have ended already")
        self._note(actor, f"end {kind}", account.name, credential_id, "")

    def end_sessions(self, account: Account, actor: str, but: str | None = None) -> int:
        """End a person's sessions, `but` for that of one token. Returns how many."""
        with self._database.write() as connection:
            count = kept.end_all(connection, account.id, "session", but=but)
        self._note(actor, "end sessions", account.name, str(count), "0")
        return count

    def change_password(self, account: Account, old: str, new: str, token: str) -> None:
        """Take a new password; links end, and every session but that of `token`. Raises `AccountError`.

        Who has none yet, because they come from a sign-in service, needs no old one.
        """
        if self.person(account.name).has_password and not self.accounts.knows(account.name, old):
            raise AccountError("that is not your present password")
        hashed = self.accounts.hashed(new)
        with self._database.write() as connection:
            connection.execute(update(accounts).where(accounts.c.id == account.id).values(password=hashed))
            kept.end_all(connection, account.id, "session", "reset", but=token)
        self._note(account.name, "change password", account.name, "", "")

    # -- one-time links ----------------------------------------------------------------------------

    def invite(self, name: str, role: Role, groups: Iterable[str], actor: str) -> str:
        """A new account, and the token by which its person chooses a password. Raises `AccountError`."""
        groups = list(groups)
        for group in groups:
            check_group(group)
        self.accounts.add(name, role)
        self.accounts.set_groups(name, groups)
        self._note(actor, "add account", name, "", role)
        return self.reset_link(name, actor)

    def reset_link(self, name: str, actor: str) -> str:
        """A token by which somebody chooses a new password once; an older one stops working."""
        account = self.accounts.get(name)
        if not account.open or account.role == "guest":
            raise AccountError(f"{name} is locked out or waits for approval; a link would open nothing")
        with self._database.write() as connection:
            kept.end_all(connection, account.id, "reset")
            token = kept.issue(connection, "reset", account.id, timedelta(days=LINK_DAYS))
        self._note(actor, "make password link", name, "", "")
        return token

    def by_link(self, token: str) -> Account | None:
        """Whose password the link may set."""
        with self._database.read() as connection:
            return self._behind(connection, token)

    def spend_link(self, token: str, password: str) -> Account:
        """Set the password that was chosen by a link. Every session and key ends. Raises `AccountError`."""
        hashed = self.accounts.hashed(password)
        with self._database.write() as connection:
            account = self._behind(connection, token)
            if account is None or not kept.spend(connection, "reset", token):
                raise AccountError("this link was used or is out of date; ask your admin for a new one")
            connection.execute(update(accounts).where(accounts.c.id == account.id).values(password=hashed))
            kept.end_all(connection, account.id, "session", "key")
        self._note(account.name, "set password by link", account.name, "", "")
        return account

    @staticmethod
    def _behind(connection: Any, token: str) -> Account | None:
        found = kept.find(connection, "reset", token)
        if found is None:
            return None
        row = connection.execute(select(accounts).where(accounts.c.id == found.account_id)).first()
        account = None if row is None else as_account(row)
        return account if account is not None and account.open else None

    # -- acts of an admin --------------------------------------------------------------------------

    def approve(self, name: str, actor: str) -> Account:
        """Let somebody in who signed up. Raises `AccountError`."""
        account = self.accounts.get(name)
        if not account.pending:
            raise AccountError(f"{name} does not wait for approval")
        return self._change(account, actor, "approve", "pending", account.role, pending=False)

    def enable(self, name: str, actor: str) -> Account:
        """Let somebody in again who was locked out. Keys and sessions of before stay ended.

        Raises `AccountError`, also while all data of the person is being deleted.
        """
        account = self.accounts.get(name)
        return self._change(account, actor, "enable", "locked out", "open", disabled=False)

    def disable(self, name: str, actor: str) -> Account:
        """Lock somebody out at once. Raises `AccountError`."""
        account = self.accounts.disable(name)
        self._note(actor, "disable", name, "open", "locked out")
        return account

    def set_role(self, name: str, role: Role, actor: str) -> Account:
        """Give an account another role, from the next request on. Raises `AccountError`."""
        check_role(role)
        account = self.accounts.get(name)
        if account.role == "guest":
            raise AccountError("a guest has no account; make one, or let them sign up")
        return self._change(account, actor, "set role", account.role, role, role=role)

    def set_groups(self, name: str, groups: Iterable[str], actor: str) -> Account:
        """Say whose documents a person may see. Raises `AccountError`."""
        before = self.accounts.get(name)
        after = self.accounts.set_groups(name, groups)
        self._note(actor, "set groups", name, ", ".join(before.groups), ", ".join(after.groups))
        return after

    def _change(
        self, account: Account, actor: str, act: str, before: str, after: str, **values: Any
    ) -> Account:
        with self._database.write() as connection:
            if values.get("role", "admin") != "admin":
                keep_an_admin(connection, account)
            if not values.get("disabled", True) and connection.execute(_going(account)).first():
                raise AccountError(f"all data of {account.name} is being deleted; it can't be let in again")
            connection.execute(update(accounts).where(accounts.c.id == account.id).values(**values))
        self._note(actor, act, account.name, before, after)
        return self.accounts.get(account.name)

    def add(self, name: str, role: Role, password: str | None, actor: str) -> Account:
        """A new account; without a password it can only use API keys. Raises `AccountError`."""
        account = self.accounts.add(name, role, password)
        self._note(actor, "add account", name, "", role)
        return account

    def delete(self, name: str, actor: str) -> None:
        """Remove an account. What the person said stays, under a bare id. Raises `AccountError`."""
        role = self.accounts.get(name).role
        self.accounts.delete(name)
        self._note(actor, "delete account", name, role, "")

    def key_for(self, name: str, actor: str) -> str:
        """A key for somebody, shown this once. Raises `AccountError`."""
        key = self.accounts.new_key(name)
        self._note(actor, "make key", name, "", "")
        return key

    # -- identities --------------------------------------------------------------------------------

    def known(self, issuer: str, subject: str) -> Account | None:
        """The account of somebody at a sign-in service, open or not."""
        join = accounts.join(identities, identities.c.account_id == accounts.c.id)
        query = (
            select(accounts)
            .select_from(join)
            .where(identities.c.issuer == issuer, identities.c.subject == subject)
        )
        with self._database.read() as connection:
            row = connection.execute(query).first()
        return None if row is None else as_account(row)

    def join(self, issuer: str, subject: str, names: Iterable[str], role: Role) -> Account:
        """A new account for somebody who was never here, under the first of `names` that is free."""
        now = datetime.now(UTC)
        for name in names:
            account = fresh(name, role)
            identity = {
                "issuer": issuer,
                "subject": subject,
                "account_id": account.id,
                "created_at": now,
            }
            try:
                with self._database.write() as connection:
                    connection.execute(insert(accounts).values(as_row(account, None)))
                    connection.execute(insert(identities).values(identity))
            except IntegrityError:
                # The name is taken, or the same person came by another tab a moment before.
                known = self.known(issuer, subject)
                if known is not None:
                    return known
                continue
            self._note(name, "join", name, issuer, role)
            return account
        raise AccountError("every name is taken")

    def connect(self, account: Account, issuer: str, subject: str) -> None:
        """Let the person of an account sign in by a sign-in service. Raises `AccountError`."""
        values = {
            "issuer": issuer,
            "subject": subject,
            "account_id": account.id,
            "created_at": datetime.now(UTC),
        }
        try:
            with self._database.write() as connection:
                connection.execute(insert(identities).values(values))
        except IntegrityError:
            raise AccountError("this sign-in belongs to another account already") from None
        self._note(account.name, "connect sign-in", account.name, "", issuer)


def _going(account: Account) -> Select[Any]:
    ours = deletions.c.person_id == account.id
    return select(deletions.c.id).where(ours, deletions.c.stage != "done")


def _chosen(which: Which, search: str) -> Select[Any]:
    query = select(accounts)
    if which == "pending":
        query = query.where(accounts.c.pending)
    elif which == "disabled":
        query = query.where(accounts.c.disabled)
    if which in ("admin", "staff", "guest"):
        query = query.where(accounts.c.role == which)
    else:
        query = query.where(accounts.c.role != "guest")
    if search.startswith("="):
        return query.where(accounts.c.name == search[1:])
    if search.strip():
        # Names have no wildcards but _, which finds a little more than it says.
        query = query.where(accounts.c.name.icontains(search.strip(), autoescape=True))
    return query


def _used(ids: list[str]) -> Select[Any]:
    now = datetime.now(UTC)
    good = credentials.c.expires_at.is_(None) | (credentials.c.expires_at > now)
    return (
        select(
            credentials.c.account_id,
            credentials.c.kind,
            func.count().label("many"),
            func.max(credentials.c.used_at).label("used_at"),
        )
        .where(credentials.c.account_id.in_(ids), credentials.c.kind.in_(("session", "key")), good)
        .group_by(credentials.c.account_id, credentials.c.kind)
    )
