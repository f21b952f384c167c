"""Keeps what each day came to, by the adapter that answered, and keeps it fresh. Reads only what is new.

A day's row holds three sums: `settled` (turns that nothing can change any more), `recent` (those read again
at the next refresh) and `opinions` (made anew for the whole day when somebody votes on one of its answers).
The row of the day '' says how far all was read. Any number of processes may refresh: what one writes stands
only if nobody wrote since it read, and a row of a day and the mark are written together or not at all.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, insert, select, update
from sqlalchemy.exc import IntegrityError

from feedback import counting
from feedback.counting import day_of, id_at, start_of
from feedback.database import Database
from feedback.figures import Figures, total
from feedback.schema import corrections, days, ratings, turns

LAG = timedelta(minutes=2)
"""How long rows are read again after their time: clocks of several machines differ, and on PostgreSQL a row
with a lower id may come to light after one with a higher."""
_BEAT = timedelta(seconds=30)
_MOST_OPINIONS = 20_000
"""Opinions that one refresh takes in."""
_FIRST = "turn-0"
_MARK = (days.c.day == "") & (days.c.adapter == "")

Row = tuple[str, str]
"""Day and adapter."""
Parts = Mapping[str, Figures]


@dataclass(frozen=True, slots=True)
class Day:
    """What one adapter ('': the bare base model) did on one UTC day, `YYYY-MM-DD`."""

    day: str
    adapter: str
    figures: Figures


@dataclass(frozen=True, slots=True)
class Mark:
    """How far all was read: turns with a lower id are settled, opinions with an id up to this one are in."""

    turns: str = _FIRST
    ratings: int = 0
    corrections: int = 0
    beat: str = ""
    """When a worker last said that it is there (ISO, UTC)."""
    made_at: datetime | None = None

    @property
    def beat_at(self) -> datetime | None:
        """`beat` as a time."""
        return datetime.fromisoformat(self.beat) if self.beat else None


class Days:
    """The days in one database. Safe to share between threads and processes."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._total: tuple[datetime | None, Figures] = (None, Figures())

    def mark(self) -> Mark:
        """How far all was read, and when."""
        with self._database.read() as connection:
            return _mark(connection)

    def between(self, first: date, last: date) -> list[Day]:
        """The days from `first` to `last`, both of them included, in order."""
        inside = days.c.day.between(first.isoformat(), last.isoformat())
        query = select(days.c.day, days.c.adapter, days.c.figures).where(inside)
        with self._database.read() as connection:
            rows = connection.execute(query.order_by(days.c.day, days.c.adapter)).all()
        return [Day(row.day, row.adapter, total(_parts(row.figures).values())) for row in rows]

    def total(self) -> Figures:
        """Everything there ever was, as far as it has been read."""
        made_at = self.mark().made_at
        if made_at != self._total[0]:
            found = self.between(date.min, date.max)
            self._total = made_at, total(day.figures for day in found)
        return self._total[1]

    def newest(self, most: int, now: datetime) -> list[str]:
        """How the newest answers of the last 24 hours ended, the newest first."""
        since = turns.c.id >= id_at(now - timedelta(days=1))
        query = select(turns.c.status).where(since, turns.c.status != "pending", turns.c.origin == "")
        with self._database.read() as connection:
            return list(connection.execute(query.order_by(turns.c.id.desc()).limit(most)).scalars())

    def refresh(self, now: datetime, *, beat: bool = False) -> bool:
        """Take in what is new: at most one whole day of turns and as many opinions as one refresh takes.

        Returns whether more waits. With `beat`, note that a worker is there.
        """
        with self._database.read() as connection:
            mark = _mark(connection)
            changed, after, more = _take_turns(connection, mark, now)
            touched, after, many = _take_opinions(connection, after, now)
            for day in touched:
                changed.setdefault(day, _stored(connection, day))
            rows = _rows(connection, changed, touched)
        if beat and (after.beat_at is None or now - after.beat_at >= _BEAT):
            after = replace(after, beat=now.isoformat())
        if (rows or after != mark) and not self._write(mark, after, rows, now):
            return True
        return more or many

    def _write(self, mark: Mark, after: Mark, rows: Mapping[Row, Parts], now: datetime) -> bool:
        """Write rows and mark; False if somebody else wrote since the mark was read."""
        # It must differ from what is there even when the clock does not.
        made_at = now if mark.made_at is None else max(now, mark.made_at + timedelta(microseconds=1))
        try:
            with self._database.write() as connection:
                if not _put_mark(connection, mark, after, made_at):
                    return False
                for (day, adapter), parts in rows.items():
                    plain = {name: figures.plain() for name, figures in parts.items() if figures.plain()}
                    _put(connection, day, adapter, plain, made_at)
        except IntegrityError:
            return False  # two processes met a home that was never read
        return True


def reopen(connection: Connection, turn_ids: Iterable[str]) -> None:
    """Have the days of these turns, and those after them, read again: they came in from elsewhere, late."""
    found = [day for day in map(day_of, turn_ids) if day is not None]
    mark = _mark(connection)
    if found and mark.made_at is not None:
        after = replace(mark, turns=min(mark.turns, start_of(min(found))))
        _put_mark(connection, mark, after, mark.made_at + timedelta(microseconds=1))


