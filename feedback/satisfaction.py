"""How many people are satisfied: among those who were asked, and apart from them among those who were not.

Chance chooses who is asked, so what they say speaks for all answers, as far as they answer; who votes unasked
chooses to. Pure; `reading.py` counts.
"""

from __future__ import annotations

from dataclasses import dataclass

from feedback.figures import share


@dataclass(frozen=True, slots=True)
class Liked:
    """Thumbs up among so many live thumbs."""

    up: int
    count: int

    @property
    def share(self) -> float | None:
        """Thumbs up among all thumbs; None without any."""
        return self.up / self.count if self.count else None

    @property
    def interval(self) -> tuple[float, float]:
        """Where the share lies, with 95 % confidence (`figures.share`). (0, 1) without any thumb."""
        found = share(self.up, self.count)
        return (found.low, found.high) if found else (0.0, 1.0)

    def __str__(self) -> str:
        if not self.count:
            return "no votes"
        low, high = self.interval
        return f"{self.up / self.count:.0%} of {self.count} ({low:.0%} to {high:.0%})"


@dataclass(frozen=True, slots=True)
class Satisfaction:
    """What people think, by whether chance had chosen the answer to ask for a vote on it."""

    asked: Liked
    unasked: Liked
    questions: int
    """Answers under which a vote was asked for: the more of them have one, the more `asked` says of all."""
