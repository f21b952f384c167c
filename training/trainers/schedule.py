"""In which order rows are trained on: epochs, weights and lengths laid out before the first step.

Pure. The whole order is one list, so a resumed run goes on where it was and no row is seen twice by chance.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

POOL = 8
"""Batches that are drawn together before they are sorted by length: little padding, much chance left."""


def order(
    lengths: Sequence[int], weights: Sequence[float], *, epochs: float, batch_size: int, seed: int
) -> list[int]:
    """Row numbers in the order of training, `batch_size` after another making one batch.

    `lengths` are in tokens. A row is seen in proportion to its weight and `epochs` times on average, so that
    the expected gradient is that of the weighted loss and the number of steps does not hang on the weights.
    Each row's count is rounded by systematic sampling with an offset of its own (Kish 1965, §4): never more
    than one off its due.
    """
    chance = random.Random(seed)
    mean = math.fsum(weights) / len(weights)
    equal = min(weights) == max(weights)
    shares = [1.0 if equal else weight / mean for weight in weights]
    # Equal weights are exact passes.
    offsets = [0.0 if equal else chance.random() for _ in shares]
    made: list[int] = []
    for epoch in range(math.ceil(epochs)):
        rows = [
            row
            for row, (share, offset) in enumerate(zip(shares, offsets, strict=True))
            for _ in range(math.floor(share * (epoch + 1) + offset) - math.floor(share * epoch + offset))
        ]
        chance.shuffle(rows)
        part = min(1.0, epochs - epoch)
        made += rows[: math.ceil(len(rows) * part)]
    return _alike(made, lengths, batch_size, chance)


def _alike(rows: list[int], lengths: Sequence[int], batch_size: int, chance: random.Random) -> list[int]:
    """The same rows in batches of like lengths; a pool's batches in random order, a short one last."""
    made: list[int] = []
    for start in range(0, len(rows), POOL * batch_size):
        pool = sorted(rows[start : start + POOL * batch_size], key=lambda row: lengths[row])
        batches = [pool[at : at + batch_size] for at in range(0, len(pool), batch_size)]
        short = batches.pop() if len(batches[-1]) < batch_size else []
        chance.shuffle(batches)
        made += [row for batch in [*batches, short] for row in batch]
    return made
