"""The sums of the benchmark of search: shares of errors by floor, the floor that is best, the area."""

from __future__ import annotations

import pytest

from benchmarks import asked
from benchmarks.bench_retrieval_quality import Best, area, best_floor, is_found, let_through, lost
from retrieval.records import Passage

FOUND = [
    Best("a", 0.8, "answered"),
    Best("b", 0.5, "answered"),
    Best("c", 0.3, "answered"),
    Best("d", 0.4, "near"),
    Best("e", 0.1, "far"),
]


def test_each_error_is_a_share_of_its_own_kind() -> None:
    assert lost(FOUND, 0.45) == pytest.approx(1 / 3)
    assert let_through(FOUND, 0.35) == 0.5
    assert let_through(FOUND, 0.35, "near") == 1
    assert let_through(FOUND, 0.35, "far") == 0


def test_the_best_floor_has_the_fewest_errors() -> None:
    assert 0.4 < best_floor(FOUND) <= 0.5
    assert best_floor(FOUND[:3]) == 0


def test_the_area_counts_pairs_in_the_right_order() -> None:
    assert area(FOUND) == pytest.approx(5 / 6)
    assert area(FOUND, "far") == 1


def test_a_question_is_found_by_a_passage_that_holds_its_value() -> None:
    one = asked.Asked("When?", "contact", ("8 to 18",), ())
    right = Passage("psg-1", "contact", "document", "", "How to reach us", "Weekdays from 8 to 18.", None, 0)
    other = Passage("psg-2", "returns", "document", "", "Returns", "Weekdays from 8 to 18.", None, 0)
    assert is_found(one, [other, right])
    assert not is_found(one, [other])
