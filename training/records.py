"""The nouns of training as plain frozen values: example, recipe, run, adapter, evaluation, promotion.

Nothing here does I/O. What training needs of a server it declares here (`Engine`), and the
application hands it in.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, Protocol

Message = Mapping[str, Any]
Source = Literal["correction", "choice", "siblings", "same_question", "ranked", "anchor"]
Method = Literal["dpo"]
RunState = Literal["queued", "running", "done", "failed", "parked", "cancelled"]
Outcome = Literal["passed", "rejected", "not_enough_evidence"]
CanaryAction = Literal["start", "widen", "promote", "rollback", "stop"]


class TrainingError(Exception):
    """Base of every error that this package raises."""


class NotFound(TrainingError):
    """No run or adapter of that id or name."""


class Refused(TrainingError):
    """The adapter, recipe or request is not acceptable; the message says why in one sentence."""


class LostLease(TrainingError):
    """Another worker has taken the run over; whatever this one made must not be published."""


@dataclass(frozen=True, slots=True)
class Example:
    """One preference pair: the same prompt, a better and a worse answer, and where that is known from.

    An `anchor` has no vote behind it and the same text on both sides: the base's answer, rehearsed.

    `votes` are ids such as `rating:12`, `correction:3`, `choice:7`, `review:2`; `people` the ids of those
    who gave them, `askers` of those whose questions they are about, in whose words the prompt is. `weight` is
    in (0, 1]. `held_out` examples are never trained on: evaluation reads them.
    """

    prompt: Sequence[Message]
    chosen: str
    rejected: str
    source: Source
    votes: Sequence[str]
    people: Sequence[str]
    question: str
    weight: float = 1.0
    held_out: bool = False
    askers: Sequence[str] = ()

    @property
    def id(self) -> str:
        """16 hex of the content that is learned from."""
        plain = json.dumps([list(map(dict, self.prompt)), self.chosen, self.rejected], sort_keys=True)
        return hashlib.sha256(plain.encode()).hexdigest()[:16]

    def as_row(self) -> dict[str, Any]:
        """A JSON line that `trl.DPOTrainer` reads as a conversational preference row."""
        return {
            "prompt": [dict(message) for message in self.prompt],
            "chosen": [{"role": "assistant", "content": self.chosen}],
            "rejected": [{"role": "assistant", "content": self.rejected}],
            "id": self.id,
            "source": self.source,
            "votes": list(self.votes),
            "people": list(self.people),
            "askers": list(self.askers),
            "question": self.question,
            "weight": self.weight,
            "held_out": self.held_out,
        }

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Example:
        """The inverse of `as_row`."""
        return cls(
            prompt=tuple(row["prompt"]),
            chosen=row["chosen"][-1]["content"],
            rejected=row["rejected"][-1]["content"],
            source=row["source"],
            votes=tuple(row["votes"]),
            people=tuple(row["people"]),
            question=row["question"],
            weight=float(row.get("weight", 1.0)),
            held_out=bool(row.get("held_out", False)),
            askers=tuple(row.get("askers", ())),
        )


@dataclass(frozen=True, slots=True)
class Recipe:
    """Everything that decides how examples become an adapter. Written to `recipe.json` of a run directory."""

    method: Method
    base: str
    """Folder or hub id of the base model."""
    rank: int = 16
    alpha: int = 32
    target_modules: str | Sequence[str] = "all-linear"
    learning_rate: float = 2e-4
    beta: float = 0.1
    label_smoothing: float = 0.0
    sft_weight: float = 0.0
    """Weight of the chosen answer's own likelihood beside the preference loss: it keeps answers whole."""
    epochs: float = 3.0
    batch_size: int = 8
    gradient_accumulation: int = 1
    max_length: int = 1024
    warmup: float = 0.1
    seed: int = 0
    dtype: Literal["bfloat16", "float32"] = "bfloat16"
    gradient_checkpointing: bool = False
    checkpoint_steps: int = 25
    threads: int = 0
    """CPU threads of the trainer; 0 leaves it to torch."""
    reasons: Sequence[str] = ()
    """Why these values, in words, for the person who looks at the run."""

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Recipe:
        known: dict[str, Any] = {name: plain[name] for name in cls.__dataclass_fields__ if name in plain}
        # JSON knows no tuples, and a frozen value holds no lists.
        tuples = {name: tuple(value) for name, value in known.items() if isinstance(value, list)}
        return cls(**known | tuples)


