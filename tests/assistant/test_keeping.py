"""What answers is kept loaded, through whatever the database does."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from assistant import keeping
from assistant.engine.client import AdapterRef, Engines
from feedback.database import Database, DatabaseUnavailable
from training import registry as module
from training.canaries import Canaries
from training.records import Adapter, Evaluation
from training.registry import Registry

LIVE, TRIED = "lora-aaaaaaaaaaaa", "lora-bbbbbbbbbbbb"


@pytest.fixture
def registry(sqlite: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Registry:
    monkeypatch.setattr(module.files, "verify", lambda _: None)
    found, now = Registry(sqlite, tmp_path), datetime.now(UTC)
    for name in (LIVE, TRIED):
        found.add(Adapter(name, tmp_path / name, "b", "0", None, 8, now))
        found.record(Evaluation(name, None, "passed", (), {}, now))
    return found


def test_the_live_adapter_and_the_canarys_answer(registry: Registry, sqlite: Database) -> None:
    assert keeping.answering(registry) == []
    registry.promote(LIVE, actor="ana", reason="better")
    assert [one.name for one in keeping.answering(registry)] == [LIVE]
    Canaries(sqlite, registry).start(TRIED, actor="ana", reason="try it")
    assert [one.name for one in keeping.answering(registry)] == [LIVE, TRIED]


async def test_it_goes_on_when_the_database_is_away_for_a_moment(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept: list[tuple[AdapterRef, ...]] = []
    naps: list[float] = []

    class Recording:
        async def keep(self, *wanted: AdapterRef) -> None:
            kept.append(wanted)

    def away() -> None:
        raise DatabaseUnavailable("the database is away")

    async def nap(seconds: float) -> None:
        naps.append(seconds)
        monkeypatch.undo()
        sleeps_by(end)

    async def end(seconds: float) -> None:
        raise asyncio.CancelledError

    def sleeps_by(sleep: Callable[[float], Awaitable[None]]) -> None:
        # Of this module alone: the servers of other tests sleep in threads of this process.
        own = SimpleNamespace(sleep=sleep, to_thread=asyncio.to_thread)
        monkeypatch.setattr(keeping, "asyncio", own)

    monkeypatch.setattr(registry, "live", away)
    sleeps_by(nap)
    with pytest.raises(asyncio.CancelledError):
        await keeping.keep_loaded(cast(Engines, Recording()), registry)
    assert (kept, naps) == ([()], [1])
