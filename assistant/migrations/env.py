"""Alembic's entry: runs the migrations on the connection that `upgrade` hands in.

Alembic runs this file by its place; nobody imports it.
"""

from alembic import context

import assistant.audit
import assistant.notices  # noqa: F401
import retrieval.schema  # noqa: F401
import training.schema  # noqa: F401
from feedback.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
