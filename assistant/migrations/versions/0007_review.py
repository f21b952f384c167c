"""Review: what staff are to look at, what they typed, what they found

Revision: 0007, after 0006
"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.create_table(
        "review_tasks",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("turn_id", sa.String(length=60), nullable=False),
        sa.Column("seat", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(length=12), nullable=False),
        sa.Column("adapter", sa.String(length=40), nullable=True),
        sa.Column("place", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(length=8), nullable=False),
        sa.Column("person_id", sa.String(length=40), nullable=True),
        sa.Column("held_until", sa.DateTime(), nullable=True),
        sa.Column("revealed", sa.Boolean(), nullable=False),
        sa.Column("settled", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.Column("updated_at", sa.DateTime(), nullable=False),
        sa.ForeignKeyConstraint(["turn_id"], ["turns.id"], name=op.f("fk_review_tasks_turn_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_review_tasks")),
        sqlite_autoincrement=True,
    )
    with op.batch_alter_table("review_tasks", schema=None) as batch_op:
        for columns in (["turn_id", "seat"], ["turn_id", "person_id"]):
            name = batch_op.f("ix_review_tasks_" + "_".join(columns))
            batch_op.create_index(name, columns, unique=True)
        for columns in (
            ["state", "place"],
            ["person_id", "state", "updated_at"],
            ["updated_at"],
            ["settled"],
        ):
            name = batch_op.f("ix_review_tasks_" + "_".join(columns))
            batch_op.create_index(name, columns, unique=False)

    op.create_table(
        "review_drafts",
        sa.Column("task_id", sa.Integer(), nullable=False),
        sa.Column("person_id", sa.String(length=40), nullable=False),
        sa.Column("content", sa.JSON(), nullable=False),
        sa.Column("updated_at", sa.DateTime(), nullable=False),
        sa.ForeignKeyConstraint(["task_id"], ["review_tasks.id"], name=op.f("fk_review_drafts_task_id")),
        sa.PrimaryKeyConstraint("task_id", "person_id", name=op.f("pk_review_drafts")),
    )
    op.create_table(
        "reviews",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("task_id", sa.Integer(), nullable=False),
        sa.Column("turn_id", sa.String(length=60), nullable=False),
        sa.Column("person_id", sa.String(length=40), nullable=False),
        sa.Column("role", sa.String(length=8), nullable=False),
        sa.Column("verdict", sa.String(length=8), nullable=True),
        sa.Column("fault", sa.String(length=14), nullable=True),
        sa.Column("correction", sa.Text(), nullable=False),
        sa.Column("include", sa.Boolean(), nullable=False),
        sa.Column("approve", sa.Boolean(), nullable=False),
        sa.Column("comment", sa.Text(), nullable=False),
        sa.Column("informed", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.ForeignKeyConstraint(["turn_id"], ["turns.id"], name=op.f("fk_reviews_turn_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_reviews")),
        sqlite_autoincrement=True,
    )
    with op.batch_alter_table("reviews", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_reviews_task_id"), ["task_id"], unique=False)
        name = batch_op.f("ix_reviews_turn_id_person_id")
        batch_op.create_index(name, ["turn_id", "person_id"], unique=False)
