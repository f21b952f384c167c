"""`apprentice documents gaps`: what people ask for and no document tells.

Reads rows alone: the web process that owns the index gathers and closes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from assistant.commands.common import Home, Json, house_of, show

if TYPE_CHECKING:
    from assistant.gaps import Gap


def gaps(
    every: Annotated[bool, typer.Option("--all", help="Closed ones too.")] = False,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Knowledge gaps: questions that no document answers, those first that most people ask."""
    from assistant.app import library_of
    from assistant.gaps import Gaps

    with house_of(home) as house:
        found = Gaps(house.database, house.store, library_of(house)).all()
    rows = [_as_json(gap) for gap in found if every or gap.state != "closed"]
    columns = ("id", "state", "questions", "people", "why", "title")
    show(rows, columns, as_json, "no gap is known: every question found something, or none was rated untrue")


def _as_json(gap: Gap) -> dict[str, Any]:
    return {
        "id": gap.id,
        "title": gap.title,
        "state": gap.state,
        "questions": len(gap.members),
        "people": gap.people,
        "why": gap.whys,
        "examples": [one.question for one in gap.members[:5]],
        "document": gap.document_id,
        "reason": gap.reason,
        "closed_by": gap.closed_by,
        "created_at": gap.created_at.isoformat(),
        "closed_at": gap.closed_at.isoformat() if gap.closed_at else None,
        "report": list(gap.report),
    }
