"""The neighbours of a passage by an index

Revision: 0010, after 0009
"""

from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    with op.batch_alter_table("passages", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_passages_source_id_place"), ["source_id", "place"], unique=False)
