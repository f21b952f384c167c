"""What a sign-in service says of somebody, as a role and a name here."""

from __future__ import annotations

import logging
from itertools import islice
from typing import Any

import pytest

from assistant.accounts import AccountError, Accounts
from assistant.entry import OidcSection
from assistant.identities import enter, names, role_of
from assistant.people import People
from feedback.database import Database
from feedback.records import Role

ISSUER = "https://id.example.org"


def section(claim: str = "", roles: str = "") -> OidcSection:
    return OidcSection(ISSUER, "us", role_claim=claim, roles=roles)


@pytest.mark.parametrize(
    ("claims", "claim", "roles", "role"),
    [
        ({}, "", "", "user"),
        ({"groups": ["a"]}, "groups", "a=admin", "admin"),
        ({"groups": "a b"}, "groups", "b=staff", "staff"),
        ({"groups": "head office"}, "groups", "head office=staff", "staff"),
        ({"groups": ["b", "a"]}, "groups", "a=user,b=staff", "staff"),
        ({"groups": []}, "groups", "a=admin,*=user", "user"),
        ({}, "groups", "*=user", "user"),
        ({"groups": ["c"]}, "groups", "a=admin", None),
        ({"groups": ["*"]}, "groups", "a=admin", None),
        ({"groups": {"a": 1}}, "groups", "a=admin", None),
        ({"realm_access": {"roles": ["a"]}}, "realm_access.roles", "a=admin", "admin"),
        ({"realm_access": "x"}, "realm_access.roles", "a=admin", None),
        ({"https://shop.example/roles": ["a"]}, "https://shop.example/roles", "a=admin", "admin"),
    ],
)
def test_a_claim_becomes_a_role(claims: dict[str, Any], claim: str, roles: str, role: Role | None) -> None:
    assert role_of(claims, section(claim, roles)) == role


@pytest.mark.parametrize(
    ("claims", "name"),
    [
        ({"preferred_username": "mia", "email": "m@x.org"}, "mia"),
        ({"email": "mia@example.org"}, "mia@example.org"),
        ({"name": "Mia Müller"}, "Mia-M-ller"),
        ({"preferred_username": "<b>", "name": "…"}, "b"),
        ({"preferred_username": "漢字"}, "person"),
        ({}, "person"),
        ({"name": "x" * 200}, "x" * 50),
    ],
)
def test_a_name_is_made_of_what_is_told(claims: dict[str, Any], name: str) -> None:
    assert list(islice(names(claims), 3)) == [name, f"{name}-2", f"{name}-3"]


def test_the_only_admin_stays_one_whatever_the_service_says(
    sqlite: Database, caplog: pytest.LogCaptureFixture
) -> None:
    people, mapped = People(Accounts(sqlite)), section("groups", "it=admin,*=user")
    claims: dict[str, Any] = {"sub": "17", "preferred_username": "mia", "groups": ["it"]}
    assert enter(people, ISSUER, claims, mapped).role == "admin"
    with caplog.at_level(logging.WARNING):
        assert enter(people, ISSUER, {**claims, "groups": []}, mapped).role == "admin"
    assert "only admin" in caplog.text
    people.accounts.add("bob", "admin")
    assert enter(people, ISSUER, {**claims, "groups": []}, mapped).role == "user"


def test_without_a_claim_the_roles_given_here_stay(sqlite: Database) -> None:
    people, claims = People(Accounts(sqlite)), {"sub": "17", "preferred_username": "mia"}
    enter(people, ISSUER, claims, section())
    people.set_role("mia", "staff", "ada")
    assert enter(people, ISSUER, claims, section()).role == "staff"


def test_who_is_nobody_or_waits_is_told_so(sqlite: Database) -> None:
    people = People(Accounts(sqlite))
    with pytest.raises(AccountError, match="did not say who you are"):
        enter(people, ISSUER, {}, section())
    people.connect(people.accounts.add("mia", "user", pending=True), ISSUER, "17")
    with pytest.raises(AccountError, match="until an admin approves"):
        enter(people, ISSUER, {"sub": "17"}, section())
