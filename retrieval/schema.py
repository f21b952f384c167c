"""The tables of the knowledge base: documents, their passages, and what the index holds of them.

The texts stand here, and every index can be built again from them. The migrations that build these tables
stand with the application.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Float, Index, Integer, LargeBinary, String, Table

from feedback.schema import Moment, Words, metadata

documents = Table(
    "documents",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("name", String(300), nullable=False),
    Column("title", String(300), nullable=False, default=""),
    Column("audience", String(60), nullable=False, default=""),
    Column("digest", String(64), nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("state", String(10), nullable=False, index=True),
    Column("passages", Integer, nullable=False, default=0),
    Column("expected", Integer, nullable=True),
    Column("reason", Words, nullable=True),
    Column("added_by", String(80), nullable=False),
    Column("watched", Boolean, nullable=False, default=False),
    Column("created_at", Moment, nullable=False),
    Column("updated_at", Moment, nullable=False),
    Index(None, "audience", "name", unique=True),
)

# Of documents and of approved answers alike: `source_id` names the one or the other.
passages = Table(
    "passages",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("source_id", String(40), nullable=False, index=True),
    Column("kind", String(10), nullable=False),
    Column("audience", String(60), nullable=False, default=""),
    Column("title", Words, nullable=False, default=""),
    Column("text", Words, nullable=False),
    Column("page", Integer, nullable=True),
    Column("place", Integer, nullable=False),
    Index(None, "source_id", "place"),
)

# float16, one after the other: each line alone, then each behind its title. No reference to the passages:
# both come and go in one transaction, and passages are replaced under the same id.
line_vectors = Table(
    "line_vectors",
    metadata,
    Column("passage_id", String(40), primary_key=True),
    Column("model", String(120), nullable=False),
    Column("vectors", LargeBinary, nullable=False),
)

# What langchain's indexing has written into the vector index, by namespace (one for each embedding model).
index_records = Table(
    "index_records",
    metadata,
    Column("namespace", String(200), primary_key=True),
    Column("key", String(64), primary_key=True),
    Column("group_id", String(64), nullable=True, index=True),
    Column("updated_at", Float, nullable=False),
)
