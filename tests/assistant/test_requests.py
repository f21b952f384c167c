"""Tests of the bodies of requests: what is let through, and as what. What is refused stands in `test_api`."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from assistant.requests import DEEPEST, ChatRequest, FeedbackRequest, Message, Plain

HELLO = [{"role": "user", "content": "Hi"}]


def nested(depth: int) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for _ in range(depth - 1):
        found = {"a": found}
    return found


def test_only_what_was_given_reaches_the_engine() -> None:
    asked = ChatRequest.model_validate(
        {"messages": HELLO, "temperature": 0, "n": None, "stream": True, "user": "me", "logprobs": False}
    )
    assert asked.sampling() == {"temperature": 0, "logprobs": False}
    assert ChatRequest.model_validate({"messages": HELLO}).sampling() == {}
    assert (asked.model, asked.stream) == ("apprentice", True)


def test_nothing_inside_a_tool_is_lost() -> None:
    tools = [
        {"type": "function", "function": {"name": "f", "parameters": {"default": None, "enum": [None, 1]}}}
    ]
    form = {"type": "json_schema", "json_schema": {"schema": {"const": None}}}
    asked = ChatRequest.model_validate({"messages": HELLO, "tools": tools, "response_format": form})
    assert asked.sampling() == {"tools": tools, "response_format": form}


@pytest.mark.parametrize(
    ("message", "sent"),
    [
        ({"role": "user", "content": "Hi", "name": None, "audio": "x"}, {"role": "user", "content": "Hi"}),
        ({"role": "developer", "content": "Be short."}, {"role": "system", "content": "Be short."}),
        ({"role": "user", "content": ""}, {"role": "user", "content": ""}),
        (
            {"role": "assistant", "content": None, "tool_calls": [{"id": "1"}]},
            {"role": "assistant", "tool_calls": [{"id": "1"}]},
        ),
        (
            {"role": "user", "content": [{"type": "text", "text": "Hi", "extra": None}]},
            {"role": "user", "content": [{"type": "text", "text": "Hi", "extra": None}]},
        ),
    ],
)
def test_a_message_is_sent_as_the_engine_knows_it(message: dict[str, Any], sent: dict[str, Any]) -> None:
    assert Message.model_validate(message).as_sent() == sent


def test_json_may_be_deep_but_not_without_end() -> None:
    Plain.model_validate(nested(DEEPEST))
    with pytest.raises(ValidationError, match=f"deeper than {DEEPEST} levels"):
        Plain.model_validate(nested(DEEPEST + 1))


def test_an_opinion_may_be_only_a_thumb_and_must_have_one() -> None:
    said = FeedbackRequest.model_validate({"completion_id": "turn-1", "rating": None})
    assert (said.rating, said.reasons, said.comment, said.correction) == (None, [], "", "")
    with pytest.raises(ValidationError, match="rating"):
        FeedbackRequest.model_validate({"completion_id": "turn-1"})


def test_whether_documents_are_looked_through_is_not_for_the_engine() -> None:
    asked = ChatRequest.model_validate({"messages": [{"role": "user", "content": "Hi"}], "grounded": False})
    assert asked.grounded is False
    assert asked.sampling() == {}
