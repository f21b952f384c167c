"""What a run would learn from, told without an engine."""

from __future__ import annotations

import pytest

from feedback.database import Database
from feedback.past import Past
from feedback.records import Message
from feedback.store import Ending, NewTurn, Store
from tests.training.test_gathering import questions, voted
from training.preview import SHOWN, Previews
from training.records import TrainingSettings


@pytest.fixture
def store(sqlite: Database) -> Store:
    return Store(sqlite)


def test_it_counts_sources_and_says_what_is_dropped_held_out_and_added(store: Store) -> None:
    asked = questions(False, 12)
    for question in (*asked[:6], *questions(True, 2)):
        voted(store, question, "A good answer, with reasons.", "up")
        voted(store, question, "No.", "down")
    for question in asked[6:]:
        voted(store, question, f"It is {question}", "down")
    voted(store, asked[6], " ", "up")
    found = Previews(store, TrainingSettings(draws=4, most_questions=5, anchors=0.5), "org/model").make()
    assert (found.judged, found.sources, found.training) == (23, {"siblings": 6}, 6)
    assert found.held_out == 2
    assert found.dropped["empty"] == 1
    assert (found.to_draw, found.draws, found.anchors) == (5, 4, 3)
    assert len(found.examples) == SHOWN
    assert all(not example.held_out for example in found.examples)
    assert found.enough
    assert found.recipe.method == "dpo"


def test_nothing_judged_is_nothing_to_learn(store: Store) -> None:
    found = Previews(store, TrainingSettings(), "org/model").make()
    assert (found.judged, found.training, found.to_draw, found.enough) == (0, 0, 0, False)


def test_the_same_opinions_are_read_once(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    previews, reads = Previews(store, TrainingSettings(), "org/model"), []
    real = store.judged
    monkeypatch.setattr(store, "judged", lambda *given: reads.append(1) or real(*given))
    previews.make()
    previews.make()
    assert len(reads) == 1
    voted(store, "What?", "That.", "up")
    assert previews.make().judged == 1
    assert len(reads) == 2


def test_what_is_withdrawn_or_deleted_is_seen_no_more(store: Store, sqlite: Database) -> None:
    first, second = questions(False, 2)
    for question in (first, second):
        voted(store, question, "A good answer, with reasons.", "up")
        voted(store, question, "No.", "down")
    previews, past = Previews(store, TrainingSettings(), "org/model"), Past(sqlite)
    assert previews.make().training == 2
    chats = {item.turn.question: item.turn.conversation_id for item in store.judged()}
    past.learn(chats[first], "ann", False)
    assert (previews.make().training, previews.make().dropped["withheld"]) == (1, 1)
    past.delete(chats[second], "ann")
    assert (previews.make().judged, previews.make().training) == (3, 0)


def test_choices_of_guests_do_not_count(store: Store) -> None:
    [question] = questions(False, 1)
    chat = store.start_conversation("gus", question)
    prompt: list[Message] = [{"role": "user", "content": question}]
    new = NewTurn(chat.id, None, "gus", question, prompt, "model", None, {})
    one, two = (
        store.end(store.begin(new), Ending("complete", answer, finish_reason="stop"))
        for answer in ("A good answer, with reasons.", "No.")
    )
    store.choose(one.id, two.id, "gus", "guest", "first")
    previews = Previews(store, TrainingSettings(), "org/model")
    assert previews.make().training == 0
    store.choose(one.id, two.id, "gus", "user", "first")
    assert previews.make().training == 1
