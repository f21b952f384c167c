"""How unlike all that is known a new text is: vectors from hashed words, or any that are handed in. Pure.

numpy is imported when it is needed. Knows no model: who has better vectors than these hands them in.
"""

from __future__ import annotations

import math
import zlib
from collections import Counter
from collections.abc import Callable, Sequence
from difflib import SequenceMatcher
from typing import Any

from feedback.records import normalise

Embed = Callable[[Sequence[str]], Any]
"""Texts to vectors of length one, one a row."""
_SIZE = 2_048
"""Places that words are hashed to; two words in one place are taken for one, which seldom matters."""
_LONGEST = 2_000
"""Characters of a text that count."""


def hashed(texts: Sequence[str]) -> Any:
    """Vectors from the words of the texts, rare ones counting more (TF-IDF, Salton and Buckley 1988,
    doi:10.1016/0306-4573(88)90021-0), by the hashing trick (Weinberger et al. 2009, arXiv 0902.2206)."""
    import numpy as np

    counts = [Counter(_place(word) for word in normalise(text[:_LONGEST]).split()) for text in texts]
    seen = Counter(place for count in counts for place in count)
    vectors = np.zeros((len(texts), _SIZE), dtype=np.float32)
    for row, count in enumerate(counts):
        for place, times in count.items():
            weight = math.log((1 + len(texts)) / (1 + seen[place])) + 1
            vectors[row, place] = (1 + math.log(times)) * weight
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.maximum(lengths, 1e-9)


def unlike(new: Sequence[str], known: Sequence[str], most: int, embed: Embed = hashed) -> dict[int, float]:
    """The `most` new texts that are least like the known ones and each other: by place in `new`, 0 to 1.

    Greedy k-center (Sener and Savarese 2018, arXiv 1708.00489): each next one is the furthest from all that
    are known or chosen already, so that ten of the same make one. 1 is: nothing in common with any.
    """
    if not new:
        return {}
    import numpy as np

    vectors = np.asarray(embed([*new, *known]), dtype=np.float32)
    fresh, old = vectors[: len(new)], vectors[len(new) :]
    nearest = (fresh @ old.T).max(axis=1) if len(old) else np.zeros(len(new), dtype=np.float32)
    found: dict[int, float] = {}
    while len(found) < min(most, len(new)):
        chosen = int(nearest.argmin())
        found[chosen] = float(min(1.0, max(0.0, 1.0 - nearest[chosen])))
        nearest = np.maximum(nearest, fresh @ fresh[chosen])
        # Never again, not even where all others are the same text.
        nearest[list(found)] = 2.0
    return found


def apart(one: str, other: str) -> float:
    """How different two answers to one question are, 0 to 1: the share of words not in common, in order."""
    words = normalise(one[:_LONGEST]).split(), normalise(other[:_LONGEST]).split()
    return 1.0 - SequenceMatcher(None, *words, autojunk=False).ratio()


def _place(word: str) -> int:
    return zlib.crc32(word.encode(errors="replace")) % _SIZE
