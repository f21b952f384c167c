"""`apprentice user export|delete --data|deletions`: all data of a person, taken along or deleted.

Thin doors to `assistant/personal.py` and `assistant/deletions.py`; `people.py` has the group.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from assistant.commands.common import Home, Json, house_of, show, who


def export(
    name: Annotated[str, typer.Argument(help="The account's name.")],
    out: Annotated[Path | None, typer.Option("--out", help="The ZIP to write.", dir_okay=False)] = None,
    home: Home = None,
) -> None:
    """Write all that is kept of a person as a ZIP of JSON lines."""
    from assistant import personal

    file = out or Path(f"{name}.zip")
    with house_of(home) as house:
        account = house.accounts.get(name)
        learned = personal.learned_by(house.registry, account.id)
        count = personal.export_to(house.database, account, file, learned)
    typer.echo(f"{count} rows in {file}")


def delete(name: str, home: Path | None) -> None:
    """Delete an account, or a bare person's id, with all that was said."""
    from assistant.app import deletions_of

    with house_of(home) as house:
        deletions = deletions_of(house)
        asked = deletions.ask(name, who())
        deletions.finish()
        done = deletions.get(asked.id)
    if done.ended_at is None:
        typer.echo(f"{name} is locked out; the service deletes the rest when it runs ({done.id})")
        return
    gone = f"{done.counts.get('conversations', 0)} conversations, {done.counts.get('examples', 0)} examples"
    typer.echo(f"{name} and all data are gone: {gone}")
    for adapter in done.counts.get("adapters", ()):
        typer.echo(f"{adapter} learned from them, and is not promoted any more; a run without them is queued")


def deletions(home: Home = None, as_json: Json = False) -> None:
    """List the deletions of people's data, the newest first."""
    from assistant.app import deletions_of

    with house_of(home) as house:
        rows: list[dict[str, Any]] = [one.as_dict() for one in deletions_of(house).all()]
    show(rows, ("id", "stage", "person", "asked_by", "counts"), as_json, "nobody's data was deleted")
