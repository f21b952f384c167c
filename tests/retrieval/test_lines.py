"""Tests of the lines of passages: how they are cut, that their vectors come and go with the passages."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import delete, insert

from feedback.database import Database
from retrieval.lines import MOST, Lines, forget, forget_orphans, lines
from retrieval.records import Passage
from retrieval.schema import passages
from tests.retrieval.word_vectors import WordVectors, many, passage


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("It costs 4.90 euros. Returns are free!", ["It costs 4.90 euros.", "Returns are free!"]),
        ("- one\n- two\n\n| A | B |\n| --- | --- |\n| 1 | 2 |", ["- one", "- two", "| A | B |", "| 1 | 2 |"]),
        ("same\nsame", ["same"]),
        ("…\n---", []),
        ("", []),
    ],
)
def test_a_text_is_cut_into_sentences_and_rows(text: str, expected: list[str]) -> None:
    assert lines(text) == expected


@given(st.text())
def test_cutting_never_fails_and_never_makes_words_up(text: str) -> None:
    cut = lines(text)
    assert len(cut) <= MOST
    assert all(one in text for one in cut)


class Counted(WordVectors):
    """Counts what is embedded."""

    texts = 0

    def documents(self, texts):  # type: ignore[no-untyped-def]
        self.texts += len(texts)
        return super().documents(texts)


def stand(database: Database, *members: Passage) -> None:
    """Make them rows."""
    names = [column.name for column in passages.columns]
    with database.write() as connection:
        connection.execute(
            insert(passages), [{name: getattr(one, name) for name in names} for one in members]
        )


def test_the_nearest_line_counts_and_nothing_is_embedded_twice(sqlite: Database) -> None:
    embedder = Counted()
    kept = Lines(sqlite, embedder)
    told = passage("Parcels take three days. The shop opens at nine.")
    stand(sqlite, told, passage(""))
    kept.write([told, passage("")])
    before = embedder.texts
    kept.write([told])
    assert embedder.texts == before
    vector = embedder.question("The shop opens at nine.")
    (cosines,) = kept.cosines(vector, [told.id, "psg-unknown"]).values()
    assert len(cosines) == 2
    assert cosines[1] == pytest.approx(1.0, abs=1e-2)
    assert cosines[0] < 0.9
    assert kept.cosines(vector, []) == {}


def test_answers_have_no_lines_and_another_model_has_its_own(sqlite: Database) -> None:
    kept = Lines(sqlite, WordVectors())
    answer = passage("Thirty days.", "apr-1", kind="answer", title="how long")
    stand(sqlite, answer, *many(2))
    kept.write([answer, *many(2)])
    assert kept.count() == 2
    other = WordVectors()
    other.name = "another"
    fresh = Lines(sqlite, other)
    assert fresh.count() == 0
    fresh.write(many(2))
    assert (fresh.count(), kept.count()) == (2, 0)
    with sqlite.write() as connection:
        forget(connection, [one.id for one in many(2)])
    assert fresh.count() == 0


def test_a_passage_under_the_same_id_is_replaced(sqlite: Database) -> None:
    kept = Lines(sqlite, WordVectors())
    one = passage("a b")
    stand(sqlite, one)
    kept.write([one])
    kept.write([replace(one, title="other")])
    assert kept.count() == 1


def test_a_passage_that_was_dropped_while_its_lines_were_embedded_gets_none(database: Database) -> None:
    gone, stays = many(2)
    stand(database, gone, stays)

    class Slow(WordVectors):
        def documents(self, texts):  # type: ignore[no-untyped-def]
            with database.write() as connection:
                connection.execute(delete(passages).where(passages.c.id == gone.id))
                forget(connection, [gone.id])
            return super().documents(texts)

    kept = Lines(database, Slow())
    kept.write([gone, stays])
    vector = WordVectors().question("word1")
    assert list(kept.cosines(vector, [gone.id, stays.id])) == [stays.id]
    assert kept.count() == 1


def test_lines_without_a_passage_can_be_forgotten(sqlite: Database) -> None:
    kept, (gone, stays) = Lines(sqlite, WordVectors()), many(2)
    stand(sqlite, gone, stays)
    kept.write([gone, stays])
    with sqlite.write() as connection:
        connection.execute(delete(passages).where(passages.c.id == gone.id))
        forget_orphans(connection)
    assert kept.count() == 1
