"""Two answers stay together until somebody chooses or goes on."""

from __future__ import annotations

from feedback.database import Database
from feedback.offers import Offers
from feedback.past import Past
from feedback.store import Ending, NewTurn, Store


def test_an_offer_is_open_until_it_is_ended(database: Database) -> None:
    store, offers = Store(database), Offers(database)
    name = store.start_conversation("ann", "Hello?").id
    prompt = [{"role": "user", "content": "Hello?"}]
    one, other = (
        store.end(
            store.begin(NewTurn(name, None, "ann", "Hello?", prompt, "base", None, {})),
            Ending("complete", "Hi."),
        ).id
        for _ in range(2)
    )
    made = offers.add(other, one)
    assert made.both == (other, one)
    assert offers.open([one]) == offers.open([other]) == made
    assert offers.open(["turn-x"]) is None
    offers.end(made)
    assert offers.open([one, other]) is None
    Past(database).delete(name, "ann")
    assert store.turns(name) == []
