"""Very many conversations at once, to measure and to test with: made by SQLite itself, in seconds."""

from __future__ import annotations

from sqlalchemy import text

from feedback.database import Database

_NUMBERS = "WITH RECURSIVE seq(n) AS (SELECT :first UNION ALL SELECT n + 1 FROM seq WHERE n + 1 < :count)"
_AT = "datetime('2026-01-01', '+' || n || ' minutes')"
# As the store makes them: an id begins with its time in milliseconds.
_ID = "printf('{kind}-%012x%020d', 1767225600000 + n * 60000, n)"
_CONVERSATION, _TURN = (_ID.format(kind=kind) for kind in ("conv", "turn"))
_CONVERSATIONS = f"""
INSERT INTO conversations (id, person_id, title, opening, created_at, updated_at, grounded)
{_NUMBERS} SELECT {_CONVERSATION}, :person, 't', 'question ' || n, {_AT}, {_AT}, 1 FROM seq
"""
_TURNS = f"""
INSERT INTO turns (id, conversation_id, person_id, question, prompt, prompt_key, answer, adapter, model,
                   sampling, status, created_at, tool_calls, passages)
{_NUMBERS} SELECT {_TURN}, {_CONVERSATION}, :person, 'Question ' || n,
    '[{{"role": "user", "content": "Question ' || n || '"}}]', printf('%032d', n % 9000),
    'Parcel ' || (n % 97) || ' is on its way and takes ' || (n % 7) || ' days. Is there anything else?',
    CASE WHEN n % 5 THEN 'lora-' || (n % 5) END, 'model', '{{}}', 'complete', {_AT}, '[]', '[]' FROM seq
"""
_RATINGS = f"""
INSERT INTO ratings (turn_id, person_id, role, thumb, reasons, comment, created_at)
{_NUMBERS} SELECT {_TURN}, :person, 'user', CASE WHEN n % 3 THEN 'up' ELSE 'down' END,
    '[]', '', {_AT} FROM seq WHERE n % 4 = 0
"""


def crowd(database: Database, count: int, person: str = "ann", first: int = 0) -> None:
    """Conversations of one turn each with the numbers `first` to `count`, every fourth with a thumb.

    For SQLite alone.
    """
    with database.write() as connection:
        for statement in (_CONVERSATIONS, _TURNS, _RATINGS):
            connection.execute(
                text(statement.replace('": "', '"\\: "')), {"first": first, "count": count, "person": person}
            )
    # Else the next one to write would fold all of this into the file.
    with database.read() as connection:
        connection.rollback()
        driver = connection.connection.driver_connection
        assert driver is not None
        driver.execute("PRAGMA wal_checkpoint(TRUNCATE)")
