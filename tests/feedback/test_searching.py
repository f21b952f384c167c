"""Conversations are found by the words in them, on both databases, and only one's own."""

from __future__ import annotations

import time
from datetime import datetime

import pytest
from sqlalchemy import text

from feedback import searching
from feedback.database import Database
from feedback.past import Past
from feedback.store import Ending, NewTurn, Store


def say(store: Store, person: str, question: str, answer: str, conversation: str = "") -> str:
    name = conversation or store.start_conversation(person, question).id
    new = NewTurn(name, None, person, question, [{"role": "user", "content": question}], "base", None, {})
    store.end(store.begin(new), Ending("complete", answer))
    return name


def names(database: Database, person: str, wanted: str) -> list[str]:
    return [found.conversation.id for found in searching.search(database, person, wanted)]


def test_titles_questions_and_answers_are_searched(database: Database) -> None:
    store = Store(database)
    first = say(store, "ann", "How long does delivery take?", "To Munich it is three days.")
    second = say(store, "ann", "And the tent?", "The Fjell 2 is waterproof.")
    assert names(database, "ann", "DELIVERY") == [first]
    assert names(database, "ann", "munich") == [first]
    assert names(database, "ann", "fjell") == [second]
    assert names(database, "ann", "is") == [second, first]
    assert names(database, "ann", "waterpr") == [second], "words that begin so"
    assert names(database, "ann", "delivery fjell") == []
    assert names(database, "bob", "delivery") == []
    Past(database).rename(second, "ann", "Camping")
    assert names(database, "ann", "camping") == [second]


def test_what_is_found_says_where(database: Database) -> None:
    store = Store(database)
    say(store, "ann", "A question", "long " * 40 + "<b>needle</b> " + "tail " * 40)
    [found] = searching.search(database, "ann", "needle")
    assert "<b>needle</b>" in found.excerpt
    assert found.excerpt.startswith("…")
    assert found.excerpt.endswith("…")


def test_a_question_is_found_before_its_answer_has_ended(database: Database) -> None:
    store = Store(database)
    name = store.start_conversation("ann", "x").id
    store.begin(NewTurn(name, None, "ann", "Unheard of", [], "base", None, {}))
    assert names(database, "ann", "unheard") == [name]


@pytest.mark.parametrize("wanted", ["", "a", "'", '"', "* OR", "a:* & | !", "NEAR(", "\x00", "person"])
def test_nobody_speaks_the_language_of_the_index(database: Database, wanted: str) -> None:
    say(Store(database), "bob", "secret", "word")
    assert searching.search(database, "ann", wanted) == []


def test_a_token_of_somebody_else_opens_nothing(database: Database) -> None:
    say(Store(database), "bob", "secret", "word")
    assert searching.search(database, "ann", searching._token("bob")) == []


def test_deleted_texts_are_found_no_more(database: Database) -> None:
    name = say(Store(database), "ann", "secret plan", "of course")
    Past(database).delete(name, "ann")
    assert names(database, "ann", "secret") == []
    with database.read() as connection:
        assert connection.execute(text("SELECT count(*) FROM search_texts")).scalar() == 0


def test_it_is_quick_in_many_conversations(database: Database) -> None:
    """Measured with room: what takes milliseconds here may take ten times as long on a busy machine."""
    numbers = "WITH RECURSIVE many(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM many WHERE n < 20000) "
    rows = (
        "INSERT INTO conversations (id, person_id, title, opening, created_at, updated_at) "
        f"{numbers} SELECT 'conv-' || n, 'ann', 't', '', :now, :now FROM many",
        "INSERT INTO search_texts (conversation_id, words) "
        f"{numbers} SELECT 'conv-' || n, :token || ' order ' || n || ' of the customer' FROM many",
    )
    with database.write() as connection:
        given = {"now": datetime(2026, 11, 20, 12, 0), "token": searching._token("ann")}
        for statement in rows:
            connection.execute(text(statement), given)
    past = Past(database)
    for look in (
        lambda: len(past.listed("ann").recent) == 50,
        lambda: len(past.search("ann", "customer")) == 50,
        lambda: len(past.search("ann", "cu")) == 50,
        lambda: len(past.search("ann", "order 777")) > 0,
    ):
        begun = time.process_time()
        assert look()
        assert time.process_time() - begun < 1
