"""Conversations are pinned, searched and kept from learning; two answers side by side; learning receipts

Revision: 0006, after 0005
"""

import hashlib

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"

INDEX = {
    "sqlite": (
        "CREATE VIRTUAL TABLE search_words USING fts5(words, content='search_texts', content_rowid='id', "
        "tokenize='unicode61 remove_diacritics 2', prefix='2 3')",
        "CREATE TRIGGER search_added AFTER INSERT ON search_texts BEGIN "
        "INSERT INTO search_words(rowid, words) VALUES (new.id, new.words); END",
        "CREATE TRIGGER search_removed AFTER DELETE ON search_texts BEGIN "
        "INSERT INTO search_words(search_words, rowid, words) VALUES ('delete', old.id, old.words); END",
        "CREATE TRIGGER search_changed AFTER UPDATE ON search_texts BEGIN "
        "INSERT INTO search_words(search_words, rowid, words) VALUES ('delete', old.id, old.words); "
        "INSERT INTO search_words(rowid, words) VALUES (new.id, new.words); END",
    ),
    "postgresql": (
        "CREATE INDEX ix_search_texts_words ON search_texts USING gin (to_tsvector('simple', words))",
    ),
}


def upgrade() -> None:
    with op.batch_alter_table("conversations", schema=None) as batch_op:
        batch_op.add_column(sa.Column("pinned_at", sa.DateTime(), nullable=True))
        batch_op.add_column(sa.Column("learned_from", sa.Boolean(), server_default=sa.true(), nullable=False))
        batch_op.create_index(
            "ix_conversations_pinned",
            ["person_id", "pinned_at"],
            unique=False,
            sqlite_where=sa.text("pinned_at IS NOT NULL"),
            postgresql_where=sa.text("pinned_at IS NOT NULL"),
        )

    op.create_table(
        "search_texts",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("conversation_id", sa.String(length=40), nullable=False),
        sa.Column("turn_id", sa.String(length=60), nullable=True),
        sa.Column("words", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["conversation_id"],
            ["conversations.id"],
            name=op.f("fk_search_texts_conversation_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["turn_id"], ["turns.id"], name=op.f("fk_search_texts_turn_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_search_texts")),
    )
    with op.batch_alter_table("search_texts", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_search_texts_conversation_id"), ["conversation_id"], unique=False
        )
        batch_op.create_index(batch_op.f("ix_search_texts_turn_id"), ["turn_id"], unique=False)

    op.create_table(
        "offers",
        sa.Column("first_turn_id", sa.String(length=60), nullable=False),
        sa.Column("second_turn_id", sa.String(length=60), nullable=False),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.Column("ended_at", sa.DateTime(), nullable=True),
        sa.ForeignKeyConstraint(
            ["first_turn_id"], ["turns.id"], name=op.f("fk_offers_first_turn_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["second_turn_id"], ["turns.id"], name=op.f("fk_offers_second_turn_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("first_turn_id", name=op.f("pk_offers")),
        sa.UniqueConstraint("second_turn_id", name=op.f("uq_offers_second_turn_id")),
    )
    op.create_table(
        "receipts",
        sa.Column("person_id", sa.String(length=40), nullable=False),
        sa.Column("adapter", sa.String(length=40), nullable=False),
        sa.Column("turn_id", sa.String(length=60), nullable=True),
        sa.Column("told_at", sa.DateTime(), nullable=False),
        sa.PrimaryKeyConstraint("person_id", "adapter", name=op.f("pk_receipts")),
    )
    for statement in INDEX[op.get_bind().dialect.name]:
        op.execute(statement)
    fill(op.get_bind())


def fill(connection: sa.Connection) -> None:
    """Everything said so far can be found: titles, then turns, the oldest first."""
    people = connection.execute(sa.text("SELECT DISTINCT person_id FROM conversations")).scalars().all()
    for person in people:
        token = "person" + hashlib.sha256(person.encode(errors="replace")).hexdigest()[:16]
        given = {"token": token, "person": person}
        connection.execute(
            sa.text(
                "INSERT INTO search_texts (conversation_id, words) "
                "SELECT id, :token || ' ' || title FROM conversations WHERE person_id = :person ORDER BY id"
            ),
            given,
        )
        connection.execute(
            sa.text(
                "INSERT INTO search_texts (conversation_id, turn_id, words) "
                "SELECT conversation_id, id, "
                ":token || ' ' || substr(question, 1, 4000) || ' ' || substr(answer, 1, 8000) "
                "FROM turns WHERE person_id = :person ORDER BY id"
            ),
            given,
        )
