"""Tests of the audit log, on both databases: what is written stays, in order, and no change goes unseen."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import delete, update

from assistant.audit import DOOR, LONGEST, Audit, entries
from feedback.database import Database, connect


def written(database: Database, count: int = 5) -> Audit:
    audit = Audit(database)
    for number in range(1, count + 1):
        audit.note(
            "ana", "adapter promoted", f"lora-{number}", "base is live", f"lora-{number} is live", "why"
        )
    return audit


def test_a_row_says_who_what_when_before_after_and_why(database: Database) -> None:
    token = DOOR.set("page")
    entry = Audit(database).note("ana", "role changed", "uwe", "user", "staff", " he  answers mails\x00 ")
    DOOR.reset(token)
    (found,) = Audit(database).page()
    assert found == entry
    assert (found.id, found.who, found.door, found.what, found.subject) == (
        1,
        "ana",
        "page",
        "role changed",
        "uwe",
    )
    assert (found.before, found.after, found.previous) == ("user", "staff", "")
    assert found.reason == "he  answers mails\ufffd"
    assert found.hash == found.digest()


def test_an_untouched_chain_is_whole_and_ends_with_its_head(database: Database) -> None:
    assert str(Audit(database).verify()) == "0 rows, the chain is whole"
    audit = written(database)
    found = audit.verify()
    assert (found.rows, found.broken, found.head) == (5, 0, audit.page()[0].hash)
    assert audit.verify(audit.page()[3].hash).broken == 0


@pytest.mark.parametrize("column", ["who", "what", "subject", "before", "after", "reason", "door"])
def test_a_changed_row_is_named(database: Database, column: str) -> None:
    audit = written(database)
    with database.write() as connection:
        connection.execute(update(entries).where(entries.c.id == 3).values({column: "x"}))
    found = audit.verify()
    assert (found.rows, found.broken) == (2, 3)
    assert "its content is not what its hash was made of" in str(found)


def test_a_row_that_was_taken_out_is_named(database: Database) -> None:
    audit = written(database)
    with database.write() as connection:
        connection.execute(delete(entries).where(entries.c.id == 2))
    assert str(audit.verify()) == "the chain breaks at row 2: it is missing, and row 3 comes next"


def test_a_rewritten_row_with_a_fitting_hash_breaks_the_next_one(database: Database) -> None:
    audit = written(database)
    third = audit.page()[2]
    forged = type(third)(**{name: getattr(third, name) for name in third.__slots__} | {"who": "eve"})
    with database.write() as connection:
        values = {"who": "eve", "hash": forged.digest()}
        connection.execute(update(entries).where(entries.c.id == 3).values(values))
    assert audit.verify().broken == 4


def test_a_cut_off_end_is_seen_by_a_hash_that_was_noted(database: Database) -> None:
    audit = written(database)
    anchor = audit.page()[0].hash
    with database.write() as connection:
        connection.execute(delete(entries).where(entries.c.id == 5))
    assert audit.verify().broken == 0
    found = audit.verify(anchor)
    assert found.broken == 5
    assert "rows at the end are gone" in str(found)


def test_many_who_write_at_once_make_one_chain(location: str) -> None:
    barrier = threading.Barrier(4)

    def write(who: int) -> None:
        own = connect(location)
        barrier.wait(10)
        for number in range(8):
            Audit(own).note(f"w{who}", "run queued", f"run-{number}")
        own.close()

    with ThreadPoolExecutor(4) as pool:
        for writer in [pool.submit(write, who) for who in range(4)]:
            writer.result(timeout=60)
    found = connect(location)
    assert (Audit(found).verify().rows, Audit(found).verify().broken) == (32, 0)
    found.close()


def test_what_is_undone_leaves_no_row(database: Database) -> None:
    audit = written(database, 1)
    with pytest.raises(RuntimeError), database.write() as connection:  # noqa: PT012
        audit.within(connection, "ana", "adapter retired", "lora-1")
        raise RuntimeError
    written(database, 1)
    assert (audit.verify().rows, audit.verify().broken) == (2, 0)


def test_pages_are_filtered_and_turned(database: Database) -> None:
    audit = written(database)
    audit.note("uwe", "run queued", "run-100%_x")
    assert audit.kinds() == ["adapter promoted", "run queued"]
    assert [entry.id for entry in audit.page(most=2)] == [6, 5]
    assert [entry.id for entry in audit.page(most=2, below=5)] == [4, 3]
    assert [entry.id for entry in audit.page(what="run queued")] == [6]
    assert [entry.id for entry in audit.page(text="UWE")] == [6]
    assert [entry.id for entry in audit.page(text="100%_")] == [6]
    assert audit.page(text="0%x") == []


def test_long_texts_are_cut_and_the_chain_stays_whole(database: Database) -> None:
    audit = Audit(database)
    entry = audit.note("w" * 200, "x" * 200, "s" * 500, "b" * 9_000)
    assert (len(entry.who), len(entry.what), len(entry.subject), len(entry.before)) == (80, 60, 200, LONGEST)
    assert not audit.verify().broken
