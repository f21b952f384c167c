"""`apprentice feedback export|import`: what people said, as JSONL that trainers read as it is.

The formats are `feedback/exchange.py`'s, and preference pairs those of `training/pairs.py`.
"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, cast

import typer

from assistant.commands.common import Home, house_of


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
    app.add_typer(group, name="feedback")


def export(
    kind: Annotated[Format, typer.Option("--format", help="What a line is.")],
    out: Annotated[Path, typer.Option("--out", help="The file to write.", dir_okay=False)],
    home: Home = None,
) -> None:
    """Write the feedback as JSONL."""
    from feedback import exchange
    from training import gathering, tool_pairs

    with house_of(home) as house:
        if kind is Format.preference:
            built = gathering.from_votes(house.store)
            count = exchange.write_rows(tool_pairs.rows(house.store.judged(), built.training), out)
        else:
            count = exchange.export(house.store, cast("exchange.Format", kind.value), out)
    typer.echo(f"{count} lines in {out}")


def import_(
    file: Annotated[Path, typer.Argument(help="A raw export.", exists=True, dir_okay=False)],
    home: Home = None,
) -> None:
    """Read a raw export of another home; lines that can't be used are named."""
    from feedback import exchange

    with house_of(home) as house, file.open(encoding="utf-8", errors="replace") as lines:
        count, refused = exchange.import_raw(house.store, lines)
    for number, why in refused:
        typer.echo(f"line {number}: {why}", err=True)
    typer.echo(f"{count} turns read, {len(refused)} lines refused")
    if refused:
        raise typer.Exit(1)
