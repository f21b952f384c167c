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


TOOL = {"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}
NAMED = {"type": "function", "function": {"name": "look"}}


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"functions": [{"name": "f"}]}, "send `tools`"),
        ({"function_call": "auto"}, "send `tool_choice`"),
        ({"audio": {"voice": "x"}}, "text only"),
        ({"modalities": ["text", "audio"]}, "text only"),
        ({"web_search_options": {"search_context_size": "low"}}, "documents of this house"),
        ({"stop": ""}, "1 to 1000 characters"),
        ({"stop": ["x"] * 17}, "at most 16"),
        ({"stop": ["x" * 1001]}, "1 to 1000 characters"),
        ({"tools": [{}]}, "of the type `function`"),
        ({"tools": [{"type": "custom", "custom": {"name": "x"}}]}, "of the type `function`"),
        ({"tools": [{"type": "function", "function": {"name": "a b"}}]}, "letters, digits"),
        ({"tool_choice": "required"}, "needs `tools`"),
        ({"tool_choice": "sometimes", "tools": [TOOL]}, "`required`"),
        (
            {"tool_choice": {"type": "function", "function": {"name": "x"}}, "tools": [TOOL]},
            "none of the tools",
        ),
        ({"tool_choice": NAMED}, "needs `tools`"),
        ({"response_format": {"type": "xml"}}, "json_schema"),
        ({"response_format": {"type": "json_schema"}}, "needs a `schema`"),
        ({"response_format": {"type": "json_schema", "json_schema": {"name": "x"}}}, "needs a `schema`"),
        ({"stream_options": {"include_usage": True}}, "send `stream`"),
        ({"top_logprobs": 3}, "needs `logprobs`"),
        ({"logprobs": True, "top_logprobs": 21}, "20"),
        ({"top_k": -2}, "top_k"),
        ({"logit_bias": {str(n): 1 for n in range(1001)}}, "logit_bias"),
    ],
)
def test_what_would_change_the_answer_and_is_not_served_is_refused(given: dict[str, Any], why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        ChatRequest.model_validate({"messages": HELLO} | given)


@pytest.mark.parametrize(
    "given",
    [
        {"tool_choice": "none"},
        {"tool_choice": NAMED, "tools": [TOOL], "parallel_tool_calls": False},
        {"response_format": {"type": "text"}},
        {"response_format": {"type": "json_object"}},
        {"stop": ["\n\n", "END"]},
        {"seed": 7, "logprobs": True, "top_logprobs": 20},
        {"top_k": 20, "min_p": 0.1, "repetition_penalty": 1.1},
    ],
)
def test_what_is_served_reaches_the_engine_as_it_is(given: dict[str, Any]) -> None:
    ignored = {
        "store": False,
        "metadata": {"a": "b"},
        "user": "me",
        "service_tier": "auto",
        "modalities": ["text"],
    }
    assert ChatRequest.model_validate({"messages": HELLO} | given | ignored).sampling() == given


def test_of_two_names_for_the_same_limit_the_newer_one_counts() -> None:
    asked = ChatRequest.model_validate({"messages": HELLO, "max_tokens": 5, "max_completion_tokens": 9})
    assert asked.sampling() == {"max_completion_tokens": 9}
