"""A house for page tests: real store, registry, ledger and `Chat` over an engine that says what it is told.

Nothing here knows gradio: requests and events are plain values, since handlers only read a few names of them.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from assistant.accounts import Accounts
from assistant.audit import Audit
from assistant.chat import Chat
from assistant.errors import AssistantError, EngineUnavailable
from assistant.grounds import Found, Grounds
from assistant.notices import Notices
from assistant.origins import Setting
from assistant.ui.desk import Desk
from feedback.alerts import Alerts
from feedback.database import Database
from feedback.days import Days
from feedback.records import as_said
from feedback.store import Store
from retrieval.records import Hit
from training.canaries import Canaries
from training.due import Outlook
from training.monitor import Monitor
from training.preview import Previews
from training.records import TrainingSettings
from training.registry import Registry
from training.runs import Runs

PASSWORD = "correct horse"


@dataclass
class ScriptedEngines:
    """Speaks what `Chat` asks of `Engines`."""

    answer: str = "Three to four days."
    answers: dict[str, str] = field(default_factory=dict)
    """Answers by question; the others get `answer`."""
    pause: float = 0.0
    """Seconds before each word."""
    unready: str | None = None
    """Why no question can be put to the engine."""
    breaks: AssistantError | None = None
    breaks_after: int = 0
    """`breaks` is raised after so many words."""
    holds_after: int | None = None
    """The answer stands still after so many words until `go` is set."""
    go: asyncio.Event = field(default_factory=asyncio.Event)
    open: int = 0
    """Answers that the engine is writing."""
    asked: list[Mapping[str, Any]] = field(default_factory=list)

    async def tokenize_text(self, text: str) -> list[int]:
        return []

    def ready(self) -> str | None:
        return self.unready

    async def context_length(self) -> int:
        if self.unready:
            raise EngineUnavailable(self.unready)
        return 100_000

    async def tokenize(self, messages: object) -> list[int]:
        return []

    async def ensure(self, adapter: object) -> None:
        pass

    async def stream(self, body: Mapping[str, Any], adapter: object) -> AsyncIterator[dict[str, Any]]:
        self.asked.append(body)
        self.open += 1
        try:
            asked = as_said(body["messages"])[-1]["content"]
            text = self.answers.get(asked, self.answer)
            words = [word + " " for word in text.split(" ")]
            words[-1] = words[-1].rstrip(" ")
            for index, word in enumerate(words):
                if self.holds_after == index:
                    await self.go.wait()
                if self.breaks is not None and self.breaks_after == index:
                    raise self.breaks
                await asyncio.sleep(self.pause)
                yield {"choices": [{"index": 0, "delta": {"content": word}}]}
            yield {
                "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}],
                "usage": {"prompt_tokens": 7, "completion_tokens": len(words)},
            }
        finally:
            self.open -= 1


@dataclass
class House:
    """Everything that the pages are handed, with an admin `ana` and a user `uwe`."""

    store: Store
    accounts: Accounts
    registry: Registry
    canaries: Canaries
    runs: Runs
    engines: ScriptedEngines
    chat: Chat
    monitor: Monitor
    audit: Audit
    desk: Desk
    """What the admin page is handed; its home is the parent of the adapters' folder."""
    shelf: Shelf
    """What is found in documents; none are there before `shelf.empty` is taken back."""


@dataclass
class Shelf:
    """Finds the same for everybody, whatever is asked."""

    hits: Sequence[Hit] = ()
    empty: bool = True

    async def find(self, question: str, account: object, lines: int = 0, spare: bool = False) -> Found:
        return Found(self.hits)


def house(database: Database, folder: Path, people: bool = True) -> House:
    """A house over an empty database."""
    store, engines, audit = Store(database), ScriptedEngines(), Audit(database)
    registry = Registry(database, folder, audit.within)
    accounts, shelf = Accounts(database), Shelf()
    if people:
        # Without a password, which takes a tenth of a second to hash.
        accounts.add("ana", "admin")
        accounts.add("uwe", "user")
    chat = Chat(
        store,
        registry,
        engines,  # type: ignore[arg-type]
        system_prompt="",
        defaults={"temperature": 0.8},
        model="starter",
        max_tokens=64,
        grounds=Grounds(shelf, engines, 800),  # type: ignore[arg-type]
    )
    canaries, runs = Canaries(database, registry, witness=audit.within), Runs(database, witness=audit.within)
    monitor = Monitor(Days(database), Alerts(database), runs, store)
    training = TrainingSettings()
    desk = Desk(
        runs=runs,
        registry=registry,
        canaries=canaries,
        monitor=monitor,
        outlook=Outlook(store, runs, training),
        previews=Previews(store, training, "org/model"),
        notices=Notices(database),
        audit=audit,
        settings=[Setting("APPRENTICE_MODEL", "starter", "default")],
        home=folder.parent,
        ready=engines.ready,
    )
    return House(store, accounts, registry, canaries, runs, engines, chat, monitor, audit, desk, shelf)


def request(name: str | None = "uwe", **query: str) -> Any:
    """What a handler sees of the request of a signed-in person."""
    return SimpleNamespace(username=name, query_params=query)


def event(**data: Any) -> Any:
    """What a handler sees of an event that the browser sent."""
    return SimpleNamespace(_data=data)


async def until(happens: Callable[[], object]) -> None:
    """Wait for something that happens in another task, at most three seconds."""
    for _ in range(300):
        if happens():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it never happened")
