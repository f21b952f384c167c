"""Everything that is kept of a person, for that person: a ZIP of JSON lines, one file a table.

Which tables name a person is found by the tables themselves, as for a deletion. The house's own stays out:
hashes of passwords and keys, the system prompt, the texts of documents. Knows no page and no command.
"""

from __future__ import annotations

import json
import os
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import IO, Any

from sqlalchemy import Column, Table, select

from assistant.accounts import Account, accounts
from assistant.credentials import credentials, identities
from feedback.database import Database
from feedback.deleting import columns
from training.registry import Registry
from training.taints import learned_from

_AT_ONCE = 500
_OURS = frozenset({"password", "digest", "prompt", "prompt_key", "thread_key"})
"""Columns that are no data of the person: secrets, and what the house put before the question."""
_SEEN = ("number", "kind", "title", "page")
"""What is told of a passage: its text is the document's."""
_README = """All that is kept of {name}: one file a table, one JSON object a line, times in UTC.

account.jsonl holds the account itself, credentials.jsonl the sessions and API keys (when they were made and
when they end, never the keys), identities.jsonl the sign-in services. A later row of ratings, corrections or
choices replaces an earlier one.
Adapters that learned from opinions name them by id: {adapters}.
"""


def export(database: Database, account: Account, out: IO[bytes], adapters: Mapping[str, int]) -> int:
    """Write the ZIP to `out` and return the number of rows. `adapters`: how many examples each learned."""
    count = 0
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        learned = ", ".join(f"{name} ({number})" for name, number in adapters.items()) or "none did"
        archive.writestr("README.txt", _README.format(name=account.name, adapters=learned))
        own = [accounts.c.id, credentials.c.account_id, identities.c.account_id, *columns()]
        for column in own:
            name = "account" if column.table is accounts else column.table.name
            with archive.open(f"{name}.jsonl", "w") as file:
                for row in _rows(database, column, account.id):
                    file.write(json.dumps(row, default=_plain).encode() + b"\n")
                    count += 1
    return count


def export_to(database: Database, account: Account, file: Path, adapters: Mapping[str, int]) -> int:
    """The same into a file that others can't read, whole or not at all."""
    handle, name = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")
    try:
        with open(handle, "wb") as out:
            count = export(database, account, out, adapters)
        os.replace(name, file)
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(name)
        raise
    return count


def learned_by(registry: Registry, person_id: str) -> dict[str, int]:
    """How many examples from this person each adapter learned."""
    found = {
        adapter.name: sum(learned_from(one, person_id, ()) for one in adapter.manifest.get("examples", ()))
        for adapter in registry.all()
    }
    return {name: count for name, count in found.items() if count}


def _rows(database: Database, column: Column[str], person_id: str) -> Iterator[dict[str, Any]]:
    """The person's rows of a table, read page by page."""
    table: Table = column.table
    (key, *others) = table.primary_key.columns
    query, last = select(table).where(column == person_id).order_by(key), None
    while True:
        more = query if last is None else query.where(key > last)
        with database.read() as connection:
            # A key of several columns can't be gone on after: such tables are small.
            found = connection.execute(more if others else more.limit(_AT_ONCE)).mappings().all()
        yield from (_shown(row) for row in found)
        if others or len(found) < _AT_ONCE:
            return
        last = found[-1][key.name]


def _shown(row: Mapping[Any, Any]) -> dict[str, Any]:
    shown = {str(name): value for name, value in row.items() if name not in _OURS}
    if "passages" in shown:
        shown["passages"] = [{name: one.get(name) for name in _SEEN} for one in shown["passages"]]
    return shown


def _plain(value: Any) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)
