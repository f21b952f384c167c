"""Tests of the accounts, on both databases: who may come in, for how long, and what is kept of it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher
from sqlalchemy import event, func, select, text, update

from assistant import accounts as module
from assistant.accounts import SESSION_DAYS, AccountError, Accounts, credentials
from assistant.people import People
from feedback.database import Database
from feedback.records import Role

PASSWORD = "correct horse"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Argon2 as weak as it goes: what is tested is who gets in, not how long a guess takes."""
    weak = PasswordHash((Argon2Hasher(time_cost=1, memory_cost=8, parallelism=1),))
    monkeypatch.setattr(PasswordHash, "recommended", staticmethod(lambda: weak))


@pytest.fixture
def accounts(database: Database) -> Accounts:
    return Accounts(database)


def signed_in(accounts: Accounts, name: str) -> str:
    token = accounts.sign_in(name, PASSWORD)
    assert token is not None
    return token


def kept(database: Database) -> int:
    with database.read() as connection:
        return int(connection.execute(select(func.count()).select_from(credentials)).scalar_one())


def at_once(*acts: Callable[[], object]) -> list[object]:
    """What each of these gave or raised, begun at the same moment."""
    barrier = threading.Barrier(len(acts))

    def one(act: Callable[[], object]) -> object:
        barrier.wait(10)
        try:
            return act()
        except AccountError as error:
            return error

    with ThreadPoolExecutor(len(acts)) as pool:
        return list(pool.map(one, acts))


# -- accounts --------------------------------------------------------------------------------------


def test_an_account_is_found_by_its_name(accounts: Accounts) -> None:
    ann = accounts.add("ann", "staff", PASSWORD)
    bob = accounts.add("bob@example.org", "user")
    assert accounts.get("ann") == ann
    assert (ann.role, ann.disabled) == ("staff", False)
    assert accounts.all() == [ann, bob]
    assert ann.id != bob.id


def test_a_name_stands_for_one_account(accounts: Accounts) -> None:
    first = accounts.add("ann", "user")
    with pytest.raises(AccountError, match="there is an account named ann already"):
        accounts.add("ann", "admin")
    assert accounts.all() == [first]


def test_two_who_want_the_same_name_at_once_get_one_account(database: Database) -> None:
    found = at_once(*[partial(Accounts(database).add, "ann", "user")] * 4)
    assert sum(isinstance(one, AccountError) for one in found) == 3
    assert len(Accounts(database).all()) == 1


@pytest.mark.parametrize("name", ["", " ann", "ann/..", "-ann", "a" * 61, "änn", "a\x00b", "a\nb", "<b>"])
def test_what_is_no_name_is_refused_and_not_found(accounts: Accounts, name: str) -> None:
    with pytest.raises(AccountError, match="a name has 1 to 60 letters"):
        accounts.add(name, "user", PASSWORD)
    with pytest.raises(AccountError, match="no account named"):
        accounts.get(name)
    assert accounts.sign_in(name, PASSWORD) is None
    assert accounts.all() == []


def test_an_unknown_role_and_a_short_password_are_refused(accounts: Accounts) -> None:
    with pytest.raises(AccountError, match="'root' is no role; it is one of user, staff, admin"):
        accounts.add("ann", "root")  # type: ignore[arg-type]
    with pytest.raises(AccountError, match="at least 8 characters"):
        accounts.add("ann", "user", "1234567")
    assert accounts.all() == []


@pytest.mark.parametrize(
    ("role", "may"), [("user", ["user"]), ("staff", ["user", "staff"]), ("admin", ["user", "staff", "admin"])]
)
def test_a_role_may_what_it_may_and_all_below(accounts: Accounts, role: Role, may: list[Role]) -> None:
    account = accounts.add("ann", role)
    assert [wanted for wanted in module.ROLES if account.may(wanted)] == may


# -- passwords and sessions ------------------------------------------------------------------------


def test_the_right_password_opens_a_session_that_can_be_ended(accounts: Accounts) -> None:
    ann = accounts.add("ann", "user", PASSWORD)
    token, other = signed_in(accounts, "ann"), signed_in(accounts, "ann")
    assert token != other
    assert accounts.by_session(token) == ann
    accounts.sign_out(token)
    assert accounts.by_session(token) is None
    assert accounts.by_session(other) == ann


@pytest.mark.parametrize(("name", "password"), [("ann", "wrong horse"), ("ann", ""), ("nobody", PASSWORD)])
def test_anything_else_opens_nothing(accounts: Accounts, name: str, password: str) -> None:
    accounts.add("ann", "user", PASSWORD)
    assert accounts.sign_in(name, password) is None


