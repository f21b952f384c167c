"""Reads files of opinions in, each by one transaction: our raw exports, OpenAI's, TRL's, Open WebUI's.

All of it is read and checked first, into a file without a name, so that the database is locked only while
rows are written; whatever is killed leaves nothing half. A line that was read in before is passed over, by
the hash of what it holds. Knows no file formats (`raw.py`, `foreign.py`) and nobody's name.
"""

from __future__ import annotations

import hashlib
import json
import logging
import pickle
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import islice
from typing import IO, Any, TextIO

from sqlalchemy import Connection, delete, insert, select, update
from uuid_utils import uuid7

from feedback import foreign, raw
from feedback.database import Database
from feedback.items import LONGEST, Item, items
from feedback.records import (
    IMPORT,
    Choice,
    History,
    Invalid,
    Rating,
    Turn,
    conversation_id,
    is_imported,
    prompt_key,
)
from feedback.restoring import restore
from feedback.schema import deletions, import_lines, imports
from feedback.titles import title_of

log = logging.getLogger(__name__)

RAW = "raw"
MOST_TOLD = 1_000
"""Refusals that are told one by one; the others are counted."""
_AT_ONCE = 500

Refusal = tuple[int, str]


@dataclass(frozen=True, slots=True)
class Imported:
    """What came of a file. `id` is empty where nothing of it was stored."""

    id: str
    stored: int
    """Lines that are now in the store."""
    known: int
    """Lines that had been read in before."""
    refused: int
    reasons: Sequence[Refusal] = ()
    """(line, why) of the first of the refused ones, in order."""
    forms: Mapping[str, int] = field(default_factory=dict)
    """How many of the stored lines had which form."""

    def as_dict(self) -> dict[str, Any]:
        """As programs see it."""
        return {
            "id": self.id or None,
            "object": "import",
            "stored": self.stored,
            "known": self.known,
            "refused": self.refused,
            "forms": dict(self.forms),
            "reasons": [{"line": number, "reason": reason} for number, reason in self.reasons],
        }


@dataclass(slots=True)
class _Tally:
    stored: int = 0
    known: int = 0
    refused: int = 0
    reasons: list[Refusal] = field(default_factory=list)
    forms: Counter[str] = field(default_factory=Counter)

    def refuse(self, number: int, why: str) -> None:
        self.refused += 1
        if len(self.reasons) < MOST_TOLD:
            self.reasons.append((number, why))


@dataclass(frozen=True, slots=True)
class _Checked:
    """A line that may be stored."""

    number: int
    digest: str
    form: str
    histories: Sequence[History]


def read_in(database: Database, file: TextIO, *, name: str, by: str) -> Imported:
    """Store what a file holds: all of its good lines, or nothing if this is ended in the middle.

    `name` says which file it was, `by` who had it read in. Ids of raw exports stay. Blocks.
    """
    key = f"{IMPORT}{uuid7().hex[:24]}"
    tally = _Tally()
    with tempfile.TemporaryFile() as checked:
        _check(file, key, checked, tally)
        checked.seek(0)
        with database.write() as connection:
            row = {"id": key, "name": name, "read_by": by, "made_at": datetime.now(UTC), "counts": {}}
            connection.execute(insert(imports).values(row))
            while batch := list(_unpickled(checked)):
                _store(connection, key, batch, tally)
            mine = imports.c.id == key
            if tally.stored:
                counts = dict(zip(("stored", "known", "refused"), _counts(tally), strict=True))
                connection.execute(update(imports).where(mine).values(counts=counts | {"forms": tally.forms}))
            else:
                connection.execute(delete(imports).where(mine))
    log.info("%s read in %s: %d stored, %d known, %d refused", by, name, *_counts(tally))
    return Imported(
        key if tally.stored else "", *_counts(tally), tuple(sorted(tally.reasons)), dict(tally.forms)
    )


def _counts(tally: _Tally) -> tuple[int, int, int]:
    return tally.stored, tally.known, tally.refused


# -- checking, without the database ------------------------------------------------------------------


def _check(file: TextIO, key: str, checked: IO[bytes], tally: _Tally) -> None:
    """Write every good line to `checked`, and count the others."""
    for item in items(file):
        try:
            pickle.dump(_checked(item, key), checked)
        except Invalid as error:
            tally.refuse(item.number, str(error))


