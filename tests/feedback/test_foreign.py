"""Tests of other tools' forms: each line is read as what its tool means by it, or refused in one sentence."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feedback.foreign import Line, answer_of, read
from feedback.records import BETWEEN, Invalid

HI = {"role": "user", "content": "Where is it?"}
YES = {"role": "assistant", "content": "On its way."}
NO = {"role": "assistant", "content": "No idea."}
CALL = {"id": "c1", "type": "function", "function": {"name": "look", "arguments": '{"id": "7"}'}}
TOOL = {"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}
STEPS = [
    {"role": "assistant", "content": None, "tool_calls": [CALL]},
    {"role": "tool", "tool_call_id": "c1", "content": "in Lyon"},
]


def owui(**data: Any) -> dict[str, Any]:
    """A feedback as Open WebUI exports it, with a branch that is not the rated one."""
    messages = {
        "m1": {"id": "m1", "parentId": None, "role": "user", "content": "Where is it?"},
        "m2": {"id": "m2", "parentId": "m1", "role": "assistant", "content": "No idea.", "model": "llama"},
        "m3": {"id": "m3", "parentId": "m1", "role": "assistant", "content": "On its way."},
    }
    chat = {"title": "Parcel", "history": {"messages": messages, "currentId": "m3"}}
    return {
        "id": "f1",
        "user_id": "u-1",
        "version": 0,
        "type": "rating",
        "data": {"rating": -1, "model_id": "llama3", "reason": "other", "comment": "Rude.", **data},
        "meta": {"chat_id": "c", "message_id": "m2", "arena": False},
        "snapshot": {"chat": {"id": "c", "user_id": "u-1", "title": "Parcel", "chat": chat}},
        "created_at": 1_760_000_000,
        "updated_at": 1_760_000_001,
    }


def told(line: Line) -> list[tuple[int, str, str | None]]:
    """How long each prompt is, what was answered, and what was said of it."""
    return [(len(one.prompt), answer_of(one.completion), one.thumb) for one in line.said]


def test_openais_preferences_are_two_answers_the_first_of_which_is_better() -> None:
    row = {
        "input": {"messages": [HI], "tools": [TOOL], "parallel_tool_calls": True},
        "preferred_output": [YES],
        "non_preferred_output": [NO],
    }
    line = read(row)
    assert (line.form, line.preferred) == ("openai_preference", True)
    assert told(line) == [(1, "On its way.", None), (1, "No idea.", None)]
    assert line.said[0].tools == [TOOL]


@pytest.mark.parametrize(
    "row",
    [
        {"prompt": "Where is it?", "chosen": "On its way.", "rejected": "No idea."},
        {"prompt": [HI], "chosen": [YES], "rejected": [NO], "score_chosen": 9},
        {"chosen": [HI, YES], "rejected": [HI, NO]},
        {"prompt": [HI], "chosen": [YES], "rejected": [NO], "tools": "[]", "votes": ["rating:1"]},
    ],
)
def test_trls_preferences_plain_conversational_and_without_a_prompt(row: dict[str, Any]) -> None:
    line = read(row)
    assert (line.form, line.preferred) == ("preference", True)
    assert told(line) == [(1, "On its way.", None), (1, "No idea.", None)]


@pytest.mark.parametrize(("label", "thumb"), [(True, "up"), (False, "down"), (1, "up"), (0, "down")])
def test_trls_unpaired_rows_are_thumbs(label: Any, thumb: str) -> None:
    for prompt, completion in (("Where is it?", "On its way."), ([HI], [YES])):
        line = read({"prompt": prompt, "completion": completion, "label": label})
        assert (line.form, told(line)) == ("unpaired", [(1, "On its way.", thumb)])


def test_prompt_and_completion_alone_is_an_example_to_imitate() -> None:
    assert told(read({"prompt": [HI], "completion": [YES]})) == [(1, "On its way.", "up")]


def test_every_answer_of_openais_examples_counts_unless_its_weight_is_0() -> None:
    row = {"messages": [HI, {**NO, "weight": 0}, HI, {**YES, "weight": 1}, HI, YES]}
    line = read(row)
    assert told(line) == [(1, "No idea.", None), (3, "On its way.", "up"), (5, "On its way.", "up")]
    assert not line.preferred


def test_calls_of_tools_belong_to_their_answer_whichever_way_arguments_are_written() -> None:
    line = read(
        {"messages": [{"role": "developer", "content": "Be short."}, HI, *STEPS, YES], "tools": [TOOL]}
    )
    (one,) = line.said
    assert [message["role"] for message in one.prompt] == ["system", "user"]
    assert [message["role"] for message in one.completion] == ["assistant", "tool", "assistant"]
    plain = {**CALL, "function": {"name": "look", "arguments": {"id": "7"}}}
    steps = [{**STEPS[0], "content": "Let me see.", "tool_calls": [plain]}, STEPS[1]]
    (other,) = read(
        {"prompt": [HI], "completion": [*steps, YES], "label": True, "tools": json.dumps([TOOL])}
    ).said
    assert other.completion[0]["tool_calls"] == one.completion[0]["tool_calls"]
    assert (answer_of(other.completion), answer_of(one.completion)) == (
        f"Let me see.{BETWEEN}On its way.",
        "On its way.",
    )
    (ends_with_a_call,) = read({"messages": [HI, STEPS[0]]}).said
    assert answer_of(ends_with_a_call.completion) == ""


def test_a_rating_of_open_webui_is_the_branch_that_was_rated() -> None:
    line = read(owui())
    (one,) = line.said
    assert (line.form, told(line)) == ("open_webui", [(1, "No idea.", "down")])
    assert (one.reasons, one.comment, one.model, one.title) == (["other"], "Rude.", "llama3", "Parcel")
    assert (one.person, one.at and one.at.year) == ("u-1", 2025)
    assert read(owui(rating="1")).said[0].thumb == "up"


BAD: list[tuple[Any, str]] = [
    ({"text": "x"}, "none of the known forms"),
    ({"messages": []}, "no message of the assistant"),
    ({"messages": "hello"}, "list of messages"),
    ({"messages": [HI]}, "no message of the assistant"),
    ({"messages": [YES]}, "nobody asks"),
    ({"messages": [HI, {**YES, "weight": 0}]}, "no message of the assistant"),
    ({"messages": [HI, {**YES, "weight": 2}]}, "weight must be 0 or 1"),
    ({"messages": [HI, YES], "weight": 0}, "nothing to learn"),
    ({"messages": [HI, {"role": "assistant", "content": " "}]}, "is empty"),
    ({"messages": [HI, {"role": "root", "content": "x"}]}, "a role of"),
    ({"messages": [HI, *STEPS]}, "must end with a message of the assistant"),
    ({"messages": [HI, {"role": "assistant", "function_call": {"name": "x"}}]}, "old form of tool_calls"),
    ({"messages": [HI, YES], "functions": [{"name": "x"}]}, "old form of tools"),
    ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}, YES]}, "something else than text"),
    ({"messages": [HI, {**STEPS[0], "tool_calls": [{"id": "x"}]}]}, "function with a name"),
    ({"messages": [HI, YES], "tools": "{"}, "no JSON"),
    ({"messages": [HI, YES], "tools": [1]}, "list of objects"),
    ({"prompt": [HI], "completion": [YES], "label": "good"}, "true or false"),
    ({"prompt": [HI], "completion": [HI], "label": True}, "must end with a message of the assistant"),
    ({"prompt": [HI], "chosen": [YES], "rejected": [YES]}, "the same"),
    ({"chosen": "a", "rejected": "b"}, "without a prompt"),
    ({"input": [HI], "preferred_output": [YES], "non_preferred_output": [NO]}, "input must be an object"),
    ({**owui(), "type": "comment"}, "only ratings"),
    (owui(rating=0), "1 or -1"),
    ({**owui(), "meta": {"message_id": "m1"}}, "does not hold the answer"),
    ({**owui(), "snapshot": {}}, "chat must be an object"),
]


@pytest.mark.parametrize(("row", "why"), BAD)
def test_what_can_not_be_used_is_refused_with_the_reason(row: Any, why: str) -> None:
    with pytest.raises(Invalid, match=why) as refused:
        read(row)
    assert "\n" not in str(refused.value)


def test_a_chat_that_goes_round_in_a_circle_is_refused() -> None:
    row = owui()
    row["snapshot"]["chat"]["chat"]["history"]["messages"]["m1"]["parentId"] = "m2"
    with pytest.raises(Invalid, match="in a circle"):
        read(row)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
KEYS = st.sampled_from(
    [
        "messages",
        "prompt",
        "completion",
        "chosen",
        "rejected",
        "label",
        "input",
        "preferred_output",
        "non_preferred_output",
        "type",
        "data",
        "meta",
        "snapshot",
        "tools",
        "weight",
        "functions",
    ]
)
MESSAGE = st.fixed_dictionaries(
    {"role": st.sampled_from(["user", "assistant", "tool", "x"]), "content": JSON},
    optional={"tool_calls": JSON, "weight": JSON},
)


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(KEYS, JSON | st.lists(MESSAGE, max_size=4), max_size=6))
def test_nothing_is_anything_but_read_or_refused(row: dict[str, Any]) -> None:
    try:
        line = read(row)
    except Invalid:
        return
    assert line.said
    assert all(one.prompt and one.completion for one in line.said)
