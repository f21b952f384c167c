"""What monitoring costs with five million turns and one million votes in SQLite.

The page is what an admin's page asks of the database and draws, for 90 days; a refresh is what a worker does
every ten seconds. The baseline is one count of turns and live votes from the tables, as `apprentice status`
makes it: it tells far less and grows with them.
"""

from __future__ import annotations

import hashlib
import logging
import random
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Any

from assistant import migrations
from assistant.metrics import HouseFigures, Metrics
from benchmarks import Row
from feedback.alerts import Alerts
from feedback.counting import id_at
from feedback.database import Database, connect
from feedback.days import Days
from feedback.store import Store
from training.monitor import Monitor
from training.registry import Registry
from training.runs import Runs

TURNS, VOTES, DAYS = 5_000_000, 1_000_000, 90
REPEATS = 5
_INSERT = (
    "INSERT INTO turns (id, conversation_id, person_id, question, prompt, prompt_key, answer, adapter, model,"
    " sampling, status, created_at, first_token_at, ended_at, prompt_tokens, completion_tokens, tool_calls,"
    " passages, asked)"
    " VALUES (?, ?, ?, 'Where is it?', '[]', ?, ?, ?, 'm', '{}', ?, ?, ?, ?, 40, ?, '[]', '[]', ?)"
)
_VOTE = (
    "INSERT INTO ratings (turn_id, person_id, role, thumb, reasons, comment, created_at)"
    " VALUES (?, ?, 'user', ?, '[]', '', ?)"
)


