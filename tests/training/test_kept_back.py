"""The held-out opinions: whose they are, which count, and that none is ever trained on."""

from __future__ import annotations

import pytest

from feedback.database import Database
from feedback.store import Ending, NewTurn, Store, Verdict
from training import gathering, kept_back, screening

ASKED = [f"Where is order {number}?" for number in range(400)]
HELD = [question for question in ASKED if screening.held_out(question)]
OPEN = [question for question in ASKED if not screening.held_out(question)]


@pytest.fixture
def store(sqlite: Database) -> Store:
    return Store(sqlite)


def voted(store: Store, question: str, answer: str, person: str, verdict: Verdict) -> str:
    conversation = store.start_conversation(person, question)
    prompt = [{"role": "user", "content": question}]
    turn = store.begin(NewTurn(conversation.id, None, person, question, prompt, "base", None, {}))
    store.end(turn, Ending("complete", answer))
    store.judge(turn.id, person, "user", verdict)
    return turn.id


def test_only_held_out_opinions_are_read_and_none_of_them_is_trained_on(store: Store) -> None:
    for number, question in enumerate([*HELD[:6], *OPEN[:6]]):
        thumb = "up" if number % 2 else "down"
        voted(store, question, f"Answer {number}, in words.", f"person-{number}", Verdict(thumb))
    found = kept_back.read(store)
    assert {one.prompt[0]["content"] for one in found.opinions} == set(HELD[:6])
    assert sum(one.up for one in found.opinions) == 3
    assert {person for _, person in found.prompts} == {f"person-{number}" for number in range(6)}
    learnt = gathering.from_votes(store).training
    assert not {example.prompt[0]["content"] for example in learnt} & set(HELD)


def test_a_correction_is_a_good_answer_and_what_it_corrects_a_bad_one(store: Store) -> None:
    voted(store, HELD[0], "It is lost.", "ann", Verdict("down", correction="It is on its way."))
    found = kept_back.read(store)
    assert sorted((one.answer, one.up) for one in found.opinions) == [
        ("It is lost.", False),
        ("It is on its way.", True),
    ]


def test_without_votes_the_judge_abstains_in_words(store: Store) -> None:
    found = kept_back.read(store)
    assert (found.opinions, found.prompts, found.judge, found.trusted) == ([], [], None, False)
    assert "0 ups and 0 downs" in found.why_not


def test_a_question_that_is_trained_on_as_well_is_no_evidence(store: Store) -> None:
    shared, opening = OPEN[0], HELD[0]
    voted(store, shared, "It is here, thank you.", "ann", Verdict("up"))
    conversation = store.start_conversation("bob", opening)
    first = [{"role": "user", "content": opening}]
    turn = store.begin(NewTurn(conversation.id, None, "bob", opening, first, "base", None, {}))
    store.end(turn, Ending("complete", "It is there."))
    prompt = [*first, {"role": "assistant", "content": "It is there."}, {"role": "user", "content": shared}]
    later = store.begin(NewTurn(conversation.id, turn.id, "bob", shared, prompt, "base", None, {}))
    store.end(later, Ending("complete", "It is here, thank you."))
    for one in (turn, later):
        store.judge(one.id, "bob", "user", Verdict("up"))
    found = kept_back.read(store)
    assert [one.answer for one in found.opinions] == ["It is there."]
    assert [prompt[-1]["content"] for prompt, _ in found.prompts] == [opening]


def test_who_votes_most_is_not_all_that_counts(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept_back, "MOST_OPINIONS", 4)
    monkeypatch.setattr(kept_back, "MOST_PROMPTS", 4)
    people = ["ann", "carl", "dora", *["bob"] * 20]
    for number, (question, person) in enumerate(zip(HELD, people, strict=False)):
        voted(store, question, f"Answer {number}, in words.", person, Verdict("up"))
    found = kept_back.read(store)
    assert {one.person for one in found.opinions} == {"ann", "bob", "carl", "dora"}
    assert {person for _, person in found.prompts} == {"ann", "bob", "carl", "dora"}


def test_only_the_newest_are_looked_at(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept_back, "MOST_OPINIONS", 2)
    monkeypatch.setattr(kept_back, "MOST_PROMPTS", 1)
    for number, question in enumerate(HELD[:4]):
        voted(store, question, f"Answer {number}, in words.", "ann", Verdict("up"))
    found = kept_back.read(store)
    assert [one.prompt[0]["content"] for one in found.opinions] == [HELD[3], HELD[2]]
    assert [prompt[0]["content"] for prompt, _ in found.prompts] == [HELD[3]]
