"""A run's directory: what the stages hand to each other as files. Written whole or not at all.

Knows the layout that `python -m training.trainers` reads and writes, and nothing of what is in it.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Protocol

from training.records import Example, Recipe, Run

_HALF_DONE = ("checkpoints", "scratch", ".adapter.partial")
_VERSIONS = ("torch", "transformers", "trl", "peft", "safetensors")


class Gathered(Protocol):
    """What the gather stage made."""

    @property
    def training(self) -> list[Example]: ...

    @property
    def held_out(self) -> list[Example]: ...

    @property
    def counts(self) -> Mapping[str, Any]: ...


@dataclass(frozen=True, slots=True)
class Workspace:
    """The directory of one run."""

    folder: Path

    @property
    def adapter(self) -> Path:
        """Where the trainer leaves the adapter."""
        return self.folder / "adapter"

    def gathered(self) -> bool:
        """Whether the examples are complete: their summary is written last."""
        return (self.folder / "gathered.json").is_file()

    def trained(self) -> bool:
        """Whether the trainer came to its end: its metrics are written last."""
        return (self.folder / "metrics.json").is_file()

    def abandon(self) -> None:
        """Delete what a run that won't go on leaves half done: the trainer's notes hold texts as tokens."""
        for name in _HALF_DONE:
            shutil.rmtree(self.folder / name, ignore_errors=True)

    def write(self, gathered: Gathered, recipe: Recipe) -> None:
        """Keep the examples and the recipe."""
        self.folder.mkdir(parents=True, exist_ok=True)
        replace_file(self.folder / "held_out.jsonl", _lines(gathered.held_out))
        replace_file(self.folder / "examples.jsonl", _lines(gathered.training))
        replace_file(self.folder / "recipe.json", json.dumps(recipe.as_dict(), indent=2))
        replace_file(self.folder / "gathered.json", json.dumps(dict(gathered.counts), indent=2))

    def recipe(self) -> Recipe:
        """The recipe of this run."""
        return Recipe.from_dict(json.loads((self.folder / "recipe.json").read_text(encoding="utf-8")))

    def examples(self) -> list[Example]:
        """What is trained on."""
        return _read(self.folder / "examples.jsonl")

    def held_out(self) -> list[Example]:
        """What is never trained on, for the evaluation."""
        return _read(self.folder / "held_out.jsonl")

    def metrics(self) -> dict[str, Any]:
        """What the trainer reported at its end."""
        found: dict[str, Any] = json.loads((self.folder / "metrics.json").read_text(encoding="utf-8"))
        return found

    def parity(self) -> list[dict[str, Any]]:
        """The trainer's own log-probabilities: rows of `prompt`, `answer`, `logprobs` (nats a token)."""
        known = {example.id: example for example in self.examples()}
        return [
            {
                "prompt": known[row["id"]].prompt,
                "answer": known[row["id"]].chosen,
                "logprobs": row["logprobs"],
            }
            for row in self.metrics().get("parity", ())
            if row["id"] in known
        ]

    def error(self) -> str | None:
        """The trainer's own word for why it failed, if it had one."""
        try:
            found = json.loads((self.folder / "error.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return str(found.get("error") or found.get("message") or "") or None

    def manifest(self, run: Run, base_hash: str) -> dict[str, Any]:
        """Where an adapter comes from: base, recipe, examples and votes by id, figures, versions."""
        examples, metrics = self.examples(), self.metrics()
        found = {
            "run": run.id,
            "base": {"location": self.recipe().base, "hash": base_hash},
            "recipe": self.recipe().as_dict(),
            "examples": [
                {name: row[name] for name in ("id", "source", "votes", "people", "askers")}
                for row in (item.as_row() for item in examples)
            ],
            "counts": json.loads((self.folder / "gathered.json").read_text(encoding="utf-8")),
            "metrics": {name: value for name, value in metrics.items() if name != "parity"},
            "versions": {name: _version(name) for name in _VERSIONS},
        }
        # NaN and infinity are figures of a trainer, but no JSON: PostgreSQL takes neither.
        plain: dict[str, Any] = json.loads(json.dumps(found), parse_constant=lambda _: None)
        return plain


def _lines(examples: Iterable[Example]) -> str:
    return "".join(json.dumps(item.as_row(), ensure_ascii=False) + "\n" for item in examples)


def _read(file: Path) -> list[Example]:
    # Not splitlines(): an answer may hold U+2028 and its like, which JSON leaves as they are.
    lines = file.read_text(encoding="utf-8").split("\n")
    return [Example.from_row(json.loads(line)) for line in lines if line]


def half_done(folder: Path) -> set[Path]:
    """The directories of runs in `folder` that hold something half done."""
    return {path.parent for name in _HALF_DONE for path in folder.glob(f"*/{name}")}


def replace_file(file: Path, text: str) -> None:
    """Write the whole file or leave the old one, also when the power goes."""
    temporary = file.with_name(f".{file.name}.{os.getpid()}")
    with temporary.open("w", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    temporary.replace(file)
    descriptor = os.open(file.parent, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
