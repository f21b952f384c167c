"""What page tests share: a house in an empty database, and the backend that gradio runs on."""

from __future__ import annotations

from pathlib import Path

import pytest
from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher

from assistant.ui.chat_events import ChatEvents
from assistant.ui.page import Doorman
from assistant.ui.streams import Streams
from feedback.database import Database
from tests.assistant.ui import scripted
from tests.assistant.ui.browsing import chromium, open_page, running_site, site
from tests.assistant.ui.scripted import House

__all__ = ["chromium", "open_page", "running_site", "site"]


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Argon2 as weak as it goes: how long a guess takes is tested with the accounts."""
    weak = PasswordHash((Argon2Hasher(time_cost=1, memory_cost=8, parallelism=1),))
    monkeypatch.setattr(PasswordHash, "recommended", staticmethod(lambda: weak))


@pytest.fixture
def house(sqlite: Database, tmp_path: Path) -> House:
    """A house with an admin `ana` and a user `uwe`."""
    return scripted.house(sqlite, tmp_path / "adapters")


@pytest.fixture
def events(house: House) -> ChatEvents:
    """The handlers of the chat page."""
    return ChatEvents(house.chat, Doorman(house.accounts, "user"), Streams(house.chat), ["What?"])
