"""A canary: which conversations a candidate answers before all are its, and what their votes say of it.

Pure: rows and votes in, who answers and what to do next out. Does not know where either is kept.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal

from feedback.records import Vote
from training.betting import Bet, Differences
from training.records import CanaryStep

ERROR = 0.05
"""The chance of each of the two errors, over the whole life of a canary and however often one looks:
to promote an adapter that is worse by more than the margin, and to roll back one that is not worse."""


@dataclass(frozen=True)
class Plan:
    """How a canary goes on: its shares (0 to 1), after the last of which it is promoted."""

    steps: Sequence[float] = (0.05, 0.25)
    margin: float = 0.1
    """By so much its share of good answers may be below the live adapter's, to count as not worse."""
    days: float = 14.0
    """After so long without proof it ends, and is not promoted."""

    def next(self, share: float) -> float | None:
        """The share after this one; None: it is to be promoted."""
        return next((step for step in self.steps if step > share), None)

    def needed(self, share: float) -> float:
        """The capital that leads on from this share: 1/ERROR at the last step, an equal part of the way there
        (in logarithms) at each one before it.

        By Ville's inequality an adapter that is worse by more than the margin ever comes past the first of
        two steps with a chance of at most ERROR ** (1/2), 22 %, and past the last one with at most ERROR.
        """
        done = max(1, sum(step <= share for step in self.steps))
        return float((1 / ERROR) ** (done / max(len(self.steps), done)))


@dataclass(frozen=True, slots=True)
class Canary:
    """A canary that is running: the steps from its start to now, the oldest first."""

    steps: Sequence[CanaryStep]

    @property
    def adapter(self) -> str:
        """The candidate that is being tried."""
        return self.steps[0].adapter

    @property
    def against(self) -> str | None:
        """What was live when it began and still is; None is the bare base model."""
        return self.steps[0].against

    @property
    def share(self) -> float:
        """The share of conversations that are the candidate's now."""
        return self.steps[-1].share

    @property
    def started_at(self) -> datetime:
        """When it began."""
        return self.steps[0].at

    def share_at(self, moment: datetime) -> float:
        """The share that was in force at some moment; 0 before it began."""
        return next((step.share for step in reversed(self.steps) if step.at <= moment), 0.0)


@dataclass(slots=True)
class Arm:
    """Conversations with a vote on one side, and how many of those votes were thumbs up."""

    up: int = 0
    count: int = 0

    def __str__(self) -> str:
        return f"{self.up / self.count:.0%} of {self.count}" if self.count else "none of 0"


@dataclass(slots=True)
class Tally:
    """What the votes of both arms have come to: two bets that may be looked at after every vote.

    `fine` bets that the candidate's share of thumbs up is not below the other's by as much as `margin`,
    `worse` that it is below the other's.
    """

    margin: float
    ours: Arm = field(default_factory=Arm)
    theirs: Arm = field(default_factory=Arm)
    fine: Bet = field(init=False)
    worse: Bet = field(init=False)
    _differences: Differences = field(default_factory=Differences)

    def __post_init__(self) -> None:
        self.fine, self.worse = Bet(-self.margin, -1.0, 1.0), Bet(0.0, -1.0, 1.0)

    def add(self, ours: bool, up: bool) -> None:
        """Count the vote of one more conversation."""
        side = self.ours if ours else self.theirs
        side.up += up
        side.count += 1
        difference = self._differences.add(ours, float(up))
        if difference is not None:
            self.fine.add(difference)
            self.worse.add(-difference)


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do with a canary now, and why, in words. `share` is what it has afterwards."""

    action: Literal["hold", "widen", "promote", "rollback", "stop"]
    share: float
    reason: str
    figures: Mapping[str, Any]


def running(rows: Iterable[CanaryStep]) -> Canary | None:
    """The canary that runs after these rows, the oldest first."""
    steps: list[CanaryStep] = []
    for row in rows:
        if row.action == "start":
            steps = [row]
        elif row.action == "widen" and steps:
            steps.append(row)
        else:
            steps = []
    return Canary(tuple(steps)) if steps else None


def arm(conversation_id: str, adapter: str, share: float) -> bool:
    """Whether a conversation is the candidate's at this share.

    By a stable hash, so that it stays where it is from turn to turn and from server to server, and a growing
    share only ever adds conversations. The adapter's name is hashed along: each canary draws anew.
    """
    drawn = hashlib.sha256(f"{adapter} {conversation_id}".encode()).digest()[:8]
    return int.from_bytes(drawn) < share * 2**64


def tally(canary: Canary, votes: Iterable[Vote], margin: float) -> Tally:
    """Both arms' votes, in the order in which they were given.

    One value a conversation and arm, its first thumb: what one person says often in one conversation is said
    once, and a value that has been bet on never changes. Votes on answers of somebody else than the hash had
    chosen (asked for by name, or standing in) are in neither arm.
    """
    found, seen = Tally(margin), set()
    for vote in votes:
        ours = arm(vote.conversation_id, canary.adapter, canary.share_at(vote.answered_at))
        place = (vote.conversation_id, ours)
        expected = canary.adapter if ours else canary.against
        if vote.answered_at < canary.started_at or vote.adapter != expected or place in seen:
            continue
        seen.add(place)
        found.add(ours, vote.thumb == "up")
    return found


def decide(canary: Canary, votes: Tally, plan: Plan, now: datetime) -> Decision:
    """What to do after these votes. May be asked after every one of them: `ERROR` is kept.

    With few votes it holds; after `plan.days` without proof it ends without a promotion.
    """
    needed, onward = plan.needed(canary.share), plan.next(canary.share)
    figures = {
        "canary": {"up": votes.ours.up, "conversations": votes.ours.count},
        "live": {"up": votes.theirs.up, "conversations": votes.theirs.count},
        "not_worse": round(votes.fine.highest, 2),
        "needed": round(needed, 2),
        "worse": round(votes.worse.highest, 2),
        "needed_worse": round(1 / ERROR, 2),
    }
    arms = f"thumbs up in {votes.ours} conversations, against {votes.theirs}"
    if votes.worse.proven(ERROR):
        return Decision("rollback", 0.0, f"its answers are liked less: {arms}", figures)
    if votes.fine.highest >= needed:
        fine = f"it is not worse by {plan.margin * 100:g} points: {arms}"
        if onward is not None:
            return Decision("widen", onward, fine, figures)
        return Decision("promote", 1.0, fine, figures)
    if now - canary.started_at >= timedelta(days=plan.days):
        return Decision("stop", 0.0, f"{plan.days:g} days went by without proof: {arms}", figures)
    return Decision("hold", canary.share, f"the votes do not tell yet: {arms}", figures)
