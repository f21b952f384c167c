"""Imports, deletions of a person's data, adapters tainted by them

Revision: 0009, after 0008
"""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    op.create_table(
        "imports",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("read_by", sa.String(length=80), nullable=False),
        sa.Column("made_at", sa.DateTime(), nullable=False),
        sa.Column("counts", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_imports")),
    )
    op.create_table(
        "import_lines",
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("import_id", sa.String(length=40), nullable=False),
        sa.ForeignKeyConstraint(["import_id"], ["imports.id"], name=op.f("fk_import_lines_import_id")),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_import_lines")),
    )
    with op.batch_alter_table("import_lines", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_import_lines_import_id"), ["import_id"], unique=False)

    op.create_table(
        "deletions",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("person_id", sa.String(length=40), nullable=False),
        sa.Column("asked_by", sa.String(length=80), nullable=False),
        sa.Column("asked_at", sa.DateTime(), nullable=False),
        sa.Column("stage", sa.String(length=10), nullable=False),
        sa.Column("votes", sa.JSON(), nullable=False),
        sa.Column("approvals", sa.JSON(), nullable=False),
        sa.Column("counts", sa.JSON(), nullable=False),
        sa.Column("ended_at", sa.DateTime(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_deletions")),
    )
    with op.batch_alter_table("deletions", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_deletions_person_id"), ["person_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_deletions_stage"), ["stage"], unique=False)

    op.create_table(
        "taints",
        sa.Column("adapter", sa.String(length=40), nullable=False),
        sa.Column("deletion_id", sa.String(length=40), nullable=False),
        sa.Column("examples", sa.Integer(), nullable=False),
        sa.Column("at", sa.DateTime(), nullable=False),
        sa.ForeignKeyConstraint(["adapter"], ["adapters.name"], name=op.f("fk_taints_adapter")),
        sa.PrimaryKeyConstraint("adapter", "deletion_id", name=op.f("pk_taints")),
    )
    with op.batch_alter_table("turns", schema=None) as batch_op:
        batch_op.add_column(sa.Column("origin", sa.String(length=40), server_default="", nullable=False))

    for table in ("ratings", "corrections", "choices"):
        with op.batch_alter_table(table, schema=None) as batch_op:
            batch_op.create_index(batch_op.f(f"ix_{table}_person_id_id"), ["person_id", "id"], unique=False)
