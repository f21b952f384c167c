"""The command line: `python -m training.starter build` and `python -m training.starter score`.

Owns the arguments. Does not know how either is done.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from training import starter


def main() -> None:
    """Read the arguments and do what they ask."""
    parser = argparse.ArgumentParser(prog="python -m training.starter", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    making = commands.add_parser("build", help="make the model from nothing")
    making.add_argument("--out", type=Path, default=starter.path())
    making.add_argument("--minutes", type=float, default=18.0, help="stop after this long; 0: no limit")
    making.add_argument("--steps", type=int, default=0, help="stop after this many steps; 0: no limit")
    making.add_argument("--seed", type=int, default=1)
    making.add_argument(
        "--cases", type=int, default=128, help="scored cases a line; 0: no scores in the card"
    )
    scoring = commands.add_parser("score", help="measure a built model, in this process")
    scoring.add_argument("--model", type=Path, default=starter.path())
    scoring.add_argument("--cases", type=int, default=128)
    asked = parser.parse_args()
    if asked.command == "build":
        from training.starter.build import BuildRecipe, build

        took = build(
            asked.out, BuildRecipe(minutes=asked.minutes, steps=asked.steps, seed=asked.seed), asked.cases
        )
        print(", ".join(f"{key} {value}" for key, value in took.items()))
    else:
        from training.starter.score import score

        print(*score(asked.model, asked.cases), sep="\n")


if __name__ == "__main__":
    main()
