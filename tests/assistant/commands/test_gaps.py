"""`apprentice documents gaps` over the rows of a home."""

from __future__ import annotations

import json
from datetime import UTC, datetime

from sqlalchemy import insert

from assistant.app import House
from feedback.schema import gap_turns, gaps
from tests.assistant.commands.conftest import Cli
from tests.assistant.knowing import asked


def test_gaps_are_listed_for_people_and_for_programs(cli: Cli, house: House) -> None:
    assert "no gap is known" in cli("documents", "gaps").out
    now = datetime.now(UTC)
    turn = asked(house.store, "Do you sell kayaks?")
    with house.database.write() as connection:
        for name, closed in (("gap-1", None), ("gap-2", now)):
            row = {"id": name, "title": "Do you sell kayaks?", "created_at": now, "closed_at": closed}
            connection.execute(insert(gaps).values(**row, report=[]))
        connection.execute(insert(gap_turns).values(turn_id=turn.id, gap_id="gap-1", why="nothing"))
    assert "Do you sell kayaks?" in cli("documents", "gaps").out
    found = json.loads(cli("documents", "gaps", "--json").out)
    assert [(one["id"], one["state"], one["questions"], one["why"]) for one in found] == [
        ("gap-1", "open", 1, {"nothing": 1})
    ]
    assert len(json.loads(cli("documents", "gaps", "--all", "--json").out)) == 2
