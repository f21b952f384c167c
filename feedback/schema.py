"""The tables of the facts. Append-only where an opinion is kept: a changed mind is another row.

Knows nothing of training or accounts; `person_id` is a plain string. The migrations that build these
tables stand with the application, which is the one that upgrades a home.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    DDL,
    JSON,
    Boolean,
    Column,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    event,
    false,
    text,
    true,
)
from sqlalchemy.engine import Dialect

from feedback.records import storable
from feedback.search_index import SEARCH_INDEX

# Names by rule, so that a migration can find a constraint on both databases.
metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


class Moment(TypeDecorator[datetime]):
    """A UTC instant. SQLite drops time zones, so they are taken off going in and put back coming out."""

    impl = DateTime
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return None if value is None else value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: Any | None, dialect: Dialect) -> datetime | None:
        return None if value is None else value.replace(tzinfo=UTC)


class Words(TypeDecorator[str]):
    """Text as people and models write it, less the few code points that no database keeps."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        return None if value is None else storable(value)


conversations = Table(
    "conversations",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("person_id", String(40), nullable=False),
    Column("title", String(200), nullable=False, default=""),
    Column("opening", Words, nullable=False, default=""),
    Column("created_at", Moment, nullable=False),
    Column("updated_at", Moment, nullable=False),
    # Whether documents are looked through for its answers
    Column("grounded", Boolean, nullable=False, default=True, server_default=true()),
    # Since when it stands above the others in its person's list
    Column("pinned_at", Moment, nullable=True),
    # Whether anything may be trained on it
    Column("learned_from", Boolean, nullable=False, default=True, server_default=true()),
    Index(None, "person_id", "updated_at"),
    # Partial: else SQLite would use it to look for those that are not pinned, and sort all of them.
    Index(
        "ix_conversations_pinned",
        "person_id",
        "pinned_at",
        sqlite_where=text("pinned_at IS NOT NULL"),
        postgresql_where=text("pinned_at IS NOT NULL"),
    ),
)

