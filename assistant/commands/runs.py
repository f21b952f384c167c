"""`apprentice train` and `apprentice runs …`: queue a run, look at runs, cancel one.

Works on the ledger's rows alone: the worker that trains may be another process or machine.
"""

from __future__ import annotations

import time
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from assistant.commands.common import Home, Json, house_of, show, show_one, who

if TYPE_CHECKING:
    from training.records import Run
    from training.runs import Runs

RunId = Annotated[str, typer.Argument(help="The run's id, or an end of it that fits only one.")]


class Method(StrEnum):
    """The ways of training that there are."""

    auto = "auto"
    dpo = "dpo"


def register(app: typer.Typer) -> None:
    """Add the commands to `app`."""
    app.command("train")(train)
    group = typer.Typer(no_args_is_help=True, help="Training runs.")
    group.command("list")(list_)
    group.command("show")(show_run)
    group.command("cancel")(cancel)
    app.add_typer(group, name="runs")


def train(
    method: Annotated[Method, typer.Option("--method", help="How to train.")] = Method.auto,
    recipe: Annotated[
        list[str] | None,
        typer.Option("--recipe", metavar="NAME=VALUE", help="Otherwise than chosen, such as rank=8."),
    ] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Wait for the run's end.")] = False,
    home: Home = None,
) -> None:
    """Queue a run over the votes so far; a worker takes it."""
    from training import recipes

    chosen = Method.dpo if method is Method.auto else method
    if unfit := [one for one in recipe or () if "=" not in one]:
        raise typer.BadParameter(f"{unfit[0]!r} is not of the form NAME=VALUE", param_hint="--recipe")
    pairs = (one.partition("=") for one in recipe or ())
    wishes = recipes.wishes({name.strip(): value for name, _, value in pairs})
    with house_of(home) as house:
        run = house.runs.queue(chosen.value, "by hand: command line", actor=who(), wishes=wishes)
        typer.echo(run.id)
        if wait:
            run = _wait(house.runs, run)
            typer.echo(f"{run.state}: {run.reason}")
            if run.state != "done":
                raise typer.Exit(1)


def _wait(runs: Runs, run: Run) -> Run:
    seen = ""
    while run.state in ("queued", "running"):
        if run.stage != seen:
            seen = run.stage
            typer.echo(f"{run.state}: {seen}", err=True)
        time.sleep(0.5)
        run = runs.get(run.id)
    return run


def list_(home: Home = None, as_json: Json = False) -> None:
    """The newest runs."""
    from assistant.api import run_as_json

    with house_of(home) as house:
        rows = [run_as_json(run) for run in house.runs.all()]
    columns = ("id", "state", "stage", "due_by", "adapter", "reason")
    show(rows, columns, as_json, "no runs yet: rate answers, or queue one with `apprentice train`")


def show_run(run_id: RunId, home: Home = None, as_json: Json = False) -> None:
    """One run in full."""
    from assistant.api import run_as_json

    with house_of(home) as house:
        found: dict[str, Any] = run_as_json(_find(house.runs, run_id))
    show_one(found, as_json)


def cancel(run_id: RunId, home: Home = None) -> None:
    """End a run: at once if it waits, within seconds if it runs."""
    with house_of(home) as house:
        run = house.runs.cancel(_find(house.runs, run_id).id, actor=who())
    typer.echo("cancelled" if run.state == "cancelled" else "it ends within seconds")


def _find(runs: Runs, run_id: str) -> Run:
    fitting = [run for run in runs.all(10_000) if run.id.endswith(run_id)]
    if len(fitting) > 1:
        raise typer.BadParameter(f"{run_id!r} fits {len(fitting)} runs; give more of the id")
    return fitting[0] if fitting else runs.get(run_id)
