"""`apprentice tools`: what the model may call, as it is told. A module that can't be used is named with why.

`apprentice up` looks through this before it starts anything. Calls nothing.
"""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import typer

from assistant.commands.common import Home, Json, settings_of, show

if TYPE_CHECKING:
    from assistant.settings import Settings


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command()(tools)


def tools(home: Home = None, as_json: Json = False) -> None:
    """List the functions of APPRENTICE_TOOLS as the model sees them."""
    from assistant.tools import open_toolbox

    settings = settings_of(home)
    box = open_toolbox(settings.tools, seconds=settings.chat.tool_seconds)
    schemas = [schema["function"] for schema in box.schemas] if box else []
    rows = schemas if as_json else [_row(schema) for schema in schemas]
    show(
        rows,
        ("name", "arguments", "description"),
        as_json,
        "There are none: name a module in APPRENTICE_TOOLS.",
    )


def _row(schema: dict[str, Any]) -> dict[str, Any]:
    parameters = schema["parameters"]
    needed = parameters.get("required", ())
    names = [name if name in needed else f"[{name}]" for name in parameters["properties"]]
    return {**schema, "arguments": ", ".join(names), "description": " ".join(schema["description"].split())}


def check(settings: Settings) -> None:
    """Raise `BadSetting` unless the tools can be used. In a process of its own: theirs is no code of ours."""
    from assistant.settings import BadSetting

    if not settings.tools:
        return
    env = {**os.environ, "APPRENTICE_HOME": str(settings.home), "APPRENTICE_MODEL": settings.model}
    command = [sys.executable, "-m", "assistant", "tools", "--json"]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"APPRENTICE_TOOLS={settings.tools!r}: it ends Python"]
        raise BadSetting(lines[-1].removeprefix("apprentice: "))
