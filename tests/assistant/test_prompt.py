"""Tests of what is made of a dialogue before the engine is asked."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assistant import prompt
from feedback.records import Message, Turn


def turn(name: str, parent: str | None, question: str = "", answer: str = "") -> Turn:
    return Turn(
        name, "c", parent, "ann", question, (), "k", answer, None, "m", {}, "complete", datetime.now(UTC)
    )


def said(role: str, content: Any) -> Message:
    return {"role": role, "content": content}


roles = st.lists(st.sampled_from(["user", "assistant", "tool"]), max_size=9)


def test_a_branch_is_told_in_order_and_an_unanswered_question_stays() -> None:
    branch = [turn("1", None, "Where is it?", "On its way."), turn("2", "1", "Really?", "")]
    assert prompt.dialogue(branch, "Hello?") == [
        said("user", "Where is it?"),
        said("assistant", "On its way."),
        said("user", "Really?"),
        said("user", "Hello?"),
    ]
    assert prompt.dialogue([], "Hello?") == [said("user", "Hello?")]


def test_a_branch_leads_from_the_first_turn_to_its_leaf_past_its_siblings() -> None:
    turns = {t.id: t for t in (turn("1", None), turn("2a", "1"), turn("2b", "1"), turn("3", "2b"))}
    assert [t.id for t in prompt.branch(turns, "3")] == ["1", "2b", "3"]
    assert [t.id for t in prompt.branch(turns, "2a")] == ["1", "2a"]
    assert prompt.branch(turns, None) == []


def test_the_houses_system_prompt_comes_first_unless_the_dialogue_brings_its_own() -> None:
    dialogue = [said("user", "Hello?")]
    assert prompt.with_system(dialogue, "Be kind.") == [said("system", "Be kind."), *dialogue]
    assert prompt.with_system(dialogue, "") == dialogue
    own = [said("system", "Be short."), *dialogue]
    assert prompt.with_system(own, "Be kind.") == own


def test_the_oldest_exchange_goes_first_and_the_system_prompt_stays() -> None:
    messages = [said(*one) for one in (("system", "s"), ("user", "1"), ("assistant", "a"), ("user", "2"))]
    assert prompt.shorter(messages) == [[messages[0], messages[3]]]
    assert prompt.shorter(messages[1:]) == [[messages[3]]]
    assert prompt.shorter([messages[0], messages[3]]) == prompt.shorter([]) == []


@given(roles, st.booleans())
def test_however_short_it_gets_it_opens_with_a_question_and_ends_as_it_did(
    between: list[str], system: bool
) -> None:
    messages = [said(role, str(number)) for number, role in enumerate(["user", *between, "user"])]
    whole = [said("system", "s"), *messages] if system else messages
    versions = [whole, *prompt.shorter(whole)]
    for longer, shorter in pairwise(versions):
        assert len(shorter) < len(longer)
        assert shorter[system]["role"] == "user"
        assert shorter[system:] == messages[-len(shorter[system:]) :]
        assert not system or shorter[0] == whole[0]
        assert prompt.shorter(shorter) == versions[versions.index(shorter) + 1 :]
    assert len(versions[-1]) == 1 + system, "only the last question is left"


@given(st.text(), st.sampled_from(["user", "assistant"]))
def test_the_bound_of_tokens_is_above_what_byte_level_tokenizers_make(text: str, role: str) -> None:
    """At worst each byte of the message is a token, plus the template's marks around it."""
    message = said(role, text)
    assert prompt.most_tokens([message]) >= len(role) + len(text.encode(errors="replace")) + 10
    assert prompt.most_tokens([message, message]) == 2 * prompt.most_tokens([message])


def test_the_bound_counts_what_tools_were_called_with() -> None:
    call = {"id": "1", "type": "function", "function": {"name": "f", "arguments": "x" * 500}}
    assert prompt.most_tokens([{"role": "assistant", "tool_calls": [call]}]) > 500


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("Hello", "Hello"),
        ([{"type": "text", "text": "One"}, {"type": "text", "text": "Two"}], "One\nTwo"),
        ([{"type": "image_url", "image_url": {"url": "data:"}}, {"type": "text", "text": "This"}], "\nThis"),
        (None, ""),
        (7, ""),
    ],
)
def test_the_text_of_a_content_is_found_in_each_of_its_shapes(content: Any, text: str) -> None:
    assert prompt.text_of(content) == text
    assert prompt.last_question([said("user", "old"), said("user", content), said("tool", "t")]) == text
    assert prompt.first_question([said("system", "s"), said("user", content), said("user", "new")]) == text


def test_without_a_question_there_is_none() -> None:
    assert prompt.first_question([said("system", "s")]) == prompt.last_question([]) == ""


def test_half_characters_are_replaced_and_all_else_is_left() -> None:
    assert prompt.cleaned({"role": "user", "content": "a\ud800b\x00c", "name": "ann"}) == {
        "role": "user",
        "content": "a\ufffdb\ufffdc",
        "name": "ann",
    }
    parts = said("user", [{"type": "text", "text": "Hi"}])
    assert prompt.cleaned(parts) == parts
