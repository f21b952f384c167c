"""Enough new feedback, or a time come? Queue a run. A run waiting? Take it. A canary? Let it go on.
Repeat, or drain once.

The state is in the ledger: any number of workers may look at it, one run trains at a time.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime

from cronsim import CronSim

from feedback.store import Store
from training import due, gathering
from training.canaries import Canaries
from training.pipeline import Pipeline
from training.records import LostLease, TrainingError, TrainingSettings
from training.runs import Runs

log = logging.getLogger(__name__)


class Worker:
    """The background job of one machine."""

    def __init__(
        self,
        store: Store,
        runs: Runs,
        pipeline: Pipeline,
        settings: TrainingSettings,
        canaries: Canaries | None = None,
    ) -> None:
        self._canaries = canaries
        self._store = store
        self._runs = runs
        self._pipeline = pipeline
        self._settings = settings
        self._name = f"{socket.gethostname()}:{os.getpid()}"
        self._looked_at: Mapping[str, int] = {}
        self._last_tick = _now()

    async def work(self, *, once: bool, stop: asyncio.Event) -> None:
        """Train whenever it is due until `stop` is set; with `once`, return as soon as nothing is due.

        Beside that a canary goes on by itself: a run may take hours, and bad answers must not wait for it.
        """
        ended = asyncio.Event()
        watching = asyncio.create_task(self._watch(ended))
        try:
            await self._train(once, stop)
        finally:
            ended.set()
            await watching

    async def _watch(self, ended: asyncio.Event) -> None:
        """Let the canary go on, again and again, and once more at the end."""
        while self._canaries is not None:
            last = ended.is_set()
            await asyncio.to_thread(self._advance, self._canaries)
            if last:
                return
            await self._pause(ended)

    def _advance(self, canaries: Canaries) -> None:
        try:
            while (done := canaries.advance()) is not None:
                log.info("canary: %s: %s", done.action, done.reason)
        except Exception:
            # Training goes on without it, and it is tried again.
            log.exception("the canary's step failed")

    async def _train(self, once: bool, stop: asyncio.Event) -> None:
        while not stop.is_set():
            try:
                busy = await self._step(stop)
            except LostLease as error:
                log.warning("%s", error)
                busy = True
            except Exception:
                # The worker outlives what befalls it, a database that is away for a while before all.
                log.exception("the worker's step failed")
                if once:
                    raise
                busy = False
            if once and not busy:
                return
            if not busy:
                await self._pause(stop)

    async def _pause(self, stop: asyncio.Event, polls: int = 1) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), self._settings.poll_seconds * polls)

    async def _step(self, stop: asyncio.Event) -> bool:
        """Queue what is due and work on what waits. Returns whether there was anything to do."""
        await asyncio.to_thread(self.queue_if_due)
        if self._pipeline.engine.ready() is not None and await asyncio.to_thread(self._runs.active):
            # A run needs answers from the engine; while it starts, the run waits and loses no attempt.
            await self._pause(stop)
            return True
        run = await asyncio.to_thread(self._runs.claim, self._name)
        # After the claim: it ends the runs whose workers died.
        await asyncio.to_thread(self._pipeline.tidy)
        if run is None:
            return False
        log.info("%s: attempt %d", run.id, run.attempts)
        try:
            ended = await self._pipeline.run(run, stop)
        except LostLease:
            raise
        except Exception as error:
            log.exception("%s failed", run.id)
            why = str(error) if isinstance(error, TrainingError) else f"{type(error).__name__}: {error}"
            ended = await asyncio.to_thread(self._runs.retry, run, why)
            # What is being restarted at this moment is back after a while, not at once.
            await self._pause(stop, run.attempts)
        log.info("%s: %s: %s", run.id, ended.state, ended.reason)
        return True

    def queue_if_due(self) -> None:
        """Queue a run if the threshold is reached or its time has come, and none is waiting or running."""
        if self._runs.active():
            return
        ticked, newest = self._ticked(_now()), self._store.newest()
        if newest == self._looked_at and not ticked:
            return
        count = gathering.new_votes(self._store, self._runs.mark())
        self._looked_at = newest
        if (why := due.reason(count, self._settings, ticked)) is not None:
            # Another worker may have come to the same conclusion a moment ago.
            self._runs.queue("dpo", f"{why}: {count} new votes", unless=("queued", "running"))

    def _ticked(self, now: datetime) -> bool:
        """Whether the schedule's moment (in UTC) has passed since we looked last."""
        if not self._settings.schedule:
            return False
        due = next(CronSim(self._settings.schedule, self._last_tick)) <= now
        if due:
            self._last_tick = now
        return due


def _now() -> datetime:
    return datetime.now(UTC)
