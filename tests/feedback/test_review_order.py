"""The order of the queue: quotas, no turn twice, the same for the same values in any order."""

from __future__ import annotations

import random
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from feedback.review_order import Candidate, chance, order, seen_twice
from feedback.review_records import KINDS, ReviewSettings

QUOTAS = ReviewSettings().quotas
SCORES = st.dictionaries(st.sampled_from(KINDS), st.floats(0, 1), min_size=1)
CANDIDATES = st.dictionaries(st.uuids().map(str), SCORES, max_size=40).map(
    lambda found: [Candidate(name, scores) for name, scores in found.items()]
)


@given(CANDIDATES, st.integers(0, 9))
def test_the_same_values_give_the_same_order(candidates: list[Candidate], seed: int) -> None:
    shuffled = candidates[:]
    random.Random(seed).shuffle(shuffled)
    once, again = order(candidates, QUOTAS, seed=seed), order(shuffled, QUOTAS, seed=seed)
    assert once == again
    assert [place.turn_id for place in once] == list(dict.fromkeys(place.turn_id for place in once))
    assert {place.turn_id for place in once} == {one.turn_id for one in candidates}
    assert order(candidates, QUOTAS, seed=seed, most=5) == once[:5]


@given(CANDIDATES)
def test_within_a_kind_the_higher_score_is_first(candidates: list[Candidate]) -> None:
    scores = {one.turn_id: one.scores for one in candidates}
    for kind in KINDS:
        found = order(candidates, {kind: 1.0})
        mine = [scores[place.turn_id][kind] for place in found]
        assert mine == sorted(mine, reverse=True)
        assert {place.kind for place in found} <= {kind}


def test_every_stretch_of_the_queue_holds_the_quotas() -> None:
    plenty = [Candidate(f"{kind}-{number}", {kind: 0.5}) for kind in KINDS for number in range(100)]
    found = order(plenty, QUOTAS, most=100)
    total = sum(QUOTAS.values())
    for length in (10, 37, 100):
        counted = Counter(place.kind for place in found[:length])
        for kind in KINDS:
            assert abs(counted[kind] - QUOTAS[kind] / total * length) <= 1.5, (kind, length)


def test_a_kind_that_runs_out_leaves_its_places_to_the_others() -> None:
    few = [Candidate("d", {"disputed": 1.0}), *(Candidate(f"r{n}", {"random": n / 9}) for n in range(9))]
    found = order(few, {"disputed": 9, "random": 1})
    assert [place.kind for place in found] == ["disputed"] + ["random"] * 9
    assert order(few, {"disputed": 1, "random": 0}) == found[:1]
    assert order(few, {}) == []


def test_a_seed_moves_what_is_equal_and_only_that() -> None:
    equal = [Candidate(f"t{n}", {"random": 0.5}) for n in range(20)]
    assert order(equal, QUOTAS, seed=1) != order(equal, QUOTAS, seed=2)
    clear = [Candidate(f"t{n}", {"random": n / 20}) for n in range(20)]
    one, other = (order(clear, QUOTAS, seed=seed) for seed in (1, 2))
    assert one == other


def test_about_the_share_is_seen_twice_and_it_stays_so() -> None:
    names = [f"turn-{n}" for n in range(5_000)]
    twice = [name for name in names if seen_twice(name, 0.1)]
    assert 400 < len(twice) < 600
    assert all(seen_twice(name, 0.2) for name in twice)
    assert not any(seen_twice(name, 0.0) for name in names)
    assert all(seen_twice(name, 1.0) for name in names)
    # Neither tells anything of the other.
    assert 0.4 < sum(chance(name) < 0.5 for name in twice) / len(twice) < 0.6
