"""Counts what the web process does, as Prometheus text. Labels are few and never name a person.

Counts of this process alone; what is in the database is not counted here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest


class Metrics:
    """The figures of one web process."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._answers = Counter(
            "apprentice_answers_total", "Answers by how they ended", ["outcome"], registry=self._registry
        )
        self._open = Gauge(
            "apprentice_answers_in_flight", "Answers being written now", registry=self._registry
        )
        self._seconds = Histogram(
            "apprentice_answer_seconds", "Time from request to last token", registry=self._registry
        )
        self._ratings = Counter(
            "apprentice_ratings_total", "Ratings received", ["rating"], registry=self._registry
        )

    @contextmanager
    def answering(self) -> Iterator[None]:
        """Around one answer: how many are open, how long they take, how they end."""
        outcome = "failed"
        with self._open.track_inprogress(), self._seconds.time():
            try:
                yield
                outcome = "complete"
            except (GeneratorExit, asyncio.CancelledError):
                # The reader has gone: its iterator was closed, or its task was cancelled.
                outcome = "stopped"
                raise
            finally:
                self._answers.labels(outcome).inc()

    def rated(self, thumb: str | None) -> None:
        """One rating was stored."""
        self._ratings.labels(thumb or "withdrawn").inc()

    def text(self) -> str:
        """All figures in Prometheus' text format."""
        return generate_latest(self._registry).decode()
