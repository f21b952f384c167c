"""Finds a person's conversations by the words of their titles, questions and answers.

Owns the texts that are searched: `store.py` notes them in its own transactions, so that what is said is found
at once and what is deleted is found no more. SQLite searches them by FTS5, PostgreSQL by its own text search.
Whose a text is stands in the text itself, as a word: both indexes then look only at that person's.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

from sqlalchemy import Connection, insert, select, text, update

from feedback.database import Database
from feedback.reading import record
from feedback.records import Conversation
from feedback.schema import conversations, search_texts, turns

SHORTEST = 2
"""Letters from which on a word is looked for: fewer stand in nearly every text."""
_MOST_WORDS = 8
_QUESTION, _ANSWER = 4_000, 8_000
"""Characters of a turn that can be found."""
_HITS = 400
"""Texts that one search looks at, the newest first: enough for a page, and quick for the commonest word."""
_EXCERPT = 90

_FIND = {
    "sqlite": "SELECT t.conversation_id, t.turn_id FROM search_words "
    "JOIN search_texts t ON t.id = search_words.rowid "
    "WHERE search_words MATCH :wanted ORDER BY search_words.rowid DESC LIMIT :most",
    # Materialised: else a rare word has every text of the table read from the newest on.
    "postgresql": "WITH hits AS MATERIALIZED (SELECT id, conversation_id, turn_id FROM search_texts "
    "WHERE to_tsvector('simple', words) @@ to_tsquery('simple', :wanted)) "
    "SELECT conversation_id, turn_id FROM hits ORDER BY id DESC LIMIT :most",
}


@dataclass(frozen=True, slots=True)
class Found:
    """A conversation, and where in it the words stand; empty if they stand in its title."""

    conversation: Conversation
    excerpt: str = ""


def note_title(connection: Connection, conversation: Conversation) -> None:
    """Have a conversation found by its title, the one that it has now."""
    words = _of(conversation.person_id, conversation.title)
    own = (search_texts.c.conversation_id == conversation.id) & search_texts.c.turn_id.is_(None)
    if not connection.execute(update(search_texts).where(own).values(words=words)).rowcount:
        connection.execute(insert(search_texts).values(conversation_id=conversation.id, words=words))


def note_turn(
    connection: Connection, turn_id: str, conversation_id: str, person_id: str, question: str, answer: str
) -> None:
    """Have a turn found by its question and its answer, as far as there is one."""
    words = _of(person_id, f"{question[:_QUESTION]} {answer[:_ANSWER]}")
    own = search_texts.c.turn_id == turn_id
    if not connection.execute(update(search_texts).where(own).values(words=words)).rowcount:
        connection.execute(
            insert(search_texts).values(conversation_id=conversation_id, turn_id=turn_id, words=words)
        )


def purge(connection: Connection) -> None:
    """Take out of the index itself the words of what is gone, which it would else keep until it is merged."""
    if connection.dialect.name == "sqlite":
        connection.execute(text("INSERT INTO search_words(search_words) VALUES ('optimize')"))


def search(database: Database, person_id: str, wanted: str, most: int = 50) -> list[Found]:
    """This person's conversations that have all the wanted words, or longer ones that begin so, in one text.

    Those with the newest such text first, at most `most`. Nothing is found by less than `SHORTEST` letters.
    """
    words = words_of(wanted)
    if not words:
        return []
    with database.read() as connection:
        query = {"wanted": _query(database.dialect, person_id, words), "most": _HITS}
        hits: dict[str, str | None] = {}
        for row in connection.execute(text(_FIND[database.dialect]), query):
            hits.setdefault(row.conversation_id, row.turn_id)
        places = dict(list(hits.items())[:most])
        own = conversations.c.id.in_(places) & (conversations.c.person_id == person_id)
        there = {
            row.id: record(Conversation, row) for row in connection.execute(select(conversations).where(own))
        }
        said = select(turns.c.id, turns.c.question, turns.c.answer)
        said = said.where(turns.c.id.in_([turn_id for turn_id in places.values() if turn_id]))
        texts = {row.id: (row.question, row.answer) for row in connection.execute(said)}
    return [
        Found(there[name], excerpt(texts.get(turn_id or "", ()), words))
        for name, turn_id in places.items()
        if name in there
    ]


def words_of(wanted: str) -> list[str]:
    """The words that are looked for."""
    return [word[:60] for word in re.findall(r"\w+", wanted.lower()) if len(word) >= SHORTEST][:_MOST_WORDS]


def excerpt(texts: tuple[str, ...], words: list[str]) -> str:
    """A piece of the first of the texts in which one of the words stands; empty for none."""
    for said in texts:
        plain = " ".join(said.split())
        place = min((at for word in words if (at := plain.lower().find(word)) >= 0), default=-1)
        if place >= 0:
            start = max(0, place - _EXCERPT // 3)
            piece = plain[start : start + _EXCERPT].strip()
            return ("…" if start else "") + piece + ("…" if start + _EXCERPT < len(plain) else "")
    return ""


def _of(person_id: str, words: str) -> str:
    return f"{_token(person_id)} {words}"


def _token(person_id: str) -> str:
    """A person as a word that nobody writes."""
    return "person" + hashlib.sha256(person_id.encode(errors="replace")).hexdigest()[:16]


def _query(dialect: str, person_id: str, words: list[str]) -> str:
    """Only letters, digits and underscores come in, so that nobody writes in the query's own language."""
    if dialect == "sqlite":
        return " AND ".join([f'"{_token(person_id)}"', *(f'"{word}"*' for word in words)])
    return " & ".join([_token(person_id), *(f"{word}:*" for word in words)])
