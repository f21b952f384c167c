"""`apprentice feedback export|import|approvals`: what people said, as JSONL that trainers read as it is.

The formats are `feedback/exchange.py`'s, and preference pairs those of `training/pairs.py`.
"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from assistant.commands.common import Home, Json, house_of, show, show_one, who


class Format(StrEnum):
    """What a line of the file is."""

    preference = "preference"
    unpaired = "unpaired"
    sft = "sft"
    raw = "raw"


def register(app: typer.Typer) -> None:
    """Add the commands to `app`."""
    group = typer.Typer(no_args_is_help=True, help="Take what people said out, or bring it in.")
    group.command("export")(export)
    group.command("import")(import_)
    group.command("approvals")(approvals)
    app.add_typer(group, name="feedback")


def export(
    kind: Annotated[Format, typer.Option("--format", help="What a line is.")],
    out: Annotated[Path, typer.Option("--out", help="The file to write.", dir_okay=False)],
    home: Home = None,
) -> None:
    """Write the feedback as JSONL."""
    from assistant import outgoing

    with house_of(home) as house:
        count = outgoing.feedback(house.store, kind.value, out)
        house.audit.note(who(), "export feedback", kind.value)
    typer.echo(f"{count} lines in {out}")


def import_(
    file: Annotated[Path, typer.Argument(help="JSONL, or a JSON array.", exists=True, dir_okay=False)],
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Read opinions in, as one transaction: our raw export, OpenAI's files, TRL's, Open WebUI's feedback."""
    from feedback import importing

    with house_of(home) as house, file.open(encoding="utf-8", errors="replace", newline="\n") as lines:
        found = importing.read_in(house.database, lines, name=file.name, by=who())
        subject, stored = found.id or file.name, f"{found.stored} lines"
        house.audit.note(who(), "import feedback", subject, "", stored)
    if as_json:
        show_one(found.as_dict(), as_json)
    else:
        for number, why in found.reasons:
            typer.echo(f"line {number}: {why}", err=True)
        if found.refused > len(found.reasons):
            typer.echo(f"and {found.refused - len(found.reasons)} lines more", err=True)
        known = f", {found.known} were here already" if found.known else ""
        typer.echo(f"{found.stored} lines read, {found.refused} refused{known}")
    if found.refused:
        raise typer.Exit(1)


def approvals(
    take_back: Annotated[
        str | None,
        typer.Option("--take-back", metavar="ID", help="No question has it as an example any more."),
    ] = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """List the approved answers, the newest first, or take one back."""
    from assistant.app import live_name
    from assistant.approvals import as_json as shown
    from feedback.approved import Approved

    with house_of(home) as house:
        rows, live = Approved(house.database), live_name(house.registry)
        if take_back is not None:
            # The rows decide at every question; the web process clears its index at its next start.
            rows.get(take_back)
            rows.end([take_back], "the command line", "taken back")
        found = [shown(one, live) for one in rows.all()]
    columns = ("id", "state", "used", "question", "answer", "approved_by")
    show(found, columns, as_json, "nothing is approved yet; staff approve answers in the chat")
