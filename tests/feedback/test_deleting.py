"""Tests of what goes with a person: everything that hangs on what they said, and nothing of anybody else."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Column, ForeignKey, MetaData, String, Table, insert, select

from feedback import deleting, schema
from feedback.approved import Approved
from feedback.database import Database
from feedback.schema import causes, gap_turns, gaps
from feedback.store import Ending, Store, Verdict
from tests.feedback.test_exchange import asked
from tests.feedback.test_store import rows

NOW = datetime(2026, 5, 1, tzinfo=UTC)


def forget(database: Database, person: str) -> int:
    """Everything, in as many transactions as it takes."""
    while True:
        with database.write() as connection:
            key = deleting.next_conversation(connection, person)
            if key is None:
                return deleting.forget_rest(connection, person)
            deleting.forget_conversation(connection, key)


def two_people(store: Store, database: Database) -> dict[str, Any]:
    """Ann and Bob, who asked and judged; Sam of the staff, who judged both."""
    first = asked(store, "Annas frage?")
    second = asked(store, "Annas frage?", conversation=first.conversation_id)
    asked(store, "Und nun?", conversation=first.conversation_id, parent=second.id)
    bob = asked(store, "Bobs frage?", person="bob")
    store.judge(first.id, "ann", "user", Verdict("down", ["wrong"], "rude", "So."))
    store.choose(first.id, second.id, "sam", "staff", "first")
    store.judge(bob.id, "bob", "user", Verdict("up"))
    with database.write() as connection:
        values = {"turn_id": bob.id, "person_id": "ann", "role": "staff", "reasons": [], "thumb": "down"}
        connection.execute(insert(schema.ratings).values(**values, comment="", created_at=NOW))
    return {"first": first, "second": second, "bob": bob}


def test_a_persons_words_go_and_others_stay(store: Store, database: Database) -> None:
    turns = two_people(store, database)
    with database.read() as connection:
        votes = deleting.votes(connection, "ann")
    assert votes == ["choice:1", "correction:1", "rating:1", "rating:3"]
    assert forget(database, "ann") == 1
    assert [item.turn.id for item in store.judged()] == [turns["bob"].id]
    assert [row.thumb for item in store.judged() for row in item.ratings] == ["up"]
    assert store.conversations("ann") == store.choices() == []
    with database.read() as connection:
        assert deleting.remains(connection, "ann") == []
        assert set(deleting.remains(connection, "bob")) == {"conversations", "turns", "ratings"}
    assert forget(database, "ann") == 0


def test_what_hangs_on_answers_goes_along(store: Store, database: Database) -> None:
    turns = two_people(store, database)
    rows_of = Approved(database)
    rows_of.add(turns["first"].id, "Annas frage?", "So.", "", "sam", 5)
    rows_of.add(turns["bob"].id, "Bobs frage?", "So.", "", "sam", 5)
    with database.write() as connection:
        for turn in turns.values():
            row = {"turn_id": turn.id, "cause": "other", "evidence": {}, "decided_by": "sam", "made_at": NOW}
            connection.execute(insert(causes).values(row))
        assert deleting.approved(connection, "ann") == [rows_of.all()[-1].id]
    forget(database, "ann")
    assert [one.question for one in rows_of.all()] == ["Bobs frage?"]
    assert rows(database, causes) == 1


def test_a_gap_gets_another_name_and_loses_what_was_asked_again(store: Store, database: Database) -> None:
    turns = two_people(store, database)
    report = [{"turn_id": turns[who].id, "question": "?", "after": "!"} for who in ("first", "bob")]
    with database.write() as connection:
        for key, title in (("gap-1", "annas FRAGE"), ("gap-2", "Annas frage?"), ("gap-3", "Bobs frage?")):
            row = {"id": key, "title": title, "created_at": NOW, "report": report}
            connection.execute(insert(gaps).values(row))
        for key, who in (("gap-1", "first"), ("gap-1", "bob"), ("gap-2", "second")):
            row = {"gap_id": key, "turn_id": turns[who].id, "why": "nothing"}
            connection.execute(insert(gap_turns).values(row))
    forget(database, "ann")
    with database.read() as connection:
        found = connection.execute(select(gaps).order_by(gaps.c.id)).all()
    assert [row.title for row in found] == ["Bobs frage?", deleting.GONE, "Bobs frage?"]
    assert [[one["turn_id"] for one in row.report] for row in found] == [[turns["bob"].id]] * 3


def test_tables_that_others_bring_go_along_by_themselves(database: Database, store: Store) -> None:
    turn = asked(store, "Annas frage?")
    tables = MetaData()
    turns = Table("turns", tables, Column("id", String(60), primary_key=True))
    notes = Table(
        "notes", tables, Column("turn_id", ForeignKey(turns.c.id)), Column("id", String(9), primary_key=True)
    )
    marks = Table("marks", tables, Column("note_id", ForeignKey(notes.c.id)))
    # As if they stood in the metadata of the house.
    with database.write() as connection:
        notes.create(connection)
        marks.create(connection)
        connection.execute(insert(notes).values(id="n", turn_id=turn.id))
        connection.execute(insert(marks).values(note_id="n"))
    deleting.metadata, kept = tables, deleting.metadata  # type: ignore[attr-defined]
    try:
        with database.write() as connection:
            deleting.remove(connection, turns, turns.c.id == turn.id)
    finally:
        deleting.metadata = kept  # type: ignore[attr-defined]
    with database.write() as connection:
        assert connection.execute(select(notes)).all() == connection.execute(select(marks)).all() == []
        marks.drop(connection)
        notes.drop(connection)


def test_what_comes_back_after_a_deletion_is_found(store: Store, database: Database) -> None:
    with database.write() as connection:
        for person in ("ann", "bob"):
            stage = "done" if person == "ann" else "deleting"
            row = {"id": person, "person_id": person, "asked_by": "x", "asked_at": NOW, "stage": stage}
            connection.execute(insert(schema.deletions).values(row))
    for person in ("ann", "bob", "eve"):
        asked(store, "?", Ending("complete", "!"), person=person)
    with database.read() as connection:
        assert deleting.returned(connection) == ["ann"]
