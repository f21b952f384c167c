"""How often somebody may do what: each for themselves, with words and seconds, and no longer than said."""

from __future__ import annotations

import time
from contextlib import ExitStack
from datetime import UTC, datetime

import pytest

from assistant.accounts import Account
from assistant.entry import AccountsSection
from assistant.limits import Limits, TooMany, network
from feedback.records import Role


def person(name: str = "mia", role: Role = "user") -> Account:
    return Account(f"person-{name}", name, role, False, datetime.now(UTC))


def limits(**rates: str) -> Limits:
    return Limits(AccountsSection(**rates))  # type: ignore[arg-type]


def test_a_person_may_ask_so_often_and_others_as_well() -> None:
    counted = limits(chat_limit="3/minute")
    for _ in range(3):
        counted.chat(person())
    with pytest.raises(TooMany, match="too many questions: 3 per 1 minute is the limit; wait") as caught:
        counted.chat(person())
    assert 50 < caught.value.seconds <= 60
    counted.chat(person("bob"))
    counted.api(person())


def test_guests_have_a_limit_of_their_own() -> None:
    counted = limits(chat_limit="3/minute", guest_limit="1/minute")
    counted.chat(person("g", "guest"))
    with pytest.raises(TooMany, match="1 per 1 minute"):
        counted.chat(person("g", "guest"))


def test_of_several_rates_each_counts_and_none_is_no_limit() -> None:
    counted = limits(api_limit="100/minute;2/hour", chat_limit="")
    counted.api(person())
    counted.api(person())
    with pytest.raises(TooMany, match="2 per 1 hour is the limit; wait 60 minutes"):
        counted.api(person())
    for _ in range(500):
        counted.chat(person())


def guess(counted: Limits, name: str, address: str = "1.2.3.4", right: bool | None = False) -> None:
    with counted.password(name, address) as one:
        one.right = right


def test_ten_wrong_passwords_are_a_pause_for_that_name_from_there() -> None:
    counted = Limits()
    for _ in range(10):
        guess(counted, "mia")
    with pytest.raises(TooMany, match="too many wrong tries; wait 5 minutes"):
        guess(counted, "mia")
    guess(counted, "bob")
    guess(counted, "mia", "5.6.7.8")


def test_many_at_once_are_as_many_tries() -> None:
    counted, looking = Limits(), ExitStack()
    with looking:
        for _ in range(10):
            looking.enter_context(counted.password("mia", "1.2.3.4"))
        with pytest.raises(TooMany):
            guess(counted, "mia")
        guess(counted, "bob")
    # Nobody said that they were wrong: a database that was away is no guess.
    guess(counted, "mia")


def test_the_right_password_forgets_the_wrong_ones() -> None:
    counted = Limits()
    for _ in range(3):
        for _ in range(9):
            guess(counted, "mia")
        guess(counted, "mia", right=True)
    guess(counted, "mia")


def test_many_names_from_one_network_are_guessing_too() -> None:
    counted = Limits()
    for number in range(100):
        guess(counted, f"name{number}", f"2001:db8::{number:x}")
    with pytest.raises(TooMany):
        guess(counted, "mia", "2001:db8::ffff")
    guess(counted, "mia", "2001:db8:0:1::1")


def test_the_pause_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    counted, now = Limits(), time.time()
    for _ in range(10):
        guess(counted, "mia")
    monkeypatch.setattr(time, "time", lambda: now + 301)
    guess(counted, "mia")


def test_different_wrong_keys_are_guesses_and_the_same_one_is_a_stale_client() -> None:
    counted = Limits()
    for _ in range(100):
        counted.wrong_key("sk-old", "1.2.3.4")
    counted.key("1.2.3.4")
    for number in range(20):
        counted.wrong_key(f"sk-{number}", "1.2.3.4")
    with pytest.raises(TooMany, match="too many wrong API keys"):
        counted.key("1.2.3.4")
    counted.key("1.2.3.5")


def test_sign_ups_and_guests_from_one_network_are_few() -> None:
    counted = Limits()
    for _ in range(5):
        counted.sign_up("1.2.3.4")
    with pytest.raises(TooMany, match="too many new accounts from here"):
        counted.sign_up("1.2.3.4")
    for _ in range(60):
        counted.guest("1.2.3.4")
    with pytest.raises(TooMany, match="too many new guests"):
        counted.guest("1.2.3.4")


@pytest.mark.parametrize(
    ("address", "whose"),
    [
        ("1.2.3.4", "1.2.3.4"),
        ("::ffff:1.2.3.4", "1.2.3.4"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
        ("fe80::1%eth0", "fe80::"),
        ("testclient", "testclient"),
        ("", ""),
    ],
)
def test_an_address_stands_for_its_network(address: str, whose: str) -> None:
    assert network(address) == whose
