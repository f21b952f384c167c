"""Writes down which lines of the sample shop's documents the product's search finds nearest to each question
that the starter learns from: `python -m benchmarks.nearest_lines`, after the questions or documents changed.

The starter's build reads the file and knows no search. The questions of the benchmarks are not among them.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from benchmarks import shop
from retrieval.lines import lines
from training.starter import customers

OUT = Path(customers.__file__).parent / "customers" / "nearest.json"
MOST = 8
_AT_ONCE = 1_000


def main() -> None:
    """Embed all and write the file."""
    asks = [ask for one in customers.told() for ask in one.asks]
    with shop.opened() as opened:
        passages = sorted(
            (one for some in opened.index.all() for one in some), key=lambda one: (one.source_id, one.place)
        )
        cut = [(number, line) for number, one in enumerate(passages) for line in lines(one.text)]
        own = np.array([number for number, _ in cut])
        embed = opened.embedder.documents
        whole = embed([one.searched for one in passages])
        alone = embed([line for _, line in cut])
        titled = embed([f"{passages[number].title.replace(' › ', ': ')}: {line}" for number, line in cut])
        near: list[list[int]] = []
        for start in range(0, len(asks), _AT_ONCE):
            asked = embed(asks[start : start + _AT_ONCE])
            # As `retrieval.search.condensed` has it
            scores = ((asked @ whole.T)[:, own] + np.maximum(asked @ alone.T, asked @ titled.T)) / 2
            near += np.argsort(-scores, axis=1)[:, :MOST].tolist()
    kept = {"lines": [[passages[number].title, line] for number, line in cut], "near": near}
    OUT.write_text(json.dumps(kept, ensure_ascii=False, separators=(",", ":")), encoding="utf-8")


if __name__ == "__main__":
    main()
