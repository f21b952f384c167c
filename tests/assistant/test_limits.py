"""How often somebody may do what: each for themselves, with words and seconds, and no longer than said."""

from __future__ import annotations

import time
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


def test_ten_wrong_passwords_are_a_pause_for_that_name_from_there() -> None:
    counted = Limits()
    for _ in range(10):
        counted.password("mia", "1.2.3.4")
        counted.wrong_password("mia", "1.2.3.4")
    with pytest.raises(TooMany, match="too many wrong tries; wait 5 minutes"):
        counted.password("mia", "1.2.3.4")
    counted.password("bob", "1.2.3.4")
    counted.password("mia", "5.6.7.8")


def test_the_right_password_forgets_the_wrong_ones() -> None:
    counted = Limits()
    for _ in range(3):
        for _ in range(9):
            counted.wrong_password("mia", "1.2.3.4")
        counted.right_password("mia", "1.2.3.4")
    counted.password("mia", "1.2.3.4")


def test_many_names_from_one_network_are_guessing_too() -> None:
    counted = Limits()
    for number in range(100):
        counted.wrong_password(f"name{number}", f"2001:db8::{number:x}")
    with pytest.raises(TooMany):
        counted.password("mia", "2001:db8::ffff")
    counted.password("mia", "2001:db8:0:1::1")


def test_the_pause_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    counted, now = Limits(), time.time()
    for _ in range(10):
        counted.wrong_password("mia", "1.2.3.4")
    monkeypatch.setattr(time, "time", lambda: now + 301)
    counted.password("mia", "1.2.3.4")


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
