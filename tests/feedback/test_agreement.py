"""Agreement of staff: the formulas against scikit-learn and published figures, and what they are made of."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feedback.agreement import Figure, Look, agreement, alpha, in_words, kappa

LABELS = st.sampled_from(["right", "wrong", "invalid"])
PAIRS = st.lists(st.tuples(LABELS, LABELS), min_size=1, max_size=40)
UNITS = st.lists(st.lists(LABELS, max_size=5), max_size=30)


# The first call imports scikit-learn.
@settings(deadline=None)
@given(PAIRS)
def test_kappa_is_that_of_scikit_learn(pairs: list[tuple[str, str]]) -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    ours = kappa(pairs)
    if len({label for pair in pairs for label in pair}) < 2:
        # scikit-learn says NaN or 1 there, by version.
        assert ours is None
        return
    theirs = metrics.cohen_kappa_score([one for one, _ in pairs], [other for _, other in pairs])
    assert ours == pytest.approx(theirs, abs=1e-12)


@given(PAIRS)
def test_kappa_does_not_care_who_is_first_and_is_at_most_one(pairs: list[tuple[str, str]]) -> None:
    ours, turned = kappa(pairs), kappa([(other, one) for one, other in pairs])
    assert ours == pytest.approx(turned) if ours is not None else turned is None
    assert ours is None or -1 <= ours <= 1
    if ours is not None and all(one == other for one, other in pairs):
        assert ours == 1


def test_alpha_is_that_of_the_published_example() -> None:
    # Krippendorff 2011, example C: four observers, twelve units, gaps; nominal alpha 0.743.
    table = [
        [1, 2, 3, 3, 2, 1, 4, 1, 2, None, None, None],
        [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, None, 3],
        [None, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, None],
        [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, None],
    ]
    units = [[row[unit] for row in table if row[unit] is not None] for unit in range(12)]
    assert alpha(units) == pytest.approx(0.743, abs=5e-4)


def test_alpha_of_two_people_is_that_of_the_published_example() -> None:
    # Krippendorff 2011, example A: two observers, ten units, two labels; alpha 0.095.
    meg, owen = [0, 1, 0, 0, 0, 0, 0, 0, 1, 0], [1, 1, 1, 0, 0, 1, 0, 0, 0, 0]
    assert alpha(list(zip(meg, owen, strict=True))) == pytest.approx(0.095, abs=5e-4)


@given(PAIRS)
def test_alpha_of_two_is_scotts_pi_corrected_for_few(pairs: list[tuple[str, str]]) -> None:
    # 1 - alpha = (1 - pi) (n - 1) / n with n labels (Krippendorff 2004, "Content Analysis", 11.3)
    labels = [label for pair in pairs for label in pair]
    n = len(labels)
    expected = sum((labels.count(label) / n) ** 2 for label in set(labels))
    ours = alpha(pairs)
    if math.isclose(expected, 1):
        assert ours is None
        return
    same = sum(one == other for one, other in pairs) / len(pairs)
    pi = (same - expected) / (1 - expected)
    assert ours == pytest.approx(1 - (1 - pi) * (n - 1) / n, abs=1e-9)


@given(UNITS)
def test_alpha_takes_units_in_any_order_and_ignores_lonely_labels(units: list[list[str]]) -> None:
    ours = alpha(units)
    assert alpha([unit[::-1] for unit in units[::-1]]) == (pytest.approx(ours) if ours is not None else None)
    assert alpha([*units, ["right"], []]) == ours
    assert ours is None or ours <= 1


def test_figures_by_pair_by_verdict_and_by_fault() -> None:
    looks = []
    for number in range(10):
        looks.append(
            Look(f"turn-{number}", "sam", "wrong" if number < 4 else "right", "facts" if number < 4 else None)
        )
        looks.append(
            Look(f"turn-{number}", "sue", "wrong" if number < 3 else "right", "style" if number < 3 else None)
        )
    looks.append(Look("turn-lonely", "sam", "invalid"))
    found = agreement(looks)
    assert (found.overall.n, found.overall.same) == (10, 0.9)
    assert found.whole.same == 0.6
    assert list(found.pairs) == [("sam", "sue")]
    verdict, whole = found.pairs["sam", "sue"]
    assert verdict.value == pytest.approx(0.783, abs=1e-3)
    assert whole.value is not None
    assert verdict.value is not None
    assert whole.value < verdict.value
    assert set(found.faults) == {"facts", "style"}
    assert found.verdicts["invalid"] == Figure(None, 1.0, 10)


def test_of_two_looks_of_one_person_the_last_counts() -> None:
    found = agreement([Look("t", "sam", "right"), Look("t", "sue", "wrong"), Look("t", "sam", "wrong")])
    assert found.overall.same == 1.0


@pytest.mark.parametrize(
    ("figure", "pair", "words"),
    [
        (Figure(None, 0.0, 0), False, "nobody has seen"),
        (Figure(None, 1.0, 30), False, "all said the same"),
        (Figure(0.9, 0.9, 30), False, "reliable"),
        (Figure(0.7, 0.9, 30), False, "tentative"),
        (Figure(0.5, 0.9, 30), False, "not reliable"),
        (Figure(0.9, 0.9, 5), False, "too few"),
        (Figure(0.7, 0.9, 30), True, "substantial"),
        (Figure(-0.2, 0.3, 30), True, "no better than chance"),
    ],
)
def test_every_figure_comes_with_a_word_on_how_to_read_it(figure: Figure, pair: bool, words: str) -> None:
    assert words in in_words(figure, pair)
