"""Tests of how an answer is put together from chunks."""

from __future__ import annotations

from typing import Any

from assistant.receiving import Received, receive


def chunk(index: int = 0, finish: str | None = None, **delta: Any) -> dict[str, Any]:
    return {"choices": [{"index": index, "delta": delta, "finish_reason": finish}]}


def test_choices_that_come_by_turns_are_kept_apart() -> None:
    received = [Received(), Received()]
    for one in (
        chunk(0, content="Go"),
        chunk(1, content="No"),
        chunk(0, content="od."),
        chunk(1, finish="stop"),
    ):
        receive(one, received)
    assert ["".join(item.text) for item in received] == ["Good.", "No"]
    assert [item.finish_reason for item in received] == [None, "stop"]
    assert received[0].tokens == 2


def test_calls_that_come_in_parts_are_whole_and_in_order() -> None:
    received = [Received()]
    second = {"index": 1, "id": "b", "function": {"name": "look", "arguments": "{}"}}
    parts = [
        chunk(tool_calls=[second]),
        chunk(tool_calls=[{"index": 0, "id": "a", "function": {"name": "find", "arguments": '{"q":'}}]),
        chunk(tool_calls=[{"index": 0, "function": {"arguments": '"x"}'}}], finish="tool_calls"),
    ]
    for one in parts:
        receive(one, received)
    calls = received[0].calls()
    assert [call["id"] for call in calls] == ["a", "b"]
    assert calls[0]["function"] == {"name": "find", "arguments": '{"q":"x"}'}
    assert received[0].finish_reason == "tool_calls"


def test_a_chunk_of_usage_alone_changes_nothing() -> None:
    received = [Received()]
    receive({"choices": [], "usage": {"prompt_tokens": 3}}, received)
    assert received == [Received()]
