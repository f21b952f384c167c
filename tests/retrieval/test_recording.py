"""Tests of the records that langchain's indexing keeps, on both databases."""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy import insert

from feedback.database import Database
from retrieval.recording import CHUNK, Records, chunks, put
from retrieval.schema import index_records


def test_what_was_recorded_exists_in_its_namespace_alone(database: Database) -> None:
    one, other = Records(database, "one"), Records(database, "other")
    one.update(["a", "b"], group_ids=["x", "y"])
    assert one.exists(["b", "c", "a"]) == [True, False, True]
    assert other.exists(["a"]) == [False]


def test_recording_again_takes_the_new_group_and_time(database: Database) -> None:
    records = Records(database, "one")
    records.update(["a"], group_ids=["x"], time_at_least=5e9)
    records.update(["a"], group_ids=["y"], time_at_least=6e9)
    assert records.list_keys(group_ids=["x"]) == []
    assert records.list_keys(group_ids=["y"], after=5.5e9) == ["a"]


def test_without_groups_only_the_time_is_renewed(database: Database) -> None:
    records = Records(database, "one")
    records.update(["a"], group_ids=["x"])
    records.update(["a", "never seen"], time_at_least=6e9)
    assert records.list_keys(after=5e9, group_ids=["x"]) == ["a"]
    assert records.exists(["never seen"]) == [False]


def test_keys_are_listed_by_time_and_number(database: Database) -> None:
    records = Records(database, "one")
    for number, key in enumerate("abc", 1):
        records.update([key], group_ids=[None], time_at_least=number * 4e9)
    assert records.list_keys(before=8e9) == ["a"]
    assert records.list_keys(limit=2) == ["a", "b"]


def test_a_marked_record_is_as_good_as_none(database: Database) -> None:
    records = Records(database, "one")
    with database.write() as connection:
        put(connection, "one", {"a": "x"}, 0.0)
    assert records.exists(["a"]) == [False]
    assert records.list_keys(group_ids=["x"]) == ["a"]


def test_many_keys_go_in_and_out(database: Database) -> None:
    records = Records(database, "one")
    keys = [f"key-{number:05}" for number in range(3 * CHUNK + 1)]
    records.update(keys, group_ids=["x"] * len(keys))
    assert all(records.exists(keys))
    records.delete_keys(keys[1:])
    assert records.list_keys() == keys[:1]
    assert [len(part) for part in chunks(keys)] == [CHUNK, CHUNK, CHUNK, 1]


def test_each_key_needs_its_group(database: Database) -> None:
    with pytest.raises(ValueError, match="group"):
        Records(database, "one").update(["a", "b"], group_ids=["x"])


def test_the_same_by_their_asynchronous_names(sqlite: Database) -> None:
    async def used() -> tuple[list[bool], list[str]]:
        records = Records(sqlite, "one")
        await records.acreate_schema()
        await records.aupdate(["a", "b"], group_ids=["x", "x"], time_at_least=await records.aget_time())
        await records.adelete_keys(["b"])
        return await records.aexists(["a", "b"]), await records.alist_keys()

    assert asyncio.run(used()) == ([True, False], ["a"])


def test_records_of_others_stay(database: Database) -> None:
    with database.write() as connection:
        row = {"namespace": "other", "key": "a", "group_id": "x", "updated_at": 1.0}
        connection.execute(insert(index_records), row)
    Records(database, "one").delete_keys(["a"])
    assert Records(database, "other").list_keys() == ["a"]
