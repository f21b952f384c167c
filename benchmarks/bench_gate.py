"""What the gate costs on the starter: seconds of a whole evaluation of candidate, live adapter and base.

With none, a dozen and as many held-out prompts as it ever takes, each with an opinion that has to be read;
the baseline is the one without any, which asks the probes alone.
"""

from __future__ import annotations

import asyncio
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from assistant.engine.client import Engines, TrainingEngine, locate_home
from benchmarks import Row, shapes
from benchmarks.bench_lora import serving
from training import evaluation, kept_back, probes, starter
from training.evaluation import Material
from training.kept_back import KeptBack, Opinion
from training.records import Adapter

COUNTS = (0, 12, kept_back.MOST_PROMPTS)
WANTED = "at most 30 s"


def run() -> list[Row]:
    """Seconds for each number of prompts, beside those without any."""
    with tempfile.TemporaryDirectory(prefix="apprentice-bench-") as scratch:
        folder = Path(scratch)
        base = starter.path()
        adapters = [_adapter(folder, base, number) for number in range(2)]
        with serving(folder / "home", base):
            seconds = asyncio.run(_measured(folder / "home", *adapters))
    return [
        Row(f"gate, {count} held-out prompts", spent, seconds[0], "s", WANTED)
        for count, spent in zip(COUNTS, seconds, strict=True)
    ]


def _adapter(folder: Path, base: Path, number: int) -> Adapter:
    name = f"lora-{number:012x}"
    path = shapes.adapter(folder / name, base, 16, number)
    return Adapter(name, path, str(base), "", None, 16, datetime.now(UTC))


async def _measured(home: Path, live: Adapter, candidate: Adapter) -> list[float]:
    engines = Engines(locate_home(home))
    await engines.start()
    try:
        engine = TrainingEngine(engines)
        found = []
        for count in COUNTS:
            material = Material(_said(count), probes=probes.probes())
            made = await evaluation.evaluate(engine, candidate, live, material)
            found.append(float(made.figures["seconds"]))
        return found
    finally:
        await engines.close()


def _said(count: int) -> KeptBack:
    """Questions to the starter, each with an answer that somebody liked or did not."""
    opinions = []
    for number, question in enumerate(starter.questions(count, seed=3) if count else ()):
        answer = ("Gladly! It takes three days.", "Look it up.")[number % 2]
        prompt = ({"role": "user", "content": question},)
        opinions.append(Opinion(prompt, answer, number % 2 == 0, f"person-{number % 8}", question))
    return KeptBack(opinions, [(one.prompt, one.person) for one in opinions])
