"""Keeps turns and opinions, and gives them back. Every method is one short transaction.

It is the truth about what was said: pages and clients only show it. What is read in bulk stands in
`reading.py`. Knows nothing of accounts (a person is an id and a role, handed in), of models or of training.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from typing import Any, get_args

from sqlalchemy import Connection, Select, insert, select, update
from uuid_utils import uuid7

from feedback import searching
from feedback.reading import Reader, live, record
from feedback.records import (
    Choice,
    Conversation,
    Correction,
    Invalid,
    Message,
    NotFound,
    Preference,
    Rating,
    Role,
    Thumb,
    Turn,
    TurnStatus,
    conversation_id,
    prompt_key,
    thread_key,
)
from feedback.restoring import check_parent, plain
from feedback.schema import choices, conversations, corrections, ratings, turns
from feedback.titles import title_of

LONGEST_COMMENT = 4_000
LONGEST_CORRECTION = 20_000
MOST_REASONS = 10


@dataclass(frozen=True, slots=True)
class NewTurn:
    """What is known of a turn before generation starts."""

    conversation_id: str
    parent_id: str | None
    person_id: str
    question: str
    prompt: Sequence[Message]
    model: str
    adapter: str | None
    sampling: Mapping[str, Any]
    passages: Sequence[Mapping[str, Any]] = ()
    searched: str | None = None
    """What the documents were looked through for; None if they were not, or if there are none."""
    asked: bool = False


@dataclass(frozen=True, slots=True)
class Ending:
    """How a turn ended: what was said and why it stopped."""

    status: TurnStatus
    answer: str
    adapter: str | None = None
    first_token_at: datetime | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    finish_reason: str | None = None
    error: str | None = None
    tool_calls: Sequence[Mapping[str, Any]] = ()
    steps: Sequence[Message] = ()


@dataclass(frozen=True, slots=True)
class Verdict:
    """A person's whole opinion of a turn, as `/v1/feedback` takes it: it replaces the one before."""

    thumb: Thumb | None
    reasons: Sequence[str] = ()
    comment: str = ""
    correction: str = ""