def test_an_account_without_a_password_can_not_sign_in_at_all(accounts: Accounts) -> None:
    accounts.add("bot", "user")
    assert [accounts.sign_in("bot", guess) for guess in ("", "None", PASSWORD)] == [None] * 3


def test_a_wrong_name_costs_as_many_hashes_as_a_wrong_password(
    accounts: Accounts, monkeypatch: pytest.MonkeyPatch
) -> None:
    accounts.add("ann", "user", PASSWORD)
    accounts.add("bot", "user")
    verified: list[str] = []
    real = PasswordHash.verify

    def verify(self: PasswordHash, password: str, known: str) -> bool:
        verified.append(password)
        return real(self, password, known)

    monkeypatch.setattr(PasswordHash, "verify", verify)
    for number, name in enumerate(("ann", "nobody", "bot"), 1):
        accounts.sign_in(name, "wrong horse")
        assert len(verified) == number


def test_a_password_that_was_changed_while_it_was_looked_at_opens_nothing(
    accounts: Accounts, monkeypatch: pytest.MonkeyPatch
) -> None:
    accounts.add("ann", "user", PASSWORD)
    people, real = People(accounts), PasswordHash.verify

    def verify(self: PasswordHash, password: str, known: str) -> bool:
        found = real(self, password, known)
        monkeypatch.setattr(PasswordHash, "verify", real)
        people.spend_link(people.reset_link("ann", "root"), "another horse")
        return found

    monkeypatch.setattr(PasswordHash, "verify", verify)
    assert accounts.sign_in("ann", PASSWORD) is None
    assert accounts.sign_in("ann", "another horse") is not None


def test_a_session_ends_by_itself_and_leaves_no_row(accounts: Accounts, database: Database) -> None:
    accounts.add("ann", "user", PASSWORD)
    token = signed_in(accounts, "ann")
    with database.write() as connection:
        expires = connection.execute(select(credentials.c.expires_at)).scalar_one()
        past = datetime.now(UTC) - timedelta(seconds=1)
        connection.execute(update(credentials).values(expires_at=past))
    assert timedelta(days=SESSION_DAYS - 1) < expires - datetime.now(UTC) <= timedelta(days=SESSION_DAYS)
    assert accounts.by_session(token) is None
    key = accounts.new_key("ann")
    assert kept(database) == 1
    assert accounts.by_key(key) is not None


# -- keys ------------------------------------------------------------------------------------------


def test_a_key_opens_the_routes_for_programs_and_only_those(accounts: Accounts) -> None:
    ann = accounts.add("ann", "user", PASSWORD)
    key, session = accounts.new_key("ann"), signed_in(accounts, "ann")
    assert key.startswith("sk-")
    assert len(key) > 40
    assert accounts.by_key(key) == ann
    assert accounts.by_session(key) is None
    assert accounts.by_key(session) is None
    assert [accounts.by_key(wrong) for wrong in ("", "sk-", key[3:], key + "x", key.upper())] == [None] * 5


def test_several_keys_are_good_side_by_side(accounts: Accounts) -> None:
    ann = accounts.add("ann", "user")
    keys = {accounts.new_key("ann") for _ in range(3)}
    assert [accounts.by_key(key) for key in keys] == [ann] * 3
    with pytest.raises(AccountError, match="no account named bob"):
        accounts.new_key("bob")


def test_no_password_key_session_or_link_is_kept_in_the_clear(accounts: Accounts, database: Database) -> None:
    link = accounts.first_link()
    accounts.add("ann", "user", PASSWORD)
    secrets = [PASSWORD, accounts.new_key("ann")[3:], signed_in(accounts, "ann"), link]
    with database.read() as connection:
        rows = [
            str(row)
            for table in ("accounts", "credentials")
            for row in connection.execute(text(f"SELECT * FROM {table}"))
        ]
    assert len(rows) == 4
    assert not [secret for secret in secrets for row in rows if str(secret) in row]


# -- locking out and deleting ----------------------------------------------------------------------


@pytest.mark.parametrize("act", ["disable", "delete"])
def test_who_is_shut_out_is_out_at_once(accounts: Accounts, database: Database, act: str) -> None:
    accounts.add("ann", "user", PASSWORD)
    key, session = accounts.new_key("ann"), signed_in(accounts, "ann")
    getattr(accounts, act)("ann")
    assert accounts.by_key(key) is None
    assert accounts.by_session(session) is None
    assert accounts.sign_in("ann", PASSWORD) is None
    assert kept(database) == 0
    with pytest.raises(AccountError, match=r"locked out|no account named"):
        accounts.new_key("ann")


