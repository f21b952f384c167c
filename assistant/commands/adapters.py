"""`apprentice adapters …` and `apprentice evaluate`: the registry and what is known of each adapter.

Prints; decides nothing. Knows the registry and, for `evaluate`, the running engine.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from assistant.commands.common import Home, Json, Reason, house_of, show, show_one, who

if TYPE_CHECKING:
    from assistant.app import House
    from training.records import Evaluation

Name = Annotated[str, typer.Argument(help="The adapter's name, `lora-…`.")]


def register(app: typer.Typer) -> None:
    """Add the commands to `app`."""
    group = typer.Typer(no_args_is_help=True, help="The registry of adapters.")
    group.command("list")(list_)
    group.command("show")(show_adapter)
    group.command("promote")(promote)
    group.command("rollback")(rollback)
    group.command("canary")(canary)
    group.command("canary-stop")(canary_stop)
    group.command("retire")(retire)
    app.add_typer(group, name="adapters")
    app.command("evaluate")(evaluate)


def list_(home: Home = None, as_json: Json = False) -> None:
    """Every adapter, the newest first."""
    from assistant.api import adapters_as_json

    with house_of(home) as house:
        rows = adapters_as_json(house.registry)
    columns = ("name", "live", "share", "outcome", "retired", "created_at", "run")
    show(rows, columns, as_json, "no adapters yet: they come from votes, by `apprentice train`")


def show_adapter(name: Name, home: Home = None, as_json: Json = False) -> None:
    """One adapter: where it comes from and what its evaluation found."""
    with house_of(home) as house:
        adapter = house.registry.get(name)
        found = house.registry.evaluation(name)
        live, fits = house.registry.live(), house.registry.fits(adapter)
        history = [row for row in house.registry.history() if row.adapter == name]
        steps = [row for row in house.canaries.history() if row.adapter == name]
        looked = house.canaries.look()
    verdict = looked[1].reason if looked and looked[0].adapter == name else None
    manifest = dict(adapter.manifest)
    if not as_json:
        manifest["examples"] = len(manifest.get("examples", ()))
    show_one(
        {
            "name": adapter.name,
            "live": live is not None and live.name == name,
            "retired": adapter.retired,
            "fits_the_base": fits,
            "path": str(adapter.path),
            "outcome": found.outcome if found else None,
            "reasons": found.reasons if found else [],
            "promotions": [
                f"{row.at:%Y-%m-%d %H:%M} {row.action} by {row.actor}: {row.reason}" for row in history
            ],
            "canary": [
                f"{row.at:%Y-%m-%d %H:%M} {row.action} at {row.share:.0%} by {row.actor}: {row.reason}"
                for row in steps
            ],
            **({"canary_votes": verdict} if verdict else {}),
            **manifest,
        },
        as_json,
    )


def promote(name: Name, reason: Reason, home: Home = None) -> None:
    """Let an adapter answer from the next turn on; `base` takes every adapter away."""
    from assistant.app import live_name

    with house_of(home) as house:
        before, found = live_name(house.registry), house.registry.evaluation(name)
        row = house.registry.promote(name, actor=who(), reason=reason)
    if found is not None and found.against != before and before != name:
        typer.echo(
            f"note: its evaluation compared it with {found.against or 'base'}, not with {before or 'base'}, "
            "which it replaces",
            err=True,
        )
    typer.echo(f"{row.adapter or 'base'} is live")


def rollback(reason: Reason, home: Home = None) -> None:
    """Go back to what was live before."""
    with house_of(home) as house:
        row = house.registry.rollback(actor=who(), reason=reason)
    typer.echo(f"{row.adapter or 'base'} is live")


def canary(name: Name, reason: Reason, home: Home = None) -> None:
    """Let an adapter answer a share of conversations until its votes promote it or roll it back."""
    with house_of(home) as house:
        begun = house.canaries.start(name, actor=who(), reason=reason)
    typer.echo(f"{name} answers {begun.share:.0%} of conversations from now on")


def canary_stop(reason: Reason, home: Home = None) -> None:
    """Veto the canary: what is live answers all from the next turn on."""
    from assistant.app import live_name

    with house_of(home) as house:
        row = house.canaries.stop(actor=who(), reason=reason)
        live = live_name(house.registry)
    typer.echo(f"the canary of {row.adapter} is stopped; {live or 'base'} answers all")


def retire(
    name: Name,
    reason: Annotated[str, typer.Option("--reason", help="Why, in words; it stands in the audit.")] = "",
    home: Home = None,
) -> None:
    """Take an adapter out of what may be promoted."""
    with house_of(home) as house:
        house.registry.retire(name, actor=who(), reason=reason)
    typer.echo(f"{name} is retired")


def evaluate(
    name: Name,
    against: Annotated[
        str | None, typer.Option("--against", help="Compare with this one (default: what is live).")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--markdown", help="Write the whole report here, with the answers.")
    ] = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Measure an adapter on the running engine and keep the evaluation."""
    from training import report

    with house_of(home) as house:
        found = asyncio.run(_evaluate(house, name, against))
    shown: dict[str, Any] = {
        "adapter": found.adapter,
        "against": found.against or "base",
        "outcome": found.outcome,
        "reasons": found.reasons,
        "seconds": found.figures["seconds"],
    }
    show_one({**shown, **found.figures} if as_json else shown, as_json)
    if out is not None:
        out.write_text(report.markdown(found), encoding="utf-8")
    if found.outcome == "rejected":
        raise typer.Exit(1)


async def _evaluate(house: House, name: str, against: str | None) -> Evaluation:
    from assistant import app
    from assistant.errors import AssistantError
    from training.registry import BASE

    adapter = house.registry.get(name)
    other = house.registry.live() if against is None else None
    if against not in (None, BASE):
        other = house.registry.get(against)
    engines = app.engines_of(house.settings)
    await engines.start()
    try:
        if (reason := engines.ready()) is not None:
            raise AssistantError(f"{reason}; start it with `apprentice up`")
        return await app.pipeline_of(house, engines).evaluate(adapter, other)
    finally:
        await engines.close()
