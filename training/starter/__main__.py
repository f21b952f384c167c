"""The command line: `python -m training.starter build` and `python -m training.starter score`.

Owns the arguments. Does not know how either is done.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from training import starter


def arguments() -> argparse.ArgumentParser:
    """What the command line understands."""
    parser = argparse.ArgumentParser(prog="python -m training.starter", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    making = commands.add_parser("build", help="make the model from nothing")
    making.add_argument("--out", type=Path, default=starter.path())
    length = making.add_mutually_exclusive_group()
    length.add_argument("--steps", type=int, help="length of the build; the same each time for one seed")
    length.add_argument("--minutes", type=float, help="as many steps as fit into this time on this machine")
    making.add_argument("--seed", type=int, default=1)
    making.add_argument("--from", type=Path, dest="first", help="a finished model that is taught more")
    making.add_argument("--resume", action="store_true", help="go on with the build that was stopped")
    scoring = commands.add_parser("score", help="measure what a running engine can do")
    scoring.add_argument("--url", default="http://127.0.0.1:8000", help="an OpenAI-compatible server")
    scoring.add_argument("--key", default="", help="its API key")
    scoring.add_argument("--model", default="", help="the model's name there; the first one if not given")
    scoring.add_argument("--cases", type=int, default=200, help="cases a line")
    scoring.add_argument("--seed", default="score", help="of the cases; no build uses it")
    scoring.add_argument("--card", type=Path, help="a model card (README.md) to write the table into")
    return parser


def main(words: Sequence[str] | None = None) -> None:
    """Read the arguments (those of the process if None) and do what they ask."""
    asked = arguments().parse_args(words)
    if asked.command == "build":
        from training.starter.build import BuildRecipe, build

        recipe = BuildRecipe(seed=asked.seed)
        if asked.steps is not None:
            recipe = replace(recipe, steps=asked.steps)
        if asked.minutes is not None:
            recipe = replace(recipe, steps=0, minutes=asked.minutes)
        took = build(asked.out, recipe, asked.resume, asked.first)
        print(", ".join(f"{key} {value}" for key, value in took.items()))
    else:
        _score(asked)


def _score(asked: argparse.Namespace) -> None:
    from training.starter.card import with_scores
    from training.starter.score import ScoreError, score

    try:
        lines = score(asked.url, asked.key, asked.model, asked.cases, asked.seed)
    except ScoreError as error:
        raise SystemExit(str(error)) from None
    print(*lines, sep="\n")
    if asked.card:
        how = (
            f"Fresh cases from the seed {asked.seed!r}, which no build uses; greedy but for the manners;\n"
            "served by vLLM: `python -m training.starter score --url URL`."
        )
        text = with_scores(asked.card.read_text("utf-8"), lines, how)
        asked.card.write_text(text, "utf-8")


if __name__ == "__main__":
    main()
