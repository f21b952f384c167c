"""What a run queued now would learn from: everything that can be known without asking the engine.

Fresh answers are drawn and the base's answers rehearsed only by the run itself; here is said how many. Reads
and builds as `gathering.py` does; writes nothing.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

from feedback.reading import Reader
from training import gathering, pairs, recipes, screening
from training.records import Example, Recipe, TrainingSettings

SHOWN = 4
"""Examples of each source that are kept to be read."""


@dataclass(frozen=True, slots=True)
class Preview:
    """What the votes alone give, and what the run will add."""

    made_at: datetime
    judged: int
    """Answers with an opinion on them."""
    sources: Mapping[str, int]
    """Training examples by source."""
    held_out: int
    dropped: Mapping[str, int]
    to_draw: int
    """Questions for which the run asks the engine for fresh answers, at most; it keeps the pairs that a model
    of the votes is sure of, if there are votes enough for one."""
    draws: int
    """Answers to each of them."""
    anchors: int
    """Answers of the base that are rehearsed, about."""
    examples: Sequence[Example]
    """Some of each source."""
    recipe: Recipe

    @property
    def training(self) -> int:
        """Examples to learn from, before the run adds any."""
        return sum(self.sources.values())

    @property
    def enough(self) -> bool:
        """Whether the votes alone suffice; if not, it depends on what is drawn."""
        return self.training >= gathering.FEWEST


class Previews:
    """Makes previews, once for the same opinions. Safe to share between threads."""

    def __init__(self, reader: Reader, settings: TrainingSettings, base: str) -> None:
        self._reader = reader
        self._settings = settings
        self._base = base
        self._lock = threading.Lock()
        self._kept: tuple[tuple[int, ...], Preview] | None = None

    def make(self) -> Preview:
        """Read everything that was judged and build examples from it. Takes seconds where much was."""
        # Of several who ask at once one reads, and the others have its answer.
        with self._lock:
            standing = self._reader.standing()
            if self._kept is None or self._kept[0] != standing:
                self._kept = (standing, self._make())
            return self._kept[1]

    def recipe(self, examples: int) -> Recipe:
        """What would be chosen for so many examples."""
        return recipes.choose(
            base=self._base,
            parameters=recipes.parameters_of(Path(self._base)),
            examples=max(examples, 1),
            device=recipes.device(),
        )

    def _make(self) -> Preview:
        judged, choices = self._reader.judged(), screening.known(self._reader.choices())
        built = pairs.build(judged, choices, self._reader.compared(choices))
        training = built.training
        lonely = [item for item in pairs.needs_draws(judged, choices) if not screening.held_out(item.opening)]
        return Preview(
            made_at=datetime.now(UTC),
            judged=len(judged),
            sources={source: count for source, count in built.counts.items() if source != "held_out"},
            held_out=built.counts["held_out"],
            dropped=built.dropped,
            to_draw=min(len(lonely), self._settings.most_questions) if self._settings.draws else 0,
            draws=self._settings.draws,
            anchors=round(self._settings.anchors * len(training)),
            examples=tuple(_some(training)),
            recipe=self.recipe(len(training)),
        )


def _some(training: Sequence[Example]) -> list[Example]:
    """A few of each source, the best source first; the pairs stand in that order already."""
    sources = dict.fromkeys(example.source for example in training)
    return [
        example
        for source in sources
        for example in islice((one for one in training if one.source == source), SHOWN)
    ]
