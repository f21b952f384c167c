"""What staff look at, as plain frozen values: tasks, drafts, how far they are, and the settings of it.

A task is one look of one person at one turn; a turn that two of the staff see has two. Knows no database and
no page. What they found, a `Review`, is an opinion and stands among the others in `records.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, get_args

from feedback.records import Fault, Review, Ruling

Kind = Literal["disputed", "unexplained", "novel", "unsure", "random"]
"""Why a turn is worth a look: people disagree on it; a thumb down came without a word; it is unlike all that
was rated; there are signs that the model was not sure; chance."""
State = Literal["open", "draft", "done", "skipped"]
KINDS: tuple[Kind, ...] = get_args(Kind)
STATES: tuple[State, ...] = get_args(State)
RULINGS: tuple[Ruling, ...] = get_args(Ruling)
FAULTS: tuple[Fault, ...] = get_args(Fault)


@dataclass(frozen=True)
class ReviewSettings:
    """What is looked at, by how many, and by which guideline."""

    double_share: float = 0.1
    """The share of turns, drawn by chance, that two of the staff see without knowing of each other."""
    lease_minutes: float = 30
    """How long a task that nobody works on is kept for who was given it."""
    quotas: Mapping[str, float] = field(
        default_factory=lambda: {"disputed": 3, "unexplained": 3, "novel": 2, "unsure": 1, "random": 1}
    )
    """How many of each kind there are for how many of the others; a kind that is left out is not sought."""
    guideline: Path | None = None
    """A Markdown file; None: `review-guideline.md` in the home, else the one that comes along."""


@dataclass(frozen=True, slots=True)
class Task:
    """One look at one turn."""

    id: int
    turn_id: str
    seat: int
    kind: Kind
    adapter: str | None
    state: State
    person_id: str | None
    held_until: datetime | None
    revealed: bool
    created_at: datetime
    updated_at: datetime

    def is_held(self, now: datetime) -> bool:
        """Whether somebody has it in hand."""
        return self.state in ("open", "draft") and self.held_until is not None and self.held_until > now


@dataclass(frozen=True, slots=True)
class Draft:
    """What was chosen and typed so far; also what a verdict is made of."""

    verdict: Ruling | None = None
    fault: Fault | None = None
    correction: str = ""
    include: bool = True
    approve: bool = False
    comment: str = ""

    def as_json(self) -> dict[str, Any]:
        """The same as it is kept."""
        return {name: getattr(self, name) for name in self.__slots__}

    @classmethod
    def of(cls, kept: Mapping[str, Any] | Review) -> Draft:
        """From what was kept, or from a verdict that is looked at again."""
        values = kept if isinstance(kept, Mapping) else {name: getattr(kept, name) for name in cls.__slots__}
        return cls(**{name: values[name] for name in cls.__slots__ if name in values})


@dataclass(frozen=True, slots=True)
class Progress:
    """How far one of the staff is, and how far all are, in tasks by state."""

    mine: Mapping[str, int]
    all: Mapping[str, int]
    waiting_for_others: int = 0
    """Open tasks that this person may not have: second looks at what they have seen."""


@dataclass(frozen=True, slots=True)
class Filters:
    """Which tasks a list shows; empty: all."""

    state: str = ""
    kind: str = ""
    adapter: str = ""
    """`base` for the bare base model."""
    mine: bool = False


@dataclass(frozen=True, slots=True)
class Listed:
    """A task in a list, with what its turn was about."""

    task: Task
    question: str
    answer: str
    verdict: Ruling | None = None
    fault: Fault | None = None
