"""Tests of the plain facts: what makes two questions one, and two prompts one."""

import doctest

import pytest
from hypothesis import given
from hypothesis import strategies as st

import feedback.records
from feedback.records import normalise, prompt_key, storable


def test_the_examples_in_the_docstrings_hold() -> None:
    assert doctest.testmod(feedback.records).failed == 0


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Where is my order?", "  where IS my\norder ?!"),
        ("What’s new?", "What's new"),
        ("\ufb01ne", "FINE"),
        ("Stra\u00dfe", "STRASSE"),
        ("cafe\u0301", "caf\u00e9"),
        ("\uff21\uff22\uff23", "abc"),
        ("Do you ship (to Norway)?", "do you ship to norway"),
    ],
)
def test_the_same_question_is_one(one: str, other: str) -> None:
    assert normalise(one) == normalise(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("How do I sort in C++?", "How do I sort in C#?"),
        ("What is 2+2?", "What is 2-2?"),
        ("What is 2*3?", "What is 2/3?"),
        ("Is it 5 $?", "Is it 5 €?"),
        ("\u0915\u093f", "\u0915\u0940"),
        ("👍", "👎"),
    ],
)
def test_different_questions_stay_different(one: str, other: str) -> None:
    assert normalise(one) != normalise(other)


@given(st.text())
def test_normalising_twice_changes_nothing_more(text: str) -> None:
    once = normalise(text)
    assert normalise(once) == once
    assert "  " not in once
    assert once == once.strip()


@given(st.text(alphabet=st.characters(), max_size=50))
def test_what_is_storable_can_be_encoded_and_holds_no_nul(text: str) -> None:
    kept = storable(text)
    kept.encode()
    assert "\x00" not in kept
    assert len(kept) == len(text)


def test_storable_replaces_halves_of_surrogate_pairs() -> None:
    assert storable("a\ud83db\x00c") == "a\ufffdb\ufffdc"
    assert storable("👍") == "👍"


def test_a_prompt_key_hangs_on_content_and_order_but_not_on_the_order_of_keys() -> None:
    first = [{"role": "user", "content": "hi"}]
    assert prompt_key(first) == prompt_key([{"content": "hi", "role": "user"}])
    assert prompt_key(first) != prompt_key([{"role": "user", "content": "hi "}])
    assert prompt_key([*first, {"role": "user", "content": "x"}]) != prompt_key(
        [{"role": "user", "content": "x"}, *first]
    )
    assert len(prompt_key([])) == 32


def test_a_prompt_that_no_encoding_takes_still_has_a_key() -> None:
    assert len(prompt_key([{"role": "user", "content": "\ud800"}])) == 32
