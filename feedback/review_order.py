"""The order in which staff look at turns: what teaches most first, no kind crowding out the others. Pure.

Takes plain values, gives plain values; the same ones give the same order, whatever order they came in. Why a
turn is of a kind is found out in `review_candidates.py`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from feedback.review_records import KINDS, Kind


@dataclass(frozen=True, slots=True)
class Candidate:
    """A turn that may be looked at: for each kind that it is of, how much, 0 to 1."""

    turn_id: str
    scores: Mapping[Kind, float]


@dataclass(frozen=True, slots=True)
class Place:
    """A turn in the queue, and the kind that brought it there."""

    turn_id: str
    kind: Kind
    twice: bool
    """Whether two of the staff see it."""


def order(
    candidates: Sequence[Candidate],
    quotas: Mapping[str, float],
    *,
    seed: int = 0,
    double_share: float = 0.0,
    most: int | None = None,
) -> list[Place]:
    """The queue, first first, at most so many.

    At each place stands the kind that is furthest behind its quota, of those that have a turn left (the
    largest remainder, as seats are given to parties), and of that kind the turn with the highest score. A
    turn of several kinds stands once. Kinds without a quota bring nothing. Equal scores are told apart by a
    hash of the seed and the turn, so nobody's turns are first for having come first.
    """
    shares = {kind: quotas.get(kind, 0.0) for kind in KINDS if quotas.get(kind, 0.0) > 0}
    total = sum(shares.values())
    queues = {kind: _ranked(candidates, kind, seed) for kind in shares}
    taken: set[str] = set()
    given = dict.fromkeys(shares, 0)
    found: list[Place] = []
    while most is None or len(found) < most:
        for queue in queues.values():
            while queue and queue[-1] in taken:
                queue.pop()
        left = [kind for kind in shares if queues[kind]]
        if not left:
            break
        kind = max(left, key=lambda one: shares[one] / total * (len(found) + 1) - given[one])
        turn_id = queues[kind].pop()
        given[kind] += 1
        taken.add(turn_id)
        found.append(Place(turn_id, kind, seen_twice(turn_id, double_share, seed)))
    return found


def seen_twice(turn_id: str, share: float, seed: int = 0) -> bool:
    """Whether two of the staff see this turn: decided by a hash, so that it stays decided."""
    return _chance(turn_id, f"twice {seed}") < share


def chance(turn_id: str, seed: int = 0) -> float:
    """A number from 0 to 1 that is the turn's for good: a sample by it is a random one."""
    return _chance(turn_id, f"sample {seed}")


def _ranked(candidates: Sequence[Candidate], kind: Kind, seed: int) -> list[str]:
    """The turns of a kind, the best last."""
    mine = ((one.scores[kind], _chance(one.turn_id, f"order {seed}"), one.turn_id) for one in candidates
            if kind in one.scores)  # fmt: skip
    return [turn_id for *_, turn_id in sorted(mine)]


def _chance(turn_id: str, salt: str) -> float:
    return int.from_bytes(hashlib.sha256(f"{salt}\x00{turn_id}".encode()).digest()[:8]) / 2**64
