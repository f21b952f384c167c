"""What is kept of a person in which table, and how it goes: found by the tables themselves.

A table that names a person by `person_id`, or hangs on a conversation or an answer by a foreign key, goes
along by itself, whoever brought it; `KEPT` names those that stay. Knows no accounts and no adapters.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from sqlalchemy import Column, ColumnElement, Connection, Table, delete, or_, select, update

from feedback.records import is_file, normalise
from feedback.schema import (
    approvals,
    choices,
    conversations,
    corrections,
    deletions,
    gap_turns,
    gaps,
    imports,
    metadata,
    ratings,
    reviews,
    turns,
)

KEPT = frozenset({"deletions"})
"""Tables with a `person_id` that outlive the person."""
GONE = "(deleted)"
_OPINIONS = {"rating": ratings, "correction": corrections, "review": reviews}


def columns() -> list[Column[str]]:
    """The columns by which tables name a person, those of conversations and turns first."""
    found = [table.c.person_id for table in metadata.sorted_tables if "person_id" in table.c]
    return [column for column in found if column.table.name not in KEPT]


def of(column: Column[str], person_id: str) -> ColumnElement[bool]:
    """Rows of a person; of a file that was read in, those of everybody who came with it (`goes_with`)."""
    mine = column == person_id
    return or_(mine, column.startswith(f"{person_id}.", autoescape=True)) if is_file(person_id) else mine


def votes(connection: Connection, person_id: str) -> list[str]:
    """The opinions of a person, and everybody's on their answers, as adapters name them: `rating:12`."""
    theirs = select(turns.c.id).where(of(turns.c.person_id, person_id))
    found = []
    for name, table in _OPINIONS.items():
        mine = or_(of(table.c.person_id, person_id), table.c.turn_id.in_(theirs))
        found += [f"{name}:{key}" for key in connection.execute(select(table.c.id).where(mine)).scalars()]
    sides = (choices.c.first_turn_id.in_(theirs), choices.c.second_turn_id.in_(theirs))
    mine = or_(of(choices.c.person_id, person_id), *sides)
    found += [f"choice:{key}" for key in connection.execute(select(choices.c.id).where(mine)).scalars()]
    return sorted(found)


def approved(connection: Connection, person_id: str) -> list[str]:
    """The approved answers to a person's questions: the index holds them too."""
    query = select(approvals.c.id).join(turns).where(of(turns.c.person_id, person_id))
    return sorted(connection.execute(query).scalars())


def next_conversation(connection: Connection, person_id: str) -> str | None:
    """A conversation of this person that is still there."""
    query = select(conversations.c.id).where(of(conversations.c.person_id, person_id))
    return connection.execute(query.limit(1)).scalar()


def forget_conversation(connection: Connection, conversation_id: str) -> None:
    """Delete a conversation with everything that hangs on it, and what stands of it in gaps."""
    inside = turns.c.conversation_id == conversation_id
    rows = connection.execute(select(turns.c.id, turns.c.question, turns.c.searched).where(inside)).all()
    asked = {normalise(text) for row in rows for text in (row.question, row.searched) if text}
    remove(connection, conversations, conversations.c.id == conversation_id)
    _mend_gaps(connection, {row.id for row in rows}, asked)


def forget_rest(connection: Connection, person_id: str) -> int:
    """Delete whatever else names the person: opinions on others' answers, say. Returns how many rows.

    Of an import also what was read in, so that its file may be read again.
    """
    remove(connection, imports, imports.c.id == person_id)
    return sum(remove(connection, column.table, of(column, person_id)) for column in columns())


def remains(connection: Connection, person_id: str) -> list[str]:
    """The tables in which the person still stands."""
    return [
        column.table.name
        for column in columns()
        if connection.execute(select(column).where(of(column, person_id)).limit(1)).first()
    ]


def returned(connection: Connection) -> list[str]:
    """People whose data is gone and of whom something is there again: it was written while it was deleted,
    or came back with a backup."""
    done = select(deletions.c.person_id).where(deletions.c.stage == "done")
    found = [connection.execute(select(one).distinct().where(one.in_(done))).scalars() for one in columns()]
    return sorted({person for people in found for person in people})


def remove(connection: Connection, table: Table, which: ColumnElement[bool]) -> int:
    """Delete rows and, before them, all rows of other tables that refer to them; how many of the former."""
    for child, column, target in _children(table):
        remove(connection, child, column.in_(select(target).where(which)))
    return connection.execute(delete(table).where(which)).rowcount


def _children(table: Table) -> Iterator[tuple[Table, Column[str], Column[str]]]:
    """(table, its column, the column that it refers to) of what refers to a table."""
    for child in metadata.tables.values():
        for key in child.foreign_keys:
            # A turn refers to the one before it, which goes at the same moment.
            if key.column.table is table and child is not table:
                yield child, key.parent, key.column


def _mend_gaps(connection: Connection, turn_ids: Collection[str], asked: Collection[str]) -> None:
    """A gap is called by one of its questions, and keeps those that were asked again."""
    for gap in connection.execute(select(gaps.c.id, gaps.c.title, gaps.c.report)).all():
        report = [one for one in gap.report if one.get("turn_id") not in turn_ids]
        title = gap.title
        if normalise(title) in asked:
            other = (
                select(turns.c.searched, turns.c.question)
                .join(gap_turns, gap_turns.c.turn_id == turns.c.id)
                .where(gap_turns.c.gap_id == gap.id)
                .order_by(turns.c.id.desc())
            )
            named = connection.execute(other.limit(1)).first()
            title = (named.searched or named.question) if named else GONE
        if (title, report) != (gap.title, gap.report):
            connection.execute(update(gaps).where(gaps.c.id == gap.id).values(title=title, report=report))
