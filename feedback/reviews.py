"""Keeps what staff are to look at, who has it in hand, what they typed, and what they found.

Who is given what, and for how long, is decided inside of a transaction, so that no two have one task in hand
without knowing; the two looks at one answer are two tasks. Knows no accounts (a person is an id and a role),
no page, and nothing of what follows from a verdict. What is shown of all this is read in `review_reading.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, delete, exists, insert, or_, select, update
from sqlalchemy.exc import IntegrityError

from feedback.database import Database
from feedback.reading import record
from feedback.records import Invalid, NotFound, Review, Role
from feedback.review_order import Place
from feedback.review_records import FAULTS, RULINGS, Draft, Task
from feedback.schema import review_drafts, review_tasks, reviews, turns
from feedback.store import LONGEST_COMMENT, LONGEST_CORRECTION

_DRAFT_LEASE = timedelta(days=1)
"""How long a task is kept for who has begun to write."""
_TRIES = 3
tasks = review_tasks
twins = review_tasks.alias("twins")
"""The other looks at the turn of a task."""
IN_WORK = tasks.c.state.in_(("open", "draft"))
UNTOUCHED = and_(tasks.c.state == "open", tasks.c.person_id.is_(None))


class Taken(Invalid):
    """Somebody else has the task in hand, or has done it."""


class Reviews:
    """The tasks, drafts and reviews of one database. Safe to share between threads and processes."""

    def __init__(self, database: Database, lease: timedelta = timedelta(minutes=30)) -> None:
        self.database = database
        self._lease = lease

    # -- the queue

    def fill(self, places: Sequence[Place]) -> int:
        """Make `places` the queue of what nobody has touched; returns how many of them are new.

        What was in the queue and is not among them goes; what somebody has seen or has in hand stays.
        """
        wanted = {place.turn_id: (number, place) for number, place in enumerate(places)}
        now, new = _now(), 0
        touched = exists().where(twins.c.turn_id == tasks.c.turn_id, twins.c.person_id.is_not(None))
        try:
            with self.database.write() as connection:
                untouched = select(tasks.c.id, tasks.c.turn_id).where(UNTOUCHED, ~touched)
                waiting = connection.execute(untouched.with_for_update(skip_locked=True)).all()
                gone = [row.id for row in waiting if row.turn_id not in wanted]
                # Who had it in hand before may have left something.
                connection.execute(delete(review_drafts).where(review_drafts.c.task_id.in_(gone)))
                connection.execute(delete(tasks).where(tasks.c.id.in_(gone), UNTOUCHED))
                for turn_id in {row.turn_id for row in waiting} & wanted.keys():
                    number, place = wanted[turn_id]
                    connection.execute(
                        update(tasks)
                        .where(tasks.c.turn_id == turn_id, UNTOUCHED)
                        .values(place=number, kind=place.kind)
                    )
                known = select(tasks.c.turn_id).where(tasks.c.turn_id.in_(wanted))
                there = set(connection.execute(known).scalars())
                new = _insert(connection, [one for key, one in wanted.items() if key not in there], now)
        except IntegrityError:
            # Another process filled it in the same moment.
            return 0
        return new

    def claim(self, person_id: str) -> Task | None:
        """The next task of this person: what they have in hand already, else the first that nobody has."""
        for _ in range(_TRIES):
            try:
                return self._claimed(person_id)
            except IntegrityError:
                # They took the other look at the same turn in the same moment, in another window.
                continue
        return None

    def _claimed(self, person_id: str) -> Task | None:
        now = _now()
        own = select(tasks).where(tasks.c.person_id == person_id, IN_WORK)
        free = select(tasks).where(IN_WORK, is_free(now), ~seen_by(person_id))
        with self.database.write() as connection:
            row = connection.execute(own.order_by(tasks.c.place, tasks.c.id).limit(1)).first()
            if row is None:
                first = free.order_by(tasks.c.place, tasks.c.id).limit(1)
                row = connection.execute(first.with_for_update(skip_locked=True)).first()
            return None if row is None else self._take(connection, record(Task, row), person_id, now)

    def open(self, task_id: int, person_id: str) -> Task:
        """A task that was chosen from the list, taken in hand if it is free. Raises `NotFound`.

        In place of a look that somebody else took, this person gets the one that is still free for them: they
        must not see what was found before they have found something themselves.
        """
        now = _now()
        with self.database.write() as connection:
            row = connection.execute(select(tasks.c.turn_id).where(tasks.c.id == task_id)).first()
            if row is None:
                raise NotFound("there is no such task")
            looks = connection.execute(
                select(tasks).where(tasks.c.turn_id == row.turn_id).order_by(tasks.c.seat)
            )
            found = [record(Task, look) for look in looks]
            mine = [task for task in found if task.person_id == person_id]
            free = [task for task in found if task.state != "done" and not task.is_held(now)]
            if mine and mine[0].state == "done":
                return mine[0]
            if mine or free:
                return self._take(connection, (mine or free)[0], person_id, now)
            return next(task for task in found if task.id == task_id)

    def _take(self, connection: Connection, task: Task, person_id: str, now: datetime) -> Task:
        """Put a task into this person's hands, or leave it there for longer."""
        if task.person_id != person_id or task.state == "skipped":
            kept = _draft(connection, task.id, person_id)
            task = replace(task, state="draft" if kept else "open")
        lease = _DRAFT_LEASE if task.state == "draft" else self._lease
        taken = replace(task, person_id=person_id, held_until=now + max(lease, self._lease))
        values = {"person_id": person_id, "held_until": taken.held_until, "state": taken.state}
        connection.execute(update(tasks).where(tasks.c.id == task.id).values(values))
        return taken

    def put_back(self, task_id: int, person_id: str) -> None:
        """Somebody turned to another task and had not begun with this one."""
        with self.database.write() as connection:
            connection.execute(
                update(tasks)
                .where(tasks.c.id == task_id, tasks.c.person_id == person_id, tasks.c.state == "open")
                .values(person_id=None, held_until=None)
            )

    # -- what was typed

    def keep(self, task_id: int, person_id: str, draft: Draft) -> None:
        """Remember what was chosen and typed; nothing follows from it. Raises `Taken`, `Invalid`."""
        _check_length(draft)
        now = _now()
        key = {"task_id": task_id, "person_id": person_id}
        content = {"content": draft.as_json(), "updated_at": now}
        own = and_(review_drafts.c.task_id == task_id, review_drafts.c.person_id == person_id)
        with self.database.write() as connection:
            task = _held(connection, task_id, person_id)
            if not connection.execute(update(review_drafts).where(own).values(content)).rowcount:
                connection.execute(insert(review_drafts).values(**key, **content))
            if task.state != "done":
                values = {"state": "draft", "held_until": now + max(_DRAFT_LEASE, self._lease)}
                connection.execute(update(tasks).where(tasks.c.id == task_id).values(values))

    def draft(self, task_id: int, person_id: str) -> Draft | None:
        """What this person has typed, if anything."""
        with self.database.read() as connection:
            return _draft(connection, task_id, person_id)

    # -- what was found

    def finish(self, task_id: int, person_id: str, role: Role, draft: Draft) -> Review:
        """Store what was found, one row more, and end the task. Raises `Taken`, `Invalid`."""
        check(draft)
        with self.database.write() as connection:
            task = _held(connection, task_id, person_id)
            review = _write(connection, task, person_id, role, draft)
            _end(connection, task_id, person_id, "done", settled=False)
        return review

    def skip(self, task_id: int, person_id: str) -> None:
        """Leave it undecided: it leaves the queue and can be found in the list. Raises `Taken`."""
        with self.database.write() as connection:
            if _held(connection, task_id, person_id).state == "done":
                raise Invalid("this task is done; undo it first")
            _end(connection, task_id, person_id, "skipped")

    def undo(self, person_id: str, role: Role) -> Task | None:
        """Take back what this person did last, by another row; the task is in their hands as it was before.

        None if there is nothing.
        """
        now = _now()
        last = (
            select(tasks)
            .where(tasks.c.person_id == person_id, tasks.c.state.in_(("done", "skipped")))
            .order_by(tasks.c.updated_at.desc(), tasks.c.id.desc())
            .limit(1)
        )
        with self.database.write() as connection:
            row = connection.execute(last).first()
            if row is None:
                return None
            task = record(Task, row)
            if task.state == "done":
                newest = _newest(connection, task.turn_id, person_id)
                _keep_again(connection, task, person_id, Draft.of(newest) if newest else Draft(), now)
                _write(connection, task, person_id, role, None)
                connection.execute(
                    update(tasks).where(tasks.c.id == task.id).values(settled=False, updated_at=now)
                )
            task = replace(task, state="draft" if task.state == "done" else "skipped")
            return self._take(connection, task, person_id, now)

    def reveal(self, task_id: int, person_id: str) -> None:
        """This person is shown what another one found: what they find from now on is not independent."""
        own = and_(tasks.c.id == task_id, tasks.c.person_id == person_id, tasks.c.state == "done")
        with self.database.write() as connection:
            connection.execute(update(tasks).where(own).values(revealed=True))

    # -- what follows

    def unsettled(self, most: int = 50) -> list[Task]:
        """Tasks whose verdict, or its undoing, still has to be acted upon, the oldest first."""
        query = select(tasks).where(tasks.c.settled.is_(False)).order_by(tasks.c.updated_at).limit(most)
        with self.database.read() as connection:
            return [record(Task, row) for row in connection.execute(query)]

    def settle(self, task: Task) -> None:
        """All that follows has been done, as of when `task` was read."""
        with self.database.write() as connection:
            own = and_(tasks.c.id == task.id, tasks.c.updated_at == task.updated_at)
            connection.execute(update(tasks).where(own).values(settled=True))


