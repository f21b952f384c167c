"""The steps of canaries as rows: start, widen, promote, roll back, stop. Each is one transaction.

Decides nothing (`canary.py`). Who answers is read from the rows at every turn, so a step needs nobody alive
but the one who writes it.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, insert, select

from feedback.database import Database
from feedback.reading import Reader
from training import taints
from training.canary import Canary, Decision, Plan, Tally, decide, tally
from training.records import CanaryAction, CanaryStep, Refused, TrainingError
from training.registry import BASE, OTHER_BASE, Fence, Registry, one_writer, require, running_canary
from training.schema import adapters, canaries
from training.witness import Witness, unseen

log = logging.getLogger(__name__)
WATCH = "canary"
"""The actor of the steps that a canary takes by itself."""
_DONE: Mapping[CanaryAction, str] = {
    "start": "started",
    "widen": "widened",
    "promote": "promoted",
    "rollback": "rolled back",
    "stop": "stopped",
}


class Overtaken(TrainingError):
    """Somebody else has taken the next step of this canary."""


class Canaries:
    """The canaries of one home. Safe to share between threads and processes."""

    def __init__(
        self,
        database: Database,
        registry: Registry,
        plan: Plan | None = None,
        witness: Witness = unseen,
    ) -> None:
        self._witness = witness
        self._database = database
        self._registry = registry
        self._reader = Reader(database)
        self.plan = plan or Plan()
        self._counted: tuple[int, int, Tally] | None = None
        """The step and the rating up to which votes were counted last, and what they came to."""

    def now(self) -> Canary | None:
        """The canary that runs now."""
        return self._registry.canary()

    def history(self, limit: int = 100) -> list[CanaryStep]:
        """The steps of all canaries, the newest first."""
        query = select(canaries).order_by(canaries.c.id.desc()).limit(limit)
        with self._database.read() as connection:
            return [CanaryStep(**row._mapping) for row in connection.execute(query)]

    def start(self, name: str, *, actor: str, reason: str, fence: Fence | None = None) -> Canary:
        """Let an adapter answer the first share of the plan from the next turn on.

        Raises `NotFound`, and `Refused` unless it may be promoted, is not live, and no other canary runs.
        `fence` as in `Registry.add`.
        """
        require(reason)
        if name == BASE:
            raise Refused("the base model needs no canary; promote `base` to go back to it")
        self._registry.check_promotable(name)
        # Read before the canary begins: whatever is said of its answers comes after this.
        mark = self._reader.newest()["ratings"]
        retired = select(adapters.c.retired).where(adapters.c.name == name).with_for_update()
        with self._database.write() as connection:
            if fence is not None:
                fence(connection)
            one_writer(connection)
            if (other := running_canary(connection)) is not None:
                raise Refused(f"a canary of {other.adapter} is running; stop it first")
            against = self._registry.live_name(connection)
            if against == name:
                raise Refused(f"{name} is live already")
            if connection.execute(retired).scalar():
                raise Refused(f"{name} is retired")
            taints.check(connection, name)
            place = (name, against, self.plan.steps[0])
            row = _insert(connection, place, "start", actor, reason, {"after": mark})
            self._tell(connection, row, 0.0)
        return Canary((row,))

    def stop(self, *, actor: str, reason: str, name: str | None = None) -> CanaryStep:
        """Veto: from the next turn on what is live answers all. Raises `Refused` if no canary runs.

        With a `name` also if it is that of another adapter.
        """
        require(reason)
        with self._database.write() as connection:
            one_writer(connection)
            canary = running_canary(connection)
            if canary is None:
                raise Refused("no canary is running")
            if name is not None and canary.adapter != name:
                raise Refused(f"meanwhile a canary of {canary.adapter} runs; look again before you decide")
            row = _insert(connection, (canary.adapter, canary.against, 0.0), "stop", actor, reason, {})
            self._tell(connection, row, canary.share)
        return row

    def look(self) -> tuple[Canary, Decision] | None:
        """The canary that runs, and what its votes say so far; None if there is none."""
        canary = self.now()
        if canary is None:
            return None
        if not self._registry.fits(self._registry.get(canary.adapter)):
            return canary, Decision("stop", 0.0, f"it was {OTHER_BASE}", {})
        return canary, decide(canary, self._tally(canary), self.plan, _now())

    def advance(self) -> Decision | None:
        """Take the step that the votes call for, if they do. Returns what was done."""
        found = self.look()
        if found is None or found[1].action == "hold":
            return None
        canary, decision = found
        try:
            if decision.action == "promote":
                return self._promote(canary, decision)
            return self._step(canary, decision)
        except Overtaken as error:
            log.info("%s", error)
            return None

    def _step(self, canary: Canary, decision: Decision) -> Decision:
        with self._database.write() as connection:
            row = _next(connection, canary, decision)
            if row is not None:
                self._tell(connection, row, canary.share)
        return decision

    def _tell(self, connection: Connection, row: CanaryStep, before: float) -> None:
        was, now = (f"{share:.0%} of conversations" for share in (before, row.share))
        what = f"canary {_DONE[row.action]}"
        self._witness(connection, row.actor, what, row.adapter, was, now, row.reason)

    def _promote(self, canary: Canary, decision: Decision) -> Decision:
        try:
            # The canary's last row and the promotion are one transaction: neither is there without the other.
            self._registry.promote(
                canary.adapter,
                actor=WATCH,
                reason=decision.reason,
                fence=lambda connection: _take(connection, canary, decision),
            )
        except Refused as error:
            # Its files or its evaluation are no longer what they were: it must not go on answering either.
            why = f"it can't be promoted: {error}"
            return self._step(canary, Decision("stop", 0.0, why, decision.figures))
        return decision

    def _tally(self, canary: Canary) -> Tally:
        place = (canary.steps[-1].id, self._reader.newest()["ratings"])
        if self._counted is None or self._counted[:2] != place:
            votes = self._reader.votes(int(canary.steps[0].figures.get("after", 0)))
            self._counted = (*place, tally(canary, votes, self.plan.margin))
        return self._counted[2]


def _take(connection: Connection, canary: Canary, decision: Decision) -> None:
    _next(connection, canary, decision)


def _next(connection: Connection, canary: Canary, decision: Decision) -> CanaryStep | None:
    """Write the step if the canary is still where it was when it was decided. Raises `Overtaken`."""
    one_writer(connection)
    found = running_canary(connection)
    if found is None or found.steps[-1].id != canary.steps[-1].id:
        raise Overtaken(f"the canary of {canary.adapter} has gone on or ended meanwhile")
    if decision.action == "hold":
        return None
    place = (canary.adapter, canary.against, decision.share)
    return _insert(connection, place, decision.action, WATCH, decision.reason, decision.figures)


def _insert(
    connection: Connection,
    place: tuple[str, str | None, float],
    action: CanaryAction,
    actor: str,
    reason: str,
    figures: Mapping[str, Any],
) -> CanaryStep:
    adapter, against, share = place
    values: dict[str, Any] = {
        "adapter": adapter,
        "against": against,
        "share": share,
        "action": action,
        "actor": actor,
        "reason": reason.strip(),
        "figures": dict(figures),
        "at": _now(),
    }
    key = connection.execute(insert(canaries).values(values)).inserted_primary_key
    return CanaryStep(id=int(key[0]) if key else 0, **values)


def _now() -> datetime:
    return datetime.now(UTC)
