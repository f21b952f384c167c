"""`apprentice status` and `apprentice doctor`: how it goes, and what is missing or wrong.

Looks and reports, changes nothing. Every fault is named with the command that mends it.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import sqlite3
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from assistant.commands.common import Home, Json, house_of, settings_of, show_one

if TYPE_CHECKING:
    from assistant.app import House
    from assistant.settings import Settings

_SAFE_SQLITE = (3, 51, 3)
_PARTS = {
    "web": (("gradio", "fastapi", "uvicorn", "sqlalchemy"), "pip install apprentice"),
    "training": (("torch", "trl", "peft", "sklearn"), "pip install 'apprentice[train]'"),
    "documents": (
        (
            "bm25s",
            "chromadb",
            "langchain_chroma",
            "langchain_text_splitters",
            "pypdf",
            "sentence_transformers",
        ),
        "pip install 'apprentice[documents]'",
    ),
    "engine": (("vllm",), "make run (or: pip install 'apprentice[cpu]', on a GPU machine 'apprentice[gpu]')"),
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at. `mend` is the command that mends it."""

    what: str
    ok: bool
    detail: str
    mend: str = ""


def register(app: typer.Typer) -> None:
    """Add the commands to `app`."""
    app.command()(status)
    app.command()(doctor)


def status(home: Home = None, as_json: Json = False) -> None:
    """Engine, model, live adapter, canary, runs by state, feedback counts, and how many are satisfied."""
    from feedback.approved import Approved

    with house_of(home) as house:
        live, canary = house.registry.live(), house.registry.canary()
        stranded = house.registry.stranded()
        satisfied = house.store.satisfaction()
        states = Counter(run.state for run in house.runs.all(10_000))
        shown: dict[str, Any] = {
            "home": str(house.settings.home),
            "web": _web(house.settings),
            "engine": _engine(house.settings) or "ready",
            "model": house.settings.model,
            "live": live.name if live else "base",
            **({"trained_on_another_base": stranded.name} if stranded else {}),
            "canary": f"{canary.adapter} in {canary.share:.0%} of conversations" if canary else None,
            "runs": dict(states),
            "feedback": house.store.counts(),
            "approved": Approved(house.database).counts(live.name if live else None),
            "satisfied": {"asked": str(satisfied.asked), "unasked": str(satisfied.unasked)},
            "documents": _documents(house),
        }
    show_one(shown, as_json)


def _documents(house: House) -> dict[str, Any]:
    """How many documents there are in each state, and their passages."""
    from assistant.app import library_of

    library = library_of(house)
    shown: dict[str, Any] = {**library.shelf.counts(), "passages": library.shelf.passages()}
    if library.rebuilding is not None:
        shown["rebuilding"] = f"{library.rebuilding:.0%}"
    if (trouble := library.trouble) is not None:
        shown["trouble"] = trouble.said
    return shown


def _web(settings: Settings) -> str | None:
    from assistant.files import read_json

    found = read_json(settings.home / "run" / "web.json")
    return str(found["url"]) if found and _answers(f"{found['url']}/healthz") else None


def _engine(settings: Settings) -> str | None:
    """None when an engine is ready, else the reason."""
    from assistant.files import read_json

    found = read_json(settings.home / "run" / "engine.json")
    servers = list(settings.servers) or ([str(found["url"])] if found else [])
    if not servers:
        return "not started"
    return None if any(_answers(f"{server}/health") for server in servers) else "not answering"


def _answers(url: str) -> bool:
    import httpx

    try:
        return httpx.get(url, timeout=3).status_code == 200
    except httpx.HTTPError:
        return False


def doctor(home: Home = None, as_json: Json = False) -> None:
    """What is missing or wrong, and the command that mends it. Exit status 1 if anything is."""
    findings = list(_look(settings_of(home)))
    if as_json:
        import json

        rows = [{"what": f.what, "ok": f.ok, "detail": f.detail, "mend": f.mend} for f in findings]
        typer.echo(json.dumps(rows, indent=2))
    for finding in findings if not as_json else ():
        typer.echo(f"{'ok   ' if finding.ok else 'WRONG'} {finding.what}: {finding.detail}")
        if not finding.ok and finding.mend:
            typer.echo(f"      mend: {finding.mend}")
    if not all(finding.ok for finding in findings):
        raise typer.Exit(1)


def _look(settings: Settings) -> Iterator[Finding]:
    version = sys.version.split()[0]
    yield Finding(
        "python", sys.version_info[:2] in ((3, 11), (3, 12)), version, "install Python 3.11 or 3.12"
    )
    for part, (modules, mend) in _PARTS.items():
        missing = [name for name in modules if importlib.util.find_spec(name) is None]
        detail = f"missing: {', '.join(missing)}" if missing else "installed"
        needed = (part != "engine" or not settings.servers) and part != "documents"
        detail += "" if needed or not missing else " (optional)"
        yield Finding(f"{part} part", not missing or not needed, detail, mend)
    yield from _look_at_home(settings)
    yield from _look_at_database(settings)
    yield _look_at_model(settings)
    reason = _engine(settings)
    started = reason != "not started"
    yield Finding("engine", reason is None or not started, reason or "ready", "apprentice up")


def _look_at_home(settings: Settings) -> Iterator[Finding]:
    place = next(folder for folder in (settings.home, *settings.home.parents) if folder.exists())
    writable = os.access(place, os.W_OK)
    yield Finding("home", writable, str(settings.home), f"choose a folder you may write: --home, not {place}")
    free = shutil.disk_usage(place).free / 2**30
    yield Finding("disk", free >= 2, f"{free:.1f} GiB free", f"make room on the disk of {place} (2 GiB)")


def _look_at_database(settings: Settings) -> Iterator[Finding]:
    from assistant import app
    from assistant.migrations import NewerDatabase
    from feedback.database import DatabaseUnavailable

    try:
        house = app.open_house(settings)
    except (DatabaseUnavailable, NewerDatabase) as error:
        yield Finding("database", False, str(error), "start it, or correct APPRENTICE_DATABASE_URL")
        return
    yield Finding("database", True, house.database.url)
    if house.database.dialect == "sqlite":
        old = sqlite3.sqlite_version_info < _SAFE_SQLITE
        note = " (writes are serialised by a lock file, as this version needs)" if old else ""
        yield Finding("sqlite", True, sqlite3.sqlite_version + note)
    chain = house.audit.verify()
    mend = "somebody wrote past the program: compare the rows from there on with a backup"
    yield Finding("audit log", not chain.broken, str(chain), mend)
    house.close()


def _look_at_model(settings: Settings) -> Finding:
    from assistant.settings import STARTER

    place = Path(settings.model_location)
    if settings.model == STARTER or place.is_dir():
        complete = (place / "config.json").is_file() and any(place.glob("*.safetensors"))
        build = "python -m training.starter build"
        mend = build if settings.model == STARTER else f"put the model's *.safetensors into {place}"
        return Finding("model", complete, f"{settings.model} ({place})", mend)
    return Finding("model", True, f"{settings.model}, from the Hugging Face hub or its cache")
