"""Takes a person's examples out of the directories of runs, and their questions out of evaluations.

Adapters never change; they are marked instead.

Whole files are replaced, so that whatever reads or is killed meanwhile finds the old one or the new one.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import Connection, select, update

from feedback.schema import turns
from training.findings import blanked
from training.records import Refused, Run
from training.runs import Runs
from training.schema import evaluations
from training.taints import learned_from
from training.workspace import Workspace, replace_file

_FILES = ("examples.jsonl", "held_out.jsonl")


def scrub(folder: Path, person_id: str, votes: Collection[str]) -> int:
    """Take the examples of this person, or from these opinions, out of every run in `folder`.

    Returns how many lines that were. Half-written files of runs that were killed go whole.
    """
    known, gone = frozenset(votes), 0
    for run in sorted(folder.iterdir()) if folder.is_dir() else ():
        if _holds(run, person_id, known):
            # Before the lines, by which it is known.
            Workspace(run).abandon()
        for name in _FILES:
            gone += _scrub_file(run / name, person_id, known)
            for left in run.glob(f".{name}.*"):
                left.unlink(missing_ok=True)
        _scrub_figures(run)
    return gone


def _scrub_file(file: Path, person_id: str, votes: Collection[str]) -> int:
    lines = _lines(file)
    kept = [line for line in lines if not learned_from(json.loads(line), person_id, votes)]
    if len(kept) < len(lines):
        replace_file(file, "".join(f"{line}\n" for line in kept))
    return len(lines) - len(kept)


def _scrub_figures(run: Path) -> None:
    """The trainer's figures hold some answers as tokens: those of examples that are there no more go."""
    file = run / "metrics.json"
    if not file.is_file():
        return
    known = {json.loads(line).get("id") for line in _lines(run / _FILES[0])}
    figures = json.loads(file.read_text(encoding="utf-8"))
    kept = [row for row in figures.get("parity", ()) if row["id"] in known]
    if len(kept) < len(figures.get("parity", ())):
        replace_file(file, json.dumps(figures | {"parity": kept}))


def blank_answers(connection: Connection, person_id: str) -> None:
    """Blank the questions of this person that evaluations show, with the answers to them.

    Older ones don't say who asked: they are found by what the person's turns hold, while these are there.
    """
    rows = connection.execute(select(evaluations.c.id, evaluations.c.figures)).all()
    shown = {one.get("question") for row in rows for one in row.figures.get("answers", ())}
    prompts = connection.execute(select(turns.c.prompt).where(turns.c.person_id == person_id)).scalars()
    asked = shown.intersection(str(prompt[-1].get("content")) for prompt in prompts if prompt)
    for row in rows:
        before = row.figures.get("answers", [])
        after = blanked(before, [person_id], asked)
        if after != before:
            mine = evaluations.c.id == row.id
            connection.execute(
                update(evaluations).where(mine).values(figures=row.figures | {"answers": after})
            )


def end_runs(runs: Runs, folder: Path, person_id: str, votes: Collection[str]) -> bool:
    """Ask runs that may hold something of this person to end. Returns whether any still works.

    A run that is gathering may be about to write what it read before the rows were deleted; what waits for
    another attempt may go on from a checkpoint.
    """
    works = False
    for run in runs.all():
        if run.state not in ("queued", "running") or not _may_hold(run, folder, person_id, votes):
            continue
        if not run.cancel_requested:
            try:
                runs.cancel(run.id)
            except Refused:
                continue  # it has ended by itself
        works = works or (run.state == "running" and _alive(run))
    return works


def _may_hold(run: Run, folder: Path, person_id: str, votes: Collection[str]) -> bool:
    if not (folder / run.id / "gathered.json").is_file():
        return run.state == "running"
    return _holds(folder / run.id, person_id, frozenset(votes))


def _holds(run: Path, person_id: str, votes: Collection[str]) -> bool:
    """Whether an example in this directory is of this person or from these opinions."""
    lines = (line for name in _FILES for line in _lines(run / name))
    return any(learned_from(json.loads(line), person_id, votes) for line in lines)


def _lines(file: Path) -> list[str]:
    return [line for line in file.read_text(encoding="utf-8").split("\n") if line] if file.is_file() else []


def _alive(run: Run) -> bool:
    return run.lease_until is not None and run.lease_until > datetime.now(UTC)
