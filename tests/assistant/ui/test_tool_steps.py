"""How calls of tools look, as text."""

from __future__ import annotations

from typing import Any

from assistant.ui import tool_steps

BAD = '<img src=x onerror="alert(1)">'


def step(**more: Any) -> dict[str, Any]:
    plain = {"id": "c1", "name": "order_status", "arguments": '{"order_id": "1234"}', "status": "done"}
    return plain | {"result": '{"status": "shipped"}', "seconds": 0.25} | more


def test_a_call_is_one_line_that_opens_to_its_arguments_and_its_result() -> None:
    html = tool_steps.drawn([step()])
    assert html.count("<details") == 1
    assert "<details open" not in html
    assert "Used <code>order_status</code>" in html
    assert "250 ms" in html
    assert "<pre>{\n  &quot;order_id&quot;: &quot;1234&quot;\n}</pre>" in html
    assert "shipped" in html


def test_it_says_how_far_it_is() -> None:
    waiting = step(status="running", result=None, seconds=None)
    assert "Using <code>order_status</code>" in tool_steps.drawn([waiting], busy=True)
    assert ">stopped<" in tool_steps.drawn([waiting])
    assert "failed after 2 s" in tool_steps.drawn([step(status="failed", result="Error: no", seconds=2.0)])
    assert ">1 ms<" in tool_steps.drawn([step(seconds=0.0)])


def test_nothing_that_a_model_or_a_tool_writes_is_obeyed() -> None:
    html = tool_steps.drawn([step(name=BAD, arguments=BAD, result=BAD)])
    assert "<img" not in html
    assert html.count("&lt;img") == 3


def test_what_is_no_json_is_shown_to_the_letter() -> None:
    html = tool_steps.drawn([step(arguments='{"order_id": ', result="[" * 100_000)])
    assert "<pre>{&quot;order_id&quot;: </pre>" in html


def test_without_calls_there_is_nothing() -> None:
    assert tool_steps.drawn([]) == ""
