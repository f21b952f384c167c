"""Tests of turns as trainers read them: nothing of ours in them, calls and results in TRL's form."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from feedback import dialogues
from feedback.records import BETWEEN, Turn

TOOLS = [{"type": "function", "function": {"name": "order_status", "parameters": {"type": "object"}}}]


def call(arguments: str = '{"order_id": "1234"}') -> dict[str, Any]:
    return {"id": "c1", "type": "function", "function": {"name": "order_status", "arguments": arguments}}


STEPS = (
    {"role": "assistant", "content": "Let me look.", "tool_calls": [call()]},
    {"role": "tool", "tool_call_id": "c1", "content": "shipped", "failed": False, "seconds": 0.1},
)


def turn(**more: Any) -> Turn:
    plain = Turn(
        id="turn-1",
        conversation_id="conv-1",
        parent_id=None,
        person_id="ann",
        question="Where?",
        prompt=[{"role": "user", "content": "Where?"}],
        prompt_key="",
        answer=f"Let me look.{BETWEEN}It is shipped.",
        adapter=None,
        model="base",
        sampling={"tools": TOOLS},
        status="complete",
        created_at=datetime(2026, 5, 1, tzinfo=UTC),
        steps=STEPS,
    )
    return replace(plain, **more)


def test_an_answer_with_tools_is_calls_results_and_last_words() -> None:
    asked = {"name": "order_status", "arguments": {"order_id": "1234"}}
    assert dialogues.completion(turn()) == [
        {
            "role": "assistant",
            "content": "Let me look.",
            "tool_calls": [{"id": "c1", "type": "function", "function": asked}],
        },
        {"role": "tool", "content": "shipped", "tool_call_id": "c1"},
        {"role": "assistant", "content": "It is shipped."},
    ]
    assert dialogues.prompt(turn()) == [{"role": "user", "content": "Where?"}]
    assert json.loads(dialogues.tools(turn())) == TOOLS
    assert dialogues.is_readable(turn())
    assert dialogues.uses_tools(turn())


def test_an_answer_without_tools_is_one_message() -> None:
    plain = turn(steps=(), answer="Soon.", sampling={})
    assert dialogues.completion(plain) == [{"role": "assistant", "content": "Soon."}]
    assert dialogues.tools(plain) == "[]"
    assert not dialogues.uses_tools(plain)


def test_a_correction_stands_behind_the_calls_that_were_made() -> None:
    prompt, completion = dialogues.corrected(turn(), "It was shipped today.")
    assert [message["role"] for message in prompt] == ["user", "assistant", "tool"]
    assert completion == [{"role": "assistant", "content": "It was shipped today."}]


@pytest.mark.parametrize("lead", ["", "\n"])
def test_a_correction_that_begins_with_the_words_before_a_call_does_not_repeat_them(lead: str) -> None:
    """The form for corrections begins with the whole answer, some forms strip it."""
    call, result = STEPS
    steps = ({**call, "content": f"{lead}Let me look."}, result)
    whole = turn(steps=steps, answer=f"{lead}Let me look.{BETWEEN}It is shipped.")
    prompt, completion = dialogues.corrected(whole, f"Let me look.{BETWEEN}It was shipped today.")
    assert prompt[1]["content"] == f"{lead}Let me look."
    assert completion == [{"role": "assistant", "content": "It was shipped today."}]


def test_calls_of_a_clients_own_tools_are_the_answer() -> None:
    theirs = turn(steps=(), answer="", tool_calls=(call("{}"),))
    [message] = dialogues.completion(theirs)
    assert message["tool_calls"][0]["function"]["arguments"] == {}
    assert dialogues.is_readable(theirs)
    follows = turn(
        prompt=[
            {"role": "user", "content": "Where?"},
            {"role": "assistant", "content": None, "tool_calls": [call()]},
            {"role": "tool", "tool_call_id": "c1", "content": "shipped"},
        ],
        steps=(),
        answer="It is shipped.",
    )
    assert dialogues.is_readable(follows)
    assert dialogues.prompt(follows)[1]["content"] == ""
    assert dialogues.prompt(follows)[1]["tool_calls"][0]["function"]["arguments"] == {"order_id": "1234"}


@pytest.mark.parametrize(
    "more",
    [
        {"status": "stopped"},
        {"finish_reason": "length"},
        {"answer": " ", "steps": ()},
        {"prompt": [{"role": "user", "content": [{"type": "text", "text": "Where?"}]}]},
        {"steps": (), "tool_calls": ({"id": "c"},)},
        {"steps": (), "tool_calls": (call('{"order_id": '),)},
        {"steps": (), "tool_calls": (call("[1]"),)},
    ],
)
def test_what_no_trainer_can_read_is_said_so(more: dict[str, Any]) -> None:
    assert not dialogues.is_readable(turn(**more))
