"""How accounts are looked after: sign-up, approval, locks, roles, links, sessions and keys, identities."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from itertools import count, repeat

import pytest
from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher
from sqlalchemy import insert, select, update

from assistant.accounts import Account, AccountError, Accounts, StillPending, accounts, as_row, fresh
from assistant.credentials import credentials
from assistant.people import MOST_KEYS, People
from feedback.database import Database
from feedback.schema import deletions

PASSWORD = "correct horse"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    weak = PasswordHash((Argon2Hasher(time_cost=1, memory_cost=8, parallelism=1),))
    monkeypatch.setattr(PasswordHash, "recommended", staticmethod(lambda: weak))


@pytest.fixture
def notes() -> list[tuple[str, ...]]:
    return []


@pytest.fixture
def people(database: Database, notes: list[tuple[str, ...]]) -> People:
    return People(Accounts(database), lambda *said: notes.append(said))


def names(people: People, *asked: object) -> list[str]:
    return [one.account.name for one in people.page(*asked)[0]]  # type: ignore[arg-type]


# -- signing up --------------------------------------------------------------------------------------


def test_who_signs_up_waits_until_an_admin_approves(people: People, notes: list[tuple[str, ...]]) -> None:
    mia = people.sign_up("mia", PASSWORD)
    assert (mia.role, mia.pending, mia.may("user"), mia.may("guest")) == ("user", True, False, False)
    with pytest.raises(StillPending, match="until an admin approves"):
        people.accounts.sign_in("mia", PASSWORD)
    # Whoever does not know the password is not told that it waits.
    assert people.accounts.sign_in("mia", "wrong") is None
    for barred in (people.accounts.new_key, lambda name: people.reset_link(name, "ada")):
        with pytest.raises(AccountError, match="would open nothing"):
            barred("mia")
    assert people.waiting() == 1
    assert people.approve("mia", "ada").may("user")
    assert people.accounts.sign_in("mia", PASSWORD)
    with pytest.raises(AccountError, match="does not wait"):
        people.approve("mia", "ada")
    assert notes == [("mia", "sign up", "mia", "", "pending"), ("ada", "approve", "mia", "pending", "user")]


def test_a_pending_account_is_no_bearer_of_anything(people: People, database: Database) -> None:
    """Even of what was given out before: an admin may not have known."""
    account = people.accounts.add("mia", "user")
    session, key = people.accounts.new_session(account), people.accounts.new_key("mia")
    with database.write() as connection:
        connection.execute(update(accounts).values(pending=True))
    assert people.accounts.by_session(session) is None
    assert people.accounts.by_key(key) is None


def test_the_queue_has_an_end(people: People, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("assistant.people.MOST_PENDING", 2)
    people.sign_up("a", PASSWORD)
    people.sign_up("b", PASSWORD)
    with pytest.raises(AccountError, match="too many are waiting"):
        people.sign_up("c", PASSWORD)
    people.approve("a", "ada")
    people.sign_up("c", PASSWORD)


# -- guests ------------------------------------------------------------------------------------------


def test_a_guest_is_somebody_of_their_own_and_nobody_else_is_a_guest(people: People) -> None:
    one, two = (people.accounts.by_session(people.accounts.new_guest()) for _ in range(2))
    assert one is not None
    assert two is not None
    assert one.id != two.id
    assert (one.role, one.may("guest"), one.may("user")) == ("guest", True, False)
    assert people.accounts.all() == []
    assert not people.accounts.any()
    for act in (
        lambda: people.accounts.new_key(one.name),
        lambda: people.reset_link(one.name, "ada"),
        lambda: people.set_role(one.name, "admin", "ada"),
        lambda: people.accounts.add("x", "guest"),
    ):
        with pytest.raises(AccountError):
            act()
    assert names(people) == []
    assert sorted(names(people, "guest")) == sorted([one.name, two.name])


def test_guests_go_with_their_session(people: People, database: Database) -> None:
    people.accounts.new_guest()
    with database.write() as connection:
        connection.execute(update(credentials).values(expires_at=datetime.now(UTC) - timedelta(days=1)))
    people.accounts.add("mia", "user")
    people.accounts.new_guest()
    with database.read() as connection:
        assert sorted(connection.execute(select(accounts.c.role)).scalars()) == ["guest", "user"]


# -- what admins do ----------------------------------------------------------------------------------


def test_somebody_is_locked_out_and_let_in_again(people: People) -> None:
    people.accounts.add("mia", "user", PASSWORD)
    session = people.accounts.sign_in("mia", PASSWORD)
    assert session is not None
    people.disable("mia", "ada")
    assert people.accounts.sign_in("mia", PASSWORD) is None
    people.enable("mia", "ada")
    assert people.accounts.by_session(session) is None
    assert people.accounts.sign_in("mia", PASSWORD)


def test_whose_data_is_being_deleted_is_not_let_in_again(people: People, database: Database) -> None:
    mia = people.accounts.add("mia", "user")
    people.disable("mia", "ada")
    row = {"id": "del-1", "person_id": mia.id, "asked_by": "ada", "asked_at": datetime.now(UTC)}
    with database.write() as connection:
        connection.execute(insert(deletions).values(row | {"stage": "deleting"}))
    with pytest.raises(AccountError, match="being deleted"):
        people.enable("mia", "ada")
    assert people.accounts.get("mia").disabled
    with database.write() as connection:
        connection.execute(update(deletions).values(stage="done"))
    people.enable("mia", "ada")
    assert not people.accounts.get("mia").disabled


def test_a_role_changes_at_once_and_the_only_admin_stays_one(people: People) -> None:
    mia = people.accounts.add("mia", "admin", PASSWORD)
    session = people.accounts.new_session(mia)
    with pytest.raises(AccountError, match="the only admin"):
        people.set_role("mia", "user", "mia")
    people.accounts.add("bob", "admin", PASSWORD)
    people.set_role("mia", "staff", "bob")
    found = people.accounts.by_session(session)
    assert found is not None
    assert found.role == "staff"
    with pytest.raises(AccountError, match="no role"):
        people.set_role("mia", "guest", "bob")


def test_an_invitation_makes_an_account_whose_person_chooses_the_password(
    people: People, notes: list[tuple[str, ...]]
) -> None:
    token = people.invite("mia", "staff", ["sales"], "ada")
    found = people.by_link(token)
    assert found is not None
    assert (found.name, found.role, found.groups) == ("mia", "staff", ("sales",))
    with pytest.raises(AccountError, match="at least 8"):
        people.spend_link(token, "short")
    assert people.spend_link(token, PASSWORD).name == "mia"
    assert people.accounts.sign_in("mia", PASSWORD)
    with pytest.raises(AccountError, match="used or is out of date"):
        people.spend_link(token, "another one")
    assert [note[1] for note in notes] == [
        "add account",
        "make password link",
        "set password by link",
    ]
    assert not [note for note in notes if token in str(note) or PASSWORD in str(note)]


def test_an_invitation_into_a_group_that_can_not_be_makes_nothing(
    people: People, notes: list[tuple[str, ...]]
) -> None:
    with pytest.raises(AccountError, match="a group's name"):
        people.invite("eve", "admin", ["Sales Team"], "ada")
    with pytest.raises(AccountError):
        people.accounts.get("eve")
    assert notes == []


def test_the_first_admin_is_noted(people: People, notes: list[tuple[str, ...]]) -> None:
    link = people.accounts.first_link()
    assert link is not None
    people.make_first_admin(link, "root", PASSWORD)
    assert notes == [("root", "make the first admin", "root", "", "admin")]


def test_a_link_ends_what_was_open_and_only_the_newest_works(people: People) -> None:
    mia = people.accounts.add("mia", "user", PASSWORD)
    session, key = people.accounts.new_session(mia), people.accounts.new_key("mia")
    old, new = people.reset_link("mia", "ada"), people.reset_link("mia", "ada")
    assert people.by_link(old) is None
    assert people.accounts.by_session(session) is not None
    people.spend_link(new, "another horse")
    assert people.accounts.by_session(session) is None
    assert people.accounts.by_key(key) is None
    assert people.accounts.sign_in("mia", PASSWORD) is None


def test_two_who_spend_a_link_at_once_are_one(people: People) -> None:
    token = people.invite("mia", "user", (), "ada")

    def spend(password: str) -> Account | AccountError:
        try:
            return people.spend_link(token, password)
        except AccountError as problem:
            return problem

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(spend, [f"password {number}" for number in range(4)]))
    assert sum(isinstance(one, Account) for one in found) == 1


def test_a_link_of_somebody_who_is_locked_out_opens_nothing(people: People) -> None:
    token = people.invite("mia", "user", (), "ada")
    people.disable("mia", "ada")
    assert people.by_link(token) is None
    people.enable("mia", "ada")
    assert people.by_link(token) is None


# -- what people do ----------------------------------------------------------------------------------


def test_a_password_is_changed_by_whoever_knows_it_and_other_sessions_end(people: People) -> None:
    mia = people.accounts.add("mia", "user", PASSWORD)
    mine, other = people.accounts.new_session(mia), people.accounts.new_session(mia)
    link = people.reset_link("mia", "ada")
    with pytest.raises(AccountError, match="not your present password"):
        people.change_password(mia, "wrong", "another horse", mine)
    with pytest.raises(AccountError, match="at least 8"):
        people.change_password(mia, PASSWORD, "short", mine)
    assert people.accounts.by_session(other) is not None
    people.change_password(mia, PASSWORD, "another horse", mine)
    assert people.accounts.by_session(mine) is not None
    assert people.accounts.by_session(other) is None
    assert people.by_link(link) is None
    assert people.accounts.sign_in("mia", "another horse")


def test_sessions_and_keys_are_listed_and_ended(people: People) -> None:
    mia = people.accounts.add("mia", "user", PASSWORD)
    mine = people.accounts.sign_in("mia", PASSWORD, "Firefox on Linux")
    other = people.accounts.new_session(mia, "Chrome on Android")
    key = people.new_key(mia, "the script")
    assert mine is not None
    assert [(one.label, one.current) for one in people.sessions(mia, mine)] == [
        ("Chrome on Android", False),
        ("Firefox on Linux", True),
    ]
    assert people.accounts.by_key(key) is not None
    (kept,) = people.keys(mia)
    assert kept.used_at is not None
    bob = people.accounts.add("bob", "user")
    with pytest.raises(AccountError, match="no such key"):
        people.end(bob, "key", kept.id, "bob")
    people.end(mia, "key", kept.id, "mia")
    assert people.accounts.by_key(key) is None
    assert people.end_sessions(mia, "mia", but=mine) == 1
    assert people.accounts.by_session(other) is None
    assert people.accounts.by_session(mine) is not None


def test_keys_have_an_end(people: People) -> None:
    mia = people.accounts.add("mia", "user")
    for number in range(MOST_KEYS):
        people.new_key(mia, str(number))
    with pytest.raises(AccountError, match="end one of them first"):
        people.new_key(mia, "one more")


# -- identities --------------------------------------------------------------------------------------


def test_an_identity_is_an_issuer_and_a_subject(people: People) -> None:
    mia = people.join("https://one", "17", iter(["mia"]), "user")
    assert people.known("https://one", "17") == mia
    assert people.known("https://two", "17") is None
    assert people.known("https://one", "18") is None
    other = people.join("https://two", "17", (f"mia{n or ''}" for n in count()), "user")
    assert (other.name, other.id == mia.id) == ("mia1", False)
    with pytest.raises(AccountError, match="every name is taken"):
        people.join("https://three", "1", ["mia"], "user")
    with pytest.raises(AccountError, match="another account already"):
        people.connect(other, "https://one", "17")


def test_two_tabs_of_somebody_new_make_one_account(people: People) -> None:
    with ThreadPoolExecutor(4) as pool:
        found = list(
            pool.map(
                lambda n: people.join("https://one", "17", iter([n, f"{n}-2", f"{n}-3"]), "user"),
                repeat("mia", 4),
            )
        )
    assert len({one.id for one in found}) == 1
    assert len(people.accounts.all()) == 1


def test_a_deleted_account_leaves_no_identity(people: People) -> None:
    people.join("https://one", "17", ["mia"], "user")
    people.accounts.delete("mia")
    assert people.known("https://one", "17") is None


# -- looking -----------------------------------------------------------------------------------------


def test_those_who_wait_stand_first_and_others_by_age(people: People) -> None:
    for name in ("ann", "bob"):
        people.accounts.add(name, "staff")
    people.sign_up("wim", PASSWORD)
    people.accounts.add("ada", "admin")
    assert names(people) == ["wim", "ada", "bob", "ann"]
    assert names(people, "pending") == ["wim"]
    assert names(people, "staff") == ["bob", "ann"]
    assert names(people, "all", "A") == ["ada", "ann"]
    assert names(people, "all", "%") == []
    assert names(people, "all", "", 3, 50) == ["ann"]
    assert people.page("all", "", 0, 2)[1] == 4
    people.disable("bob", "ada")
    assert names(people, "disabled") == ["bob"]
    assert people.person("bob").account.disabled


def test_a_person_is_shown_with_what_they_have(people: People) -> None:
    mia = people.accounts.add("mia", "user", PASSWORD)
    people.accounts.by_session(people.accounts.new_session(mia))
    people.accounts.new_key("mia")
    people.connect(mia, "https://one", "17")
    one = people.person("mia")
    assert (one.has_password, one.sessions, one.keys, one.identities) == (True, 1, 1, ("https://one",))
    assert one.used_at is not None


@pytest.fixture
def crowd(sqlite: Database) -> People:
    with sqlite.write() as connection:
        rows = [as_row(fresh(f"name-{number:06}", "user"), None) for number in range(20_000)]
        connection.execute(insert(accounts), rows)
    return People(Accounts(sqlite))


def test_many_people_are_shown_in_pages(crowd: People) -> None:
    found, total = crowd.page("all", "", 10_000, 50)
    assert (len(found), total) == (50, 20_000)
    after, _ = crowd.page("all", "", 10_050, 50)
    assert len({one.account.name for one in (*found, *after)}) == 100


def test_what_is_done_from_the_terminal_is_noted_too(people: People, notes: list[tuple[str, ...]]) -> None:
    people.add("mia", "staff", None, "ada")
    key = people.key_for("mia", "ada")
    assert people.accounts.by_key(key) == people.accounts.get("mia")
    people.delete("mia", "ada")
    assert notes == [
        ("ada", "add account", "mia", "", "staff"),
        ("ada", "make key", "mia", "", ""),
        ("ada", "delete account", "mia", "staff", ""),
    ]
