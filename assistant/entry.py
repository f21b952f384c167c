"""The settings of the ways in: who may come, how often they may ask, and whose sign-in service is believed.

Plain values, checked when they are read. Knows no account and no page.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from limits import parse_many
from pydantic import BeforeValidator, Field

from feedback.records import Role

GIVEN: tuple[Role, ...] = ("user", "staff", "admin")


def _rate(text: Any) -> Any:
    if not isinstance(text, str) or not text.strip():
        return ""
    try:
        parse_many(text)
    except ValueError:
        raise ValueError("expected a rate such as 30/minute or 30/minute;500/day, or nothing") from None
    return text.strip()


def _address(text: Any) -> Any:
    given = str(text).strip().rstrip("/")
    if given and not re.match(r"https://[^/\s]|http://(localhost|127\.0\.0\.1|\[::1\])[:/]?", given):
        raise ValueError("expected https://… (plain http only on this machine)")
    return given


Rate = Annotated[str, BeforeValidator(_rate)]
"""`30/minute`, several with semicolons; empty: no limit."""


@dataclass(frozen=True)
class AccountsSection:
    """Who may come in, and how often they may ask."""

    sign_up: Literal["off", "approval"] = "off"
    """`approval`: people make accounts themselves, which open nothing until an admin approves them."""
    guests: bool = False
    """Whether somebody without an account may chat. Their votes are marked; nothing is learned from them."""
    chat_limit: Rate = "30/minute"
    """Questions that a person may ask on the page."""
    guest_limit: Rate = "10/minute"
    """Questions that a guest may ask."""
    api_limit: Rate = "6000/minute"
    """Requests that a person's keys may send to `/v1`."""
    proxies: str = ""
    """Addresses of proxies before us, with commas: only they are believed who somebody is and whether it is
    https."""


@dataclass(frozen=True)
class OidcSection:
    """A sign-in service that speaks OpenID Connect; without an issuer there is none."""

    issuer: Annotated[str, BeforeValidator(_address)] = ""
    client_id: str = ""
    client_secret: str = ""
    """Empty: a public client, which PKCE alone protects."""
    name: str = "your organisation"
    """What stands on the button: Sign in with …"""
    scopes: str = "openid profile email"
    role_claim: str = ""
    """Where the id token tells roles or groups, with dots for nesting, such as `realm_access.roles`. Empty:
    everybody there becomes a user, and admins give roles here."""
    roles: str = ""
    """What these become: `it-admins=admin,support=staff,*=user`. Who has none of them is not let in."""
    session_hours: Annotated[float, Field(gt=0)] = 12
    """How long one stays signed in without asking the service again."""

    def __post_init__(self) -> None:
        """Refuse at the start what nobody could sign in with."""
        if self.issuer and not self.client_id:
            raise ValueError(
                "APPRENTICE_OIDC__CLIENT_ID='': expected the id that the issuer gave this client"
            )
        if self.issuer and bool(self.role_claim) != bool(self.roles):
            raise ValueError(
                f"APPRENTICE_OIDC__ROLES={self.roles!r}: expected together with APPRENTICE_OIDC__ROLE_CLAIM"
            )
        mapping(self.roles)

    @property
    def on(self) -> bool:
        """Whether there is a sign-in service."""
        return bool(self.issuer)


def mapping(text: str) -> dict[str, Role]:
    """`a=admin,b=staff,*=user` as a dictionary. Raises `ValueError`."""
    found: dict[str, Role] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        group, equals, role = (piece.strip() for piece in part.rpartition("="))
        if not equals or not group or role not in GIVEN:
            raise ValueError(
                f"APPRENTICE_OIDC__ROLES={text!r}: expected pairs such as admins=admin,support=staff,*=user"
            )
        found[group] = role
    return found