def test_a_locked_account_keeps_its_name_and_a_deleted_one_gives_it_free(accounts: Accounts) -> None:
    old = accounts.add("ann", "user", PASSWORD)
    locked = accounts.disable("ann")
    assert locked.disabled
    assert not locked.may("user")
    with pytest.raises(AccountError, match="already"):
        accounts.add("ann", "user")
    accounts.delete("ann")
    assert accounts.add("ann", "user").id != old.id


@pytest.mark.parametrize("act", ["disable", "delete"])
def test_the_only_admin_can_not_be_shut_out(accounts: Accounts, act: str) -> None:
    accounts.add("ann", "admin", PASSWORD)
    accounts.add("bob", "staff")
    with pytest.raises(AccountError, match="the only admin"):
        getattr(accounts, act)("ann")
    assert signed_in(accounts, "ann")
    accounts.add("cleo", "admin")
    getattr(accounts, act)("ann")
    with pytest.raises(AccountError, match="the only admin"):
        getattr(accounts, act)("cleo")


def test_two_admins_who_shut_each_other_out_leave_one(database: Database) -> None:
    accounts = Accounts(database)
    left = accounts.add("admin-0", "admin")
    for number in range(1, 5):
        other = accounts.add(f"admin-{number}", "admin")
        found = at_once(*(partial(Accounts(database).disable, one.name) for one in (left, other)))
        assert sum(isinstance(one, AccountError) for one in found) == 1
        (left,) = [one for one in accounts.all() if one.may("admin")]


# -- the first start -------------------------------------------------------------------------------


def test_the_link_makes_the_first_admin_once(accounts: Accounts) -> None:
    link = accounts.first_link()
    assert link is not None
    assert accounts.link_is_good(link)
    ann = accounts.make_first_admin(link, "ann", PASSWORD)
    assert ann.may("admin")
    assert signed_in(accounts, "ann")
    assert not accounts.link_is_good(link)
    with pytest.raises(AccountError, match="was used"):
        accounts.make_first_admin(link, "eve", PASSWORD)
    assert accounts.all() == [ann]
    assert accounts.first_link() is None


def test_two_who_spend_the_link_at_once_make_one_admin(database: Database) -> None:
    link = Accounts(database).first_link()
    assert link is not None
    other = threading.Thread(target=lambda: suppressed(Accounts(database).make_first_admin, link, "eve"))

    def before_it_is_spent(connection: object, cursor: object, statement: str, *_: object) -> None:
        """The link has been found good, and somebody else comes with it."""
        if statement.startswith("DELETE FROM credentials") and not other.ident:
            other.start()
            other.join(0.2)

    event.listen(database._engine, "before_cursor_execute", before_it_is_spent)
    suppressed(Accounts(database).make_first_admin, link, "ann")
    other.join(10)
    event.remove(database._engine, "before_cursor_execute", before_it_is_spent)
    assert [account.role for account in Accounts(database).all()] == ["admin"]


def suppressed(make: Callable[[str, str, str], object], link: str, name: str) -> None:
    with suppress(AccountError):
        make(link, name, PASSWORD)


def test_only_the_newest_terminals_link_is_good(accounts: Accounts) -> None:
    old, new = accounts.first_link(), accounts.first_link()
    assert old is not None
    assert new is not None
    assert not accounts.link_is_good(old)
    with pytest.raises(AccountError):
        accounts.make_first_admin(old, "eve", PASSWORD)
    assert accounts.make_first_admin(new, "ann", PASSWORD).name == "ann"


def test_a_link_is_not_spent_by_a_name_or_password_that_is_refused(accounts: Accounts) -> None:
    link = accounts.first_link()
    assert link is not None
    for name, password in (("", PASSWORD), ("ann", "short")):
        with pytest.raises(AccountError):
            accounts.make_first_admin(link, name, password)
    accounts.add("bob", "user")
    with pytest.raises(AccountError, match="already"):
        accounts.make_first_admin(link, "bob", PASSWORD)
    assert accounts.link_is_good(link)


def test_a_link_is_worth_nothing_once_there_is_an_admin(accounts: Accounts) -> None:
    link = accounts.first_link()
    assert link is not None
    accounts.add("machine", "admin")  # who has no password can't sign in and is no reason to lock people out
    assert accounts.link_is_good(link)
    accounts.add("ann", "admin", PASSWORD)
    assert not accounts.link_is_good(link)
    with pytest.raises(AccountError):
        accounts.make_first_admin(link, "eve", PASSWORD)


def test_a_key_or_session_is_no_link(accounts: Accounts) -> None:
    accounts.add("ann", "user", PASSWORD)
    for token in (signed_in(accounts, "ann"), accounts.new_key("ann"), ""):
        with pytest.raises(AccountError):
            accounts.make_first_admin(token, "eve", PASSWORD)
        assert accounts.by_session(token) is not None or not token or token.startswith("sk-")
