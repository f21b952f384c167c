"""`apprentice user …`: accounts and API keys.

A thin door to `assistant/accounts.py`. Passwords come from a prompt or standard input, never an argument.
"""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from assistant.commands import personal
from assistant.commands.common import Home, Json, house_of, show, who

Name = Annotated[str, typer.Argument(help="The account's name.")]


def register(app: typer.Typer) -> None:
    """Add the commands to `app`."""
    user = typer.Typer(no_args_is_help=True, help="Accounts and API keys.")
    own = (add, list_, groups, role, approve, disable, enable, link, delete, key)
    for command in (*own, personal.export, personal.deletions):
        user.command(command.__name__.rstrip("_"))(command)
    app.add_typer(user, name="user")


def add(
    name: Name,
    role: Annotated[str, typer.Option("--role", help="user, staff or admin.")] = "user",
    password_stdin: Annotated[
        bool, typer.Option("--password-stdin", help="Read the password from standard input.")
    ] = False,
    home: Home = None,
) -> None:
    """Make an account. Without a password it can only use API keys."""
    from assistant.accounts import ROLES

    if role not in ROLES:
        raise typer.BadParameter(f"{role!r} is no role; it is one of {', '.join(ROLES)}")
    password = sys.stdin.readline().rstrip("\r\n") if password_stdin else None
    if password == "":
        raise typer.BadParameter("there is no password on standard input")
    if password is None and sys.stdin.isatty():
        password = typer.prompt(
            "Password (empty: none)",
            default="",
            hide_input=True,
            show_default=False,
            confirmation_prompt=True,
        )
    with house_of(home) as house:
        account = house.people.add(name, role, password or None, who())
    typer.echo(f"{account.name} is {account.role}")


def list_(home: Home = None, as_json: Json = False) -> None:
    """Every account."""
    with house_of(home) as house:
        rows: list[dict[str, Any]] = [
            {
                "name": account.name,
                "role": account.role,
                "groups": list(account.groups),
                "disabled": account.disabled,
                "pending": account.pending,
                "created_at": account.created_at.isoformat(timespec="seconds"),
            }
            for account in house.accounts.all()
        ]
    show(
        [row if as_json else row | {"groups": ", ".join(row["groups"])} for row in rows],
        ("name", "role", "groups", "disabled", "pending", "created_at"),
        as_json,
        "no accounts yet: apprentice user add NAME",
    )


def groups(
    name: Name,
    chosen: Annotated[list[str] | None, typer.Argument(metavar="[GROUP]…", help="None: no group.")] = None,
    home: Home = None,
) -> None:
    """Say whose documents a person may see, besides those for everybody."""
    with house_of(home) as house:
        account = house.people.set_groups(name, chosen or (), who())
    typer.echo(f"{name} is in {', '.join(account.groups) or 'no group'}")


def role(
    name: Name,
    given: Annotated[str, typer.Argument(metavar="ROLE", help="user, staff or admin.")],
    home: Home = None,
) -> None:
    """Give an account another role."""
    from assistant.accounts import ROLES

    found = next((one for one in ROLES if one == given), None)
    if found is None:
        raise typer.BadParameter(f"{given!r} is no role; it is one of {', '.join(ROLES)}")
    with house_of(home) as house:
        house.people.set_role(name, found, who())
    typer.echo(f"{name} is {found}")


def approve(name: Name, home: Home = None) -> None:
    """Let somebody in who signed up."""
    with house_of(home) as house:
        account = house.people.approve(name, who())
    typer.echo(f"{name} is {account.role}")


def disable(name: Name, home: Home = None) -> None:
    """Lock an account out at once."""
    with house_of(home) as house:
        house.people.disable(name, who())
    typer.echo(f"{name} is locked out")


def enable(name: Name, home: Home = None) -> None:
    """Let somebody in again who was locked out."""
    with house_of(home) as house:
        house.people.enable(name, who())
    typer.echo(f"{name} may come in again")


def link(name: Name, home: Home = None) -> None:
    """Print a one-time address, behind the server's own, at which somebody chooses a password."""
    with house_of(home) as house:
        typer.echo(f"/password?token={house.people.reset_link(name, who())}")


def delete(
    name: Name,
    data: Annotated[
        bool, typer.Option("--data", help="Also all that the person said, and what was made of it.")
    ] = False,
    home: Home = None,
) -> None:
    """Remove an account and its keys; what the person said stays, under a bare id, unless --data is given."""
    if data:
        personal.delete(name, home)
        return
    with house_of(home) as house:
        house.people.delete(name, who())
    typer.echo(f"{name} is gone")


def key(name: Name, home: Home = None) -> None:
    """Print a new API key, once and alone on standard output."""
    with house_of(home) as house:
        typer.echo(house.people.key_for(name, who()))