def _mark(connection: Connection) -> Mark:
    row = connection.execute(select(days.c.figures, days.c.made_at).where(_MARK)).first()
    return Mark(**row.figures, made_at=row.made_at) if row else Mark()


def _put_mark(connection: Connection, mark: Mark, after: Mark, made_at: datetime) -> bool:
    plain = {name: value for name, value in asdict(after).items() if name != "made_at"}
    if mark.made_at is None:
        connection.execute(insert(days).values(day="", adapter="", figures=plain, made_at=made_at))
        return True
    unchanged = update(days).where(_MARK, days.c.made_at == mark.made_at)
    return bool(connection.execute(unchanged.values(figures=plain, made_at=made_at)).rowcount)


def _put(connection: Connection, day: str, adapter: str, plain: Mapping[str, Any], made_at: datetime) -> None:
    here = (days.c.day == day) & (days.c.adapter == adapter)
    values = {"figures": plain, "made_at": made_at}
    if not connection.execute(update(days).where(here).values(values)).rowcount:
        connection.execute(insert(days).values(day=day, adapter=adapter, **values))


def _parts(plain: Mapping[str, Any]) -> dict[str, Figures]:
    return {name: Figures.of(part) for name, part in plain.items()}


def _stored(connection: Connection, day: str) -> dict[str, dict[str, Figures]]:
    """The parts of a day by adapter."""
    rows = connection.execute(select(days.c.adapter, days.c.figures).where(days.c.day == day))
    return {row.adapter: _parts(row.figures) for row in rows}


Changed = dict[str, dict[str, dict[str, Figures]]]
"""Day -> adapter -> part -> figures."""


def _rows(connection: Connection, changed: Changed, touched: Iterable[str]) -> dict[Row, Parts]:
    """The rows that differ from what is stored, the opinions of the touched days made anew."""
    for day in touched:
        opinions = counting.opinions(connection, day)
        for adapter in changed[day].keys() | opinions.keys():
            parts = changed[day].setdefault(adapter, {})
            parts["opinions"] = opinions.get(adapter, Figures())
    rows: dict[Row, Parts] = {}
    for day, adapters in changed.items():
        stored = _stored(connection, day)
        for adapter, parts in adapters.items():
            plain = {name: figures.plain() for name, figures in parts.items() if figures.plain()}
            there = {name: figures.plain() for name, figures in stored.get(adapter, {}).items()}
            if plain != there:
                rows[day, adapter] = parts
    return rows


def _take_turns(connection: Connection, mark: Mark, now: datetime) -> tuple[Changed, Mark, bool]:
    """The parts of the days that have turns to read, how far all is settled then, and whether more waits."""
    changed: Changed = {}
    horizon = min([id_at(now - LAG), *counting.being_written(connection, now)])
    end = id_at(now + timedelta(days=1))
    day = counting.next_day(connection, mark.turns, end)
    after = mark
    while day is not None:
        start, stop = start_of(day), start_of(day + timedelta(days=1))
        goes_on = start < mark.turns < stop
        found = counting.answers(connection, mark.turns if goes_on else start, stop, horizon)
        changed[day.isoformat()] = _merged(_stored(connection, day.isoformat()), found, goes_on)
        following = counting.next_day(connection, stop, end)
        if horizon >= stop:
            return changed, replace(mark, turns=stop), following is not None
        # What was read of this day and of those after it is read again, as far as it is not settled now.
        after = replace(mark, turns=max(mark.turns, horizon))
        day = following
    return changed, after, False


def _merged(
    stored: Mapping[str, Mapping[str, Figures]], found: Mapping[str, tuple[Figures, Figures]], goes_on: bool
) -> dict[str, dict[str, Figures]]:
    """A day's parts by adapter with what was read of its turns, added to what was settled or in its place."""
    merged = {}
    for adapter in stored.keys() | found.keys():
        parts = dict(stored.get(adapter, {}))
        settled, recent = found.get(adapter, (Figures(), Figures()))
        parts["settled"] = parts.get("settled", Figures()) + settled if goes_on else settled
        parts["recent"] = recent
        merged[adapter] = parts
    return merged


def _take_opinions(connection: Connection, mark: Mark, now: datetime) -> tuple[list[str], Mark, bool]:
    """The days whose answers somebody judged since the mark, the mark after them, and whether more waits."""
    touched: set[date | None] = set()
    read, more = {}, False
    for table in (ratings, corrections):
        known = getattr(mark, table.name)
        query = select(table.c.id, table.c.turn_id, table.c.created_at).where(table.c.id > known)
        rows = connection.execute(query.order_by(table.c.id).limit(_MOST_OPINIONS)).all()
        touched |= {day_of(row.turn_id) for row in rows}
        full = len(rows) == _MOST_OPINIONS
        settled = (row.id for row in rows if row.created_at < now - LAG)
        read[table.name] = rows[-1].id if full else max(settled, default=known)
        more = more or full
    return sorted(day.isoformat() for day in touched if day), replace(mark, **read), more
