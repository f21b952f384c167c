"""Tests of how approved answers stand in a prompt."""

from __future__ import annotations

from assistant.examples import Example, among, with_examples
from feedback.records import thread_key

SYSTEM = {"role": "system", "content": "Be kind."}
ASKED = {"role": "user", "content": "Is it free?"}


def test_the_best_example_stands_nearest_to_the_question() -> None:
    prompt = with_examples([SYSTEM, ASKED], [Example("near", "one"), Example("far", "two")])
    assert [message["content"] for message in prompt] == [
        "Be kind.",
        "far",
        "two",
        "near",
        "one",
        "Is it free?",
    ]
    assert [message.get("name") for message in prompt] == [None, *["example"] * 4, None]


def test_what_was_said_before_stays_before_the_examples() -> None:
    said = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}, ASKED]
    assert with_examples(said, [Example("a", "b")])[:2] == said[:2]
    assert with_examples(said, []) == said


def test_a_dialogue_is_found_again_whatever_examples_stood_in_it() -> None:
    shown = with_examples([SYSTEM, ASKED], [Example("a", "b")])
    assert thread_key(shown, "Yes.") == thread_key([ASKED], "Yes.")


def test_only_approved_answers_among_passages_are_examples() -> None:
    kept = [
        {"kind": "answer", "title": "Is it free?", "text": "Always."},
        {"kind": "document", "title": "Prices", "text": "All."},
    ]
    assert among(kept) == [Example("Is it free?", "Always.")]
