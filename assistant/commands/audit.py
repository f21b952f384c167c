"""`apprentice audit …`: who did what, and whether the log is still what was written.

Reads; writes nothing.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from assistant.commands.common import Home, Json, house_of, show, show_one


def register(app: typer.Typer) -> None:
    """Add the commands to `app`."""
    group = typer.Typer(no_args_is_help=True, help="The audit log.")
    group.command("list")(list_)
    group.command("verify")(verify)
    app.add_typer(group, name="audit")


def list_(
    what: Annotated[str, typer.Option("--what", help="Only this, such as 'adapter promoted'.")] = "",
    text: Annotated[str, typer.Option("--text", help="Only rows with this in who, subject or reason.")] = "",
    below: Annotated[int | None, typer.Option("--below", help="Rows before this one.", min=1)] = None,
    most: Annotated[int, typer.Option("--most", help="How many rows.", min=1, max=10_000)] = 50,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """The newest rows first."""
    with house_of(home) as house:
        found = house.audit.page(what=what, text=text, below=below, most=most)
    rows = [asdict(entry) | {"at": entry.at.isoformat(timespec="seconds")} for entry in found]
    columns = ("id", "at", "who", "door", "what", "subject", "before", "after", "reason")
    show(rows, columns, as_json, "nothing of that kind was done yet")


def verify(
    anchor: Annotated[
        str, typer.Option("--anchor", help="A hash noted earlier, which must still be there.")
    ] = "",
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Look through the whole chain; exit status 1 and the first broken row if it is not whole."""
    with house_of(home) as house:
        found = house.audit.verify(anchor)
    if as_json:
        show_one(asdict(found), as_json)
    else:
        typer.echo(str(found))
    if found.broken:
        raise typer.Exit(1)
