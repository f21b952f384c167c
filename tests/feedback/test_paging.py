"""Tests of pages of one's own: in order, each item once, nobody else's, and read by an index."""

from __future__ import annotations

import pytest
from sqlalchemy import text

from feedback.database import Database
from feedback.paging import conversation_page, rating_page
from feedback.records import NotFound
from feedback.store import Store, Verdict
from tests.feedback.test_exchange import asked


def test_every_conversation_comes_once_the_newest_first(store: Store, database: Database) -> None:
    for number in range(5):
        asked(store, f"{number}?")
    asked(store, "other?", person="bob")
    found, after = [], None
    while True:
        page = conversation_page(database, "ann", 2, after)
        found += [one.title for one in page.items]
        if not page.more:
            break
        after = page.items[-1].id
    assert found == ["4?", "3?", "2?", "1?", "0?"]
    assert conversation_page(database, "eve", 2).items == []
    theirs = conversation_page(database, "bob", 1).items[0].id
    for missing in (theirs, "conv-0"):
        with pytest.raises(NotFound):
            conversation_page(database, "ann", 2, missing)


def test_of_ratings_the_live_ones_come(store: Store, database: Database) -> None:
    turns = [asked(store, f"{number}?").id for number in range(3)]
    for turn in (*turns, turns[0]):
        store.judge(turn, "ann", "user", Verdict("up"))
    store.judge(turns[0], "ann", "user", Verdict(None))
    page = rating_page(database, "ann", 2)
    assert [(one.turn_id, one.thumb) for one in page.items] == [(turns[0], None), (turns[2], "up")]
    assert page.more
    rest = rating_page(database, "ann", 2, page.items[-1].id)
    assert ([one.turn_id for one in rest.items], rest.more) == ([turns[1]], False)


def test_pages_are_read_by_an_index(store: Store, database: Database) -> None:
    if database.dialect != "sqlite":
        pytest.skip("it chooses by the size of the table")
    for query, index in (
        ("select * from conversations where person_id = 'a' order by updated_at desc, id desc", "person_id"),
        ("select max(id) from ratings where person_id = 'a' group by turn_id", "person_id_id"),
    ):
        with database.read() as connection:
            plan = str(connection.execute(text(f"explain query plan {query}")).all())
        assert f"ix_{query.split()[3]}_{index}" in plan
