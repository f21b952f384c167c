"""Tests of what the live adapter needs no more."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

import pytest

from feedback.approved import Approval, Approved
from feedback.database import Database
from feedback.records import Message
from feedback.store import Ending, NewTurn, Store, Verdict
from training.learned import DRAWS, Learned, judge, likeness
from training.records import Adapter, Engine, Refused, TrainingError
from training.registry import Registry

APPROVED = "Returns are free with the green Homeward label, for 90 days."

pytestmark = pytest.mark.anyio


class Scripted:
    """An engine that says one thing to a prompt with an example and another to one without."""

    def __init__(self, without: str = APPROVED, shown: str = APPROVED) -> None:
        self.says = {1: without, 2: shown}
        self.asked: list[int] = []
        self.broken = False
        self.refuses = ""
        """Refuses prompts with this in them, and where it is the adapter's name to load that."""

    def ready(self) -> str | None:
        return None

    async def load(self, name: str, path: Path) -> None:
        if self.refuses == name:
            raise Refused("the adapter is broken")

    async def answers(
        self, prompt: Sequence[Message], adapter: str | None, *, count: int, temperature: float, seed: int
    ) -> list[str]:
        if self.broken:
            raise TrainingError("the engine is gone")
        if self.refuses and self.refuses in str(prompt):
            raise Refused("the prompt is too long")
        self.asked.append(len(prompt))
        return [self.says[len(prompt)]] * count


class Live:
    """A registry in which one adapter is live."""

    def __init__(self, *votes: str, name: str = "lora-1") -> None:
        manifest = {"examples": [{"id": "x", "votes": list(votes)}]}
        now = datetime.now(UTC)
        self.adapter: Adapter | None = Adapter(name, Path(), "base", "", None, 8, now, manifest)

    def live(self) -> Adapter | None:
        return self.adapter


def prompts(question: str, answer: str) -> tuple[list[Message], list[Message]]:
    asked: Message = {"role": "user", "content": question}
    return [asked], [{"role": "user", "content": answer}, asked]


def approved(database: Database) -> tuple[Approved, Approval]:
    """An approved answer on a turn with the correction 1."""
    store, rows = Store(database), Approved(database)
    conversation = store.start_conversation("ann", "Is it free?").id
    turn = store.begin(NewTurn(conversation, None, "ann", "Is it free?", [], "m", None, {}))
    store.end(turn, Ending("complete", "No."))
    store.judge(turn.id, "ann", "staff", Verdict("down", correction=APPROVED))
    return rows, rows.add(turn.id, "Is it free?", APPROVED, "", "stella", 30)


def learned(rows: Approved, engine: Scripted, live: Live) -> Learned:
    return Learned(cast(Engine, engine), cast(Registry, live), rows, prompts)


async def test_what_is_answered_as_well_without_it_is_learned_by_that_adapter(database: Database) -> None:
    rows, made = approved(database)
    engine, live = Scripted(), Live("correction:1")
    assert await learned(rows, engine, live).step() == 1
    found = rows.get(made.id)
    assert found.learned_by("lora-1")
    assert found.finding == "100% of the approved wording without the example, 100% with it"
    assert await learned(rows, engine, live).step() == 0, "once is enough"
    assert engine.asked == [1, 2]
    await learned(rows, Scripted(without="No."), Live("correction:1", name="lora-2")).step()
    assert not rows.get(made.id).learned_by("lora-2")
    assert not rows.get(made.id).learned_by("lora-1"), "it is asked again when it comes back"


@pytest.mark.parametrize(("without", "shown"), [("It is free.", APPROVED), ("No.", "No."), ("", "")])
async def test_what_is_answered_worse_or_badly_is_still_needed(
    database: Database, without: str, shown: str
) -> None:
    rows, made = approved(database)
    await learned(rows, Scripted(without, shown), Live("correction:1")).step()
    assert rows.get(made.id).needed_by("lora-1")


async def test_an_adapter_that_was_not_trained_on_it_is_not_asked(database: Database) -> None:
    rows, made = approved(database)
    engine = Scripted()
    await learned(rows, engine, Live("rating:9")).step()
    assert engine.asked == []
    assert rows.get(made.id).needed_by("lora-1")


async def test_without_an_adapter_or_an_answer_nothing_is_decided(database: Database) -> None:
    rows, made = approved(database)
    engine, live = Scripted(), Live("correction:1")
    engine.broken = True
    with pytest.raises(TrainingError):
        await learned(rows, engine, live).step()
    assert rows.get(made.id).asked_of is None
    live.adapter = None
    assert await learned(rows, engine, live).step() == 0


async def test_one_that_the_engine_refuses_does_not_hold_up_the_others(database: Database) -> None:
    rows, long = approved(database)
    other = rows.add(long.turn_id, "And in winter?", APPROVED, "", "stella", 30)
    engine = Scripted()
    engine.refuses = long.question
    assert await learned(rows, engine, Live("correction:1")).step() == 2
    assert rows.get(other.id).learned_by("lora-1")
    found = rows.get(long.id)
    assert (found.needed_by("lora-1"), found.asked_of) == (True, "lora-1")
    assert found.finding == "it could not be asked: the prompt is too long"


async def test_an_adapter_that_the_engine_refuses_is_no_matter_of_the_approvals(database: Database) -> None:
    rows, made = approved(database)
    engine = Scripted()
    engine.refuses = "lora-1"
    with pytest.raises(Refused):
        await learned(rows, engine, Live("correction:1")).step()
    assert rows.get(made.id).asked_of is None


async def test_likeness_counts_telling_words_and_numbers() -> None:
    assert likeness(APPROVED, APPROVED) == 1
    assert likeness(APPROVED, APPROVED.replace("90", "45")) == pytest.approx(0.5)
    assert likeness("Yes.", "yes") == 1
    assert likeness(APPROVED, "") == 0


async def test_answers_that_never_came_count_as_nothing() -> None:
    assert judge(APPROVED, [APPROVED] * (DRAWS // 2), [APPROVED] * DRAWS)[0] is False
