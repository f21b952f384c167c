"""Counts what stands in the tables of turns and opinions: one day of it, or a part of one, as figures.

A turn's id begins with its time, so a range of ids is a range of time on the primary key, and nothing here
looks at more than what was asked for. What came from other tools is none of ours and is left out. Keeps
nothing; `days.py` does.
"""

from __future__ import annotations

import re
from collections import defaultdict
from datetime import UTC, date, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Select, Table, Text, cast, exists, func, select

from feedback.figures import OPENING, Answer, Figures, count
from feedback.schema import corrections, ratings, turns

_STUCK = timedelta(days=1)
"""An answer that is still being written after so long is not waited for."""


def day_of(turn_id: str) -> date | None:
    """The UTC day on which a turn began, read off its id; None for an id that is not ours."""
    found = re.match(r"turn-([0-9a-f]{12})", turn_id)
    try:
        return datetime.fromtimestamp(int(found[1], 16) / 1000, UTC).date() if found else None
    except (OverflowError, ValueError):
        return None


def id_at(moment: datetime) -> str:
    """What no id of a turn that began before `moment` reaches, and every later one does."""
    return f"turn-{max(0, int(moment.timestamp() * 1000)):012x}"


def start_of(day: date) -> str:
    """What no id of a turn before this UTC day reaches."""
    return id_at(datetime(day.year, day.month, day.day, tzinfo=UTC))


def next_day(connection: Connection, first: str, end: str) -> date | None:
    """The day of the first turn from the id `first` on, before `end`."""
    there = turns.c.id >= first
    while True:
        query = select(func.min(turns.c.id)).where(there, turns.c.id < end)
        found = connection.execute(query).scalar()
        if found is None or (day := day_of(found)) is not None:
            return None if found is None else day
        there = turns.c.id > found  # an id of another make, from an import


def being_written(connection: Connection, now: datetime) -> list[str]:
    """The ids of answers that are being written and may still end."""
    pending = connection.execute(select(turns.c.id).where(turns.c.status == "pending")).scalars()
    return [turn_id for turn_id in pending if turn_id >= id_at(now - _STUCK)]


def answers(
    connection: Connection, first: str, stop: str, horizon: str
) -> dict[str, tuple[Figures, Figures]]:
    """By adapter the figures of the turns before the horizon and of those behind it."""
    settled: dict[str, list[Answer]] = defaultdict(list)
    recent: dict[str, list[Answer]] = defaultdict(list)
    for row in connection.execute(_answers(first, stop)):
        begun, first_at, ended_at = row.created_at, row.first_token_at, row.ended_at
        answer = Answer(
            row.status,
            row.asked,
            row.again,
            row.grounded,
            row.opening,
            row.length,
            None if first_at is None else (first_at - begun).total_seconds() * 1000,
            None if ended_at is None else (ended_at - begun).total_seconds(),
            row.prompt_tokens or 0,
            row.completion_tokens or 0,
        )
        (settled if row.id < horizon else recent)[row.adapter or ""].append(answer)
    return {name: (count(settled[name]), count(recent[name])) for name in {**settled, **recent}}


def _answers(first: str, stop: str) -> Select[Any]:
    """The turns with `first` <= id < `stop`, with what is counted of each. A range of ids is one of time."""
    earlier = turns.alias()
    again = exists().where(
        earlier.c.conversation_id == turns.c.conversation_id,
        earlier.c.parent_id.is_not_distinct_from(turns.c.parent_id),
        # In a way that no index fits: a common question has a great many turns, a conversation few.
        func.coalesce(earlier.c.prompt_key, "") == turns.c.prompt_key,
        # Not `n` choices of one request: those are begun before any of them ends.
        earlier.c.ended_at <= turns.c.created_at,
        func.coalesce(earlier.c.id, "") < turns.c.id,
    )
    plain = (turns.c.id, turns.c.adapter, turns.c.status, turns.c.asked, turns.c.created_at)
    times = (turns.c.first_token_at, turns.c.ended_at, turns.c.prompt_tokens, turns.c.completion_tokens)
    return select(
        *plain,
        *times,
        func.length(turns.c.answer).label("length"),
        func.substr(turns.c.answer, 1, OPENING).label("opening"),
        (cast(turns.c.passages, Text) != "[]").label("grounded"),
        again.label("again"),
    ).where(turns.c.id >= first, turns.c.id < stop, turns.c.origin == "")


def opinions(connection: Connection, day: str) -> dict[str, Figures]:
    """By adapter the live opinions on a day's answers: the newest of each person and answer."""
    found: dict[str, dict[str, int]] = defaultdict(dict)
    start = date.fromisoformat(day)
    first, stop = start_of(start), start_of(start + timedelta(days=1))

    def newest(table: Table) -> Select[Any]:
        inside = (table.c.turn_id >= first) & (table.c.turn_id < stop)
        return select(func.max(table.c.id)).where(inside).group_by(table.c.turn_id, table.c.person_id)

    what = (turns.c.adapter, turns.c.asked, ratings.c.thumb)
    thumbs = select(*what, func.count().label("cases")).select_from(ratings.join(turns)).group_by(*what)
    for row in connection.execute(thumbs.where(ratings.c.id.in_(newest(ratings)), turns.c.origin == "")):
        if row.thumb is not None:
            found[row.adapter or ""][f"{'asked_' if row.asked else ''}{row.thumb}s"] = row.cases
    texts = select(turns.c.adapter, func.count().label("cases")).select_from(corrections.join(turns))
    said = corrections.c.id.in_(newest(corrections)) & (corrections.c.text != "") & (turns.c.origin == "")
    for row in connection.execute(texts.where(said).group_by(turns.c.adapter)):
        found[row.adapter or ""]["corrections"] = row.cases
    return {adapter: Figures.of(figures) for adapter, figures in found.items()}
