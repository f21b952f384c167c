"""Brings a database to the tables that this version of the program knows. Append-only, run at every start.

The whole upgrade is one transaction under the database's write lock: two processes that start together
upgrade once, and a kill in the middle leaves the old state. Knows all packages' tables, changes no data
outside a migration.
"""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError

from assistant.errors import AssistantError
from feedback.database import Database

# Any number will do, as long as all our processes take the same one.
_ADVISORY_LOCK = 7_203_317


class NewerDatabase(AssistantError):
    """The database was written by a newer version of this program."""


def config() -> Config:
    """Alembic's configuration, without a file."""
    found = Config()
    found.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    return found


def upgrade(database: Database) -> None:
    """Run the migrations that are missing. Raises `NewerDatabase` if the database is ahead of us."""
    with database.write() as connection:
        if database.dialect == "postgresql":
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_ADVISORY_LOCK})")
        settings = config()
        known = ScriptDirectory.from_config(settings)
        current = MigrationContext.configure(connection).get_current_revision()
        if current == known.get_current_head():
            return
        settings.attributes["connection"] = connection
        try:
            command.upgrade(settings, "head")
        except CommandError as error:
            raise NewerDatabase(
                f"the database is at revision {current}, which this version does not know ({error}); "
                "update the program or restore a backup"
            ) from None
