"""What people come in with, as rows: sessions, API keys, one-time links, identities at a sign-in service.

Of what is secret only the SHA-256 is kept, which suffices for 256 random bits.

Every function works inside the caller's transaction. Knows no password and no page.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, cast

from sqlalchemy import Column, Connection, ForeignKey, Row, String, Table, delete, insert, select, update

from feedback.schema import Moment, metadata

Kind = Literal["session", "key", "link", "reset"]
"""`link`: makes the first admin. `reset`: lets somebody choose the password of an account."""
LONGEST_LABEL = 100
_STALE = timedelta(hours=1)
"""How old the time of last use may get before it is written again: not every request should write."""
_ID = 16
"""Characters of the digest that name a credential on pages; they give nothing away of the token."""

credentials = Table(
    "credentials",
    metadata,
    Column("digest", String(64), primary_key=True),
    Column("kind", String(8), nullable=False),
    # NULL only for the link of the first start, which makes its account.
    Column("account_id", ForeignKey("accounts.id"), nullable=True, index=True),
    Column("created_at", Moment, nullable=False),
    # Everything that has run out is deleted whenever something new is given out.
    Column("expires_at", Moment, nullable=True, index=True),
    # What its owner knows it by: a key's purpose, a session's browser
    Column("label", String(LONGEST_LABEL), nullable=False, default="", server_default=""),
    # The last letters of a key, by which its owner tells it from others
    Column("ending", String(4), nullable=False, default="", server_default=""),
    # To the hour
    Column("used_at", Moment, nullable=True),
)

# Who somebody is at a sign-in service: issuer and subject together, and nothing else that it says.
identities = Table(
    "identities",
    metadata,
    Column("issuer", String(300), primary_key=True),
    Column("subject", String(255), primary_key=True),
    Column("account_id", ForeignKey("accounts.id"), nullable=False, index=True),
    Column("created_at", Moment, nullable=False),
)


@dataclass(frozen=True, slots=True)
class Credential:
    """A session or a key, as its owner may see it: nothing of it opens anything."""

    id: str
    kind: Kind
    label: str
    ending: str
    created_at: datetime
    used_at: datetime | None
    expires_at: datetime | None
    current: bool = False
    """Whether it is the one that this was asked with."""


def digest(token: str) -> str:
    """What is kept of a token."""
    return hashlib.sha256(token.encode()).hexdigest()


def issue(
    connection: Connection,
    kind: Kind,
    account_id: str | None,
    life: timedelta | None,
    label: str = "",
    prefix: str = "",
) -> str:
    """A new token, which nobody can show again. What has run out goes."""
    token, now = prefix + secrets.token_urlsafe(32), datetime.now(UTC)
    values = {
        "digest": digest(token),
        "kind": kind,
        "account_id": account_id,
        "created_at": now,
        "expires_at": None if life is None else now + life,
        "label": " ".join(label.split())[:LONGEST_LABEL],
        "ending": token[-4:] if kind == "key" else "",
    }
    connection.execute(delete(credentials).where(credentials.c.expires_at < now))
    connection.execute(insert(credentials).values(values))
    return token


def find(connection: Connection, kind: Kind, token: str) -> Row[Any] | None:
    """The row of a token of this kind that is still good."""
    query = select(credentials).where(credentials.c.digest == digest(token), credentials.c.kind == kind)
    found = connection.execute(query).first()
    if found is None or (found.expires_at is not None and found.expires_at < datetime.now(UTC)):
        return None
    return found


def stale(row: Row[Any]) -> bool:
    """Whether its time of last use is due to be written."""
    return row.used_at is None or row.used_at < datetime.now(UTC) - _STALE


def touch(connection: Connection, row: Row[Any]) -> None:
    """Write down that it was used now."""
    this = credentials.c.digest == row.digest
    connection.execute(update(credentials).where(this).values(used_at=datetime.now(UTC)))


def spend(connection: Connection, kind: Kind, token: str) -> bool:
    """Delete a token. Of two who come with it at once, only one gets True."""
    this = (credentials.c.digest == digest(token)) & (credentials.c.kind == kind)
    return connection.execute(delete(credentials).where(this)).rowcount == 1


def listed(connection: Connection, account_id: str, kind: Kind, token: str | None = None) -> list[Credential]:
    """One person's credentials of a kind that are still good, the newest first; `token` is the one in use."""
    mine = (credentials.c.account_id == account_id) & (credentials.c.kind == kind)
    query = select(credentials).where(mine).order_by(credentials.c.created_at.desc())
    now, current = datetime.now(UTC), digest(token) if token else ""
    return [
        Credential(
            row.digest[:_ID],
            cast(Kind, row.kind),
            row.label,
            row.ending,
            row.created_at,
            row.used_at,
            row.expires_at,
            row.digest == current,
        )
        for row in connection.execute(query)
        if row.expires_at is None or row.expires_at > now
    ]


def end(connection: Connection, account_id: str, kind: Kind, credential_id: str) -> bool:
    """End one of a person's own, by the id that `listed` gave."""
    if len(credential_id) != _ID or not credential_id.isalnum():
        return False
    this = (
        (credentials.c.account_id == account_id)
        & (credentials.c.kind == kind)
        & credentials.c.digest.startswith(credential_id)
    )
    return bool(connection.execute(delete(credentials).where(this)).rowcount)


def end_all(connection: Connection, account_id: str, *kinds: Kind, but: str | None = None) -> int:
    """End a person's credentials of these kinds (none named: of all), `but` for one token."""
    which = credentials.c.account_id == account_id
    if kinds:
        which &= credentials.c.kind.in_(kinds)
    if but:
        which &= credentials.c.digest != digest(but)
    return int(connection.execute(delete(credentials).where(which)).rowcount)


def forget(connection: Connection, account_id: str) -> None:
    """Take every way in from an account that is about to be deleted."""
    end_all(connection, account_id)
    connection.execute(delete(identities).where(identities.c.account_id == account_id))
