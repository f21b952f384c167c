"""Somebody who comes from a sign-in service: which account is theirs, and which role it says that they have.

An identity is issuer and subject. A name or an address that the service tells is never taken for a proof of
who somebody is here: else whoever can choose theirs there could take over an account.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Mapping
from itertools import count
from typing import Any

from assistant.accounts import Account, AccountError
from assistant.entry import OidcSection, mapping
from assistant.people import People
from feedback.records import Role

log = logging.getLogger(__name__)

_RANK: tuple[Role, ...] = ("admin", "staff", "user")
_ACTOR = "sign-in service"


def role_of(claims: Mapping[str, Any], section: OidcSection) -> Role | None:
    """The highest role that the claims are mapped to; None: these people are not to come in."""
    if not section.role_claim:
        return "user"
    roles = mapping(section.roles)
    found = {roles[told] for told in _told(claims, section.role_claim) if told in roles and told != "*"}
    if "*" in roles:
        found.add(roles["*"])
    return next((role for role in _RANK if role in found), None)


def _told(claims: Mapping[str, Any], path: str) -> list[str]:
    """What a claim holds: one word, several with spaces, or a list. Its name may have dots itself."""
    found: Any = claims.get(path)
    if found is None:
        found = claims
        for part in path.split("."):
            found = found.get(part) if isinstance(found, Mapping) else None
    if isinstance(found, str):
        return [found, *found.split()]
    return [str(item) for item in found] if isinstance(found, list | tuple) else []


def names(claims: Mapping[str, Any]) -> Iterator[str]:
    """Names for a new account, the best first, then the same with a number."""
    told = (claims.get(key) for key in ("preferred_username", "nickname", "email", "name"))
    plain = (re.sub(r"[^A-Za-z0-9._@-]+", "-", str(name)).strip("-._@")[:50] for name in told if name)
    best = next((name for name in plain if name), "person")
    yield best
    for number in count(2):
        yield f"{best}-{number}"


def enter(people: People, issuer: str, claims: Mapping[str, Any], section: OidcSection) -> Account:
    """The account of whoever the service vouches for, made the first time. Raises `AccountError`."""
    subject, role = str(claims.get("sub") or ""), role_of(claims, section)
    if not subject:
        raise AccountError(f"{section.name} did not say who you are")
    account = people.known(issuer, subject)
    if role is None:
        if account is not None and section.role_claim:
            _put_out(people, account)
        raise AccountError(f"your account at {section.name} has no role here; ask your admin")
    if account is None:
        return people.join(issuer, subject, names(claims), role)
    if account.disabled:
        raise AccountError("your account here is locked out; ask your admin")
    if account.pending:
        raise AccountError("your account waits until an admin approves it")
    if section.role_claim and account.role != role:
        try:
            return people.set_role(account.name, role, _ACTOR)
        except AccountError as problem:
            # The only admin stays one, whatever the service says: nobody could undo it.
            log.warning("%s keeps the role %s: %s", account.name, account.role, problem)
    return account


def _put_out(people: People, account: Account) -> None:
    """Whom the service gives no role any more has none here, also not by a key or a password of before."""
    try:
        people.disable(account.name, _ACTOR)
    except AccountError as problem:
        log.warning("%s is not locked out: %s", account.name, problem)
