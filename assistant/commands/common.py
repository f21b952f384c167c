"""What several commands share: the `--home` option, opening a home, a progress bar, lists and objects.

Knows no command. Heavy imports wait until a home is really opened.
"""

from __future__ import annotations

import getpass
import json
import logging
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from assistant.app import House
    from assistant.settings import Settings

Home = Annotated[Path | None, typer.Option("--home", help="The home folder (default: APPRENTICE_HOME).")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Reason = Annotated[str, typer.Option("--reason", help="Why, in words; it stands in the audit.")]


def settings_of(home: Path | None, **given: Any) -> Settings:
    """Read the settings and switch every library's telemetry off. Raises `BadSetting`."""
    from assistant import offline, settings

    found = settings.read(home=home, **given)
    named_a_hub_model = found.model != settings.STARTER and not Path(found.model_location).exists()
    offline.go_offline(hub_model=named_a_hub_model)
    return found


@contextmanager
def house_of(home: Path | None) -> Iterator[House]:
    """The services of a home, for one command."""
    from assistant import app
    from assistant.audit import DOOR

    DOOR.set("command line")
    # Whoever sits here reads what was done, and the row keeps the rest.
    logging.getLogger("assistant.audit").setLevel(logging.WARNING)
    house = app.open_house(settings_of(home))
    try:
        yield house
    finally:
        house.close()


def who() -> str:
    """Who sits at the terminal, for the audit."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "command line"


@contextmanager
def progress() -> Iterator[Callable[[str, float], None]]:
    """A progress bar on standard error, told what is being done and how much of it is done, 0 to 1.

    Each thing that is done has a line of its own with its time.
    """
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True)) as bars:
        now: list[tuple[str, TaskID]] = []

        def tell(what: str, share: float) -> None:
            if not now or now[-1][0] != what:
                if now:
                    bars.update(now[-1][1], completed=1.0)
                now.append((what, bars.add_task(what, total=1.0)))
            bars.update(now[-1][1], completed=share)

        yield tell
        if now:
            bars.update(now[-1][1], completed=1.0)


def show(rows: Sequence[Mapping[str, Any]], columns: Sequence[str], as_json: bool, empty: str) -> None:
    """Print rows as JSON or as a table; `empty` says what to do where there are none."""
    if as_json:
        typer.echo(json.dumps(list(rows), indent=2, default=str))
        return
    if not rows:
        typer.echo(empty)
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in columns:
        # The first one is what other commands take: half of it would be of no use.
        table.add_column(column.replace("_", " "), no_wrap=column == columns[0])
    for row in rows:
        # As Text, since what people and programs write may look like markup.
        table.add_row(*(Text(_cell(row.get(column))) for column in columns))
    Console(soft_wrap=True, width=None if sys.stdout.isatty() else 200).print(table)


def show_one(found: Mapping[str, Any], as_json: bool) -> None:
    """Print one object."""
    if as_json:
        typer.echo(json.dumps(dict(found), indent=2, default=str))
        return
    for name, value in found.items():
        label = name.replace("_", " ")
        if isinstance(value, list) and value:
            typer.echo(f"{label}:")
            for item in value:
                typer.echo(f"  - {item}")
        else:
            typer.echo(f"{label}: {_cell(value)}")


def _cell(value: Any) -> str:
    if value is None or value == "" or value == []:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {item}" for name, item in value.items()) or "-"
    return str(value)
