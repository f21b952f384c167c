"""A run directory for the tiny model, as the pipeline writes it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from training.records import Example, Recipe

WORDS = ("tent", "boots", "stove", "rope", "map", "lamp", "jacket", "mug")


def example(number: int, **changes: Any) -> Example:
    word = WORDS[number % len(WORDS)]
    values = {
        "prompt": ({"role": "user", "content": f"{number}: how much is the {word}{'!' * (number % 5)}"},),
        "chosen": f"Thank you. The {word} is {number}.",
        "rejected": f"{word} {number}" + " no" * (number % 7),
        "source": "siblings",
        "votes": (f"rating:{number}",),
        "people": ("ann",),
        "question": f"q{number}",
    } | changes
    return Example(**values)


def run_dir(folder: Path, base: Path, examples: list[Example] | int = 24, **changes: Any) -> Path:
    """`examples` pairs (24: two passes in batches of four are twelve steps, a checkpoint every four)."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = [example(number) for number in range(examples)] if isinstance(examples, int) else examples
    text = "".join(json.dumps(row.as_row()) + "\n" for row in rows)
    (folder / "examples.jsonl").write_text(text, encoding="utf-8")
    values = {
        "method": "dpo",
        "base": str(base),
        "rank": 8,
        "alpha": 16,
        "learning_rate": 1e-3,
        "epochs": 2.0,
        "batch_size": 4,
        "max_length": 256,
        "dtype": "float32",
        "checkpoint_steps": 4,
        "threads": 1,
    } | changes
    (folder / "recipe.json").write_text(json.dumps(Recipe(**values).as_dict()), encoding="utf-8")
    return folder
