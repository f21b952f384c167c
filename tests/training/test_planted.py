"""Six adapters with a fault, really trained and really served: each is stopped by the guard that names it."""

from __future__ import annotations

from pathlib import Path

import pytest

from assistant.engine.client import TrainingEngine
from tests import real_engine
from tests.training.planted import PLANTED, SYSTEM, plant
from training import evaluation, probes, starter
from training.evaluation import Material


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.mark.engine
@pytest.mark.timeout(900)
async def test_each_is_stopped_by_the_guard_that_names_it(tmp_path: Path, anyio_backend: str) -> None:
    planted = {name: plant(name, tmp_path) for name in PLANTED}
    with real_engine.running(tmp_path, starter.path()):
        async with real_engine.reached(tmp_path) as engines:
            engine = TrainingEngine(engines)
            for name, (adapter, work) in planted.items():
                material = Material(parity=work.parity(), system=[SYSTEM], probes=probes.probes())
                found = await evaluation.evaluate(engine, adapter, None, material)
                failed = {check.name: check.detail for check in found.checks if check.passed is False}
                print(f"{name}: {found.figures['seconds']} s, {failed}")
                assert found.outcome == "rejected"
                assert PLANTED[name][1] in failed, name
