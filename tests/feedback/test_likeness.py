"""How unlike a text is: what is new is found, and ten of the same count once."""

from __future__ import annotations

import numpy as np
import pytest

from feedback.likeness import apart, hashed, unlike

KNOWN = ["Your order is on its way.", "Your order arrives tomorrow.", "The order was sent yesterday."]


def test_what_has_nothing_in_common_is_first() -> None:
    new = ["Your order is on its way!", "Kayaks need a paddle.", "Your order arrives on Monday."]
    found = unlike(new, KNOWN, 3)
    assert next(iter(found)) == 1
    assert found[1] == pytest.approx(1.0, abs=0.01)
    assert found[0] == pytest.approx(0.0, abs=1e-5)


def test_ten_of_the_same_are_one() -> None:
    new = ["Kayaks need a paddle."] * 10 + ["Tents need pegs and a dry place."]
    found = unlike(new, KNOWN, 11)
    assert [round(value, 2) for value in sorted(found.values(), reverse=True)[2:]] == [0.0] * 9
    assert len(found) == 11


def test_other_vectors_may_be_handed_in() -> None:
    vectors = {"a": [1, 0], "b": [0, 1], "c": [1, 0]}
    found = unlike(["a", "b"], ["c"], 1, lambda texts: np.array([vectors[text] for text in texts]))
    assert found == {1: 1.0}


def test_without_anything_known_all_is_new_and_without_anything_new_there_is_nothing() -> None:
    assert unlike(["a b"], [], 5) == {0: 1.0}
    assert unlike([], KNOWN, 5) == {}


def test_vectors_have_length_one_and_an_empty_text_none() -> None:
    lengths = np.linalg.norm(hashed([*KNOWN, ""]), axis=1)
    assert lengths == pytest.approx([1, 1, 1, 0], abs=1e-5)


def test_answers_are_as_far_apart_as_their_words() -> None:
    assert apart("It takes three days.", "it takes three days") == 0
    assert apart("Three days.", "No idea at all") == 1
    assert 0.2 < apart("It takes three days.", "It takes four days.") < 0.3
