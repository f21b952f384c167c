"""How often: wrong passwords and keys, sign-ups, questions and requests of one person. Counted by `limits`.

In this process's memory, so several web processes count each for itself, and a restart forgets. Knows no
route and no page.
"""

from __future__ import annotations

import hashlib
import ipaddress
import math
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from limits import RateLimitItem, parse, parse_many
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter

from assistant.accounts import Account
from assistant.entry import AccountsSection
from assistant.errors import AssistantError

WRONG_PASSWORDS = parse("10 per 5 minutes")
"""For one name from one network."""
WRONG_FROM_ONE = parse("100 per 5 minutes")
"""For all names together from one network."""
WRONG_KEYS = parse("20 per 5 minutes")
"""Different wrong keys from one network; a client that sends the same old one for ever guesses nothing."""
_SAME_KEY = parse("1 per 5 minutes")
SIGN_UPS = parse("5 per hour")
GUESTS = parse("60 per hour")


class TooMany(AssistantError):
    """Too often; `seconds` says how long to wait."""

    def __init__(self, sentence: str, seconds: int) -> None:
        super().__init__(sentence)
        self.seconds = seconds


@dataclass(slots=True)
class Guess:
    """A password that is being looked at."""

    right: bool | None = None
    """Whether it was; as long as nobody says so it counts as neither."""


class Limits:
    """The counters of one web process. Safe to share between threads."""

    def __init__(self, section: AccountsSection | None = None) -> None:
        section = section or AccountsSection()
        self._limiter = MovingWindowRateLimiter(MemoryStorage())
        self._lock = threading.Lock()
        self._looking: Counter[tuple[str, ...]] = Counter()
        self._rates = {
            name: parse_many(rate) if rate else []
            for name, rate in (
                ("chat", section.chat_limit),
                ("guest", section.guest_limit),
                ("api", section.api_limit),
            )
        }

    # -- what a person may do ----------------------------------------------------------------------

    def chat(self, account: Account) -> None:
        """Count a question on the page. Raises `TooMany`."""
        self._count("guest" if account.role == "guest" else "chat", account, "questions")

    def api(self, account: Account) -> None:
        """Count a request by a key. Raises `TooMany`."""
        self._count("api", account, "requests")

    def _count(self, name: str, account: Account, what: str) -> None:
        for rate in self._rates[name]:
            if not self._limiter.hit(rate, name, account.id):
                wait = self._wait(rate, name, account.id)
                raise TooMany(f"too many {what}: {rate} is the limit; wait {_spoken(wait)}", wait)

    # -- what somebody unknown may do --------------------------------------------------------------

    def sign_up(self, address: str) -> None:
        """Count a form for a new account. Raises `TooMany`."""
        self._first_come(SIGN_UPS, "sign-up", address, "too many new accounts from here")

    def guest(self, address: str) -> None:
        """Count somebody who comes in without an account. Raises `TooMany`."""
        self._first_come(GUESTS, "guest", address, "too many new guests from here")

    def _first_come(self, rate: RateLimitItem, name: str, address: str, sentence: str) -> None:
        if not self._limiter.hit(rate, name, network(address)):
            wait = self._wait(rate, name, network(address))
            raise TooMany(f"{sentence}; wait {_spoken(wait)}", wait)

    @contextmanager
    def password(self, name: str, address: str) -> Iterator[Guess]:
        """While a password is looked at; what came of it is to be said to the guess. Raises `TooMany`.

        Those that are being looked at count as wrong until then: many at once are as many tries.
        """
        tries = self._guessing(name, address)
        with self._lock:
            for rate, who in tries:
                if self._limiter.get_window_stats(rate, *who).remaining <= self._looking[who]:
                    wait = self._wait(rate, *who)
                    raise TooMany(f"too many wrong tries; wait {_spoken(wait)}, then try again", wait)
            self._looking.update(who for _, who in tries)
        guess = Guess()
        try:
            yield guess
        finally:
            with self._lock:
                self._looking.subtract(who for _, who in tries)
                self._looking += Counter()  # those of none are forgotten
                if guess.right is False:
                    for rate, who in tries:
                        self._limiter.hit(rate, *who)
            if guess.right:
                rate, who = tries[0]
                self._limiter.clear(rate, *who)

    @staticmethod
    def _guessing(name: str, address: str) -> list[tuple[RateLimitItem, tuple[str, ...]]]:
        # A name of a thousand letters takes as much memory as any other.
        said, where = hashlib.sha256(name.encode(errors="replace")).hexdigest(), network(address)
        return [(WRONG_PASSWORDS, ("password", said, where)), (WRONG_FROM_ONE, ("passwords", where))]

    def key(self, address: str) -> None:
        """Ask before a key is looked at. Raises `TooMany`."""
        where = network(address)
        if not self._limiter.test(WRONG_KEYS, "keys", where):
            wait = self._wait(WRONG_KEYS, "keys", where)
            raise TooMany(f"too many wrong API keys from here; wait {_spoken(wait)}", wait)

    def wrong_key(self, key: str, address: str) -> None:
        """Note a wrong one, if it is another one than before."""
        said, where = hashlib.sha256(key.encode(errors="replace")).hexdigest(), network(address)
        if self._limiter.hit(_SAME_KEY, "key", said, where):
            self._limiter.hit(WRONG_KEYS, "keys", where)

    def _wait(self, rate: RateLimitItem, *who: str) -> int:
        return max(1, math.ceil(self._limiter.get_window_stats(rate, *who).reset_time - time.time()))


def network(address: str) -> str:
    """Whose address it is: of IPv6 a household has as many as it likes, so its /64 stands for all of them."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address[:60]
    if isinstance(found, ipaddress.IPv6Address):
        if found.ipv4_mapped is not None:
            return str(found.ipv4_mapped)
        return str(ipaddress.IPv6Network((found, 64), strict=False).network_address)
    return str(found)


def _spoken(seconds: int) -> str:
    if seconds < 90:
        return f"{seconds} seconds"
    return f"{math.ceil(seconds / 60)} minutes"
