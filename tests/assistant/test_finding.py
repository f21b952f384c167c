"""Tests of what may help with a question."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from assistant.finding import Finding
from feedback.database import Database
from retrieval.records import Hit, Passage
from tests.assistant.test_approvals import ASKED, World


@pytest.fixture
def world(sqlite: Database) -> Iterator[World]:
    found = World(sqlite)
    yield found
    found.library.close()


pytestmark = pytest.mark.anyio


async def test_examples_stand_before_passages_of_documents(world: World) -> None:
    finding = Finding(world.library, world.approvals)
    assert finding.empty
    world.approve(world.said(), answer="Green label.")
    document = Passage("psg-1", "doc-1", "document", "", "return", "Is the return free? Yes.", None, 0)
    examples, _ = await world.approvals.find(ASKED, world.people["ann"])
    found = [*examples, Hit(document, 0.9, 0.1)]

    async def both(*_: Any, kinds: Sequence[str] = ("document",), **__: Any) -> list[Hit]:
        return [hit for hit in found if hit.passage.kind in kinds]

    world.library.find = both  # type: ignore[method-assign]
    assert not finding.empty
    both_kinds = await finding.find(ASKED, world.people["ann"])
    assert [hit.passage.kind for hit in both_kinds.hits] == ["answer", "document"]
    assert not both_kinds.spared
    alone = await Finding(world.library).find(ASKED, world.people["ann"])
    assert [hit.passage.kind for hit in alone.hits] == ["document"]


async def test_that_an_example_is_left_out_is_told(world: World) -> None:
    made = world.approve(world.said(), answer="Green label.")
    world.approvals.rows.asked(made.id, "lora-1", True, "as well")
    world.live = "lora-1"
    finding, ann = Finding(world.library, world.approvals), world.people["ann"]
    found = await finding.find(ASKED, ann, spare=True)
    assert (found.hits, found.spared) == ([], True)
    found = await finding.find(ASKED, ann)
    assert ([hit.passage.text for hit in found.hits], found.spared) == (["Green label."], False)
