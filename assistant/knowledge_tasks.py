"""What staff called wrong for lack of knowledge becomes a task for the knowledge base, and back again.

Owns how the verdict of a review is written into the causes of bad answers and the list of gaps. What a cause
is stands in `causes.py`, how questions are grouped in `gaps.py`. Knows no page and no review.
"""

from __future__ import annotations

from datetime import UTC, datetime

from anyio import to_thread
from sqlalchemy import delete, insert, select
from uuid_utils import uuid7

from assistant.gaps import NOTHING
from assistant.triage import Triage
from feedback.records import Cause, Turn
from feedback.schema import causes, gap_turns, gaps
from retrieval.records import RetrievalError

_BY = "review: "
"""Before the name of who decided: by this it is known what to take back."""


async def send(triage: Triage, turn: Turn, cause: Cause, by: str) -> None:
    """The documents must tell it (`missing`), or be found (`unretrieved`). Doing it twice is doing it once.

    Raises `NotFound`, `Invalid`.
    """
    await to_thread.run_sync(triage.causes.overrule, turn.id, cause, f"{_BY}{by}")
    await to_thread.run_sync(triage.gaps.follow, turn.id)
    if await to_thread.run_sync(lambda: triage.gaps.library.empty):
        # Without documents there is nothing to group questions by.
        await to_thread.run_sync(_open, triage, turn, cause)
    else:
        triage.nudge()


async def recall(triage: Triage, turn_id: str) -> bool:
    """Nobody says so any more: the rule decides again. False if no review had decided."""
    if not await to_thread.run_sync(_forget, triage, turn_id):
        return False
    try:
        await triage.causes.sort(turn_id)
        await to_thread.run_sync(triage.gaps.follow, turn_id)
    except RetrievalError:
        # No index now: it stays unsorted, and what is unsorted is not learned from.
        return True
    triage.nudge()
    return True


def _open(triage: Triage, turn: Turn, cause: Cause) -> None:
    """A gap of its own, unless the turn is in one."""
    with triage.gaps.database.write() as connection:
        there = select(gap_turns.c.turn_id).where(gap_turns.c.turn_id == turn.id)
        if connection.execute(there).first():
            return
        key = f"gap-{uuid7().hex}"
        title = turn.searched or turn.question
        row = {"id": key, "title": title, "created_at": datetime.now(UTC), "report": []}
        connection.execute(insert(gaps).values(row))
        connection.execute(insert(gap_turns).values(turn_id=turn.id, gap_id=key, why=cause))


def _forget(triage: Triage, turn_id: str) -> bool:
    with triage.gaps.database.write() as connection:
        own = causes.c.turn_id == turn_id
        if not connection.execute(
            delete(causes).where(own, causes.c.decided_by.startswith(_BY, autoescape=True))
        ).rowcount:
            return False
        mine = (gap_turns.c.turn_id == turn_id) & (gap_turns.c.why != NOTHING)
        connection.execute(delete(gap_turns).where(mine))
    return True