def _unpickled(checked: IO[bytes]) -> Iterator[_Checked]:
    """The next of the good lines, some at a time."""
    for _ in range(_AT_ONCE):
        try:
            yield pickle.load(checked)
        except EOFError:
            return


def _checked(item: Item, key: str) -> _Checked:
    if item.text is None:
        raise Invalid(f"the line is longer than {LONGEST} characters")
    found = raw.parsed(item.text, "the line")
    if not isinstance(found, dict):
        raise Invalid("the line is not a JSON object")
    try:
        digest = hashlib.sha256(json.dumps(found, sort_keys=True).encode()).hexdigest()
        if "turn_id" in found or not found:
            return _Checked(item.number, digest, RAW, [raw.history(found)])
        line = foreign.read(found)
    except RecursionError:
        raise Invalid("it is nested too deeply") from None
    return _Checked(item.number, digest, line.form, _histories(line, key))


def _histories(line: foreign.Line, key: str) -> list[History]:
    """Turns as if they had been said here, under ids of their own."""
    conversation, parent, found = conversation_id(), None, list[History]()
    for said in line.said:
        turn = _turn(said, key, conversation, parent)
        opinion = _rating(said, turn) if said.thumb else ()
        opening = next(str(one["content"]) for one in turn.prompt if one["role"] == "user")
        found.append(History(turn, said.title or title_of(opening), opening, False, ratings=opinion))
        parent = None if line.preferred else turn.id
    if line.preferred:
        first, second = (history.turn for history in found)
        choice = Choice(0, first.id, second.id, first.person_id, "user", "first", second.created_at)
        found[1] = replace(found[1], choices=(choice,))
    return found


def _turn(said: foreign.Said, key: str, conversation: str, parent: str | None) -> Turn:
    person = f"{key}.{hashlib.sha256(said.person.encode()).hexdigest()[:10]}" if said.person else key
    *steps, last = said.completion
    at = said.at or datetime.now(UTC)
    return Turn(
        id=f"turn-{uuid7().hex}",
        conversation_id=conversation,
        parent_id=parent,
        person_id=person,
        question=next(str(one["content"]) for one in reversed(said.prompt) if one["role"] == "user"),
        prompt=said.prompt,
        prompt_key=prompt_key(said.prompt),
        answer=foreign.answer_of(said.completion),
        adapter=None,
        model=said.model or "imported",
        sampling={"tools": list(said.tools)} if said.tools else {},
        status="complete",
        created_at=at,
        ended_at=at,
        finish_reason="tool_calls" if last.get("tool_calls") else "stop",
        tool_calls=last.get("tool_calls", ()),
        steps=steps,
        origin=key,
    )


def _rating(said: foreign.Said, turn: Turn) -> tuple[Rating, ...]:
    words = (list(said.reasons), said.comment, turn.created_at)
    return (Rating(0, turn.id, turn.person_id, "user", said.thumb, *words),)


# -- storing, in the one transaction -----------------------------------------------------------------


def _store(connection: Connection, key: str, batch: Sequence[_Checked], tally: _Tally) -> None:
    digests = [line.digest for line in batch]
    there = select(import_lines.c.digest).where(import_lines.c.digest.in_(digests))
    known = set(connection.execute(there).scalars())
    gone = _gone(connection, {line.histories[0].turn.person_id for line in batch if line.form == RAW})
    fresh = list[_Checked]()
    for line in batch:
        if line.digest in known:
            tally.known += 1
        elif line.histories[0].turn.person_id in gone:
            tally.refuse(line.number, "its person had all their data deleted")
        else:
            known.add(line.digest)
            fresh.append(line)
    # Only a raw line can be refused here, and it is one turn.
    reasons = iter(restore(connection, [history for line in fresh for history in line.histories]))
    for line in fresh:
        if why := "".join(islice(reasons, len(line.histories))):
            tally.refuse(line.number, why)
            continue
        connection.execute(insert(import_lines).values(digest=line.digest, import_id=key))
        tally.stored += 1
        tally.forms[line.form] += 1


def _gone(connection: Connection, people: set[str]) -> set[str]:
    """Those of them whose data was deleted, or that of the import that they came with."""
    files = {person: person.partition(".")[0] for person in people if is_imported(person)}
    asked = select(deletions.c.person_id).where(deletions.c.person_id.in_({*people, *files.values()}))
    gone = set(connection.execute(asked).scalars())
    return {person for person in people if person in gone or files.get(person) in gone}
