"""What is rehearsed: only what the base is right about, of all kinds, and nothing that the gate asks."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.training.scripted import ScriptedEngine
from training import anchors, probes
from training.probes import read
from training.trainers.job import _fault


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def right(question: str) -> str | None:
    """Knows days and sums, and nothing else."""
    return {"What is 5 plus 8?": "13.", "Which day comes after Tuesday?": "Wednesday."}.get(question, "42")


@pytest.mark.anyio
async def test_only_what_the_base_is_right_about_is_rehearsed(anyio_backend: str) -> None:
    engine = ScriptedEngine(says={None: right})
    found = await anchors.rehearsed(engine, 40)
    told = {example.question: example.chosen for example in found}
    assert told["What is 5 plus 8?"] == "13."
    assert "What is 31 plus 22?" not in told
    assert {adapter for _, adapter, _ in engine.calls} == {None}, "the base is asked, and never an adapter"
    assert all(example.chosen == example.rejected and example.source == "anchor" for example in found)
    assert all(_fault(example) is None for example in found), "the trainer takes them"


@pytest.mark.anyio
async def test_a_few_come_from_all_kinds_and_none_asks_nobody(anyio_backend: str) -> None:
    engine = ScriptedEngine(says={None: lambda question: "I don't have that information, 13."})
    whole, few = await anchors.rehearsed(engine, 1000), await anchors.rehearsed(engine, 3)
    assert len(few) == 3
    places = [whole.index(example) for example in few]
    assert places == sorted(places)
    assert places[-1] > len(whole) / 2
    engine.calls.clear()
    assert await anchors.rehearsed(engine, 0) == []
    assert engine.calls == []


def test_no_anchor_is_a_probe() -> None:
    rehearsed = [probe for file in Path(anchors.FOLDER).glob("*.toml") for probe in read(file)]
    assert len(rehearsed) >= 48
    asked = {probe.question for probe in probes.probes() if "said" not in str(probe)}
    both = {probe.question for probe in rehearsed} & asked
    assert not {one for one in both if "sure" not in one}
