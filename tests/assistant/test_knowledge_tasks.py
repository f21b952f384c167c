"""A verdict becomes a cause and a gap, once, and goes away again without taking others along."""

from __future__ import annotations

from dataclasses import replace

import pytest

from assistant import knowledge_tasks
from assistant.causes import Causes
from assistant.gaps import Gaps
from assistant.triage import Triage
from feedback.database import Database
from feedback.records import NotFound
from feedback.store import Store
from tests.assistant.knowing import Knowing, asked, judged, passage
from tests.databases import migrated, sqlite

__all__ = ["migrated", "sqlite"]

QUESTION = "Do you sell red kayaks?"
pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def store(sqlite: Database) -> Store:
    return Store(sqlite)


@pytest.fixture
def library(sqlite: Database) -> Knowing:
    return Knowing(sqlite, passage("a", "Tents", "We sell green tents."))


@pytest.fixture
def triage(sqlite: Database, store: Store, library: Knowing) -> Triage:
    return Triage(Causes(sqlite, store, library), Gaps(sqlite, store, library))


def open_gaps(triage: Triage) -> list[tuple[str, dict[str, int]]]:
    return [(gap.title, gap.whys) for gap in triage.gaps.all() if gap.state == "open"]


async def test_the_next_step_puts_it_among_the_gaps(triage: Triage, store: Store) -> None:
    turn = asked(store, QUESTION, searched=None)
    await triage.step()
    assert open_gaps(triage) == []
    await knowledge_tasks.send(triage, turn, "missing", "sam")
    await knowledge_tasks.send(triage, turn, "missing", "sam")
    await triage.step()
    assert open_gaps(triage) == [(QUESTION, {"missing": 1})]
    assert triage.causes.of(turn.id).decided_by == "review: sam"
    await knowledge_tasks.send(triage, turn, "unretrieved", "sue")
    assert open_gaps(triage) == [(QUESTION, {"unretrieved": 1})]


async def test_without_documents_it_is_a_gap_of_its_own(
    triage: Triage, store: Store, library: Knowing
) -> None:
    library.empty = True
    turn = asked(store, QUESTION, searched=None)
    for _ in range(2):
        await knowledge_tasks.send(triage, turn, "missing", "sam")
    assert open_gaps(triage) == [(QUESTION, {"missing": 1})]


async def test_what_is_recalled_is_sorted_by_the_rule_again(triage: Triage, store: Store) -> None:
    turn = asked(store, QUESTION, passages=[passage_used()])
    judged(store, turn, reasons=["tone"])
    await knowledge_tasks.send(triage, turn, "missing", "sam")
    await triage.step()
    assert await knowledge_tasks.recall(triage, turn.id)
    assert triage.causes.of(turn.id).decided_by == "rule"
    assert triage.causes.of(turn.id).cause == "other"
    assert open_gaps(triage) == []
    assert not await knowledge_tasks.recall(triage, turn.id)


async def test_what_staff_decided_among_the_gaps_is_not_recalled(triage: Triage, store: Store) -> None:
    turn = asked(store, QUESTION)
    triage.causes.overrule(turn.id, "missing", "sam")
    assert not await knowledge_tasks.recall(triage, turn.id)
    assert triage.causes.of(turn.id).cause == "missing"


async def test_a_question_for_which_nothing_was_found_stays_in_its_gap(triage: Triage, store: Store) -> None:
    turn = asked(store, QUESTION)
    await triage.step()
    await knowledge_tasks.send(triage, turn, "missing", "sam")
    await knowledge_tasks.recall(triage, turn.id)
    assert open_gaps(triage) == [(QUESTION, {"nothing": 1})]


async def test_a_turn_that_is_not_there(triage: Triage, store: Store) -> None:
    turn = asked(store, QUESTION)
    with pytest.raises(NotFound):
        await knowledge_tasks.send(triage, replace(turn, id="turn-none"), "missing", "sam")


def passage_used() -> dict[str, object]:
    return {"id": "psg-a", "title": "Tents", "text": "We sell green tents.", "score": 0.2, "number": 1}