turns = Table(
    "turns",
    metadata,
    Column("id", String(60), primary_key=True),
    Column("conversation_id", ForeignKey("conversations.id"), nullable=False, index=True),
    Column("parent_id", ForeignKey("turns.id"), nullable=True),
    Column("person_id", String(40), nullable=False),
    Column("question", Words, nullable=False),
    Column("prompt", JSON, nullable=False),
    Column("prompt_key", String(32), nullable=False, index=True),
    # The key of the prompt plus its answer: how a client that sends its whole history finds its last turn.
    Column("thread_key", String(32), nullable=True),
    Column("answer", Words, nullable=False, default=""),
    Column("adapter", String(40), nullable=True),
    Column("model", String(200), nullable=False),
    Column("sampling", JSON, nullable=False),
    Column("status", String(12), nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("first_token_at", Moment, nullable=True),
    Column("ended_at", Moment, nullable=True),
    Column("prompt_tokens", Integer, nullable=True),
    Column("completion_tokens", Integer, nullable=True),
    Column("finish_reason", String(20), nullable=True),
    Column("error", Words, nullable=True),
    Column("tool_calls", JSON, nullable=False, default=list),
    Column("passages", JSON, nullable=False, default=list),
    # The messages between prompt and answer: calls of our tools, and what they returned
    Column("steps", JSON, nullable=False, default=list, server_default="[]"),
    # What the documents were looked through for; null if they were not
    Column("searched", Words, nullable=True),
    # Whether it, or a turn before it in its branch, stands on a passage that is not for everybody
    Column("restricted", Boolean, nullable=False, default=False, server_default=false()),
    # Chosen by chance before it is answered: its person is asked for a rating.
    Column("asked", Boolean, nullable=False, default=False, server_default=false()),
    # The import that it came by from another tool; empty for what was said to Apprentice.
    Column("origin", String(40), nullable=False, default="", server_default=""),
    Index(None, "person_id", "thread_key"),
    Index(None, "status"),
)

# An opinion's id is never used again, even after a deletion: examples and adapters name votes by it.
ratings = Table(
    "ratings",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("turn_id", ForeignKey("turns.id"), nullable=False),
    Column("person_id", String(40), nullable=False),
    Column("role", String(8), nullable=False),
    Column("thumb", String(4), nullable=True),
    Column("reasons", JSON, nullable=False, default=list),
    Column("comment", Words, nullable=False, default=""),
    Column("created_at", Moment, nullable=False),
    Index(None, "turn_id", "person_id"),
    Index(None, "person_id", "id"),
    sqlite_autoincrement=True,
)

corrections = Table(
    "corrections",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("turn_id", ForeignKey("turns.id"), nullable=False),
    Column("person_id", String(40), nullable=False),
    Column("role", String(8), nullable=False),
    Column("text", Words, nullable=False, default=""),
    Column("created_at", Moment, nullable=False),
    Index(None, "turn_id", "person_id"),
    Index(None, "person_id", "id"),
    sqlite_autoincrement=True,
)

choices = Table(
    "choices",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("first_turn_id", ForeignKey("turns.id"), nullable=False, index=True),
    Column("second_turn_id", ForeignKey("turns.id"), nullable=False, index=True),
    Column("person_id", String(40), nullable=False),
    Column("role", String(8), nullable=False),
    Column("preference", String(9), nullable=False),
    Column("created_at", Moment, nullable=False),
    Index(None, "person_id", "id"),
    sqlite_autoincrement=True,
)

# What a day came to, by the adapter that answered ("" for the bare base model): read in place of its turns.
# The row of the day "" says how far turns and opinions have been read.
days = Table(
    "days",
    metadata,
    Column("day", String(10), primary_key=True),
    Column("adapter", String(40), primary_key=True),
    Column("figures", JSON, nullable=False),
    Column("made_at", Moment, nullable=False),
)

# What somebody should look at; it lasts until `ended_at`.
alerts = Table(
    "alerts",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("name", String(60), nullable=False),
    Column("adapter", String(40), nullable=False, default=""),
    Column("detail", Words, nullable=False),
    Column("begun_at", Moment, nullable=False),
    Column("ended_at", Moment, nullable=True, index=True),
)

# Answers that staff approved: examples for similar questions from then on, until `ended_at`.
approvals = Table(
    "approvals",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("turn_id", ForeignKey("turns.id"), nullable=False, index=True),
    Column("question", Words, nullable=False),
    Column("answer", Words, nullable=False),
    Column("audience", String(60), nullable=False, default=""),
    Column("approved_by", String(80), nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("ended_at", Moment, nullable=True),
    # Taken back or replaced by whom
    Column("ended_by", String(80), nullable=True),
    Column("reason", Words, nullable=True),
    # How many tokens it takes in a prompt, how often it stood in one, how often that could be spared
    Column("tokens", Integer, nullable=False, default=0),
    Column("used", Integer, nullable=False, default=0),
    Column("spared", Integer, nullable=False, default=0),
    # The adapter that was asked last without it, and whether that one needs it no more
    Column("asked_of", String(40), nullable=True),
    Column("learned", Boolean, nullable=False, default=False),
    Column("finding", Words, nullable=True),
)

# What staff should write down, or have written down: a cluster of questions that nothing answered.
gaps = Table(
    "gaps",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("title", Words, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("closed_at", Moment, nullable=True),
    Column("closed_by", String(80), nullable=True),
    Column("document_id", String(40), nullable=True),
    # Why it needs no document
    Column("reason", Words, nullable=True),
    # The questions asked again when it was closed: before and after.
    Column("report", JSON, nullable=False, default=list),
)

gap_turns = Table(
    "gap_turns",
    metadata,
    Column("turn_id", ForeignKey("turns.id"), primary_key=True),
    Column("gap_id", ForeignKey("gaps.id"), nullable=False, index=True),
    Column("why", String(20), nullable=False),
)

# Why an answer was bad: document missing, not retrieved, misread, or nothing to do with knowledge.
causes = Table(
    "causes",
    metadata,
    Column("turn_id", ForeignKey("turns.id"), primary_key=True),
    Column("cause", String(20), nullable=False),
    Column("evidence", JSON, nullable=False, default=dict),
    Column("decided_by", String(80), nullable=False),
    Column("made_at", Moment, nullable=False),
)

# What staff are to look at: a row for each look, so two for the answers that two of them see.
review_tasks = Table(
    "review_tasks",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("turn_id", ForeignKey("turns.id"), nullable=False),
    # 0, and 1 for the second look of those that have two
    Column("seat", Integer, nullable=False),
    Column("kind", String(12), nullable=False),
    # Of the turn, which never changes it: the list is filtered by it.
    Column("adapter", String(40), nullable=True),
    # Place in the queue, the smallest first
    Column("place", Integer, nullable=False),
    Column("state", String(8), nullable=False),
    # Whose it is, and until when nobody else is given it
    Column("person_id", String(40), nullable=True),
    Column("held_until", Moment, nullable=True),
    # Whether its person was shown what another one found: what they say from then on is not independent.
    Column("revealed", Boolean, nullable=False, default=False),
    # Whether what follows from its verdict (a gap, an approval) has been seen to
    Column("settled", Boolean, nullable=False, default=True),
    Column("created_at", Moment, nullable=False),
    Column("updated_at", Moment, nullable=False),
    Index(None, "turn_id", "seat", unique=True),
    # Nobody looks twice at one answer.
    Index(None, "turn_id", "person_id", unique=True),
    Index(None, "state", "place"),
    Index(None, "person_id", "state", "updated_at"),
    Index(None, "updated_at"),
    Index(None, "settled"),
    sqlite_autoincrement=True,
)

# What was typed and is no verdict yet
review_drafts = Table(
    "review_drafts",
    metadata,
    Column("task_id", ForeignKey("review_tasks.id"), primary_key=True),
    Column("person_id", String(40), primary_key=True),
    Column("content", JSON, nullable=False),
    Column("updated_at", Moment, nullable=False),
)

# What staff found. Never changed: a row without a verdict takes the one before back.
reviews = Table(
    "reviews",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("task_id", Integer, nullable=False, index=True),
    Column("turn_id", ForeignKey("turns.id"), nullable=False),
    Column("person_id", String(40), nullable=False),
    Column("role", String(8), nullable=False),
    Column("verdict", String(8), nullable=True),
    Column("fault", String(14), nullable=True),
    Column("correction", Words, nullable=False, default=""),
    Column("include", Boolean, nullable=False, default=True),
    Column("approve", Boolean, nullable=False, default=False),
    Column("comment", Words, nullable=False, default=""),
    # Whether the person knew by then what another one had found
    Column("informed", Boolean, nullable=False, default=False),
    Column("created_at", Moment, nullable=False),
    Index(None, "turn_id", "person_id"),
    sqlite_autoincrement=True,
)

# What people find their conversations by: a title, or a question with its answer; see `searching.py`.
search_texts = Table(
    "search_texts",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("conversation_id", ForeignKey("conversations.id", ondelete="CASCADE"), nullable=False, index=True),
    # Null: the title
    Column("turn_id", ForeignKey("turns.id", ondelete="CASCADE"), nullable=True, index=True),
    Column("words", Words, nullable=False),
)
for _dialect, _statements in SEARCH_INDEX.items():
    for _statement in _statements:
        _made = DDL(_statement).execute_if(dialect=_dialect)  # type: ignore[no-untyped-call]
        event.listen(search_texts, "after_create", _made)

# Two answers to one question that a person was to choose between; `first` stood on the left.
offers = Table(
    "offers",
    metadata,
    Column("first_turn_id", ForeignKey("turns.id", ondelete="CASCADE"), primary_key=True),
    Column("second_turn_id", ForeignKey("turns.id", ondelete="CASCADE"), nullable=False, unique=True),
    Column("created_at", Moment, nullable=False),
    # When the person chose, or went on without choosing
    Column("ended_at", Moment, nullable=True),
)

# Who has been told that an adapter that learned from them went live
receipts = Table(
    "receipts",
    metadata,
    Column("person_id", String(40), primary_key=True),
    Column("adapter", String(40), primary_key=True),
    # The turn whose answer was shown beside a new one; null: they did not want to see it
    Column("turn_id", String(60), nullable=True),
    Column("told_at", Moment, nullable=False),
)
# Files that were read in, each by one transaction.
imports = Table(
    "imports",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("name", Words, nullable=False),
    Column("read_by", String(80), nullable=False),
    Column("made_at", Moment, nullable=False),
    Column("counts", JSON, nullable=False, default=dict),
)

# The lines of those files, by the hash of what they hold: none is read in twice.
import_lines = Table(
    "import_lines",
    metadata,
    Column("digest", String(64), primary_key=True),
    Column("import_id", ForeignKey("imports.id"), nullable=False, index=True),
)

# People whose data is to go, or has gone: the row outlives them, so that what comes back late goes too.
deletions = Table(
    "deletions",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("person_id", String(40), nullable=False, index=True),
    Column("asked_by", String(80), nullable=False),
    Column("asked_at", Moment, nullable=False),
    Column("stage", String(10), nullable=False, index=True),
    # Ids alone: opinions that adapters may have learned from, approved answers to take out of the index.
    Column("votes", JSON, nullable=False, default=list),
    Column("approvals", JSON, nullable=False, default=list),
    Column("counts", JSON, nullable=False, default=dict),
    Column("ended_at", Moment, nullable=True),
)
