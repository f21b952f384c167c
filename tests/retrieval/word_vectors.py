"""An embedder without a model: a text is the sum of its words, each a fixed random direction."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from retrieval.embeddings import normalised
from retrieval.records import EVERYBODY, Kind, Passage


class WordVectors:
    """Texts with the same words point the same way. Remembers what it embedded."""

    def __init__(self, name: str = "words", dimension: int = 64) -> None:
        self.name, self.dimension = name, dimension
        self.embedded: list[str] = []

    def documents(self, texts: Sequence[str]) -> Any:
        self.embedded.extend(texts)
        return normalised(np.array([self._sum(text) for text in texts]).reshape(-1, self.dimension))

    def question(self, text: str) -> Any:
        return normalised(self._sum(text)[None])[0]

    def _sum(self, text: str) -> Any:
        words = re.findall(r"\w+", text.lower()) or ["nothing"]
        return np.sum([self._direction(word) for word in words], axis=0)

    def _direction(self, word: str) -> Any:
        seed = int.from_bytes(hashlib.md5(f"{self.name} {word}".encode()).digest()[:8], "big")
        return np.random.default_rng(seed).normal(size=self.dimension)


def passage(
    text: str, source: str = "doc-1", audience: str = EVERYBODY, kind: Kind = "document", title: str = ""
) -> Passage:
    """A passage whose id hangs on its source and its words."""
    key = hashlib.sha256(f"{source}\n{title}\n{text}".encode()).hexdigest()[:32]
    return Passage(f"psg-{key}", source, kind, audience, title, text, None, 0)


def many(count: int, source: str = "doc-1", audience: str = EVERYBODY) -> list[Passage]:
    """So many passages of one source, no two alike."""
    return [passage(f"word{number} and word{number * 7}", source, audience) for number in range(count)]