@dataclass(frozen=True, slots=True)
class Run:
    """One training job. The row is the job: it is queued, claimed under a lease, and finished.

    `token` is the fencing token: it grows with every claim, and only its newest holder may publish.
    """

    id: str
    state: RunState
    method: str
    due_by: str
    created_at: datetime
    started_at: datetime | None = None
    ended_at: datetime | None = None
    stage: str = ""
    progress: float = 0.0
    attempts: int = 0
    token: int = 0
    worker: str | None = None
    lease_until: datetime | None = None
    cancel_requested: bool = False
    reason: str = ""
    adapter: str | None = None
    counts: Mapping[str, Any] = field(default_factory=dict)
    """Examples by source, rows dropped and why, votes read."""
    seconds: Mapping[str, float] = field(default_factory=dict)
    """Wall time of each stage."""
    wishes: Mapping[str, Any] = field(default_factory=dict)
    """What whoever queued it wants otherwise in its recipe, by the recipe's names."""


@dataclass(frozen=True, slots=True)
class Adapter:
    """An immutable LoRA adapter on disk. `name` is `lora-` + 12 hex of its content hash."""

    name: str
    path: Path
    base: str
    base_hash: str
    run_id: str | None
    rank: int
    created_at: datetime
    manifest: Mapping[str, Any] = field(default_factory=dict)
    retired: bool = False


@dataclass(frozen=True, slots=True)
class Check:
    """One line of an evaluation: what was tested, whether it holds, and the figure in words."""

    name: str
    passed: bool | None
    """None: could not be decided for lack of evidence."""
    detail: str


BETTER = "better answers"
"""The check that asks for evidence; all others are guards."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What was found out about a candidate, beside the adapter that was live at that moment."""

    adapter: str
    against: str | None
    outcome: Outcome
    checks: Sequence[Check]
    figures: Mapping[str, Any]
    created_at: datetime

    @property
    def reasons(self) -> list[str]:
        """Each check in words, failures first."""
        ordered = sorted(self.checks, key=lambda check: (check.passed is True, check.passed is None))
        return [f"{check.name}: {check.detail}" for check in ordered]

    @property
    def decisive(self) -> list[str]:
        """The checks that the outcome rests on, in words: who wants all of them reads the report."""
        wanted = {"rejected": False, "not_enough_evidence": None}.get(self.outcome, True)
        found = [check for check in self.checks if check.passed is wanted]
        if self.outcome == "passed":
            # That nothing speaks against it is said by the outcome.
            found = [check for check in found if check.name == BETTER] or found
        return [f"{check.name}: {check.detail}" for check in found]


@dataclass(frozen=True, slots=True)
class Promotion:
    """One row of the audit: from `at` on, `adapter` answers (None: the bare base model)."""

    id: int
    adapter: str | None
    action: Literal["promote", "rollback"]
    actor: str
    reason: str
    at: datetime


@dataclass(frozen=True, slots=True)
class CanaryStep:
    """One row of a canary: from `at` on, `adapter` answers `share` (0 to 1) of the conversations.

    The others stay with `against` (None: the bare base model). `start` and `widen` leave it running; it ends
    with `promote`, with `rollback` (the votes were against it), or with `stop` for any other reason.
    """

    id: int
    adapter: str
    against: str | None
    share: float
    action: CanaryAction
    actor: str
    reason: str
    figures: Mapping[str, Any]
    at: datetime


@dataclass(frozen=True)
class TrainingSettings:
    """When a run is due, and how it gathers its examples."""

    min_examples: int = 32
    """New usable votes that make a run due."""
    schedule: str | None = None
    """A cron line that makes a run due, if there is anything new."""
    location: str = "local"
    """Where the trainer runs."""
    draws: int = 8
    """Fresh answers drawn for a voted answer that has no partner."""
    most_questions: int = 96
    """Questions for which answers are drawn in one run: it bounds the time on the engine."""
    anchors: float = 0.5
    """Answers of the base that are rehearsed, for each example from votes (`anchors.py`)."""
    poll_seconds: float = 2.0


class Engine(Protocol):
    """What training needs of the engine. The application hands in an object that does this."""

    def ready(self) -> str | None:
        """None when an answer can be had, else the reason in words."""

    async def load(self, name: str, path: Path) -> None:
        """Make the adapter servable everywhere. Raises `Refused` with the engine's reason."""

    async def unload(self, name: str) -> None:
        """Forget the adapter; unknown names are fine."""

    async def answers(
        self, prompt: Sequence[Message], adapter: str | None, *, count: int, temperature: float, seed: int
    ) -> list[str]:
        """`count` fresh answers to `prompt`; those cut by the token limit or empty are left out."""

    async def logprobs(self, prompt: Sequence[Message], answer: str, adapter: str | None) -> list[float]:
        """Log-probability (nats) of each of the answer's tokens after `prompt`, end of turn included."""
