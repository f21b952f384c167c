"""The list of gaps and of causes as drawn, with every text escaped, and what its buttons do."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from assistant.accounts import Account
from assistant.causes import Causes, Sorted
from assistant.gaps import NOTHING, Gap, Gaps, Member
from assistant.triage import Triage
from assistant.ui import gaps_view as view
from feedback.database import Database
from feedback.store import Store
from tests.assistant.knowing import Knowing, asked, judged, passage
from tests.databases import migrated, sqlite

__all__ = ["migrated", "sqlite"]

NOW = datetime(2026, 5, 1, tzinfo=UTC)
EVIL = "<script>alert(1)</script>"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def a_gap(**changes: Any) -> Gap:
    member = Member("turn-1", "ann", "Do you sell kayaks?", "No.", NOTHING, NOW)
    return replace(Gap("gap-1", "Do you sell kayaks?", NOW, None, None, None, None, (), (member,)), **changes)


def test_an_open_gap_says_how_many_ask_and_can_be_closed() -> None:
    drawn = view.gaps([a_gap()], {})
    assert "1 question · 1 person · 1 × nothing found" in drawn
    assert 'data-act="gap_close" data-gap="gap-1"' in drawn


def test_without_gaps_it_says_what_would_stand_there() -> None:
    assert "No gap is known." in view.gaps([], {})
    assert "Nothing is sorted yet." in view.causes([], {})


def test_a_closed_gap_shows_before_beside_after() -> None:
    again = {
        "question": "Do you sell kayaks?",
        "before": "I do not know.",
        "before_from": [],
        "after": "We do.",
        "after_from": ["Kayaks"],
        "document": True,
    }
    gap = a_gap(document_id="doc-1", closed_at=NOW, closed_by="sam", report=[again])
    drawn = view.gaps([gap], {"doc-1": "kayaks.md"})
    assert "Closed with kayaks.md, by sam" in drawn
    assert "1 of 1 question now finds the document." in drawn
    assert drawn.index("I do not know.") < drawn.index("We do.")
    assert "Nothing found." in drawn
    assert 'data-act="gap_reopen"' in drawn


def test_a_gap_without_a_document_says_why_and_one_that_waits_what_for() -> None:
    assert "without a document: Not ours." in view.gaps(
        [a_gap(closed_at=NOW, closed_by="sam", reason="Not ours.")], {}
    )
    waiting = view.gaps([a_gap(document_id="doc-1", closed_by="sam")], {"doc-1": "kayaks.md"})
    assert "sam closes it with kayaks.md" in waiting


def test_what_people_wrote_is_escaped() -> None:
    member = Member("turn-1", "ann", EVIL, EVIL, NOTHING, NOW)
    report = [{"question": EVIL, "before": EVIL, "before_from": [EVIL], "after": EVIL, "after_from": [EVIL],
               "document": False}]  # fmt: skip
    gap = a_gap(title=EVIL, members=(member,), closed_at=NOW, closed_by=EVIL, reason=EVIL, report=report)
    assert EVIL not in view.gaps([gap], {"doc-1": EVIL})


@pytest.fixture
def triage(sqlite: Database) -> Triage:
    library = Knowing(sqlite, passage("returns", "Returns", "You can return things within 45 days."))
    store = Store(sqlite)
    return Triage(Causes(sqlite, store, library), Gaps(sqlite, store, library))


class Door:
    async def admit(self, request: Any) -> Account:
        return Account("p-1", "sam", "staff", False, NOW)


def event(**data: str) -> Any:
    return SimpleNamespace(_data=data, **data)


@pytest.fixture
def events(triage: Triage) -> view.GapsEvents:
    return view.GapsEvents(triage, triage.gaps.library, Door())  # type: ignore[arg-type]


async def test_staff_close_a_gap_by_a_reason_and_open_it_again(
    triage: Triage, events: view.GapsEvents
) -> None:
    asked(triage.gaps.store, "Do you sell kayaks?")
    await triage.step()
    closing, request = view.Closing(), None
    assert "Do you sell kayaks?" in (await events.load(closing, request))["gaps"]  # type: ignore[arg-type]
    assert await events.refresh(closing, request) == {}, "what has not changed is not sent"  # type: ignore[arg-type]
    key = triage.gaps.all()[0].id
    opened = await events.ask_close(closing, request, event(gap=key))  # type: ignore[arg-type]
    assert opened["dialog"]["visible"]
    refused = await events.close(closing, None, " ", request)  # type: ignore[arg-type]
    assert "Say why it needs no document." in refused["trouble"]["value"]
    await events.close(closing, None, "Not ours to answer.", request)  # type: ignore[arg-type]
    assert triage.gaps.get(key).state == "closed"
    await events.reopen(closing, request, event(gap=key))  # type: ignore[arg-type]
    assert triage.gaps.get(key).state == "open"


async def test_staff_overrule_the_rule(triage: Triage, events: view.GapsEvents) -> None:
    turn = asked(triage.gaps.store, "Do you sell kayaks?", EVIL)
    judged(triage.gaps.store, turn)
    await triage.step()
    drawn = (await events.load(view.Closing(), None))["causes"]  # type: ignore[arg-type]
    assert "no document tells it" in drawn
    assert EVIL not in drawn
    parts = await events.decide(view.Closing(), None, event(turn=turn.id, cause="other"))  # type: ignore[arg-type]
    assert "by sam" in parts["causes"]
    assert "No gap is known." in parts["gaps"]
    found: Sorted = triage.causes.of(turn.id)
    assert (found.cause, found.decided_by) == ("other", "sam")
