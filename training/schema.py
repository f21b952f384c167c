"""The tables of training: runs (a row is the job), adapters, evaluations, promotions (the audit).

They stand in the same database as the facts. The migrations are the application's.
"""

from __future__ import annotations

from sqlalchemy import JSON, Boolean, Column, Float, ForeignKey, Index, Integer, String, Table, Text

from feedback.schema import Moment, Words, metadata

runs = Table(
    "runs",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("state", String(10), nullable=False, index=True),
    Column("method", String(20), nullable=False),
    Column("due_by", String(200), nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("started_at", Moment, nullable=True),
    Column("ended_at", Moment, nullable=True),
    Column("stage", String(20), nullable=False, default=""),
    Column("progress", Float, nullable=False, default=0.0),
    Column("attempts", Integer, nullable=False, default=0),
    Column("token", Integer, nullable=False, default=0),
    Column("worker", String(80), nullable=True),
    Column("lease_until", Moment, nullable=True),
    Column("cancel_requested", Boolean, nullable=False, default=False),
    Column("reason", Words, nullable=False, default=""),
    Column("adapter", String(40), nullable=True),
    Column("counts", JSON, nullable=False, default=dict),
    Column("seconds", JSON, nullable=False, default=dict),
    # How far the run has read the opinions; what came later makes the next run due.
    Column("mark", JSON, nullable=False, default=dict),
    # What whoever queued it wants otherwise in its recipe
    Column("wishes", JSON, nullable=False, default=dict, server_default="{}"),
)

adapters = Table(
    "adapters",
    metadata,
    Column("name", String(40), primary_key=True),
    Column("path", Text, nullable=False),
    Column("base", Text, nullable=False),
    Column("base_hash", String(64), nullable=False),
    Column("run_id", ForeignKey("runs.id"), nullable=True, unique=True),
    Column("rank", Integer, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("manifest", JSON, nullable=False, default=dict),
    Column("retired", Boolean, nullable=False, default=False),
)

evaluations = Table(
    "evaluations",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("adapter", ForeignKey("adapters.name"), nullable=False),
    Column("against", String(40), nullable=True),
    Column("outcome", String(20), nullable=False),
    Column("checks", JSON, nullable=False),
    Column("figures", JSON, nullable=False, default=dict),
    Column("created_at", Moment, nullable=False),
    Index(None, "adapter", "id"),
)

promotions = Table(
    "promotions",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    # NULL: the bare base model answers.
    Column("adapter", ForeignKey("adapters.name"), nullable=True),
    Column("action", String(10), nullable=False),
    Column("actor", String(80), nullable=False),
    Column("reason", Words, nullable=False),
    Column("at", Moment, nullable=False),
)

# The steps of canaries; the newest row says what share of new conversations which adapter has now.
canaries = Table(
    "canaries",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("adapter", ForeignKey("adapters.name"), nullable=False),
    # NULL: the bare base model.
    Column("against", String(40), nullable=True),
    Column("share", Float, nullable=False),
    Column("action", String(10), nullable=False),
    Column("actor", String(80), nullable=False),
    Column("reason", Words, nullable=False),
    Column("figures", JSON, nullable=False, default=dict),
    Column("at", Moment, nullable=False),
)

# Adapters that learned from somebody whose data was deleted: they are not promoted any more.
taints = Table(
    "taints",
    metadata,
    Column("adapter", ForeignKey("adapters.name"), primary_key=True),
    Column("deletion_id", String(40), primary_key=True),
    Column("examples", Integer, nullable=False),
    Column("at", Moment, nullable=False),
)
