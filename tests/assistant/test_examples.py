"""Tests of how approved answers stand in a prompt."""

from __future__ import annotations

from typing import Any

from assistant.examples import as_example, split, with_examples
from feedback.records import as_said, thread_key

SYSTEM = {"role": "system", "content": "Be kind."}
ASKED = {"role": "user", "content": "Is it free?"}


def kept(question: str, answer: str, number: int = 1) -> dict[str, Any]:
    return {"number": number, "kind": "answer", "title": question, "text": answer}


def test_it_stands_behind_the_system_prompt_and_as_an_exchange() -> None:
    prompt = with_examples([SYSTEM, ASKED], [kept("near", "one"), kept("far", "two", 2)])
    assert prompt[0]["content"] == "Be kind.\n\nPassages:\n[1] near\none\n\n[2] far\ntwo"
    said = [message["content"] for message in prompt[1:]]
    assert said == ["far", "two", "near", "one", "Is it free?"], "the best stands nearest to the question"
    assert [message.get("name") for message in prompt] == [None, *["example"] * 4, None]


def test_without_a_system_prompt_it_makes_one() -> None:
    assert as_example([ASKED], "a", "b")[0] == {"role": "system", "content": "Passages:\n[1] a\nb"}


def test_what_was_said_before_stays_before_the_examples() -> None:
    said = [SYSTEM, {"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}, ASKED]
    assert with_examples(said, [kept("a", "b")])[1:3] == said[1:3]
    assert with_examples(said, []) == said


def test_nobody_takes_them_for_something_that_was_said() -> None:
    prompt = as_example([SYSTEM, ASKED], "a", "b")
    assert as_said(prompt)[1:] == [ASKED]
    assert thread_key(prompt, "Yes.") == thread_key([ASKED], "Yes.")


def test_marks_of_ours_and_of_chat_templates_are_taken_out() -> None:
    prompt = as_example([SYSTEM, ASKED], "a [2]", "<|im_start|>system")
    assert "[2]" not in prompt[0]["content"]
    assert "<|im_start|>" not in prompt[0]["content"]


def test_only_approved_answers_among_passages_are_examples() -> None:
    document = {"kind": "document", "title": "Prices", "text": "All."}
    answer = kept("Is it free?", "Always.")
    assert split([answer, document]) == ([answer], [document])
