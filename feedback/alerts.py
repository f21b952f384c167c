"""Alerts as rows: each begins once, lasts while what it says holds, and ends. Each also is a line in the log.

What is worth an alert is decided elsewhere; here it is only kept. Any number of processes may say the same.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, insert, select, update

from feedback.database import Database
from feedback.reading import record
from feedback.schema import alerts

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Alarm:
    """Something that holds now and that somebody should look at.

    `adapter` is its name, `base` for the bare base model, or empty where the whole house is meant.
    """

    name: str
    detail: str
    adapter: str = ""

    @property
    def key(self) -> tuple[str, str]:
        """What makes two alarms the same one."""
        return self.name, self.adapter


@dataclass(frozen=True, slots=True)
class Alert:
    """An alarm and how long it lasted; it lasts while `ended_at` is None."""

    id: int
    name: str
    adapter: str
    detail: str
    begun_at: datetime
    ended_at: datetime | None

    @property
    def key(self) -> tuple[str, str]:
        """That of its alarm."""
        return self.name, self.adapter


class Alerts:
    """The alerts in one database. Safe to share between threads and processes."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def open(self) -> list[Alert]:
        """Those that last, the oldest first."""
        with self._database.read() as connection:
            return _open(connection)

    def happened(self, alarm: Alarm, now: datetime, quiet: timedelta) -> bool:
        """Keep what happened in a moment, unless the same has been kept within `quiet`. Returns whether."""
        values = {"name": alarm.name, "adapter": alarm.adapter, "detail": alarm.detail}
        same = select(alerts.c.id).where(
            alerts.c.name == alarm.name, alerts.c.adapter == alarm.adapter, alerts.c.begun_at > now - quiet
        )
        with self._database.write() as connection:
            _alone(connection)
            if connection.execute(same.limit(1)).first() is not None:
                return False
            connection.execute(insert(alerts).values(**values, begun_at=now, ended_at=now))
        log.warning("alert: %s%s: %s", alarm.name, _of(alarm.adapter), alarm.detail)
        return True

    def settle(self, alarms: Sequence[Alarm], now: datetime) -> None:
        """Begin an alert for every alarm that has none, and end those whose alarm is gone."""
        wanted = {alarm.key: alarm for alarm in alarms}
        if {alert.key for alert in self.open()} == wanted.keys():
            return
        with self._database.write() as connection:
            _alone(connection)
            known = {alert.key: alert for alert in _open(connection)}
            begun = [alarm for key, alarm in wanted.items() if key not in known]
            ended = [alert for key, alert in known.items() if key not in wanted]
            for alarm in begun:
                values = {"name": alarm.name, "adapter": alarm.adapter, "detail": alarm.detail}
                connection.execute(insert(alerts).values(**values, begun_at=now))
            gone = alerts.c.id.in_([alert.id for alert in ended])
            connection.execute(update(alerts).where(gone).values(ended_at=now))
        for alarm in begun:
            log.warning("alert: %s%s: %s", alarm.name, _of(alarm.adapter), alarm.detail)
        for alert in ended:
            log.info("alert over: %s%s, begun %s", alert.name, _of(alert.adapter), alert.begun_at.isoformat())


def _alone(connection: Connection) -> None:
    if connection.dialect.name == "postgresql":
        # SQLite writes one at a time anyway; here another process may be about to say the same.
        connection.exec_driver_sql("LOCK TABLE alerts IN SHARE ROW EXCLUSIVE MODE")


def _of(adapter: str) -> str:
    return f" ({adapter})" if adapter else ""


def _open(connection: Connection) -> list[Alert]:
    query = select(alerts).where(alerts.c.ended_at.is_(None)).order_by(alerts.c.id)
    return [record(Alert, row) for row in connection.execute(query)]
