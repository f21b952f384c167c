"""Groups questions that ask for the same thing, by their vectors. Pure, and the same for the same input.

Average linkage from where one stood: groups that exist stay together, new questions join them or each other,
so that a group keeps its name while its members stay. Knows no model, no database and no words.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]
ALIKE = 0.6
"""Mean cosine similarity from which on two groups ask for the same thing."""
_NEVER = -2.0


@dataclass(frozen=True, slots=True)
class Group:
    """Where some of the questions went. `name` is None for a new group; `members` are places among the new
    questions, `merged` the names of other groups that it has taken in."""

    name: str | None
    members: Sequence[int]
    merged: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Questions:
    """Texts and their vectors (of length one), one a row."""

    texts: tuple[str, ...]
    vectors: Vectors

    def some(self, places: Sequence[int]) -> Questions:
        """Those at these places."""
        return Questions(tuple(self.texts[place] for place in places), self.vectors[list(places)])

    def with_more(self, other: Questions) -> Questions:
        """These and then others."""
        return Questions(self.texts + other.texts, np.concatenate([self.vectors, other.vectors]))

    def first(self, most: int) -> Questions:
        """At most so many of them."""
        return Questions(self.texts[:most], self.vectors[:most])

    @property
    def middle(self) -> str:
        """The one that is closest to all others: to name them by."""
        return self.texts[int(np.argmax(np.round(self.vectors @ self.vectors.sum(axis=0), 5)))]


@dataclass(slots=True)
class _Cluster:
    """A group in the making. The mean cosine between two of them is the product of their mean vectors."""

    total: Vectors
    size: int
    names: list[str]
    members: list[int]
    settled: bool

    @property
    def mean(self) -> Vectors:
        return self.total / np.float32(self.size)

    def may_join(self, other: _Cluster) -> bool:
        """What is settled takes new questions in, and no other group that has a name."""
        return not (self.names and other.names and (self.settled or other.settled))


def grow(
    known: Mapping[str, Vectors], new: Vectors, alike: float = ALIKE, settled: Collection[str] = ()
) -> list[Group]:
    """Put new questions (normalised, one a row) into known groups (their members' vectors), the oldest first.

    The two closest groups become one, again and again, while they are `alike`; the older name stays. Those
    that are `settled` are not merged with other known ones. Groups that nothing happened to are left out.
    """
    clusters = [
        _Cluster(vectors.sum(axis=0), len(vectors), [name], [], name in settled)
        for name, vectors in known.items()
        if len(vectors)
    ]
    clusters += [_Cluster(vector, 1, [], [place], False) for place, vector in enumerate(new)]
    if clusters:
        _merge(clusters, alike)
    return [
        Group(one.names[0] if one.names else None, tuple(sorted(one.members)), tuple(one.names[1:]))
        for one in clusters
        if one.size and (one.members or len(one.names) > 1)
    ]


def _merge(clusters: Sequence[_Cluster], alike: float) -> None:
    """Join the closest two while they are alike; what was taken in is left with nothing (`size` 0)."""
    count = len(clusters)
    means = np.stack([one.mean for one in clusters])
    # Rounded, so that neither the machine nor the order of a sum decides between equals
    products = np.round(means @ means.T, 5)
    products[np.tril_indices(count)] = _NEVER
    for first, one in enumerate(clusters):
        if one.names:
            for second in range(first + 1, count):
                if not one.may_join(clusters[second]):
                    products[first, second] = _NEVER
    while products.size:
        first, second = divmod(int(np.argmax(products)), count)
        if products[first, second] < alike:
            break
        into, other = clusters[first], clusters[second]
        into.total, into.size = into.total + other.total, into.size + other.size
        into.names, into.members = into.names + other.names, into.members + other.members
        into.settled |= other.settled
        other.size, other.members, other.names = 0, [], []
        products[second, :] = products[:, second] = _NEVER
        means[first] = into.mean
        for place, one in enumerate(clusters):
            if one.size and place != first:
                pair = (first, place) if first < place else (place, first)
                near = round(float(means[first] @ means[place]), 5)
                products[pair] = near if into.may_join(one) else _NEVER
