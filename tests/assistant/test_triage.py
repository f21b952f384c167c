"""One step sorts, gathers and closes; what can't be done now is done by a later step."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence

import pytest

from assistant.accounts import Accounts
from assistant.causes import Causes
from assistant.gaps import Answered, Gaps
from assistant.triage import Triage, audiences_of
from feedback.database import Database
from feedback.records import Message
from feedback.store import Store
from retrieval.records import Unavailable
from tests.assistant.knowing import Knowing, asked, judged, passage
from tests.databases import migrated, sqlite

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
