"""Tests of what the tables promise beyond their columns: instants, text, ids that are used once."""

from datetime import UTC, datetime, timedelta, timezone

from sqlalchemy import delete, insert, select

from feedback.database import Database
from feedback.schema import conversations, ratings
from feedback.store import Ending, NewTurn, Store, Verdict


def a_turn(store: Store, person: str = "ann") -> str:
    conversation = store.start_conversation(person, "Hello?")
    prompt = [{"role": "user", "content": "Hello?"}]
    turn = store.begin(NewTurn(conversation.id, None, person, "Hello?", prompt, "base", None, {}))
    return store.end(turn, Ending("complete", "Hi.")).id


def test_an_instant_comes_back_as_the_same_instant_in_utc(database: Database) -> None:
    abroad = datetime(2026, 7, 1, 12, 30, 15, 123456, tzinfo=timezone(timedelta(hours=5, minutes=30)))
    values = {"id": "c", "person_id": "p", "created_at": abroad, "updated_at": abroad}
    with database.write() as connection:
        connection.execute(insert(conversations).values(values))
    with database.read() as connection:
        found = connection.execute(select(conversations.c.created_at)).scalar_one()
    assert found == abroad
    assert found.tzinfo is UTC


def test_text_that_no_database_keeps_is_stored_without_the_few_code_points(
    database: Database, store: Store
) -> None:
    conversation = store.start_conversation("p", "a\x00b\ud800")
    prompt = [{"role": "user", "content": "a\x00b\ud800"}]
    turn = store.begin(NewTurn(conversation.id, None, "p", "a\x00b\ud800", prompt, "base", None, {}))
    ended = store.end(turn, Ending("complete", "x\x00y"))
    store.judge(turn.id, "p", "user", Verdict("down", ["r\x00"], "c\x00", "better\ud800"))
    assert (ended.question, ended.answer) == ("a\ufffdb\ufffd", "x\ufffdy")
    [judged] = store.judged()
    assert judged.opening == "a\ufffdb\ufffd"
    assert judged.ratings[0].comment == "c\ufffd"
    assert judged.corrections[0].text == "better\ufffd"


def test_the_id_of_a_deleted_opinion_is_not_given_to_another(database: Database, store: Store) -> None:
    turn_id = a_turn(store)
    first = store.judge(turn_id, "ann", "user", Verdict("up"))
    with database.write() as connection:
        connection.execute(delete(ratings))
    second = store.judge(turn_id, "ann", "user", Verdict("down"))
    assert second.id > first.id
