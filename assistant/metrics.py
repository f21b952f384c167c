"""Figures as Prometheus text: what this web process does, and how the house stands today.

Labels are few and never name a person. The house's figures come from the days that are kept anyway, so that a
scrape scans nothing; while the database is away they are left out.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter as Count
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from feedback.database import DatabaseUnavailable
from feedback.figures import Figures
from training.monitor import Monitor
from training.registry import BASE, Registry

log = logging.getLogger(__name__)


Values = dict[tuple[str, ...], float]
"""By the values of the labels."""


class Metrics:
    """The figures of one web process, and of its house if it is told where they are."""

    def __init__(self, house: Collector | None = None) -> None:
        self._registry = CollectorRegistry()
        if house is not None:
            self._registry.register(house)
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


class HouseFigures(Collector):
    """Today by adapter (UTC), open alerts, who is live, and the runs: the same from every web process."""

    def __init__(self, monitor: Monitor, registry: Registry) -> None:
        self._monitor = monitor
        self._registry = registry

    def describe(self) -> list[GaugeMetricFamily]:
        """Nothing: else Prometheus' client would ask the database at the start."""
        return []

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """The gauges, read anew for each scrape."""
        today = _now().date()
        try:
            found = self._monitor.days.between(today, today)
            alerts = Count(alert.name for alert in self._monitor.alerts.open())
            runs, live = self._monitor.runs.states(), self._registry.live()
            made_at = self._monitor.days.mark().made_at
        except DatabaseUnavailable as error:
            log.warning("no figures of the house: %s", error)
            return
        open_now: Values = {(name,): count for name, count in alerts.items()}
        yield from _of_today({day.adapter or BASE: day.figures for day in found})
        yield _gauge("apprentice_alerts_open", "Alerts that last", ["alert"], open_now)
        name = live.name if live else BASE
        yield _gauge(
            "apprentice_live_adapter_info", "The adapter that answers now", ["adapter"], {(name,): 1}
        )
        states: Values = {(state,): runs.get(state, 0) for state in ("queued", "running", *runs)}
        yield _gauge("apprentice_runs", "Training runs by state", ["state"], states)
        at: Values = {(): made_at.timestamp()} if made_at else {}
        yield _gauge("apprentice_days_refreshed_timestamp_seconds", "When today's figures were read", [], at)


def _of_today(found: dict[str, Figures]) -> Iterator[GaugeMetricFamily]:
    answers: Values = {}
    ratings: Values = {}
    for name, figures in found.items():
        answers |= {(name, "complete"): figures.complete, (name, "stopped"): figures.stopped}
        answers[name, "failed"] = figures.failed
        ratings |= {(name, "up", "no"): figures.ups, (name, "down", "no"): figures.downs}
        ratings |= {(name, "up", "yes"): figures.asked_ups, (name, "down", "yes"): figures.asked_downs}
    labels = ["adapter", "outcome"]
    yield _gauge("apprentice_today_answers", "Answers that began today (UTC)", labels, answers)
    labels = ["adapter", "rating", "asked"]
    yield _gauge("apprentice_today_ratings", "Live ratings of today's answers", labels, ratings)


def _gauge(name: str, text: str, labels: list[str], values: Values) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, text, labels=labels)
    for key, value in sorted(values.items()):
        family.add_metric(key, value)
    return family


def _now() -> datetime:
    return datetime.now(UTC)
