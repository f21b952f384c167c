"""What tests of retrieval share: databases with all tables."""

from __future__ import annotations

from tests.databases import database, location, migrated, shared_postgres, sqlite

__all__ = ["database", "location", "migrated", "shared_postgres", "sqlite"]