def fill(file: Path, turns: int, votes: int, days: int, now: datetime) -> None:
    """A home's database with so many turns and votes over the days up to `now`, in the order of time."""
    made = connect(f"sqlite:///{file}")
    migrations.upgrade(made)
    made.close()
    database = sqlite3.connect(file, isolation_level=None)
    for pragma in ("journal_mode=OFF", "synchronous=OFF", "foreign_keys=OFF", "cache_size=-400000"):
        database.execute(f"PRAGMA {pragma}")
    # Made at the end, all at once: keys that are random would be put in one by one.
    own = (
        "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND tbl_name = 'turns' AND sql IS NOT NULL"
    )
    indexes = database.execute(own).fetchall()
    for name, _ in indexes:
        database.execute(f"DROP INDEX {name}")
    database.execute("BEGIN")
    rated: list[tuple[str, str, str, str]] = []
    database.executemany(_INSERT, _turns(turns, votes / turns, days, now, rated))
    database.executemany(_VOTE, rated)
    conversations = (f"c{number}" for number in range(turns // 5 + 1))
    columns = "id, person_id, title, opening, created_at, updated_at"
    what = f"INSERT INTO conversations ({columns}) VALUES (?, 'p', '', '', ?, ?)"
    at = _stamp(now)
    database.executemany(what, ((name, at, at) for name in conversations))
    database.execute("COMMIT")
    for _, statement in indexes:
        database.execute(statement)
    database.close()
    journal = sqlite3.connect(file)
    journal.execute("PRAGMA journal_mode=WAL")
    journal.close()


def _turns(
    turns: int, share: float, days: int, now: datetime, rated: list[tuple[str, str, str, str]]
) -> Iterator[tuple[Any, ...]]:
    drawn, step = random.Random(0), timedelta(days=days) / turns
    for number in range(turns):
        at = now - (turns - number) * step
        age = int((now - at) / timedelta(days=10))
        adapter = None if drawn.random() < 0.1 else f"lora-{age:012x}"
        length = int(drawn.lognormvariate(4.4, 0.4))
        first, turn_id = at + timedelta(seconds=drawn.lognormvariate(-1, 0.5)), f"{id_at(at)}{number:020x}"
        person = f"p{number // 25}"
        key = hashlib.md5(number.to_bytes(8, "big"), usedforsecurity=False).hexdigest()
        text = "I can't help with that." if drawn.random() < 0.04 else "x" * length
        ended = first + timedelta(seconds=length / 40)
        status = drawn.choices(("complete", "stopped", "failed"), (0.95, 0.03, 0.02))[0]
        times = (_stamp(at), _stamp(first), _stamp(ended))
        asked = drawn.random() < 0.05
        yield (turn_id, f"c{number // 5}", person, key, text, adapter, status, *times, length // 4, asked)
        if drawn.random() < share:
            rated.append((turn_id, person, "up" if drawn.random() < 0.7 else "down", _stamp(ended)))


def _stamp(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S.%f}"


def seconds(work: Callable[[], object], repeats: int = REPEATS) -> float:
    """The median wall time of `work`."""
    found = []
    for _ in range(repeats):
        started = time.perf_counter()
        work()
        found.append(time.perf_counter() - started)
    return median(found)


def caught_up(days: Days, now: datetime) -> list[float]:
    """Read everything there is; gives the seconds of each step."""
    steps, more = [], True
    while more:
        started = time.perf_counter()
        more = days.refresh(now)
        steps.append(time.perf_counter() - started)
    return steps


def new_minute(database: Database, now: datetime, number: int) -> None:
    """A busy minute: forty more answers, each fifth of them rated, and a vote on an old one."""
    ids = [f"{id_at(now + timedelta(milliseconds=number))}{number:010x}{place:010x}" for place in range(40)]
    with database.write() as connection:
        raw: Any = connection.connection.cursor()
        raw.execute("SELECT id FROM turns ORDER BY id LIMIT 1 OFFSET ?", (1_000 + number,))
        old = raw.fetchone()[0]
        answers = zip(ids, _turns(40, 0.0, 1, now, []), strict=True)
        raw.executemany(_INSERT, [(turn_id, *row[1:]) for turn_id, row in answers])
        raw.executemany(_VOTE, [(turn_id, "p", "up", _stamp(now)) for turn_id in (old, *ids[::5])])


def run() -> list[Row]:
    """Seconds; the size of the database and how long it took to fill stand with the first row."""
    logging.getLogger("alembic").setLevel(logging.WARNING)
    now = datetime.now(UTC)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "home.db"
        started = time.perf_counter()
        fill(file, TURNS, VOTES, DAYS, now)
        filled, size = time.perf_counter() - started, file.stat().st_size
        database = connect(f"sqlite:///{file}")
        try:
            return _measured(
                database,
                now,
                f"{TURNS:,} turns, {VOTES:,} votes, {size / 2**30:.2f} GiB, filled in {filled:.0f} s",
            )
        finally:
            database.close()


def _measured(database: Database, now: datetime, about: str) -> list[Row]:
    from assistant.ui.monitoring import MonitoringEvents, Shown

    days, store, runs = Days(database), Store(database), Runs(database)
    monitor, registry = Monitor(days, Alerts(database), runs, store), Registry(database, Path("none"))
    scan = seconds(store.counts, 1)
    steps = caught_up(days, now)
    first = f"{sum(steps):.0f} s for {len(steps)} steps, the longest {max(steps):.2f} s"
    events = MonitoringEvents(monitor, registry, None, 2.0)  # type: ignore[arg-type]

    def page() -> None:
        Days(database).total()
        events._everything(Shown(days=DAYS))

    refreshes = []
    for number in range(REPEATS):
        new_minute(database, now, number)
        refreshes.append(seconds(lambda: days.refresh(now), 1))
    # The whole of one day, as after an import or on the first start.
    whole = median(steps[: DAYS - 1])
    metrics = Metrics(HouseFigures(monitor, registry))
    idle = now + timedelta(hours=1)
    caught_up(days, idle)
    return [
        Row("page, 90 days", seconds(page), scan, "s", "under 1 s", about),
        Row("refresh after a busy minute", median(refreshes), scan, "s"),
        Row("refresh with nothing new", seconds(lambda: days.refresh(idle)), scan, "s"),
        Row("refresh that reads one whole day", whole, scan, "s", raw=f"everything: {first}"),
        Row("alerts, looked at once", seconds(lambda: monitor.alarms(now)), scan, "s"),
        Row("GET /metrics, without HTTP", seconds(metrics.text), scan, "s"),
    ]
