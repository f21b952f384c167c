"""A real engine as the product starts it, small, on one thread, and a client of it.

Knows the engine's own package and nothing of what is asked.
"""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

from assistant.engine import process
from assistant.engine.client import Engines, locate_home
from assistant.processes import Supervisor


@contextmanager
def running(home: Path, model: Path, **more: Any) -> Iterator[Supervisor]:
    """The engine in `home`, watched from a thread, ended afterwards."""
    settings = process.EngineSettings(model=str(model), home=home, kv_cache_gib=0.125, threads=1, **more)
    stop = threading.Event()
    supervisor = Supervisor([process.child(settings)])
    thread = threading.Thread(target=supervisor.run, kwargs={"stop": stop})
    thread.start()
    try:
        yield supervisor
    finally:
        stop.set()
        thread.join()


@asynccontextmanager
async def reached(home: Path) -> AsyncIterator[Engines]:
    """A client of the engine in `home`, once it answers."""
    engines = Engines(locate_home(home), poll_seconds=0.1)
    await engines.start()
    try:
        await engines.wait(180)
        yield engines
    finally:
        await engines.close()
