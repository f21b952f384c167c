"""Which turns are worth a look: each kind for its reason, and none that somebody has seen."""

from __future__ import annotations

from sqlalchemy import update

from feedback.database import Database
from feedback.past import Past
from feedback.review_candidates import candidates
from feedback.review_records import Kind
from feedback.schema import turns
from feedback.store import Store, Verdict
from tests.feedback.reviewed import answered, queue

OTHER = "Kayaks need two paddles and a calm lake."


def scores(database: Database, kind: Kind) -> dict[str, float]:
    return {one.turn_id: one.scores[kind] for one in candidates(database) if kind in one.scores}


def test_people_who_disagree_on_the_same_answer(database: Database, store: Store) -> None:
    turns = [answered(store, person=person) for person in ("ann", "bob", "cat")]
    for turn, thumb in zip(turns, ("up", "down", "down"), strict=True):
        store.judge(turn.id, turn.person_id, "user", Verdict(thumb))  # type: ignore[arg-type]
    other = answered(store, answer=OTHER)
    store.judge(other.id, "ann", "user", Verdict("up"))
    assert scores(database, "disputed") == {turns[-1].id: 2 / 3}
    # Who takes a vote back disagrees no more.
    store.judge(turns[0].id, "ann", "user", Verdict(None))
    assert scores(database, "disputed") == {}


def test_a_thumb_down_without_a_word(database: Database, store: Store) -> None:
    silent, reason, comment, correction, good = (answered(store) for _ in range(5))
    store.judge(silent.id, "ann", "user", Verdict("down"))
    store.judge(reason.id, "ann", "user", Verdict("down", ["tone"]))
    store.judge(comment.id, "ann", "user", Verdict("down", comment="no"))
    store.judge(correction.id, "ann", "user", Verdict("down", correction="Better."))
    store.judge(good.id, "ann", "user", Verdict("up"))
    assert list(scores(database, "unexplained")) == [silent.id]


def test_an_answer_unlike_all_that_was_rated(database: Database, store: Store) -> None:
    known = answered(store)
    strange, same = answered(store, "Kayaks?", OTHER), answered(store)
    # Without any rating everything is unlike, which says nothing.
    assert scores(database, "novel") == {}
    store.judge(known.id, "ann", "user", Verdict("up"))
    found = scores(database, "novel")
    assert found[strange.id] > 0.9
    assert same.id not in found
    assert known.id not in found


def test_signs_of_doubt(database: Database, store: Store) -> None:
    once, again = answered(store, answer="Three days."), answered(store, answer="No idea at all, sorry.")
    same = [answered(store, "Open?", "Until ten.") for _ in range(2)]
    lost = answered(store, "Kayaks?", OTHER, searched="Kayaks?")
    passage = {"id": "p", "score": 0.9, "text": "x", "title": "t", "number": 1}
    found = answered(store, "Tents?", "Yes.", searched="Tents?", passages=[passage])
    doubts = scores(database, "unsure")
    assert doubts[again.id] > 0.9
    assert doubts[lost.id] == 0.8
    assert 0 < doubts[found.id] < 0.1
    assert not {once.id, same[0].id, same[1].id} & doubts.keys()


def test_everything_else_may_be_drawn_by_chance_and_nothing_that_was_seen(
    database: Database, store: Store
) -> None:
    turns = [answered(store) for _ in range(3)]
    assert set(scores(database, "random")) == {turn.id for turn in turns}
    reviews = queue(database, turns)
    task = reviews.claim("sam")
    assert task is not None
    assert set(scores(database, "random")) == {turn.id for turn in turns} - {task.turn_id}


def test_vectors_may_be_handed_in(database: Database, store: Store) -> None:
    import numpy as np

    known = answered(store)
    store.judge(known.id, "ann", "user", Verdict("up"))
    new = answered(store, answer="The very same in other words.")
    found = candidates(database, embed=lambda texts: np.ones((len(texts), 1), dtype=np.float32))
    assert all("novel" not in one.scores for one in found if one.turn_id == new.id)


def test_what_is_not_to_be_learned_from_is_not_looked_at(database: Database, store: Store) -> None:
    kept, withheld = answered(store), answered(store, searched="Where is it?")
    for turn in (kept, withheld):
        store.judge(turn.id, "ann", "user", Verdict("down"))
    Past(database).learn(withheld.conversation_id, "ann", False)
    assert {one.turn_id for one in candidates(database)} == {kept.id}
    with database.write() as connection:
        connection.execute(update(turns).where(turns.c.id == kept.id).values(origin="imp-1"))
    assert candidates(database) == []
