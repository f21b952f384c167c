"""The statistics of the gate: how often chance wins, how often what is better is seen."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.evidence import by_luck, clustered, ranking, share


def _votes(noise: np.random.Generator, wins: float, people: int, each: int, own: float) -> list[float]:
    """Comparisons won (1) or lost (-1), `each` by all of `people`, whose own chances differ by `own`."""
    chances = np.clip(noise.normal(wins, own, people), 0, 1)
    return [float(one) for one in np.where(noise.random((people, each)) < chances[:, None], 1, -1).ravel()]


def _persons(people: int, each: int) -> list[int]:
    return [person for person in range(people) for _ in range(each)]


def test_an_equal_candidate_seldom_looks_better_though_people_differ() -> None:
    noise = np.random.default_rng(1)
    persons = _persons(12, 10)
    lucky = [clustered(_votes(noise, 0.5, 12, 10, 0.2), persons) for _ in range(1000)]
    assert sum(one is not None and one.p <= 0.05 for one in lucky) <= 70  # 50 are expected


def test_the_same_votes_taken_for_different_people_s_would_look_better_than_they_are() -> None:
    noise = np.random.default_rng(2)
    alone = [clustered(_votes(noise, 0.5, 12, 10, 0.2), range(120)) for _ in range(400)]
    assert sum(one is not None and one.p <= 0.05 for one in alone) > 40  # 20 would be right


def test_one_voice_proves_nothing_and_few_that_agree_prove_little() -> None:
    assert clustered([1.0, 1.0, 1.0], ["Mia"] * 3) is None
    two, many = clustered([1.0, 1.0], ["Mia", "Tom"]), clustered([0.0] * 48, range(48))
    assert two is not None
    assert (two.p, two.clusters) == (0.25, 2)
    assert two.low < 0.5
    assert many is not None
    assert -0.07 < many.low < 0 < many.high
    assert many.p == 1.0
    with pytest.raises(ValueError, match="cluster"):
        clustered([1.0], [])


@given(st.lists(st.tuples(st.floats(-1, 1), st.integers(0, 4)), min_size=2, max_size=40))
def test_the_order_of_values_does_not_matter(rows: list[tuple[float, int]]) -> None:
    there = clustered([one for one, _ in rows], [person for _, person in rows])
    back = clustered([one for one, _ in rows[::-1]], [person for _, person in rows[::-1]])
    assert (there is None) == (back is None)
    if there and back:
        assert there.mean == pytest.approx(back.mean)
        assert there.low == pytest.approx(back.low, abs=1e-6)


def test_one_value_a_person_is_student_s_test() -> None:
    from scipy.stats import ttest_1samp

    values = list(np.random.default_rng(4).normal(0.3, 1, 30))
    found = clustered(values, range(30))
    assert found is not None
    assert found.p == pytest.approx(ttest_1samp(values, 0, alternative="greater").pvalue)


def test_many_looks_share_one_budget() -> None:
    assert sum(share(0.05, place) for place in range(1, 100_000)) == pytest.approx(0.05, abs=1e-5)
    assert share(0.05, 1) > share(0.05, 2)
    with pytest.raises(ValueError, match="from 1"):
        share(0.05, 0)


# -- how well votes are ranked -------------------------------------------------------------------------


@given(
    st.lists(st.integers(-3, 3), min_size=1, max_size=12),
    st.lists(st.integers(-3, 3), min_size=1, max_size=12),
)
def test_the_mean_of_what_each_adds_is_the_share_of_pairs_ranked_right(
    ups: list[int], downs: list[int]
) -> None:
    first, second = ranking(ups, downs, None)
    right = [1.0 if up > down else 0.5 if up == down else 0.0 for up in ups for down in downs]
    assert np.mean([*first, *second]) == pytest.approx(np.mean(right) - 0.5)


def test_one_that_ranks_as_the_other_does_is_no_better() -> None:
    ups, downs = [3.0, 1.0, 2.0], [0.0, 1.5]
    first, second = ranking(ups, downs, (ups, downs))
    assert [*first, *second] == pytest.approx([0.0] * 5)


def test_a_ranking_by_chance_seldom_looks_better_than_a_coin() -> None:
    noise, lucky = np.random.default_rng(7), 0
    people = _persons(10, 4)
    for _ in range(600):
        values = ranking(noise.normal(size=15).tolist(), noise.normal(size=25).tolist(), None)
        found = clustered([*values[0], *values[1]], people)
        lucky += found is not None and found.p <= 0.05
    assert lucky <= 50  # 30 are expected


def test_few_votes_pass_by_luck_no_more_often_than_is_allowed() -> None:
    """All ways of dealing five ups and five downs over ten scores, which is what luck does."""
    places, chances = range(10), []
    for ups in combinations(places, 5):
        downs = [place for place in places if place not in ups]
        chances.append(by_luck(ups, downs, None))
    for allowed in (0.05, 0.025, 0.0125, 0.005):
        assert sum(chance <= allowed for chance in chances) <= allowed * len(chances)
    assert min(chances) == pytest.approx(1 / len(chances))


def test_a_twin_is_no_better_than_the_other_by_luck_more_often_than_is_allowed() -> None:
    noise, chances = np.random.default_rng(11), []
    for _ in range(300):
        ours, theirs = noise.normal(size=(2, 12))
        chances.append(by_luck(ours[:5], ours[5:], (theirs[:5], theirs[5:])))
    assert sum(chance <= 0.05 for chance in chances) <= 25  # 15 are expected


def test_what_ranks_right_where_the_other_ranks_wrong_is_no_luck() -> None:
    ups, downs = [10.0 + one for one in range(8)], [float(one) for one in range(8)]
    assert by_luck(ups, downs, None) < 0.001
    assert by_luck(ups, downs, (downs, ups)) < 0.001
    assert by_luck(ups, downs, (ups, downs)) > 0.5
    assert by_luck([1.0] * 8, [1.0] * 8, None) == 1.0
