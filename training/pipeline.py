"""One run on one page: gather examples, train, publish, evaluate, decide. Each stage can be repeated.

A stage leaves its result in the run's directory before the next one begins, so a run that was killed goes
on where it was. Every write to the ledger carries the fencing token. Knows no way in: the worker calls it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection

from feedback.records import FeedbackError
from feedback.store import Store
from training import adapters, evaluation, gathering, kept_back, launcher, probes, recipes
from training.base import base_hash
from training.canaries import Canaries
from training.records import (
    Adapter,
    Engine,
    Evaluation,
    Example,
    LostLease,
    Message,
    NotFound,
    Refused,
    Run,
    TrainingError,
    TrainingSettings,
)
from training.registry import Registry
from training.runs import Runs
from training.workspace import Workspace, half_done

log = logging.getLogger(__name__)
R = TypeVar("R")

_POLL_SECONDS = 0.25
_BEATS = 6
"""Beats in a lease: several may fail before the run is lost."""


class Cancelled(TrainingError):
    """Somebody asked for the end of this run."""


class Stopped(TrainingError):
    """The worker is being stopped; the run goes on later."""


class Failed(TrainingError):
    """The run can't succeed, however often it is tried; the message says why."""


@dataclass
class Attempt:
    """One holder's work on a run: the row as last seen, its directory, and the clock of each stage."""

    run: Run
    work: Workspace
    stop: asyncio.Event
    seconds: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Pipeline:
    """Takes a claimed run to its end."""

    store: Store
    runs: Runs
    registry: Registry
    engine: Engine
    home: Path
    base: str
    settings: TrainingSettings
    system_prompt: str = ""
    auto_promote: bool = False
    canaries: Canaries | None = None
    """If given, what would be promoted by itself starts a canary instead."""

    @property
    def _system(self) -> Sequence[Message]:
        return [{"role": "system", "content": self.system_prompt}] if self.system_prompt else ()

    async def run(self, run: Run, stop: asyncio.Event) -> Run:
        """Work on `run` until it has ended, was cancelled, or `stop` is set.

        Raises `LostLease`, or whatever made this attempt fail: another one may succeed.
        """
        attempt = Attempt(run, Workspace(self.home / "runs" / run.id), stop, dict(run.seconds))
        try:
            async with self._heart(attempt):
                await self._gather(attempt)
                await self._train(attempt)
                adapter = await self._publish(attempt)
                outcome = await self._decide(attempt, adapter)
            return await _thread(self.runs.finish, attempt.run, "done", outcome)
        except Cancelled:
            return await _thread(self.runs.finish, run, "cancelled", "cancelled by hand")
        except Stopped:
            return await _thread(self.runs.release, run)
        except (Failed, Refused) as error:
            return await _thread(self.runs.finish, run, "failed", str(error))

    def tidy(self) -> None:
        """Delete what runs that have ended otherwise than well left half done, whoever ended them."""
        for folder in half_done(self.home / "runs"):
            with contextlib.suppress(NotFound):
                if self.runs.get(folder.name).state in ("cancelled", "failed", "parked"):
                    Workspace(folder).abandon()

    @asynccontextmanager
    async def _heart(self, attempt: Attempt) -> AsyncIterator[None]:
        """Renews the lease while the body works, and ends the body if it is not to go on: `why`."""
        body = asyncio.current_task()
        why: list[TrainingError] = []

        async def beat() -> None:
            while not why:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(attempt.stop.wait(), self.runs.lease.total_seconds() / _BEATS)
                    why.append(Stopped())
                    break
                try:
                    if (await _thread(self.runs.beat, attempt.run)).cancel_requested:
                        why.append(Cancelled())
                except LostLease as error:
                    why.append(error)
                except FeedbackError as error:
                    # The database may be back before the lease is over.
                    log.warning("%s: no beat: %s", attempt.run.id, error)
            if body is not None:
                body.cancel()

        heart = asyncio.create_task(beat())
        try:
            yield
        except asyncio.CancelledError:
            if why and body is not None:
                body.uncancel()
                raise why[0] from None
            raise
        finally:
            heart.cancel()
            await asyncio.wait([heart])

    @asynccontextmanager
    async def _stage(self, attempt: Attempt, name: str) -> AsyncIterator[None]:
        """Notes in the row which stage the run is in and how long it took."""
        if attempt.stop.is_set():
            raise Stopped()
        attempt.run = await _thread(lambda: self.runs.beat(attempt.run, stage=name, progress=0.0))
        if attempt.run.cancel_requested:
            raise Cancelled()
        started = time.monotonic()
        try:
            yield
        finally:
            attempt.seconds[name] = round(attempt.seconds.get(name, 0.0) + time.monotonic() - started, 2)
        attempt.run = await _thread(lambda: self.runs.beat(attempt.run, seconds=attempt.seconds))

    async def _gather(self, attempt: Attempt) -> None:
        """Turn the opinions so far into examples, once: a repeated attempt finds them there."""
        if not attempt.work.gathered():
            await self._gather_now(attempt)
        count = _voted(await _thread(attempt.work.examples))
        if count < gathering.FEWEST:
            raise Failed(f"only {count} examples came out of the votes, {gathering.FEWEST} are needed")

    async def _gather_now(self, attempt: Attempt) -> None:
        async with self._stage(attempt, "gather"):
            mark = await _thread(self.store.newest)
            attempt.run = await _thread(lambda: self.runs.beat(attempt.run, mark=mark))
            live = await _thread(self.registry.live)
            built = await gathering.gather(
                self.store, self.engine, live, self.settings, self._progress(attempt), self._system
            )
            chosen = recipes.choose(
                base=self.base,
                parameters=recipes.parameters_of(Path(self.base)),
                examples=_voted(built.training),
                device=recipes.device(),
            )
            recipe = recipes.adjust(chosen, attempt.run.wishes)
            await _thread(attempt.work.write, built, recipe)
            attempt.run = await _thread(lambda: self.runs.beat(attempt.run, counts=built.counts))

    async def _train(self, attempt: Attempt) -> None:
        """Run the trainer beside us and watch it."""
        if attempt.work.trained():
            return
        async with self._stage(attempt, "train"):
            note = self._progress(attempt)
            training = launcher.launch(self.settings.location, attempt.work.folder)
            try:
                while (code := training.poll()) is None:
                    await asyncio.sleep(_POLL_SECONDS)
                    seen = training.progress() or {}
                    if seen.get("steps"):
                        await note(seen["step"] / seen["steps"])
            finally:
                await _thread(training.stop)
        if code == 2:
            raise Failed(attempt.work.error() or "the trainer refused its input")
        if code != 0:
            raise TrainingError(attempt.work.error() or f"the trainer ended with status {code}")
        if not attempt.work.trained():
            raise TrainingError("the trainer ended without leaving its metrics")

    def _progress(self, attempt: Attempt) -> Callable[[float], Any]:
        """A function that notes progress (0 to 1) in the row, at most once a second."""
        last = [0.0]

        async def note(share: float) -> None:
            if time.monotonic() - last[0] >= 1:
                last[0] = time.monotonic()
                seen = await _thread(lambda: self.runs.beat(attempt.run, progress=round(share, 3)))
                if seen.cancel_requested:
                    raise Cancelled()

        return note

    async def _publish(self, attempt: Attempt) -> Adapter:
        """Verify what the trainer left and enter it as a candidate: files first, then the row."""
        async with self._stage(attempt, "publish"):
            return await _thread(self._publish_now, attempt)

    def _publish_now(self, attempt: Attempt) -> Adapter:
        hashed = base_hash(self.base)
        # One run trains at a time, so what lies there half published is left from one that was killed.
        adapters.sweep(self.registry.folder)
        staged = attempt.work.adapter
        facts = adapters.inspect(staged, base=self.base, base_hash=hashed)
        inspected = {"content_hash": facts.content_hash}
        manifest = attempt.work.manifest(attempt.run, hashed) | inspected
        name, path = adapters.publish(staged, self.registry.folder, manifest, adapters.model_card(manifest))
        adapter = Adapter(
            name=name,
            path=path,
            base=self.base,
            base_hash=hashed,
            run_id=attempt.run.id,
            rank=facts.rank,
            created_at=datetime.now(UTC),
            manifest=manifest | {"facts": facts.as_dict()},
        )
        return self.registry.add(adapter, lambda connection: self.runs.fence(connection, attempt.run))

    async def _decide(self, attempt: Attempt, adapter: Adapter) -> str:
        """Evaluate the candidate beside the live adapter; with `promotion.mode=auto`, promote what passed, or
        start its canary."""
        async with self._stage(attempt, "evaluate"):
            attempt.run = await _thread(lambda: self.runs.beat(attempt.run, adapter=adapter.name))
            live = await _thread(self.registry.live)
            if live is not None and live.name == adapter.name:
                # An attempt before this one promoted it and came no further, or the votes said nothing new.
                return "it is live already"
            canary = await _thread(self.registry.canary)
            if canary is not None and canary.adapter == adapter.name:
                return "its canary is running already"
            found = await self.evaluate(adapter, live)
        reason = "; ".join(found.decisive)
        if found.outcome == "passed" and self.auto_promote:
            done = await _thread(self._take_over, attempt, adapter.name, live, reason)
            return f"passed and {done}: {reason}"
        return f"{found.outcome.replace('_', ' ')}: {reason}"

    async def evaluate(self, adapter: Adapter, against: Adapter | None) -> Evaluation:
        """Measure an adapter beside another one (None: the base) on the engine, and keep what was found."""
        work = Workspace(self.home / "runs" / str(adapter.run_id))
        if not work.gathered():
            raise Refused(f"{adapter.name} can't be evaluated: its run's directory {work.folder} is gone")
        for one in (adapter, against):
            if one is not None:
                await _thread(self.registry.check_base, one)
        material = await _thread(self._material, work)
        found = await evaluation.evaluate(self.engine, adapter, against, material)
        await _thread(self.registry.record, found)
        return found

    def _material(self, work: Workspace) -> evaluation.Material:
        examples = work.examples()
        learnt = (text for item in examples for text in (item.chosen, item.rejected))
        health = {name: one for name, one in work.metrics().items() if isinstance(one, int | float)}
        return evaluation.Material(
            kept_back=kept_back.read(self.store),
            parity=work.parity(),
            health=health | {"rehearsed": _rehearsed(examples)},
            secrets=frozenset(one for text in learnt for one in probes.personal(text)),
            system=self._system,
            probes=probes.probes(self.home / "probes"),
            place=self.registry.looks(datetime.now(UTC)) + 1,
        )

    def _take_over(self, attempt: Attempt, name: str, live: Adapter | None, reason: str) -> str:
        """Promote the candidate or start its canary, if `live` still is; says in words which."""
        still_live = self.registry.still_live(live.name if live else None)

        def fence(connection: Connection) -> None:
            self.runs.fence(connection, attempt.run)
            # It is better than that. What an admin has made live meanwhile it was never held against.
            still_live(connection)

        try:
            if self.canaries is None:
                self.registry.promote(name, actor="gate", reason=reason, fence=fence)
                return "promoted"
            begun = self.canaries.start(name, actor="gate", reason=reason, fence=fence)
        except Refused as error:
            # It stays a candidate: an admin may start it when the other one has ended.
            return f"not {'promoted' if self.canaries is None else 'tried'}, since {error}"
        return f"tried in {begun.share:.0%} of conversations"


def _voted(examples: Sequence[Example]) -> int:
    """How many examples have votes behind them."""
    return sum(1 for example in examples if example.source != "anchor")


def _rehearsed(examples: Sequence[Example]) -> float:
    """The share of what the trainer saw that has no vote behind it: an example is seen by its weight."""
    seen = sum(example.weight for example in examples)
    return sum(example.weight for example in examples if example.source == "anchor") / seen if seen else 0.0


async def _thread(act: Callable[..., R], *given: Any) -> R:
    """Run blocking work beside the event loop; its end is waited for even if we are cancelled meanwhile."""
    work = asyncio.ensure_future(asyncio.to_thread(act, *given))
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        await asyncio.wait([work])
        raise
