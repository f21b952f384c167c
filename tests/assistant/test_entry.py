"""The settings of the ways in: what is taken, and the one line for what is not."""

from __future__ import annotations

import pytest

from assistant.entry import mapping
from assistant.settings import BadSetting, read


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("ACCOUNTS__SIGN_UP", "open", "'off' or 'approval'"),
        ("ACCOUNTS__CHAT_LIMIT", "30", "expected a rate such as 30/minute"),
        ("ACCOUNTS__API_LIMIT", "many", "expected a rate such as 30/minute"),
        ("ACCOUNTS__SIGNUP", "approval", "there is no such setting"),
        ("OIDC__ISSUER", "http://id.example.org", r"expected https://"),
        ("OIDC__ISSUER", "https://id.example.org", "CLIENT_ID='': expected the id"),
        ("OIDC__ROLES", "admins=root", "expected pairs such as"),
        ("OIDC__SESSION_HOURS", "0", "greater than 0"),
    ],
)
def test_what_can_not_be_meant_stops_the_start(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, said: str
) -> None:
    monkeypatch.setenv(f"APPRENTICE_{name}", value)
    with pytest.raises(BadSetting, match=said) as caught:
        read(model="org/model")
    assert "\n" not in str(caught.value)


def test_nobody_comes_in_unless_it_is_said_so() -> None:
    settings = read(model="org/model")
    assert (settings.accounts.sign_up, settings.accounts.guests, settings.oidc.on) == ("off", False, False)


def test_a_limit_can_be_taken_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("APPRENTICE_ACCOUNTS__GUEST_LIMIT", " 5/minute;50/day ")
    assert read(model="org/model", accounts={"chat_limit": ""}).accounts.chat_limit == ""
    assert read(model="org/model").accounts.guest_limit == "5/minute;50/day"


def test_a_service_is_believed_by_its_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("APPRENTICE_OIDC__ISSUER", "https://id.example.org/realms/shop/")
    monkeypatch.setenv("APPRENTICE_OIDC__CLIENT_ID", "apprentice")
    assert read(model="org/model").oidc.issuer == "https://id.example.org/realms/shop"
    monkeypatch.setenv("APPRENTICE_OIDC__ROLE_CLAIM", "groups")
    with pytest.raises(BadSetting, match="together with APPRENTICE_OIDC__ROLE_CLAIM"):
        read(model="org/model")


def test_groups_become_roles() -> None:
    assert mapping("it-admins=admin, support = staff,*=user") == {
        "it-admins": "admin",
        "support": "staff",
        "*": "user",
    }
    assert mapping("") == {}
    for wrong in ("admins", "=admin", "admins=guest", "a=admin,b"):
        with pytest.raises(ValueError, match="expected pairs"):
            mapping(wrong)
