"""Who is told that an adapter learned from them."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from assistant.receipts import Receipts, taught
from feedback.database import Database
from feedback.past import Past
from feedback.store import Ending, NewTurn, Store, Verdict
from training.records import Adapter
from training.registry import Registry

NAMES = [f"lora-{number:012x}" for number in range(2)]


class Home:
    """A store, a registry and the receipts over them."""

    def __init__(self, database: Database, folder: Path) -> None:
        self.store, self.registry = Store(database), Registry(database, folder)
        self.receipts = Receipts(database, self.registry)

    def turn(self, person: str, question: str) -> str:
        name = self.store.start_conversation(person, question).id
        prompt = [{"role": "user", "content": question}]
        new = NewTurn(name, None, person, question, prompt, "base", None, {})
        return self.store.end(self.store.begin(new), Ending("complete", "Hm.")).id

    def live(self, name: str, *examples: dict[str, Any]) -> None:
        made = Adapter(
            name, Path("/none"), "s", "h", None, 8, datetime.now(UTC), {"examples": list(examples)}
        )
        self.registry.add(made)
        self.registry._write(name, "promote", "root", "good", None)


@pytest.fixture
def home(database: Database, tmp_path: Path) -> Home:
    return Home(database, tmp_path)


def test_who_taught_it_is_told_once(home: Home) -> None:
    turn = home.turn("ann", "How long?")
    rating = home.store.judge(turn, "ann", "user", Verdict("down"))
    assert home.receipts.waiting("ann") is None
    home.live(NAMES[0], {"votes": [f"rating:{rating.id}"], "people": ["ann"]})
    receipt = home.receipts.waiting("ann")
    assert receipt is not None
    assert (receipt.adapter, receipt.votes, receipt.turn_id, receipt.question) == (
        NAMES[0],
        1,
        turn,
        "How long?",
    )
    assert home.receipts.waiting("bob") is None
    home.receipts.told("ann", NAMES[0], turn)
    home.receipts.told("ann", NAMES[0], None)
    assert home.receipts.waiting("ann") is None
    home.live(NAMES[1], {"votes": [f"rating:{rating.id}"], "people": ["ann"]})
    assert home.receipts.waiting("ann") is not None


def test_what_was_corrected_or_disliked_is_shown_first(home: Home) -> None:
    liked, disliked, corrected = (home.turn("ann", text) for text in ("liked", "disliked", "corrected"))
    ids = [
        f"rating:{home.store.judge(turn, 'ann', 'user', Verdict(thumb)).id}"
        for turn, thumb in ((disliked, "down"), (liked, "up"))
    ]
    home.live(NAMES[0], {"votes": ids, "people": ["ann"]})
    found = home.receipts.waiting("ann")
    assert found is not None
    assert (found.turn_id, found.votes) == (disliked, 2)
    home.store.judge(corrected, "ann", "user", Verdict("down", correction="Better."))
    [correction] = [row for one in home.store.judged() for row in one.corrections]
    home.live(NAMES[1], {"votes": [*ids, f"correction:{correction.id}"], "people": ["ann"]})
    found = home.receipts.waiting("ann")
    assert found is not None
    assert found.turn_id == corrected


def test_only_their_own_votes_are_called_theirs(home: Home) -> None:
    votes, people = [], ["ann", *(f"bob-{number}" for number in range(3))]
    for person in people:
        # Asked by several in the same words, it is one example.
        turn = home.turn(person, "How long?")
        rating = home.store.judge(turn, person, "user", Verdict("down", correction="Long."))
        votes.append(f"rating:{rating.id}")
    votes += [f"correction:{row.id}" for one in home.store.judged() for row in one.corrections]
    first, second = home.turn("ann", "How far?"), home.turn("ann", "How far?")
    choice = home.store.choose(first, second, "ann", "user", "first")
    home.live(
        NAMES[0],
        {"votes": votes, "people": people},
        {"votes": [f"choice:{choice.id}"], "people": ["ann"]},
    )
    for person, count in (("ann", 3), ("bob-1", 2)):
        found = home.receipts.waiting(person)
        assert found is not None
        assert found.votes == count


def test_what_was_deleted_or_is_of_others_is_not_shown(home: Home) -> None:
    turn = home.turn("ann", "How long?")
    rating = home.store.judge(turn, "ann", "user", Verdict("down"))
    home.live(NAMES[0], {"votes": [f"rating:{rating.id}"], "people": ["ann", "bob"]})
    assert home.receipts.waiting("bob") is None
    Past(home.store.database).delete(home.store.turn(turn).conversation_id, "ann")
    assert home.receipts.waiting("ann") is None


def test_a_manifest_says_whom_it_learned_from() -> None:
    examples = [
        {"votes": ["rating:1", "rating:2"], "people": ["ann", "bob"]},
        {"votes": ["rating:1"], "people": ["ann"]},
        {"votes": [], "people": []},
    ]
    found = taught({"examples": examples})
    assert found == {"ann": ["rating:1", "rating:2"], "bob": ["rating:1", "rating:2"]}
    assert taught({}) == {}
