"""What a run directory says is to be done: recipe and examples, checked before anything heavy starts.

Owns the names of the files in a run directory and the hash that ties a checkpoint to its input.
Does not know how to train.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from training.recipes import validate
from training.records import Example, Recipe, Refused

RECIPE, EXAMPLES = "recipe.json", "examples.jsonl"
METRICS, PROGRESS, ERROR = "metrics.json", "progress.jsonl", "error.json"
ADAPTER, CHECKPOINTS, SCRATCH = "adapter", "checkpoints", "scratch"
FORMAT = b"1"
"""Part of the fingerprint: raise it when the same input would be trained differently."""


@dataclass(frozen=True, slots=True)
class Job:
    """One run: where, how, on what. `fingerprint` is the sha256 of recipe and examples on disk."""

    folder: Path
    recipe: Recipe
    examples: Sequence[Example]
    fingerprint: str


def read(folder: Path) -> Job:
    """Read and check a run directory. Raises `Refused` with what is wrong in one sentence."""
    recipe_bytes, example_bytes = _bytes(folder / RECIPE), _bytes(folder / EXAMPLES)
    job = Job(
        folder=folder,
        recipe=_recipe(recipe_bytes),
        examples=_examples(example_bytes),
        fingerprint=hashlib.sha256(b"\0".join((FORMAT, recipe_bytes, example_bytes))).hexdigest(),
    )
    _check(job.examples)
    return job


def finished(job: Job) -> bool:
    """Whether this very job has already left its adapter and metrics (which are written last)."""
    path = job.folder / METRICS
    if not path.is_file() or not (job.folder / ADAPTER).is_dir():
        return False
    try:
        metrics = json.loads(path.read_bytes())
    except ValueError:
        return False
    return isinstance(metrics, dict) and metrics.get("fingerprint") == job.fingerprint


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise Refused(f"{path.name} cannot be read: {error.strerror}.") from error


def _recipe(raw: bytes) -> Recipe:
    plain = _json(raw, RECIPE)
    try:
        recipe = Recipe.from_dict(plain)
    except TypeError as error:
        raise Refused(f"{RECIPE} is incomplete: {error}.") from error
    validate(recipe)
    return recipe


def _examples(raw: bytes) -> Sequence[Example]:
    lines = [line for line in raw.split(b"\n") if line.strip()]
    return [_example(line, f"{EXAMPLES} line {number}") for number, line in enumerate(lines, 1)]


def _example(line: bytes, where: str) -> Example:
    plain = _json(line, where)
    try:
        return Example.from_row(plain)
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise Refused(f"{where} is not an example: {type(error).__name__} {error}.") from error


def _json(raw: bytes, where: str) -> Mapping[str, Any]:
    try:
        plain = json.loads(raw)
    except ValueError as error:
        raise Refused(f"{where} is not JSON: {error}.") from error
    if not isinstance(plain, dict):
        raise Refused(f"{where} is not a JSON object.")
    return plain


def _check(examples: Sequence[Example]) -> None:
    if not examples:
        raise Refused(f"{EXAMPLES} holds no example.")
    for number, example in enumerate(examples, 1):
        reason = _fault(example)
        if reason:
            raise Refused(f"{EXAMPLES} line {number} {reason}.")


def _fault(example: Example) -> str | None:
    if example.held_out:
        return "is held out for evaluation and must not be trained on"
    answers: tuple[Any, Any] = (example.chosen, example.rejected)
    if not all(isinstance(answer, str) for answer in answers):
        return "has an answer that is not text"
    if not all(answer.strip() for answer in answers):
        return "has an empty answer"
    if example.chosen == example.rejected and example.source != "anchor":
        return "has the same text as better and as worse answer"
    if not 0 < example.weight <= 1:
        return f"has the weight {example.weight}, not one in (0, 1]"
    if not all(isinstance(one, dict) and {"role", "content"} <= one.keys() for one in example.prompt):
        return "has a prompt that is not a list of messages"
    if not example.prompt or example.prompt[-1]["role"] == "assistant":
        return "has a prompt that does not end before the assistant's answer"
    return None
