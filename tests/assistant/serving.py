"""The routes for programs over a fake engine: in this process, or behind a real server in a thread."""

from __future__ import annotations

import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI

from assistant import api, api_errors, exchange_api, personal_api, unserved
from assistant.accounts import Accounts
from assistant.audit import Audit
from assistant.body_limit import BodyLimit
from assistant.chat import Chat
from assistant.deletions import Deletions
from assistant.engine.client import Engines
from assistant.metrics import Metrics
from assistant.request_ids import RequestIds
from assistant.requests import LARGEST_BODY
from assistant.tools import Toolbox
from feedback.database import Database
from feedback.records import Role
from feedback.store import Store
from tests.fake_engine import FakeEngine
from tests.tiny_model import make_adapter
from training.canaries import Canaries
from training.records import Adapter, Check, Evaluation, Outcome
from training.registry import Registry
from training.runs import Runs


@dataclass
class Site:
    """One home's services and the application over them."""

    app: FastAPI
    store: Store
    accounts: Accounts
    runs: Runs
    registry: Registry
    canaries: Canaries
    metrics: Metrics
    portal: Any = None
    """The event loop in which the application runs, if it does in this process."""
    deletions: Any = None
    """What deletes people's data; nothing works on it by itself."""
    dropped: list[str] = field(default_factory=list)
    """What was taken out of the index."""
    unready: str | None = None
    """What `/readyz` is to say."""

    def key(self, name: str, role: Role = "user") -> str:
        """A new account's API key."""
        self.accounts.add(name, role)
        return self.accounts.new_key(name)

    def candidate(self, number: int, outcome: Outcome = "passed") -> str:
        """An adapter that has been evaluated."""
        name, now = f"lora-{number:012x}", datetime.now(UTC)
        path = make_adapter(self.registry.folder / name, Path("base"), seed=number)
        self.registry.add(Adapter(name, path, "starter", "0" * 64, None, 8, now))
        checks = (Check("length", outcome == "passed", "1.5 times as long"),)
        self.registry.record(Evaluation(name, None, outcome, checks, {}, now))
        return name

    def live(self, number: int) -> str:
        """An adapter that answers."""
        name = self.candidate(number)
        self.registry.promote(name, actor="test", reason="test")
        return name


def site(database: Database, home: Path, fake: FakeEngine, toolbox: Toolbox | None = None) -> Site:
    """The routes alone, without pages."""
    engines = Engines(fake.locate, poll_seconds=0.05)
    store, registry = Store(database), Registry(database, home / "adapters")
    chat = Chat(
        store,
        registry,
        engines,
        system_prompt="",
        defaults={"temperature": 0.8},
        model="starter",
        max_tokens=64,
        toolbox=toolbox,
    )

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        await engines.start()
        yield
        await engines.close()

    app = FastAPI(lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None)
    found = Site(
        app,
        store,
        Accounts(database),
        Runs(database, witness=Audit(database).within),
        registry,
        Canaries(database, registry),
        Metrics(),
    )
    api_errors.install(app)
    routes = api.router(
        chat, found.accounts, found.runs, registry, found.canaries, lambda: found.unready, found.metrics
    )
    app.include_router(routes)
    deletions = Deletions(
        database, found.accounts, found.runs, found.canaries, home, lambda key: found.dropped.append(key)
    )
    user, admin = api.bearer(found.accounts, "user"), api.bearer(found.accounts, "admin")
    app.include_router(exchange_api.router(store, database, admin))
    app.include_router(personal_api.router(store, registry, deletions, user, admin))
    found.deletions = deletions
    app.add_middleware(BodyLimit, largest=LARGEST_BODY, larger={exchange_api.IMPORT: exchange_api.LARGEST})
    app.add_middleware(RequestIds)
    app.include_router(unserved.router(user))
    return found


@contextmanager
def served(app: FastAPI) -> Iterator[str]:
    """The application behind a real server on loopback, in a thread of its own; gives its address."""
    config = uvicorn.Config(app, port=0, log_level="warning", timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive(), "the server did not start"
        time.sleep(0.005)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(10)
