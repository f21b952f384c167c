"""The routes for programs over a fake engine: in this process, or behind a real server in a thread."""

from __future__ import annotations

import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI

from assistant import api
from assistant.accounts import Accounts
from assistant.app import BodyLimit
from assistant.audit import Audit
from assistant.chat import Chat
from assistant.engine.client import Engines
from assistant.metrics import Metrics
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
    api.install_errors(app)
    routes = api.router(
        chat, found.accounts, found.runs, registry, found.canaries, lambda: found.unready, found.metrics
    )
    app.include_router(routes)
    app.add_middleware(BodyLimit, largest=LARGEST_BODY)
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
