"""Adapters and who is live. Promotion is a row: `live()` is the newest one, rollback is another row.

Files are published by `adapters.py` before the row is written, and never changed after. Knows no server:
whoever answers asks `live()` and has that adapter loaded.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from sqlalchemy import Connection, Row, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from feedback.database import Database
from feedback.schema import deletions
from training import adapters as files
from training import taints
from training.canary import Canary, running
from training.findings import blanked
from training.records import Adapter, CanaryStep, Check, Evaluation, NotFound, Promotion, Refused
from training.schema import adapters, canaries, evaluations, promotions
from training.taints import Taint, Taints
from training.witness import Witness, unseen

Fence = Callable[[Connection], None]
OTHER_BASE = "trained on another base model than the one that is served"
BASE = "base"
"""The name under which people speak of the bare base model in promote and rollback."""


class Registry:
    """The adapters of one home. Safe to share between threads and processes."""

    def __init__(
        self,
        database: Database,
        folder: Path,
        witness: Witness = unseen,
        fits: Callable[[Adapter], bool] = lambda _: True,
    ) -> None:
        self._database = database
        self.folder = folder
        self._witness = witness
        self.fits = fits
        """Whether an adapter was trained on the base that is served: one that was not answers nobody."""

    def add(self, adapter: Adapter, fence: Fence | None = None) -> Adapter:
        """Enter a published adapter as a candidate; entering the same one again changes nothing.

        `fence` runs in the same transaction and may raise, so that only the holder of a run publishes.
        """
        values = {field.name: getattr(adapter, field.name) for field in fields(adapter)}
        values["path"] = str(adapter.path)
        try:
            with self._database.write() as connection:
                if fence is not None:
                    fence(connection)
                connection.execute(insert(adapters).values(values))
        except IntegrityError:
            # A run that was killed between row and end comes by again; the same content has the same name.
            return self.get(adapter.name)
        return adapter

    def get(self, name: str) -> Adapter:
        """One adapter. Raises `NotFound`."""
        with self._database.read() as connection:
            row = connection.execute(select(adapters).where(adapters.c.name == name)).first()
        if row is None:
            raise NotFound(f"there is no adapter {name}")
        return _adapter(row)

    def all(self) -> list[Adapter]:
        """Every adapter, the newest first."""
        query = select(adapters).order_by(adapters.c.created_at.desc(), adapters.c.name)
        with self._database.read() as connection:
            return [_adapter(row) for row in connection.execute(query)]

    def newest(self, limit: int) -> list[Adapter]:
        """The newest adapters without their manifests, which hold every example by name."""
        columns = [column for column in adapters.columns if column.name != "manifest"]
        query = select(*columns).order_by(adapters.c.created_at.desc(), adapters.c.name).limit(limit)
        with self._database.read() as connection:
            return [_adapter(row) for row in connection.execute(query)]

    def live(self) -> Adapter | None:
        """The adapter that answers now; None is the bare base model."""
        adapter = self._made_live()
        return adapter if adapter is not None and self.fits(adapter) else None

    def stranded(self) -> Adapter | None:
        """The adapter that would be live, had it not been trained on another base model; the base answers."""
        adapter = self._made_live()
        return None if adapter is None or self.fits(adapter) else adapter

    def live_name(self, connection: Connection) -> str | None:
        """The name of `live()`, inside a transaction."""
        adapter = _newest(connection)
        return adapter.name if adapter is not None and self.fits(adapter) else None

    def _made_live(self) -> Adapter | None:
        with self._database.read() as connection:
            return _newest(connection)

    def canary(self) -> Canary | None:
        """The canary that runs now. Every turn asks, so a step is in force from the next turn on."""
        with self._database.read() as connection:
            return running_canary(connection)

    def tainted(self) -> dict[str, Taint]:
        """The adapters that learned from somebody whose data was deleted, by name."""
        return Taints(self._database).all()

    def history(self, limit: int = 100) -> list[Promotion]:
        """The audit of promotions and rollbacks, the newest first."""
        query = select(promotions).order_by(promotions.c.id.desc()).limit(limit)
        with self._database.read() as connection:
            rows = connection.execute(query).all()
        return [Promotion(**row._mapping) for row in rows]

    def promote(self, name: str, *, actor: str, reason: str, fence: Fence | None = None) -> Promotion:
        """Make an adapter live from the next turn on. `base` takes every adapter away.

        Raises `NotFound`, and `Refused` if it is retired, was trained on another base model than the one that
        is served, its files are not what they were when it was published, its newest evaluation did not pass,
        or it learned from somebody whose data was deleted.
        `fence` as in `add`.
        """
        require(reason)
        if name == BASE:
            return self._write(None, "promote", actor, reason, fence)
        self.check_promotable(name)
        return self._write(name, "promote", actor, reason, fence)

    def check_promotable(self, name: str) -> None:
        """Raise `NotFound` or `Refused` unless the adapter may answer people, as `promote` says."""
        adapter = self.get(name)
        self._check_servable(adapter)
        with self._database.read() as connection:
            taints.check(connection, name)
        evaluation = self.evaluation(name)
        if evaluation is None:
            raise Refused(f"{name} has not been evaluated; run `apprentice evaluate {name}` first")
        if evaluation.outcome != "passed":
            failed = [check for check in evaluation.checks if check.passed is not True]
            why = f"{failed[0].name}: {failed[0].detail}" if failed else evaluation.outcome
            raise Refused(f"{name} did not pass the gate ({why})")

    def rollback(self, *, actor: str, reason: str, fence: Fence | None = None, goal: str = "") -> Promotion:
        """Go back to what was live before what is live now. Raises `Refused` at the very beginning.

        `fence` as in `add`. With a `goal` (an adapter, or `base`) it is refused if it would go elsewhere.
        """
        require(reason)
        adapter = self.earlier()
        if goal and goal != (there := adapter.name if adapter else BASE):
            raise Refused(f"meanwhile a rollback goes to {there}; look again before you decide")
        if adapter is not None:
            self._check_servable(adapter)
        return self._write(adapter.name if adapter else None, "rollback", actor, reason, fence)

    def earlier(self) -> Adapter | None:
        """What a rollback goes to; None is the bare base model. Raises `Refused` if that answers already."""
        tainted = self.tainted()
        now, *before = reversed(lineage(self.history(limit=10_000)))
        for name in before:
            if name == now:
                # Made live twice, and what was between the two is gone: it is further back that it goes.
                continue
            if name is None:
                if self.stranded() is not None:
                    # The base answers already, and what is promoted is to answer again when its base is back.
                    break
                return None
            adapter = self.get(name)
            if not adapter.retired and name not in tainted and self.fits(adapter):
                return adapter
        raise Refused("the bare base model answers; there is nothing to go back to")

    def still_live(self, name: str | None) -> Fence:
        """A fence for whoever decided while `name` was live (None: the base): raises `Refused` if no more."""

        def fence(connection: Connection) -> None:
            one_writer(connection)
            if (now := self.live_name(connection)) != name:
                raise Refused(f"meanwhile {now or BASE} was made live; look again before you decide")

        return fence

    def check_base(self, adapter: Adapter) -> None:
        """Raise `Refused` unless the adapter was trained on the base that is served."""
        if not self.fits(adapter):
            raise Refused(f"{adapter.name} was {OTHER_BASE}")

    def _check_servable(self, adapter: Adapter) -> None:
        if adapter.retired:
            raise Refused(f"{adapter.name} is retired")
        self.check_base(adapter)
        files.verify(adapter.path)

    def _write(
        self,
        name: str | None,
        action: Literal["promote", "rollback"],
        actor: str,
        reason: str,
        fence: Fence | None = None,
    ) -> Promotion:
        values = {
            "adapter": name,
            "action": action,
            "actor": actor,
            "reason": reason.strip(),
            "at": datetime.now(UTC),
        }
        # If the hash of the base must be made, then before the transaction.
        self.live()
        # Asked again under a lock on the row: it must not be retired while it becomes live.
        retired = select(adapters.c.retired).where(adapters.c.name == name).with_for_update()
        with self._database.write() as connection:
            if fence is not None:
                fence(connection)
            one_writer(connection)
            if name is not None and connection.execute(retired).scalar():
                raise Refused(f"{name} is retired")
            before = self.live_name(connection)
            if name is not None:
                taints.check(connection, name)
            # A canary is tried against what is live: with that it ends.
            if (canary := running_canary(connection)) is not None:
                connection.execute(insert(canaries).values(_ended(canary, values)))
            key = connection.execute(insert(promotions).values(values)).inserted_primary_key
            done = "promoted" if action == "promote" else "rolled back to"
            self._witness(
                connection, actor, f"adapter {done}", name or BASE, _live(before), _live(name), reason
            )
        return Promotion(id=int(key[0]) if key else 0, **values)  # type: ignore[arg-type]

    def retire(self, name: str, *, actor: str = "", reason: str = "") -> Adapter:
        """Take an adapter out of what may be promoted. Raises `NotFound`, `Refused` while it answers."""
        here = adapters.c.name == name
        with self._database.write() as connection:
            one_writer(connection)
            done = connection.execute(
                update(adapters).where(here, adapters.c.retired.is_(False)).values(retired=True)
            )
            if (made_live := _newest(connection)) is not None and made_live.name == name:
                was = "is live" if self.fits(made_live) else "would be live on its own base"
                raise Refused(f"{name} {was}; promote another one, or `base`, first")
            if (canary := running_canary(connection)) is not None and canary.adapter == name:
                raise Refused(f"{name} is the canary; stop it first")
            if done.rowcount:
                self._witness(
                    connection, actor, "adapter retired", name, "may be promoted", "retired", reason
                )
        return self.get(name)

    def record(self, evaluation: Evaluation) -> Evaluation:
        """Keep what was found out about an adapter; the newest evaluation counts."""
        figures = dict(evaluation.figures)
        values = {
            "adapter": evaluation.adapter,
            "against": evaluation.against,
            "outcome": evaluation.outcome,
            "checks": [
                {"name": check.name, "passed": check.passed, "detail": check.detail}
                for check in evaluation.checks
            ],
            "figures": figures,
            "created_at": evaluation.created_at,
        }
        with self._database.write() as connection:
            if "answers" in figures:
                # Somebody whose question it was measured by may have had all data deleted since.
                gone = set(connection.execute(select(deletions.c.person_id)).scalars())
                figures["answers"] = blanked(figures["answers"], gone)
            connection.execute(insert(evaluations).values(values))
        return evaluation

    def looks(self, now: datetime) -> int:
        """How many evaluations this calendar month (UTC) has seen: each may have promoted by luck."""
        begun = now.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
        query = select(func.count()).select_from(evaluations).where(evaluations.c.created_at >= begun)
        with self._database.read() as connection:
            return int(connection.execute(query).scalar_one())

    def evaluation(self, name: str) -> Evaluation | None:
        """The newest evaluation of an adapter."""
        query = select(evaluations).where(evaluations.c.adapter == name).order_by(evaluations.c.id.desc())
        with self._database.read() as connection:
            row = connection.execute(query.limit(1)).first()
        return None if row is None else _evaluation(row, row.figures)

    def judged(self, names: Collection[str]) -> dict[str, Evaluation]:
        """The newest evaluation of each of these adapters, without its figures."""
        newest = select(func.max(evaluations.c.id)).where(evaluations.c.adapter.in_(names))
        columns = [column for column in evaluations.columns if column.name != "figures"]
        query = select(*columns).where(evaluations.c.id.in_(newest.group_by(evaluations.c.adapter)))
        with self._database.read() as connection:
            return {row.adapter: _evaluation(row, {}) for row in connection.execute(query)}


def lineage(history: Sequence[Promotion]) -> list[str | None]:
    """What was live and was not taken back since, the oldest first; the last one is live now. Pure.

    `history` stands the newest first. A row that a rollback made is undone together with the promotion that
    it answered: rolling back twice goes two versions back, and does not swing between the last two.
    """
    stood: list[str | None] = [None]
    for row in reversed(history):
        if row.action == "rollback" and row.adapter in stood:
            while stood[-1] != row.adapter:
                stood.pop()
        elif stood[-1] != row.adapter:
            stood.append(row.adapter)
    return stood


def _newest(connection: Connection) -> Adapter | None:
    """What was made live last; None is the bare base model."""
    query = (
        select(adapters)
        .select_from(promotions.outerjoin(adapters, adapters.c.name == promotions.c.adapter))
        .order_by(promotions.c.id.desc())
        .limit(1)
    )
    row = connection.execute(query).first()
    return None if row is None or row.name is None else _adapter(row)


def _live(name: str | None) -> str:
    return f"{name or BASE} is live"


def running_canary(connection: Connection) -> Canary | None:
    """The canary that runs now, by its rows."""
    start = select(func.max(canaries.c.id)).where(canaries.c.action == "start").scalar_subquery()
    rows = connection.execute(select(canaries).where(canaries.c.id >= start).order_by(canaries.c.id))
    return running(CanaryStep(**row._mapping) for row in rows)


def one_writer(connection: Connection) -> None:
    """In a transaction that promotes or moves a canary: nobody else does until its end.

    SQLite writes one at a time anyway; PostgreSQL is told to.
    """
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql("LOCK TABLE canaries IN SHARE ROW EXCLUSIVE MODE")


def require(reason: str) -> None:
    """Raise `Refused` for an empty reason."""
    if not reason.strip():
        raise Refused("a promotion, a rollback or a canary needs a reason in words")


def _ended(canary: Canary, promotion: Mapping[str, Any]) -> dict[str, Any]:
    """The last row of a canary that a promotion or rollback by somebody brings to its end."""
    own = promotion["adapter"] == canary.adapter
    who = promotion["adapter"] or BASE
    return {
        "adapter": canary.adapter,
        "against": canary.against,
        "share": 1.0 if own else 0.0,
        "action": "promote" if own else "stop",
        "actor": promotion["actor"],
        "reason": f"{who} was made live: {promotion['reason']}",
        "figures": {},
        "at": promotion["at"],
    }


def _evaluation(row: Row[Any], figures: Mapping[str, Any]) -> Evaluation:
    checks = tuple(Check(**check) for check in row.checks)
    return Evaluation(row.adapter, row.against, row.outcome, checks, figures, row.created_at)


def _adapter(row: Row[Any]) -> Adapter:
    found = row._mapping
    values = {field.name: found[field.name] for field in fields(Adapter) if field.name in found}
    return Adapter(**values | {"path": Path(values["path"])})
