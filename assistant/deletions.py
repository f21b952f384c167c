"""Deletes all data of a person: a row asks for it, and whoever is there takes it step by step to its end.

Each step may be killed anywhere and is done again. First nobody comes in by that account any more; then what
learned from the person is marked and the rows go; then what is left of them in files and index; at last the
account. How rows go is `feedback.deleting`'s to know, what adapters learned from `training.taints`'s.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Text, cast, delete, insert, select, update
from uuid_utils import uuid7

from assistant.accounts import Account, AccountError, Accounts
from assistant.grounding import quoted
from assistant.people import Note, to_log
from feedback import deleting, searching
from feedback.database import Database, DatabaseUnavailable
from feedback.reading import record
from feedback.records import IMPORT, Message, NotFound, prompt_key
from feedback.schema import deletions, turns
from retrieval.records import RetrievalError
from retrieval.schema import line_vectors, passages
from training import forgetting
from training.canaries import Canaries
from training.records import Refused
from training.runs import Runs
from training.taints import Taints

log = logging.getLogger(__name__)

WHY = "somebody's data was deleted"
_EVERY_SECONDS = 5.0
Drop = Callable[[str], None]
"""Takes an approved answer out of the index."""


@dataclass(frozen=True, slots=True)
class Deletion:
    """One request that all data of a person be deleted. `votes` and `approvals` are ids, until it is done."""

    id: str
    person_id: str
    asked_by: str
    asked_at: datetime
    stage: str
    """`asked`, `deleting`, `settling`, `done`."""
    votes: Sequence[str]
    approvals: Sequence[str]
    counts: Mapping[str, Any]
    """What went: conversations, other rows, examples, and the adapters that had learned from them."""
    ended_at: datetime | None

    def as_dict(self) -> dict[str, Any]:
        """As programs see it."""
        return {
            "id": self.id,
            "object": "deletion",
            "person": self.person_id,
            "asked_by": self.asked_by,
            "stage": self.stage,
            "counts": dict(self.counts),
            "created": int(self.asked_at.timestamp()),
            "ended": int(self.ended_at.timestamp()) if self.ended_at else None,
        }


@dataclass(frozen=True, slots=True)
class Deletions:
    """The deletions of one home. Any number of processes may work on them."""

    database: Database
    accounts: Accounts
    runs: Runs
    canaries: Canaries
    home: Path
    drop: Drop | None = None
    """None: this process does not hold the index."""
    note: Note = to_log

    def ask(self, who: str, by: str) -> Deletion:
        """Ask for it, for an account's name or a person's bare id; the account is locked out at once.

        Asked again it is the same deletion. Raises `NotFound`, and `AccountError` for the only admin.
        """
        account, person = self._person(who)
        there = self._where(deletions.c.person_id == person, deletions.c.stage != "done")
        if there:
            return there[0]
        new = Deletion(f"del-{uuid7().hex}", person, by, datetime.now(UTC), "asked", (), (), {}, None)
        values = {field.name: getattr(new, field.name) for field in fields(new)}
        with self.database.write() as connection:
            connection.execute(insert(deletions).values(values | {"votes": [], "approvals": []}))
        if account is not None:
            try:
                self.accounts.disable(account.name)
            except AccountError:
                with self.database.write() as connection:
                    connection.execute(delete(deletions).where(deletions.c.id == new.id))
                raise
        self.note(by, "ask for deletion", person, "", new.id)
        return new

    def get(self, deletion_id: str) -> Deletion:
        """One of them. Raises `NotFound`."""
        found = self._where(deletions.c.id == deletion_id)
        if not found:
            raise NotFound("there is no such deletion")
        return found[0]

    def all(self, limit: int = 100) -> list[Deletion]:
        """The newest first."""
        query = select(deletions).order_by(deletions.c.id.desc()).limit(limit)
        with self.database.read() as connection:
            return [record(Deletion, row) for row in connection.execute(query)]

    def step(self) -> bool:
        """Take every deletion one step on; False if nothing could be done. One that raises stops no other."""
        self._again()
        steps = {"asked": self._begin, "deleting": self._delete, "settling": self._settle}
        moved = False
        for before in self._where(deletions.c.stage != "done"):
            try:
                # The ones before it may have taken long enough for another process to finish it.
                for one in self._where(deletions.c.id == before.id, deletions.c.stage.in_(steps)):
                    moved = steps[one.stage](one).stage != one.stage or moved
            except DatabaseUnavailable as problem:
                log.warning("%s: %s", before.id, problem)
            except Exception:
                # What it can't do now it tries again.
                log.exception("%s could not go on", before.id)
        return moved

    def finish(self) -> None:
        """Go on until nothing can be done any more."""
        while self.step():
            pass

    # -- the steps ---------------------------------------------------------------------------------

    def _begin(self, one: Deletion) -> Deletion:
        account = self.accounts.of(one.person_id)
        if account is not None and not account.disabled:
            self.accounts.disable(account.name)
        with self.database.write() as connection:
            votes = deleting.votes(connection, one.person_id)
            approvals = deleting.approved(connection, one.person_id)
            after = replace(one, stage="deleting", votes=votes, approvals=approvals)
            return self._keep(connection, one, after)

    def _delete(self, one: Deletion) -> Deletion:
        self._taint(one)
        forgetting.end_runs(self.runs, self.home / "runs", one.person_id, one.votes)
        with self.database.write() as connection:
            forgetting.blank_answers(connection, one.person_id)
        counts = dict(one.counts)
        while self._forget_a_conversation(one.person_id):
            counts["conversations"] = counts.get("conversations", 0) + 1
        with self.database.write() as connection:
            rest = deleting.forget_rest(connection, one.person_id)
            return self._keep(connection, one, replace(one, stage="settling", counts=counts | {"rows": rest}))

    def _settle(self, one: Deletion) -> Deletion:
        folder = self.home / "runs"
        if forgetting.end_runs(self.runs, folder, one.person_id, one.votes):
            return one
        if one.approvals and self.drop is None:
            return one
        try:
            for key in one.approvals:
                self._forget_example(key)
        except RetrievalError as problem:
            log.info("%s waits for the index: %s", one.id, problem)
            return one
        scrubbed = forgetting.scrub(folder, one.person_id, one.votes)
        # Once more: a run may have published, and an answer been begun, while the rows went.
        while self._forget_a_conversation(one.person_id):
            pass
        with self.database.write() as connection:
            forgetting.blank_answers(connection, one.person_id)
            deleting.forget_rest(connection, one.person_id)
            searching.purge(connection)
        tainted = self._taint(one)
        if tainted:
            self.runs.queue("dpo", f"{WHY}: {', '.join(tainted)}"[:200])
        account = self.accounts.of(one.person_id)
        if account is not None:
            self.accounts.delete(account.name)
        self.database.fold()
        counts = {**one.counts, "examples": scrubbed, "adapters": tainted}
        self.note(one.asked_by, "delete all data", one.person_id, one.id, _told(counts))
        ended = datetime.now(UTC)
        after = replace(one, stage="done", votes=(), approvals=(), counts=counts, ended_at=ended)
        with self.database.write() as connection:
            return self._keep(connection, one, after)

    def _taint(self, one: Deletion) -> list[str]:
        tainted = Taints(self.database).mark(one.id, one.person_id, one.votes)
        canary = self.canaries.now()
        if canary is not None and canary.adapter in tainted:
            try:
                self.canaries.stop(actor="deletion", reason=WHY)
            except Refused as problem:
                log.info("%s", problem)  # it ended by itself at this moment
        return tainted

    def _forget_a_conversation(self, person_id: str) -> bool:
        # One at a time: others want to write too.
        with self.database.write() as connection:
            key = deleting.next_conversation(connection, person_id)
            if key is not None:
                deleting.forget_conversation(connection, key)
        return key is not None

    def _forget_example(self, key: str) -> None:
        """Take an approved answer out of the index, and its question out of the prompts that it stood in."""
        if self.drop is not None:
            self.drop(key)
        with self.database.write() as connection:
            ours = passages.c.source_id == key
            lines = line_vectors.c.passage_id.in_(select(passages.c.id).where(ours))
            connection.execute(delete(line_vectors).where(lines))
            connection.execute(delete(passages).where(ours))
            query = select(turns.c.id, turns.c.prompt, turns.c.passages)
            for row in connection.execute(query.where(cast(turns.c.passages, Text).contains(key))).all():
                values = without(row.prompt, row.passages, key)
                connection.execute(update(turns).where(turns.c.id == row.id).values(values))

    def _again(self) -> None:
        """What came back after its deletion, from a backup or a moment too late, goes again."""
        with self.database.read() as connection:
            people = deleting.returned(connection)
        if people:
            with self.database.write() as connection:
                late = deletions.c.person_id.in_(people) & (deletions.c.stage == "done")
                connection.execute(update(deletions).where(late).values(stage="asked", ended_at=None))

    # -- rows --------------------------------------------------------------------------------------

    def _person(self, who: str) -> tuple[Account | None, str]:
        account = self.accounts.of(who)
        if account is None:
            with suppress(AccountError):
                account = self.accounts.get(who)
        if account is not None:
            return account, account.id
        with self.database.read() as connection:
            if who.startswith(("person-", IMPORT)) and deleting.remains(connection, who):
                return None, who
        raise NotFound(f"there is no account named {who}, and nothing of a person of that id")

    def _where(self, *which: Any) -> list[Deletion]:
        query = select(deletions).where(*which).order_by(deletions.c.id)
        with self.database.read() as connection:
            return [record(Deletion, row) for row in connection.execute(query)]

    @staticmethod
    def _keep(connection: Connection, before: Deletion, after: Deletion) -> Deletion:
        """Write what a step came to, unless another process has taken this step already."""
        values = {field.name: getattr(after, field.name) for field in fields(after)}
        values |= {
            "votes": list(after.votes),
            "approvals": list(after.approvals),
            "counts": dict(after.counts),
        }
        mine = (deletions.c.id == before.id) & (deletions.c.stage == before.stage)
        written = connection.execute(update(deletions).where(mine).values(values)).rowcount
        return after if written else before


def _told(counts: Mapping[str, Any]) -> str:
    adapters = ", ".join(counts["adapters"]) or "none"
    return f"{counts.get('conversations', 0)} conversations, adapters that learned from them: {adapters}"


def without(prompt: Sequence[Message], kept: Sequence[Mapping[str, Any]], key: str) -> dict[str, Any]:
    """Prompt and passages of a turn, as columns, without the question of an approved answer. Pure."""
    ours = [one for one in kept if one.get("source") == key]
    asked = [str(one["title"]) for one in ours]
    words = {form for text in asked for form in (text, quoted(text), " ".join(quoted(text).split())) if form}
    messages = [dict(message) for message in prompt]
    for message in messages:
        for text in sorted(words, key=len, reverse=True):
            if isinstance(message.get("content"), str):
                message["content"] = message["content"].replace(text, deleting.GONE)
    left = [{**one, "title": deleting.GONE} if one in ours else dict(one) for one in kept]
    return {"prompt": messages, "prompt_key": prompt_key(messages), "passages": left}


async def watch(deletions: Deletions) -> None:
    """Take deletions to their end until it is cancelled."""
    while True:
        moved = False
        try:
            moved = await asyncio.to_thread(deletions.step)
        except DatabaseUnavailable as problem:
            log.warning("%s", problem)
        except Exception:
            # What it can't do now it tries again; nobody who asks must feel it.
            log.exception("a deletion could not go on")
        if not moved:
            await asyncio.sleep(_EVERY_SECONDS)
