"""What counts as saying what was approved, and the questions that are asked."""

from __future__ import annotations

from collections import Counter

import pytest

from benchmarks.bench_approvals import cases, in_order, is_used
from feedback.records import normalise


@pytest.mark.parametrize(
    ("answer", "used"),
    [
        ("The Solda tent weighs 2140 grams.", True),
        ("Happy to help! The Solda tent weighs 2140 grams. Anything else?", True),
        ("The Solda tent weighs 2144 grams.", False),
        ("2140 grams.", False),
        ("I don't have that information.", False),
        ("", False),
    ],
)
def test_enough_words_in_order_and_every_number(answer: str, used: bool) -> None:
    assert is_used("The Solda tent weighs 2140 grams.", answer) == used


def test_words_count_in_their_order_alone() -> None:
    assert in_order(["a", "b", "c"], ["c", "b", "a"]) == 1
    assert in_order(["a", "b", "c"], ["x", "a", "c", "y"]) == 2
    assert in_order([], ["a"]) == 0


def test_there_are_twenty_of_a_kind_and_each_is_asked_again_in_other_words() -> None:
    found = cases()
    assert Counter(case.kind for case in found) == {"facts": 20, "wordings": 20}
    for case in found:
        texts = [normalise(text) for text in (case.question, *case.again)]
        assert len(set(texts)) == 4