class Store(Reader):
    """The facts in one database. Safe to share between threads."""

    # -- conversations -----------------------------------------------------------------------------

    def start_conversation(
        self,
        person_id: str,
        opening: str,
        new_id: str = "",
        grounded: bool = True,
        learned_from: bool = True,
    ) -> Conversation:
        """A new, empty conversation titled by its opening question; `new_id` if it was drawn before."""
        now = _now()
        name = new_id or conversation_id()
        row = Conversation(
            name, person_id, title_of(opening), now, now, grounded, opening, learned_from=learned_from
        )
        with self._database.write() as connection:
            connection.execute(insert(conversations).values(plain(row)))
            searching.note_title(connection, row)
        return row

    def conversation(self, conversation_id: str, person_id: str) -> Conversation:
        """One conversation of this person. Raises `NotFound` for a missing or a foreign one."""
        query = select(conversations).where(
            conversations.c.id == conversation_id, conversations.c.person_id == person_id
        )
        with self._database.read() as connection:
            row = connection.execute(query).first()
        if row is None:
            raise NotFound("there is no such conversation")
        return record(Conversation, row)

    def ground(self, conversation_id: str, person_id: str, grounded: bool) -> None:
        """Say whether documents are looked through for the answers of this person's conversation.

        Raises `NotFound` for a missing or a foreign one.
        """
        own = (conversations.c.id == conversation_id) & (conversations.c.person_id == person_id)
        with self._database.write() as connection:
            if not connection.execute(update(conversations).where(own).values(grounded=grounded)).rowcount:
                raise NotFound("there is no such conversation")

    def conversations(self, person_id: str, limit: int = 100) -> list[Conversation]:
        """This person's conversations, the newest first."""
        query = (
            select(conversations)
            .where(conversations.c.person_id == person_id)
            .order_by(conversations.c.updated_at.desc(), conversations.c.id.desc())
            .limit(limit)
        )
        with self._database.read() as connection:
            return [record(Conversation, row) for row in connection.execute(query)]

    # -- turns -------------------------------------------------------------------------------------

    def begin(self, new: NewTurn) -> Turn:
        """Store a turn before its generation starts, as `pending`.

        Raises `NotFound` unless the conversation is this person's and the turn before stands in it.
        """
        now = _now()
        turn = Turn(
            id=f"turn-{uuid7().hex}",
            prompt_key=prompt_key(new.prompt),
            answer="",
            status="pending",
            created_at=now,
            **{field.name: getattr(new, field.name) for field in fields(new)},
        )
        own = (conversations.c.id == new.conversation_id) & (conversations.c.person_id == new.person_id)
        with self._database.write() as connection:
            if not connection.execute(update(conversations).where(own).values(updated_at=now)).rowcount:
                raise NotFound("there is no such conversation")
            heard = check_parent(connection, new.parent_id, new.conversation_id)
            # What was told of a restricted passage stands in the prompts of all turns after it.
            restricted = heard or any(passage.get("audience") for passage in new.passages)
            turn = replace(turn, restricted=restricted)
            connection.execute(insert(turns).values(plain(turn)))
            where, person = turn.conversation_id, turn.person_id
            searching.note_turn(connection, turn.id, where, person, turn.question, "")
        return turn

    def end(self, turn: Turn, ending: Ending) -> Turn:
        """Store how a turn ended. One that has ended already, and was not just given up, is left as it is."""
        values = {field.name: getattr(ending, field.name) for field in fields(ending)}
        values |= {
            "ended_at": _now(),
            "tool_calls": list(ending.tool_calls),
            "steps": list(ending.steps),
            "adapter": ending.adapter or turn.adapter,
            "thread_key": thread_key(turn.prompt, ending.answer),
            # What a tool found in a group's documents is known only now.
            "restricted": turn.restricted or any(step.get("audiences") for step in ending.steps),
        }
        with self._database.write() as connection:
            ended = connection.execute(
                update(turns)
                # A second web process that starts takes our running turns for orphans; they are not.
                .where(turns.c.id == turn.id, turns.c.status.in_(("pending", "interrupted")))
                .values(values)
            )
            if ended.rowcount:
                where, person = turn.conversation_id, turn.person_id
                searching.note_turn(connection, turn.id, where, person, turn.question, ending.answer)
        return self.turn(turn.id)

    def interrupt_pending(self, before: datetime) -> int:
        """Mark turns pending since `before` as interrupted: their process is gone. Returns how many."""
        with self._database.write() as connection:
            result = connection.execute(
                update(turns)
                .where(turns.c.status == "pending", turns.c.created_at < before)
                .values(status="interrupted", ended_at=_now(), error="the server stopped while it answered")
            )
        return int(result.rowcount)

    def turn(self, turn_id: str, person_id: str | None = None) -> Turn:
        """One turn; with `person_id`, only if it is that person's. Raises `NotFound`."""
        query = select(turns).where(turns.c.id == turn_id)
        if person_id is not None:
            query = query.where(turns.c.person_id == person_id)
        with self._database.read() as connection:
            row = connection.execute(query).first()
        if row is None:
            raise NotFound("there is no such turn")
        return record(Turn, row)

    def turns(self, conversation_id: str) -> list[Turn]:
        """All turns of a conversation, every branch, the oldest first."""
        query = select(turns).where(turns.c.conversation_id == conversation_id).order_by(turns.c.id)
        with self._database.read() as connection:
            return [record(Turn, row) for row in connection.execute(query)]

    def answered_before(self, person_id: str, messages: Sequence[Message]) -> Turn | None:
        """This person's newest turn after which the dialogue stood as in `messages`.

        It lets a client that keeps its own history and sends all of it each time go on in one conversation.
        """
        if not messages or messages[-1].get("role") != "assistant":
            return None
        key = thread_key(messages[:-1], str(messages[-1].get("content") or ""))
        query = (
            select(turns)
            .where(turns.c.person_id == person_id, turns.c.thread_key == key)
            .order_by(turns.c.id.desc())
            .limit(1)
        )
        return self._one_turn(query)

    def asked_before(self, person_id: str, prompt: Sequence[Message]) -> Turn | None:
        """This person's newest turn with the very same prompt: a new answer to it is a sibling."""
        query = (
            select(turns)
            .where(turns.c.person_id == person_id, turns.c.prompt_key == prompt_key(prompt))
            .order_by(turns.c.id.desc())
            .limit(1)
        )
        return self._one_turn(query)

    def _one_turn(self, query: Select[Any]) -> Turn | None:
        with self._database.read() as connection:
            row = connection.execute(query).first()
        return None if row is None else record(Turn, row)

    # -- opinions ----------------------------------------------------------------------------------

    def judge(self, turn_id: str, person_id: str, role: Role, verdict: Verdict) -> Rating:
        """Store a person's opinion of their own turn; it replaces the one before, which stays in the history.

        Raises `NotFound` for a missing or foreign turn, `Invalid` for an answer still being written and for
        too long a text.
        """
        _check(verdict)
        now = _now()
        with self._database.write() as connection:
            owner = connection.execute(
                select(turns.c.person_id, turns.c.status).where(turns.c.id == turn_id)
            ).first()
            if owner is None or owner.person_id != person_id:
                raise NotFound("there is no such turn")
            if owner.status == "pending":
                raise Invalid("this answer is still being written; rate it when it is done")
            values: dict[str, Any] = {
                "turn_id": turn_id,
                "person_id": person_id,
                "role": role,
                "thumb": verdict.thumb,
                "reasons": list(verdict.reasons),
                "comment": verdict.comment,
                "created_at": now,
            }
            key = connection.execute(insert(ratings).values(values)).inserted_primary_key
            self._correct(connection, turn_id, person_id, role, verdict.correction, now)
        return Rating(id=int(key[0]) if key else 0, **values)

    @staticmethod
    def _correct(
        connection: Connection, turn_id: str, person_id: str, role: Role, text: str, now: datetime
    ) -> None:
        """Add a correction row, unless it would only repeat what is live."""
        live = connection.execute(
            select(corrections.c.text)
            .where(corrections.c.turn_id == turn_id, corrections.c.person_id == person_id)
            .order_by(corrections.c.id.desc())
            .limit(1)
        ).scalar()
        if (live or "") != text:
            connection.execute(
                insert(corrections).values(
                    turn_id=turn_id, person_id=person_id, role=role, text=text, created_at=now
                )
            )

    def opinion(self, turn_ids: Iterable[str], person_id: str) -> dict[str, Verdict]:
        """The live opinion of one person on each of these turns, for those that have one."""
        wanted = list(turn_ids)
        with self._database.read() as connection:
            thumbs = live(connection, ratings, Rating, wanted)
            texts = live(connection, corrections, Correction, wanted)
        said = {row.turn_id: row.text for row in texts if row.person_id == person_id}
        return {
            row.turn_id: Verdict(row.thumb, row.reasons, row.comment, said.get(row.turn_id, ""))
            for row in thumbs
            if row.person_id == person_id
        }

    def choose(
        self, first_turn_id: str, second_turn_id: str, person_id: str, role: Role, preference: Preference
    ) -> Choice:
        """Store a judgement between two answers to the same prompt; a user judges only their own turns.

        Raises `NotFound`, `Invalid`.
        """
        owner = None if role in ("staff", "admin") else person_id
        first, second = self.turn(first_turn_id, owner), self.turn(second_turn_id, owner)
        if first.prompt_key != second.prompt_key or first.id == second.id:
            raise Invalid("a choice needs two different answers to the same prompt")
        if "pending" in (first.status, second.status):
            raise Invalid("one of the answers is still being written; choose when both are done")
        if preference not in get_args(Preference):
            raise Invalid('a preference is "first", "second", "tie" or "both_bad"')
        values: dict[str, Any] = {
            "first_turn_id": first.id,
            "second_turn_id": second.id,
            "person_id": person_id,
            "role": role,
            "preference": preference,
            "created_at": _now(),
        }
        with self._database.write() as connection:
            key = connection.execute(insert(choices).values(values)).inserted_primary_key
        return Choice(id=int(key[0]) if key else 0, **values)


def _check(verdict: Verdict) -> None:
    if verdict.thumb not in ("up", "down", None):
        raise Invalid('a rating is "up", "down" or null')
    if len(verdict.reasons) > MOST_REASONS or any(len(reason) > 100 for reason in verdict.reasons):
        raise Invalid(f"at most {MOST_REASONS} reasons of at most 100 characters each")
    if len(verdict.comment) > LONGEST_COMMENT:
        raise Invalid(f"a comment has at most {LONGEST_COMMENT} characters")
    if len(verdict.correction) > LONGEST_CORRECTION:
        raise Invalid(f"a correction has at most {LONGEST_CORRECTION} characters")


def _now() -> datetime:
    return datetime.now(UTC)
