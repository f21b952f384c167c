"""Which passages stand in the vector index, kept in our database for langchain's indexing.

A record of time 0 is marked: its passage is to leave the index. Knows neither the index nor a model.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence

from langchain_core.indexing import RecordManager
from sqlalchemy import Connection, delete, insert, select

from feedback.database import Database
from retrieval.schema import index_records as table

CHUNK = 500
"""Keys that one statement names: SQLite takes a limited number of parameters."""


class Records(RecordManager):
    """The records of one namespace, which stands for one collection of the index."""

    def __init__(self, database: Database, namespace: str) -> None:
        super().__init__(namespace)
        self._database = database

    def create_schema(self) -> None:
        """The migrations make the table."""

    def get_time(self) -> float:
        return time.time()

    def update(
        self,
        keys: Sequence[str],
        *,
        group_ids: Sequence[str | None] | None = None,
        time_at_least: float | None = None,
    ) -> None:
        groups = group_ids or [None] * len(keys)
        if len(groups) != len(keys):
            raise ValueError("each key needs its group")
        now = max(self.get_time(), time_at_least or 0.0)
        with self._database.write() as connection:
            if group_ids is None:
                for part in chunks(keys):
                    known = table.c.namespace == self.namespace, table.c.key.in_(part)
                    connection.execute(table.update().where(*known).values(updated_at=now))
                return
            put(connection, self.namespace, dict(zip(keys, groups, strict=True)), now)

    def exists(self, keys: Sequence[str]) -> list[bool]:
        found: set[str] = set()
        with self._database.read() as connection:
            for part in chunks(keys):
                known = table.c.namespace == self.namespace, table.c.key.in_(part), table.c.updated_at > 0
                found.update(connection.execute(select(table.c.key).where(*known)).scalars())
        return [key in found for key in keys]

    def list_keys(
        self,
        *,
        before: float | None = None,
        after: float | None = None,
        group_ids: Sequence[str] | None = None,
        limit: int | None = None,
    ) -> list[str]:
        query = select(table.c.key).where(table.c.namespace == self.namespace).order_by(table.c.key)
        if before is not None:
            query = query.where(table.c.updated_at < before)
        if after is not None:
            query = query.where(table.c.updated_at > after)
        if group_ids is not None:
            query = query.where(table.c.group_id.in_(set(group_ids)))
        with self._database.read() as connection:
            return list(connection.execute(query.limit(limit)).scalars())

    def delete_keys(self, keys: Sequence[str]) -> None:
        with self._database.write() as connection:
            remove(connection, self.namespace, keys)

    # The index is written by threads alone; langchain asks for these by their names.

    async def acreate_schema(self) -> None:
        self.create_schema()

    async def aget_time(self) -> float:
        return self.get_time()

    async def aupdate(
        self,
        keys: Sequence[str],
        *,
        group_ids: Sequence[str | None] | None = None,
        time_at_least: float | None = None,
    ) -> None:
        self.update(keys, group_ids=group_ids, time_at_least=time_at_least)

    async def aexists(self, keys: Sequence[str]) -> list[bool]:
        return self.exists(keys)

    async def alist_keys(
        self,
        *,
        before: float | None = None,
        after: float | None = None,
        group_ids: Sequence[str] | None = None,
        limit: int | None = None,
    ) -> list[str]:
        return self.list_keys(before=before, after=after, group_ids=group_ids, limit=limit)

    async def adelete_keys(self, keys: Sequence[str]) -> None:
        self.delete_keys(keys)


def chunks(keys: Iterable[str]) -> Iterator[list[str]]:
    """The keys, a statement's worth at a time."""
    left = list(keys)
    for start in range(0, len(left), CHUNK):
        yield left[start : start + CHUNK]


def put(connection: Connection, namespace: str, groups: dict[str, str | None], at: float) -> None:
    """Records with the groups of their keys, whether they were there before or not."""
    remove(connection, namespace, list(groups))
    rows = [
        {"namespace": namespace, "key": key, "group_id": group, "updated_at": at}
        for key, group in groups.items()
    ]
    if rows:
        connection.execute(insert(table), rows)


def remove(connection: Connection, namespace: str, keys: Iterable[str]) -> None:
    """The records of these keys are gone."""
    for part in chunks(keys):
        known = table.c.namespace == namespace, table.c.key.in_(part)
        connection.execute(delete(table).where(*known))
