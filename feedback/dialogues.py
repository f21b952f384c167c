"""A turn as trainers read it: prompt, completion and the tools that were offered, in TRL's form.

Calls of tools stand in it as messages with `tool_calls`, their arguments as objects, and results as messages
of the role `tool`. Knows no opinions and writes no files.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from feedback.records import BETWEEN, Message, Turn

Row = dict[str, Any]


def is_readable(turn: Turn) -> bool:
    """Whether a trainer may read the turn: a finished answer, in words or in calls, to messages in words,
    that stands on nothing but what everybody may see."""
    whole = turn.status == "complete" and turn.finish_reason != "length"
    said = bool(turn.answer.strip() or turn.tool_calls)
    plain = all(map(_is_plain, (*turn.prompt, *turn.steps, *_final(turn))))
    return whole and said and plain and not turn.restricted


def uses_tools(turn: Turn) -> bool:
    """Whether a tool, of the house or of a client, was called anywhere up to the end of the answer."""
    in_prompt = any(message.get("role") == "tool" or message.get("tool_calls") for message in turn.prompt)
    return bool(in_prompt or turn.steps or turn.tool_calls)


def prompt(turn: Turn) -> list[Row]:
    """What was said before the answer."""
    return [_row(message) for message in turn.prompt]


def completion(turn: Turn) -> list[Row]:
    """The answer: what was called and what came of it, then the words."""
    return [_row(message) for message in (*turn.steps, *_final(turn))]


def corrected(turn: Turn, text: str) -> tuple[list[Row], list[Row]]:
    """Prompt and completion with `text` as the last words. What was called stands in the prompt: who corrects
    the words has not said that the calls were right."""
    said = {"role": "assistant", "content": after_calls(turn, text)}
    return [*prompt(turn), *map(_row, turn.steps)], [said]


def last_words(turn: Turn) -> str:
    """What was said after the last call; without calls the answer."""
    return after_calls(turn, turn.answer)


def after_calls(turn: Turn, text: str) -> str:
    """What of the answer, or of a correction of all of it, is not said before a call: those words stand with
    the calls already."""
    before = "".join(f"{step['content']}{BETWEEN}" for step in turn.steps if _words_before_a_call(step))
    # Some forms strip a correction, which begins with the answer.
    whole, start = text.lstrip(), before.lstrip()
    return whole.removeprefix(start) if start and whole.startswith(start) else text


def tools(turn: Turn) -> str:
    """The tools that were offered, as JSON: their shapes differ, and no column could hold them otherwise."""
    return json.dumps(turn.sampling.get("tools") or [])


def _words_before_a_call(step: Message) -> bool:
    return step.get("role") == "assistant" and bool(step.get("content"))


def _final(turn: Turn) -> Sequence[Message]:
    calls = {"tool_calls": turn.tool_calls} if turn.tool_calls else {}
    return ({"role": "assistant", "content": last_words(turn), **calls},)


def _is_plain(message: Message) -> bool:
    calls = message.get("tool_calls") or []
    text = message.get("content")
    return (isinstance(text, str) or (text is None and bool(calls))) and all(map(_arguments_of, calls))


def _arguments_of(call: Mapping[str, Any]) -> tuple[dict[str, Any]] | None:
    """The arguments, in a tuple because they may be empty; None if they are no object."""
    function = call.get("function")
    if not isinstance(function, Mapping) or not isinstance(function.get("name"), str):
        return None
    given = function.get("arguments")
    try:
        found = json.loads(given or "{}") if isinstance(given, str) else given
    except (ValueError, RecursionError):
        return None
    return (found,) if isinstance(found, dict) else None


def _row(message: Message) -> Row:
    row: Row = {"role": str(message["role"]), "content": message.get("content") or ""}
    if calls := message.get("tool_calls"):
        row["tool_calls"] = [_call(call) for call in calls]
    if message.get("role") == "tool":
        row["tool_call_id"] = str(message.get("tool_call_id") or "")
    return row


def _call(call: Mapping[str, Any]) -> Row:
    arguments = _arguments_of(call)
    function = {"name": call["function"]["name"], "arguments": arguments[0] if arguments else {}}
    return {"id": str(call.get("id") or ""), "type": "function", "function": function}
