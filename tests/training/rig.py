"""A pipeline whose engine, gathering, trainer and adapter files are scripted.

The ledger, the registry, the run's directory and the evaluation are the real ones.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from feedback.database import Database
from feedback.store import Store
from tests.training.scripted import ScriptedEngine
from training import pipeline as module
from training import runs as runs_module
from training.gathering import Gathered
from training.kept_back import KeptBack, Opinion
from training.pipeline import Pipeline
from training.records import Example, Recipe, Refused, Run, TrainingSettings
from training.registry import Registry
from training.runs import LEASE, Runs


def example(number: int, held_out: bool = False) -> Example:
    prompt = ({"role": "user", "content": f"Question {number}?"},)
    votes, people = (f"rating:{number}",), ("ann",)
    return Example(prompt, f"good {number}", f"bad {number}", "siblings", votes, people, "q", 1.0, held_out)


@dataclass
class Training:
    """A trainer that is polled: so many polls until it ends with `code`."""

    folder: Path
    polls: int
    code: int
    weights: str
    stopped: bool = False
    polled: int = 0

    def poll(self) -> int | None:
        if self.stopped:
            return -15
        self.polled += 1
        if self.polled <= self.polls:
            return None
        if self.code == 0:
            (self.folder / "adapter").mkdir(exist_ok=True)
            (self.folder / "adapter" / "weights").write_text(self.weights)
            parity = [{"id": example(0).id, "logprobs": [-1.0] * 3}]
            (self.folder / "metrics.json").write_text(json.dumps({"loss": 0.5, "parity": parity}))
        else:
            (self.folder / "error.json").write_text(json.dumps({"error": f"it ended with {self.code}"}))
        return self.code

    def progress(self) -> dict[str, Any] | None:
        return {"step": self.polled, "steps": self.polls + 1} if self.polled else None

    def stop(self) -> None:
        self.stopped = True


class Facts:
    """What `adapters.inspect` found out."""

    rank, content_hash = 8, "c" * 64

    def as_dict(self) -> dict[str, Any]:
        return {"rank": 8}


class Clock:
    """The ledger's clock, moved by hand."""

    def __init__(self) -> None:
        self.now = datetime(2026, 5, 1, 3, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def pass_by(self, time: timedelta) -> None:
        self.now += time


@dataclass
class Rig:
    """The script, and what came of it."""

    database: Database
    home: Path
    clock: Clock
    engine: ScriptedEngine = field(default_factory=ScriptedEngine)
    examples: int = 8
    held_out: int = 12
    """Opinions on held-out questions: half of them good."""
    codes: list[int] = field(default_factory=list)
    """With what the next trainers end; 0 when it is empty."""
    polls: int = 2
    weights: str = "0.5"
    trainings: list[Training] = field(default_factory=list)
    gathered: int = 0
    settings: TrainingSettings = field(default_factory=lambda: TrainingSettings(poll_seconds=0.01))
    lease: timedelta = LEASE

    def __post_init__(self) -> None:
        self.store = Store(self.database)
        self.runs = Runs(self.database, self.lease)
        self.registry = Registry(self.database, self.home / "adapters")
        self.engine.likes.setdefault(None, lambda _: -2.0)

    def pipeline(self, **more: Any) -> Pipeline:
        """A pipeline, as a worker process that has just started would build it."""
        return Pipeline(
            store=self.store,
            runs=Runs(self.database, self.lease),
            registry=self.registry,
            engine=self.engine,
            home=self.home,
            settings=self.settings,
            **{"base": "/models/starter"} | more,
        )

    def queue(self) -> Run:
        return self.runs.queue("dpo", "test")

    def claim(self, worker: str = "w") -> Run:
        run = self.runs.claim(worker)
        assert run is not None
        return run

    async def work(self, stop: asyncio.Event | None = None, **more: Any) -> Run:
        """Claim a run and take it to its end."""
        run = await asyncio.to_thread(self.claim)
        return await self.pipeline(**more).run(run, stop or asyncio.Event())

    def run(self, **more: Any) -> Run:
        """`work` in an event loop of its own."""
        return asyncio.run(self.work(**more))

    @property
    def live(self) -> str | None:
        found = self.registry.live()
        return found.name if found else None

    # -- what the pipeline calls out to ------------------------------------------------------------

    async def gather(
        self, store: Any, engine: Any, live: Any, settings: Any, progress: Any, system: Any = ()
    ) -> Gathered:
        self.gathered += 1
        await self.engine.answers(
            [{"role": "user", "content": "a drawn one"}], None, count=1, temperature=1.0, seed=0
        )
        await progress(0.5)
        training = [example(number) for number in range(self.examples)]
        held_out = [example(100 + number, held_out=True) for number in range(self.held_out)]
        return Gathered(training, held_out, {"training": self.examples, "held_out": self.held_out})

    def kept_back(self, store: Any) -> KeptBack:
        numbers = range(100, 100 + self.held_out)
        prompts = [({"role": "user", "content": f"Question {number}?"},) for number in numbers]
        opinions = [
            Opinion(
                prompt, f"{('bad', 'good')[number % 2]} {number}", number % 2 == 1, f"p-{number}", f"{number}"
            )
            for prompt, number in zip(prompts, numbers, strict=True)
        ]
        return KeptBack(opinions)

    def launch(self, location: str, folder: Path) -> Training:
        code = self.codes.pop(0) if self.codes else 0
        self.trainings.append(Training(folder, self.polls, code, self.weights))
        return self.trainings[-1]

    def name(self) -> str:
        """The name that the trained adapter has or will have: that of its content."""
        return f"lora-{hashlib.sha256(self.weights.encode()).hexdigest()[:12]}"

    def publish(self, staged: Path, folder: Path, manifest: dict[str, Any], card: str) -> tuple[str, Path]:
        name = f"lora-{hashlib.sha256((staged / 'weights').read_bytes()).hexdigest()[:12]}"
        # The candidate's taste: it likes the good side better than the base does, and its parity is perfect.
        self.engine.likes.setdefault(name, lambda text: -2.0 if text.startswith("bad") else -1.0)
        if not (folder / name).exists():
            shutil.copytree(staged, folder / name)
            (folder / name / "manifest.json").write_text(json.dumps(manifest))
        return name, folder / name

    def verify(self, path: Path) -> None:
        if not (path / "weights").is_file():
            raise Refused(f"{path.name}: weights are missing")


@pytest.fixture
def rig(sqlite: Database, home: Path, monkeypatch: pytest.MonkeyPatch) -> Rig:
    """A rig on SQLite whose clock stands still and whose trainer is polled without a pause."""
    return built(sqlite, home, monkeypatch)


def built(database: Database, home: Path, monkeypatch: pytest.MonkeyPatch, **more: Any) -> Rig:
    """A rig with its script in the place of what the pipeline calls."""
    found = Rig(database, home, Clock(), **more)
    monkeypatch.setattr(runs_module, "_now", found.clock)
    monkeypatch.setattr(module, "_POLL_SECONDS", 0.001)
    monkeypatch.setattr(module.gathering, "gather", found.gather)
    monkeypatch.setattr(module.kept_back, "read", found.kept_back)
    # Two dozen of hundreds: the others would say the same of a script.
    few = module.probes.probes()[:24]
    monkeypatch.setattr(module.probes, "probes", lambda more: few)
    monkeypatch.setattr(module.launcher, "launch", found.launch, raising=False)
    recipe: Callable[..., Recipe] = lambda *, base, **_: Recipe("dpo", base, rank=8)  # noqa: E731
    for name, act in {"choose": recipe, "parameters_of": lambda _: 1, "device": lambda: "cpu"}.items():
        monkeypatch.setattr(module.recipes, name, act, raising=False)
    scripted: dict[str, Callable[..., Any]] = {
        "inspect": lambda staged, **_: Facts(),
        "model_card": lambda _: "# card",
        "publish": found.publish,
        "verify": found.verify,
        "sweep": lambda _: 0,
    }
    monkeypatch.setattr(module, "base_hash", lambda _: "b" * 64)
    for name, act in scripted.items():
        monkeypatch.setattr(module.adapters, name, act, raising=False)
    return found