def is_free(now: datetime) -> ColumnElement[bool]:
    """Whether a task that is in work is in nobody's hands."""
    return or_(tasks.c.person_id.is_(None), tasks.c.held_until < now)


def seen_by(person_id: str) -> ColumnElement[bool]:
    """Whether a look at the turn is this person's."""
    return exists().where(twins.c.turn_id == tasks.c.turn_id, twins.c.person_id == person_id)


def check(draft: Draft) -> None:
    """Whether it is a verdict. Raises `Invalid` with one sentence for whoever gave it."""
    if draft.verdict not in RULINGS:
        raise Invalid("choose a verdict first: 1 right, 2 wrong, 3 invalid vote; or S to skip")
    if draft.verdict == "wrong" and draft.fault not in FAULTS:
        raise Invalid("say what is wrong with it: 4 style, 5 facts, 6 retrieval, 7 refusal, 8 unsafe, 9 not "
                      "answerable")  # fmt: skip
    if draft.verdict == "right" and draft.correction:
        raise Invalid("a right answer needs no correction: call it wrong, or take the correction out")
    if draft.approve and draft.verdict != "right" and not draft.correction:
        raise Invalid("there is nothing to approve: write a correction first")
    _check_length(draft)


def _check_length(draft: Draft) -> None:
    if len(draft.correction) > LONGEST_CORRECTION or len(draft.comment) > LONGEST_COMMENT:
        raise Invalid(
            f"a correction has at most {LONGEST_CORRECTION:,} characters, a comment {LONGEST_COMMENT:,}"
        )


