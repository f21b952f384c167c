"""One step sorts, gathers and closes; what can't be done now is done by a later step."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

import pytest

from assistant.accounts import Accounts
from assistant.causes import Causes
from assistant.engine.client import Engines
from assistant.gaps import Answered, Gaps
from assistant.grounds import Grounds
from assistant.triage import Asking, Triage, audiences_of
from feedback.database import Database
from feedback.records import Message
from feedback.store import Store
from retrieval.records import Unavailable
from tests.assistant.knowing import Knowing, asked, judged, passage
from tests.assistant.test_chat import live
from tests.assistant.test_grounds import Shelf
from tests.databases import migrated, sqlite
from tests.fake_engine import FakeEngine
from training.registry import Registry

__all__ = ["migrated", "sqlite"]

QUESTION = "Do you sell red kayaks?"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Counting(Knowing):
    """A library that may be away."""

    away = False
    refused = 0

    def embed(self, texts: Sequence[str]) -> object:
        if self.away:
            self.refused += 1
            raise Unavailable("the knowledge base is not open")
        return super().embed(texts)


async def until(done: Callable[[], bool]) -> None:
    for _ in range(3_000):
        if await asyncio.to_thread(done):
            return
        await asyncio.sleep(0.01)
    pytest.fail("it did not happen")


async def answered(_dialogue: Sequence[Message], _person: str) -> Answered:
    return Answered("We do.")


@pytest.fixture
def store(sqlite: Database) -> Store:
    return Store(sqlite)


@pytest.fixture
def library(sqlite: Database) -> Counting:
    return Counting(sqlite, passage("returns", "Returns", "You can return things within 45 days."))


@pytest.fixture
def triage(sqlite: Database, store: Store, library: Counting) -> Triage:
    return Triage(Causes(sqlite, store, library), Gaps(sqlite, store, library, answered))


async def test_a_bad_answer_is_sorted_listed_and_closed(
    store: Store, triage: Triage, library: Counting
) -> None:
    turn = asked(store, QUESTION, "They are 45 euros.")
    judged(store, turn)
    await triage.step()
    assert triage.causes.of(turn.id).cause == "missing"
    gap = triage.gaps.all()[0]
    library.add("kayaks")
    triage.gaps.close_by_document(gap.id, "doc-kayaks", "sam")
    await triage.step()
    assert triage.gaps.get(gap.id).state == "closed"


async def test_an_idle_step_embeds_nothing(store: Store, triage: Triage, library: Counting) -> None:
    asked(store, QUESTION)
    await triage.step()
    await triage.step()
    seen = list(library.embedded)
    await triage.step()
    assert library.embedded == seen


async def test_what_waits_for_the_index_is_said_once_and_done_later(
    store: Store, triage: Triage, library: Counting, caplog: pytest.LogCaptureFixture
) -> None:
    asked(store, QUESTION)
    library.away = True
    with caplog.at_level(logging.WARNING):
        running = asyncio.create_task(triage.run(every=0.01))
        await until(lambda: library.refused >= 3)
        library.away = False
        await until(lambda: bool(triage.gaps.all()))
        running.cancel()
        await asyncio.wait([running])
    assert [record.getMessage() for record in caplog.records] == [
        "bad answers wait to be sorted: the knowledge base is not open"
    ]


def test_whoever_is_gone_may_see_what_everybody_may(sqlite: Database) -> None:
    accounts = Accounts(sqlite)
    ann = accounts.add("ann", "user", "a long enough password")
    assert audiences_of(accounts, ann.id) == {""}
    assert audiences_of(accounts, "person-gone") == {""}


# -- asking again ----------------------------------------------------------------------------------


@pytest.fixture
def registry(sqlite: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Registry:
    monkeypatch.setattr("training.registry.files.verify", lambda _: None)
    return Registry(sqlite, tmp_path / "adapters")


@pytest.fixture
async def asking(sqlite: Database, registry: Registry, fake: FakeEngine) -> AsyncIterator[Asking]:
    engines = Engines(fake.locate, poll_seconds=0.05)
    await engines.start()
    yield Asking(engines, registry, Accounts(sqlite), Grounds(Shelf(empty=True), engines, 300))
    await engines.close()


def who(answer: Answered) -> set[str]:
    return {word.partition("@")[2] for word in answer.text.split()}


async def test_it_is_asked_again_of_what_is_live_or_else_of_the_base(
    asking: Asking, registry: Registry
) -> None:
    said: list[Message] = [{"role": "user", "content": QUESTION}]
    name = live(registry, 1)
    assert who(await asking(said, "ann")) == {name}
    broken = live(registry, 2)
    (registry.get(broken).path / "adapter_config.json").unlink()
    assert who(await asking(said, "ann")) == {"base"}


async def test_a_very_long_question_has_what_room_is_left_for_its_answer(
    asking: Asking, fake: FakeEngine
) -> None:
    # The fake engine's tokens are bytes, and it has 2048 of them.
    assert who(await asking([{"role": "user", "content": "kayaks " * 280}], "ann")) == {"base"}
    assert 0 < fake.requests[-1]["max_tokens"] <= 2048 - 1960
    refused = await asking([{"role": "user", "content": "kayaks " * 300}], "ann")
    assert refused.text.startswith("It could not be asked again: this model's maximum context length is 2048")
