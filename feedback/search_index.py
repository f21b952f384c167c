"""The statements that make the full-text index of `search_texts`, by dialect; `schema.py` has them run.

SQLite: an index beside the rows that triggers keep (sqlite.org/fts5.html, external content tables).
"""

from __future__ import annotations

SEARCH_INDEX = {
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
