"""The run ledger: queue, claim under a lease, beat, finish. A run row is the job; there is no other queue.

A claim raises the row's fencing token. Whoever writes must still hold the newest token, so a worker that
slept past its lease and wakes up as a twin can change nothing. Knows nothing of what a run does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, func, or_, select, update
from sqlalchemy import insert as insert_into
from uuid_utils import uuid7

from feedback.database import Database
from feedback.reading import record
from training.records import LostLease, NotFound, Refused, Run, RunState
from training.schema import runs
from training.witness import Witness, unseen

LEASE = timedelta(seconds=60)
MOST_ATTEMPTS = 3


class Runs:
    """The ledger in one database. Safe to share between threads, processes and machines."""

    def __init__(self, database: Database, lease: timedelta = LEASE, witness: Witness = unseen) -> None:
        self._database = database
        self.lease = lease
        self._witness = witness

    def queue(
        self,
        method: str,
        due_by: str,
        *,
        unless: Sequence[RunState] = ("queued",),
        actor: str = "worker",
        wishes: Mapping[str, Any] | None = None,
    ) -> Run:
        """Put a run in the queue, or give back the one that is there: two would read the same votes.

        A run in any of the states `unless` counts as being there. `wishes` as in `recipes.adjust`.
        """
        with self._database.write() as connection:
            self._one_writer(connection)
            there = select(runs).where(runs.c.state.in_(unless), runs.c.method == method)
            waiting = connection.execute(there.order_by(runs.c.id.desc()).limit(1)).first()
            if waiting is not None:
                return record(Run, waiting)
            run = Run(f"run-{uuid7().hex}", "queued", method, due_by, _now(), wishes=dict(wishes or {}))
            values = {field.name: getattr(run, field.name) for field in fields(run)}
            connection.execute(insert_into(runs).values(values))
            wanted = ", ".join(f"{name} {value}" for name, value in run.wishes.items())
            self._witness(connection, actor, "run queued", run.id, "", wanted, due_by)
        return run

    def claim(self, worker: str) -> Run | None:
        """Take the oldest run that waits or whose holder is gone; None if there is none.

        One run trains at a time: while a lease is alive nobody claims. A run that has been taken
        `MOST_ATTEMPTS` times and never ended is parked.
        """
        now = _now()
        with self._database.write() as connection:
            self._one_writer(connection)
            alive = select(runs.c.id).where(runs.c.state == "running", runs.c.lease_until > now)
            if connection.execute(alive.limit(1)).first():
                return None
            self._end_the_hopeless(connection, now)
            row = connection.execute(
                select(runs)
                .where(or_(runs.c.state == "queued", runs.c.state == "running"))
                # What was begun goes on before something new begins.
                .order_by(runs.c.state.desc(), runs.c.id)
                .limit(1)
            ).first()
            if row is None:
                return None
            values = {
                "state": "running",
                "worker": worker,
                "token": row.token + 1,
                "attempts": row.attempts + 1,
                "lease_until": now + self.lease,
                "started_at": row.started_at or now,
            }
            connection.execute(update(runs).where(runs.c.id == row.id).values(values))
            return _found(connection, row.id)

    def _end_the_hopeless(self, connection: Connection, now: datetime) -> None:
        """End what lost its holder and need not go on: it was cancelled, or has lost too many holders."""
        lost, end = runs.c.state == "running", {"ended_at": now, "lease_until": None}
        cancelled = {"state": "cancelled", "reason": "cancelled by hand"}
        connection.execute(update(runs).where(lost, runs.c.cancel_requested).values(cancelled | end))
        reason = f"its worker died {MOST_ATTEMPTS} times; look at the trainer's log, then queue a new run"
        parked = {"state": "parked", "reason": reason}
        connection.execute(update(runs).where(lost, runs.c.attempts >= MOST_ATTEMPTS).values(parked | end))

    def beat(self, run: Run, **values: Any) -> Run:
        """Renew the lease and note how far the run is (`stage`, `progress`, `counts`, `seconds`, `mark` …).

        Raises `LostLease` if another worker holds the run by now or it has ended.
        """
        return self._write(run, {**values, "lease_until": _now() + self.lease})

    def finish(self, run: Run, state: str, reason: str = "", **values: Any) -> Run:
        """End the run as `done`, `failed`, `parked` or `cancelled`. Raises `LostLease`."""
        values |= {"state": state, "reason": reason, "ended_at": _now(), "lease_until": None}
        return self._write(run, values)

    def retry(self, run: Run, reason: str) -> Run:
        """Give a failed attempt back to the queue; after `MOST_ATTEMPTS`, park it. Raises `LostLease`."""
        if run.attempts >= MOST_ATTEMPTS:
            return self.finish(run, "parked", f"failed {MOST_ATTEMPTS} times; the last time: {reason}")
        return self._write(run, {"state": "queued", "reason": reason, "lease_until": None, "worker": None})

    def release(self, run: Run) -> Run:
        """Give an unfinished run back at once, not counted as an attempt: the worker is being stopped."""
        values = {"state": "queued", "lease_until": None, "worker": None, "attempts": run.attempts - 1}
        return self._write(run, values)

    def fence(self, connection: Connection, run: Run) -> None:
        """Inside a transaction that publishes for `run`: raise `LostLease` unless its token is the newest."""
        held = (
            update(runs)
            .where(runs.c.id == run.id, runs.c.token == run.token, runs.c.state == "running")
            .values(token=run.token)
        )
        if connection.execute(held).rowcount != 1:
            raise LostLease(f"{run.id} was taken over by another worker, or has ended")

    def cancel(self, run_id: str, *, actor: str = "", reason: str = "") -> Run:
        """Ask for the end of a run: at once if it waits, at the next beat if it runs.

        Raises `NotFound`, and `Refused` if it has ended.
        """
        with self._database.write() as connection:
            self._one_writer(connection)
            run = _found(connection, run_id)
            if run.state not in ("queued", "running"):
                raise Refused(f"{run_id} has ended already ({run.state})")
            values: dict[str, Any] = {"cancel_requested": True}
            if run.state == "queued":
                values |= {"state": "cancelled", "ended_at": _now(), "reason": "cancelled by hand"}
            connection.execute(update(runs).where(runs.c.id == run_id).values(values))
            cancelled = _found(connection, run_id)
            if not run.cancel_requested:
                after = "cancelled" if cancelled.state == "cancelled" else "ends at its next beat"
                self._witness(connection, actor, "run cancelled", run_id, run.state, after, reason)
            return cancelled

    def get(self, run_id: str) -> Run:
        """One run. Raises `NotFound`."""
        with self._database.read() as connection:
            return _found(connection, run_id)

    def all(self, limit: int = 100) -> list[Run]:
        """The newest runs first."""
        with self._database.read() as connection:
            rows = connection.execute(select(runs).order_by(runs.c.id.desc()).limit(limit)).all()
        return [record(Run, row) for row in rows]

    def mark(self) -> Mapping[str, int]:
        """How far the opinions have been read by the newest run that began; empty before the first.

        Runs that failed count too: what made them fail is not mended by trying the same votes for ever.
        """
        query = select(runs.c.mark).order_by(runs.c.id.desc())
        with self._database.read() as connection:
            return next((mark for mark in connection.execute(query).scalars() if mark), {})

    def states(self) -> dict[str, int]:
        """How many runs there are in each state."""
        query = select(runs.c.state, func.count().label("number")).group_by(runs.c.state)
        with self._database.read() as connection:
            return {row.state: row.number for row in connection.execute(query)}

    def active(self) -> bool:
        """Whether a run waits or is being trained."""
        query = select(runs.c.id).where(runs.c.state.in_(("queued", "running"))).limit(1)
        with self._database.read() as connection:
            return connection.execute(query).first() is not None

    def _write(self, run: Run, values: Mapping[str, Any]) -> Run:
        """Change the row if `run` is its newest holder, and read it in the same transaction: read later, it
        could carry the token of a holder that came in between."""
        with self._database.write() as connection:
            self.fence(connection, run)
            connection.execute(update(runs).where(runs.c.id == run.id).values(values))
            return _found(connection, run.id)

    def _one_writer(self, connection: Connection) -> None:
        """SQLite writes one at a time anyway; PostgreSQL is told to, so that check and claim are one step."""
        if self._database.dialect == "postgresql":
            connection.exec_driver_sql("LOCK TABLE runs IN SHARE ROW EXCLUSIVE MODE")


def _found(connection: Connection, run_id: str) -> Run:
    row = connection.execute(select(runs).where(runs.c.id == run_id)).first()
    if row is None:
        raise NotFound(f"there is no run {run_id}")
    return record(Run, row)


def _now() -> datetime:
    return datetime.now(UTC)
