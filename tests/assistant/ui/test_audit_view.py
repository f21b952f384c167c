"""The audit log on the page: filtered, turned, and its chain looked through."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
from sqlalchemy import update

from assistant.accounts import AccountError
from assistant.audit import entries
from assistant.ui import audit_view
from assistant.ui.audit_view import ALL, MOST, AuditEvents, Turned
from assistant.ui.page import Doorman
from feedback.database import Database
from tests.assistant.ui.scripted import House, request


@pytest.fixture
def events(house: House) -> AuditEvents:
    return AuditEvents(house.audit, Doorman(house.accounts, "admin"))


def ana() -> Any:
    return request("ana")


async def test_every_handler_turns_others_away(events: AuditEvents) -> None:
    known: dict[str, Any] = {"turned": Turned(), "what": "", "text": ""}
    for name in [name for name in vars(AuditEvents) if not name.startswith("_")]:
        handler = getattr(events, name)
        for who in (request("uwe"), request(None)):
            named = known | {"request": who}
            with pytest.raises(AccountError):
                await handler(**{one: named[one] for one in inspect.signature(handler).parameters})


async def test_an_empty_log_says_what_will_be_there(events: AuditEvents) -> None:
    assert "Nothing was done yet." in (await events.open(Turned(), ana()))["audit_rows"]
    assert "There is no row yet." in (await events.verify(ana()))["audit_chain"]


async def test_rows_are_text_filtered_and_turned(house: House, events: AuditEvents) -> None:
    for number in range(MOST + 3):
        house.audit.note("ana", "run queued", f"run-{number}", "", "", "<script>")
    house.audit.note("bea", "adapter promoted", "lora-1", "base is live", "lora-1 is live", "kinder")
    turned = Turned()
    parts = await events.open(turned, ana())
    assert parts["audit_what"]["choices"] == [ALL, "adapter promoted", "run queued"]
    assert "<script>" not in parts["audit_rows"]
    assert parts["audit_rows"].count("<tr title") == MOST
    assert 'data-act="audit_newer" disabled' in parts["audit_rows"]
    parts = await events.older(turned, ana())
    assert parts["audit_rows"].count("<tr title") == 4
    assert "run-0<" in parts["audit_rows"]
    assert 'data-act="audit_older" disabled' in parts["audit_rows"]
    # There is nothing older: the page stays.
    assert (await events.older(turned, ana()))["audit_rows"] == parts["audit_rows"]
    assert "lora-1" in (await events.newer(turned, ana()))["audit_rows"]
    await events.newer(turned, ana())
    parts = await events.filter(turned, "adapter promoted", "", ana())
    assert parts["audit_rows"].count("<tr title") == 1
    assert (await events.filter(turned, ALL, " KINDER ", ana()))["audit_rows"].count("<tr title") == 1
    assert "Nothing of that kind." in (await events.filter(turned, ALL, "nobody", ana()))["audit_rows"]


async def test_the_chain_is_looked_through(house: House, events: AuditEvents, sqlite: Database) -> None:
    entry = house.audit.note("ana", "run queued", "run-1")
    assert (
        f'1 row, and the chain is whole. Its head, to be noted elsewhere: <span class="mono">{entry.hash}'
        in (await events.verify(ana()))["audit_chain"]
    )
    with sqlite.write() as connection:
        connection.execute(update(entries).values(who="eve"))
    assert "The chain breaks at row 1" in (await events.verify(ana()))["audit_chain"]


def test_a_row_names_its_door_and_its_hash(house: House) -> None:
    entry = house.audit.note("ana", "run queued", "run-1")
    html = audit_view.draw([entry], False, False, False)
    assert entry.hash in html
    assert "audit_older" in html
