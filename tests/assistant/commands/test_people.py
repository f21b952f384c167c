"""Tests of `apprentice user`: accounts and keys from the terminal."""

from __future__ import annotations

import json

import pytest
from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher

from assistant.app import House
from tests.assistant.commands.conftest import Cli


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Argon2 as weak as it goes."""
    weak = PasswordHash((Argon2Hasher(time_cost=1, memory_cost=8, parallelism=1),))
    monkeypatch.setattr(PasswordHash, "recommended", staticmethod(lambda: weak))


def test_an_account_is_made_listed_locked_and_deleted(cli: Cli, house: House) -> None:
    assert cli("user", "list").out.startswith("no accounts yet")
    assert cli("user", "add", "ann", "--role", "staff").out == "ann is staff\n"
    (row,) = json.loads(cli("user", "list", "--json").out)
    assert (row["name"], row["role"], row["disabled"]) == ("ann", "staff", False)
    assert cli("user", "disable", "ann").out == "ann is locked out\n"
    assert house.accounts.get("ann").disabled
    assert "yes" in cli("user", "list").out
    assert cli("user", "delete", "ann").out == "ann is gone\n"
    assert house.accounts.all() == []


def test_who_signed_up_is_approved_and_who_was_locked_out_let_in(cli: Cli, house: House) -> None:
    house.people.sign_up("ann", "correct horse")
    assert json.loads(cli("user", "list", "--json").out)[0]["pending"]
    assert cli("user", "approve", "ann").out == "ann is user\n"
    assert cli("user", "role", "ann", "staff").out == "ann is staff\n"
    assert cli("user", "role", "ann", "guest").status == 2
    cli("user", "disable", "ann")
    assert cli("user", "enable", "ann").out == "ann may come in again\n"
    assert house.accounts.get("ann").may("staff")


def test_a_link_chooses_a_password(cli: Cli, house: House) -> None:
    cli("user", "add", "ann")
    (address,) = cli("user", "link", "ann").out.splitlines()
    house.people.spend_link(address.removeprefix("/password?token="), "correct horse")
    assert house.accounts.sign_in("ann", "correct horse")


def test_without_a_role_it_is_a_user(cli: Cli, house: House) -> None:
    assert cli("user", "add", "ann").out == "ann is user\n"


def test_a_key_stands_alone_on_standard_output_and_works(cli: Cli, house: House) -> None:
    cli("user", "add", "ann")
    done = cli("user", "key", "ann")
    assert done.status == 0
    (key,) = done.out.splitlines()
    found = house.accounts.by_key(key)
    assert found is not None
    assert found.name == "ann"
    assert cli("user", "key", "ann").out != done.out


@pytest.mark.parametrize("end", ["\n", "\r\n", ""])
def test_a_password_from_standard_input_opens_a_session(cli: Cli, house: House, end: str) -> None:
    done = cli("user", "add", "ann", "--role", "admin", "--password-stdin", stdin=f"correct horse {end}")
    assert done.status == 0
    assert house.accounts.sign_in("ann", "correct horse ") is not None
    assert "correct horse" not in done.out + done.err


def test_without_a_password_nobody_signs_in(cli: Cli, house: House) -> None:
    cli("user", "add", "bot")
    assert house.accounts.sign_in("bot", "") is None


def test_an_empty_standard_input_is_no_password(cli: Cli, house: House) -> None:
    """A script whose secret is missing must not make an account that has none."""
    for stdin in ("", "\n"):
        done = cli("user", "add", "ann", "--password-stdin", stdin=stdin)
        assert done.status == 2
        assert "no password on standard input" in done.err
    assert house.accounts.all() == []


@pytest.mark.parametrize(
    ("arguments", "stdin", "said"),
    [
        (["add", "ann/b"], "", "a name has 1 to 60"),
        (["add", "ann"], "", "there is an account named ann already"),
        (["add", "bob", "--password-stdin"], "short\n", "at least 8 characters"),
        (["disable", "ann"], "", "ann is the only admin"),
        (["delete", "ann"], "", "ann is the only admin"),
        (["delete", "nobody"], "", "there is no account named nobody"),
    ],
)
def test_what_can_not_be_done_is_said_in_one_sentence(
    cli: Cli, house: House, arguments: list[str], stdin: str, said: str
) -> None:
    house.accounts.add("ann", "admin")
    done = cli("user", *arguments, stdin=stdin)
    assert (done.status, done.out) == (1, "")
    assert said in done.err
    assert [account.name for account in house.accounts.all()] == ["ann"]
