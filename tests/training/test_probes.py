"""Tests of what counts as a sound answer to a probe."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.probes import SOUND, fault, loops

words = st.lists(st.sampled_from("abcdefghijkl"), max_size=12)


@given(opening=words, phrase=words.filter(lambda found: 1 <= len(found) <= 8), times=st.integers(4, 9))
def test_an_end_that_repeats_is_a_loop_whatever_came_before(
    opening: list[str], phrase: list[str], times: int
) -> None:
    assert loops(" ".join(opening + phrase * times))


@given(st.lists(st.integers(), unique=True, max_size=60))
def test_text_that_never_repeats_is_no_loop(found: list[int]) -> None:
    assert not loops(" ".join(map(str, found)))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Yes.",
        "No, no, no.",
        "Very, very, very good!",
        "go go go and then it ends in another way",
        "1. Open the app. 2. Open the menu. 3. Open the list. 4. Press return.",
        "Dear Ann, we are sorry. Your order left us on Monday and is on its way. Is there anything else?",
    ],
)
def test_what_people_write_is_no_loop(text: str) -> None:
    assert not loops(text)


def test_a_fault_is_said_in_words() -> None:
    assert fault([]) == "empty, or never came to an end"
    assert fault(["You can return it within 30 days."]) is None
    looping = fault(["I can help. " + "again and " * 40])
    assert looping is not None
    assert looping.startswith("loops: ")
    assert len(looping) < 120


def test_each_probe_is_one_short_question_and_none_is_asked_twice() -> None:
    assert len(set(SOUND)) == len(SOUND) >= 10
    assert all(question == question.strip() and len(question) < 80 for question in SOUND)
