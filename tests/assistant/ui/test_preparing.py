"""The form for a run: what it would learn from, a recipe within bounds, one run in the queue."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

from assistant.accounts import AccountError
from assistant.ui import preparing
from assistant.ui.page import Doorman
from assistant.ui.preparing import Prepared, PreparingEvents
from tests.assistant.ui.scripted import House, request
from tests.training.test_gathering import questions, voted
from training import recipes


@pytest.fixture
def events(house: House) -> PreparingEvents:
    return PreparingEvents(house.desk, Doorman(house.accounts, "admin"))


def texts(parts: dict[str, Any], **changed: str) -> list[str]:
    return [changed.get(name, parts[name]) for name in recipes.CHOOSABLE]


async def test_every_handler_turns_others_away(events: PreparingEvents) -> None:
    for name in [name for name in vars(PreparingEvents) if not name.startswith("_")]:
        for who in (request("uwe"), request(None)):
            prepared = (
                [Prepared()] if "prepared" in inspect.signature(getattr(events, name)).parameters else []
            )
            given = [""] * len(recipes.CHOOSABLE) if name == "queue" else []
            with pytest.raises(AccountError):
                await getattr(events, name)(*prepared, who, *given)


async def test_the_form_says_what_would_be_learned_and_takes_what_is_chosen(
    house: House, events: PreparingEvents
) -> None:
    for question in questions(False, 5):
        voted(house.store, question, "A good answer, <b>with</b> reasons.", "up")
        voted(house.store, question, "No.", "down")
    prepared = Prepared()
    parts = await events.prepare(prepared, request("ana"))
    assert parts["preparation"]["visible"] is True
    assert "5 examples from 10 judged answers" in parts["preview"]
    assert "&lt;b&gt;with&lt;/b&gt;" in parts["preview"]
    assert parts["rank"] == "16"
    parts = await events.queue(prepared, request("ana"), *texts(parts, rank="8", epochs="2"))
    assert parts["preparation"]["visible"] is False
    (run,) = house.runs.all()
    assert run.wishes == {"rank": 8, "epochs": 2.0}
    (row,) = house.audit.page()
    assert (row.who, row.what, row.after) == ("ana", "run queued", "epochs 2.0, rank 8")


async def test_as_it_stands_nothing_is_chosen(house: House, events: PreparingEvents) -> None:
    prepared = Prepared()
    parts = await events.prepare(prepared, request("ana"))
    await events.queue(prepared, request("ana"), *texts(parts))
    assert house.runs.all()[0].wishes == {}


async def test_what_can_not_be_trained_is_refused_and_the_form_stays(
    house: House, events: PreparingEvents
) -> None:
    prepared = Prepared()
    parts = await events.prepare(prepared, request("ana"))
    refused = await events.queue(prepared, request("ana"), *texts(parts, learning_rate="<i>fast"))
    assert "Learning rate is &#x27;&lt;i&gt;fast&#x27;, not a number." in refused["unfit"]
    refused = await events.queue(prepared, request("ana"), *texts(parts, rank="64"))
    assert "the rank is 64, not one of (1, 8, 16, 32)" in refused["unfit"]
    assert "preparation" not in refused
    assert house.runs.all() == []


async def test_leaving_and_a_form_that_was_never_opened_queue_nothing(
    house: House, events: PreparingEvents
) -> None:
    assert (await events.leave(request("ana")))["preparation"]["visible"] is False
    await events.queue(Prepared(), request("ana"), *[""] * len(recipes.CHOOSABLE))
    assert house.runs.all() == []


def test_every_choice_has_a_label() -> None:
    assert set(preparing.LABELS) == set(recipes.CHOOSABLE)