def _insert(connection: Connection, places: Sequence[tuple[int, Place]], now: datetime) -> int:
    """New tasks, two where two are to look; how many turns they are of. What is no turn is passed over."""
    ids = [place.turn_id for _, place in places]
    query = select(turns.c.id, turns.c.adapter).where(turns.c.id.in_(ids))
    adapters = {row.id: row.adapter for row in connection.execute(query)}
    rows = [
        {
            "turn_id": place.turn_id,
            "seat": seat,
            "kind": place.kind,
            "adapter": adapters[place.turn_id],
            "place": number,
            "state": "open",
            "created_at": now,
            "updated_at": now,
        }
        for number, place in places
        if place.turn_id in adapters
        for seat in range(1 + place.twice)
    ]
    if rows:
        connection.execute(insert(tasks), rows)
    return len(adapters)


def _held(connection: Connection, task_id: int, person_id: str) -> Task:
    """The task, if it is in this person's hands or was done by them."""
    row = connection.execute(select(tasks).where(tasks.c.id == task_id).with_for_update()).first()
    if row is None:
        raise NotFound("there is no such task")
    if row.person_id != person_id or row.state == "skipped":
        raise Taken("somebody else has this task now, or it was put aside; reload the page")
    return record(Task, row)


def _end(connection: Connection, task_id: int, person_id: str, state: str, settled: bool = True) -> None:
    values: dict[str, Any] = {"state": state, "held_until": None, "updated_at": _now()}
    if not settled:
        values["settled"] = False
        own = and_(review_drafts.c.task_id == task_id, review_drafts.c.person_id == person_id)
        connection.execute(delete(review_drafts).where(own))
    connection.execute(update(tasks).where(tasks.c.id == task_id).values(values))


def _write(connection: Connection, task: Task, person_id: str, role: Role, draft: Draft | None) -> Review:
    given = draft or Draft()
    values: dict[str, Any] = {
        **given.as_json(),
        "fault": given.fault if given.verdict == "wrong" else None,
        "turn_id": task.turn_id,
        "person_id": person_id,
        "role": role,
        "created_at": _now(),
    }
    rows = insert(reviews).values(task_id=task.id, informed=task.revealed, **values)
    key = connection.execute(rows).inserted_primary_key
    return Review(id=int(key[0]) if key else 0, **values)


def _newest(connection: Connection, turn_id: str, person_id: str) -> Review | None:
    query = (
        select(reviews)
        .where(reviews.c.turn_id == turn_id, reviews.c.person_id == person_id)
        .order_by(reviews.c.id.desc())
        .limit(1)
    )
    row = connection.execute(query).first()
    return None if row is None else record(Review, row)


def _keep_again(connection: Connection, task: Task, person_id: str, draft: Draft, now: datetime) -> None:
    """What was found is a draft again."""
    own = and_(review_drafts.c.task_id == task.id, review_drafts.c.person_id == person_id)
    connection.execute(delete(review_drafts).where(own))
    row = {"task_id": task.id, "person_id": person_id, "content": draft.as_json(), "updated_at": now}
    connection.execute(insert(review_drafts).values(row))


def _draft(connection: Connection, task_id: int, person_id: str) -> Draft | None:
    query = select(review_drafts.c.content).where(
        review_drafts.c.task_id == task_id, review_drafts.c.person_id == person_id
    )
    content = connection.execute(query).scalar()
    return None if content is None else Draft.of(content)


def _now() -> datetime:
    return datetime.now(UTC)
