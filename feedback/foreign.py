"""What other tools keep of people's opinions, read as ours: OpenAI's files, TRL's, Open WebUI's feedback.

One line becomes answers with what was said about them (`Said`). Pure: knows no database and nobody by name.
Forms: platform.openai.com/docs/guides/supervised-fine-tuning and …/direct-preference-optimization,
huggingface.co/docs/trl/dataset_formats, open-webui backend/open_webui/models/feedbacks.py.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from feedback.records import BETWEEN, Invalid, Message, Thumb, storable

_ROLES = ("system", "developer", "user", "assistant", "tool")
Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Said:
    """One answer and the opinion on it. `thumb` None: it stands there without one."""

    prompt: Sequence[Message]
    completion: Sequence[Message]
    thumb: Thumb | None
    tools: Sequence[Any] = ()
    reasons: Sequence[str] = ()
    comment: str = ""
    model: str = ""
    title: str = ""
    at: datetime | None = None
    """When; None where the file does not say."""
    person: str = ""
    """Whoever said it, by any name; empty: the file itself."""


@dataclass(frozen=True, slots=True)
class Line:
    """What one line holds: answers, each going on from the one before, or two to one prompt."""

    form: str
    said: Sequence[Said]
    preferred: bool = False
    """Whether these are two answers to the same prompt, the first of which was preferred."""


def read(row: Row) -> Line:
    """A line of any known form. Raises `Invalid`."""
    for form, (keys, reader) in _FORMS.items():
        if keys <= row.keys():
            try:
                found = reader(row)
            except RecursionError:
                raise Invalid("it is nested too deeply") from None
            return Line(form, *found)
    raise Invalid(
        "it has none of the known forms: messages, prompt with completion or with chosen and rejected, "
        "input with preferred_output, a rating of Open WebUI, or our own raw export"
    )


# -- the forms ---------------------------------------------------------------------------------------

_Found = tuple[Sequence[Said], bool]


def _openai_preference(row: Row) -> _Found:
    given = row["input"]
    if not isinstance(given, dict):
        raise Invalid("input must be an object with messages")
    prompt, tools = _messages(given, "messages"), _tools(given)
    better, worse = (_messages(row, name) for name in ("preferred_output", "non_preferred_output"))
    return _pair(prompt, better, worse, tools), True


def _preference(row: Row) -> _Found:
    if "prompt" in row:
        prompt = _messages(row, "prompt", "user")
        better, worse = (_messages(row, name, "assistant") for name in ("chosen", "rejected"))
        return _pair(prompt, better, worse, _tools(row)), True
    if isinstance(row["chosen"], str) or isinstance(row["rejected"], str):
        raise Invalid(
            "chosen and rejected are texts without a prompt, so nobody knows where the answer begins"
        )
    better, worse = _messages(row, "chosen"), _messages(row, "rejected")
    same = next((i for i, pair in enumerate(zip(better, worse, strict=False)) if pair[0] != pair[1]), 0)
    return _pair(better[:same], better[same:], worse[same:], _tools(row)), True


def _unpaired(row: Row) -> _Found:
    label = row["label"]
    if label not in (True, False) or not isinstance(label, bool | int):
        raise Invalid("label must be true or false")
    prompt, answer = _messages(row, "prompt", "user"), _messages(row, "completion", "assistant")
    return [_said(prompt, answer, "up" if label else "down", tools=_tools(row))], False


def _completion(row: Row) -> _Found:
    prompt, answer = _messages(row, "prompt", "user"), _messages(row, "completion", "assistant")
    return [_said(prompt, answer, "up", tools=_tools(row))], False


def _conversation(row: Row) -> _Found:
    """OpenAI's examples to imitate: every answer is one, unless its `weight` is 0."""
    if row.get("functions"):
        raise Invalid("functions are the old form of tools; write them as tools")
    messages, tools, found = _messages(row, "messages"), _tools(row), list[Said]()
    weights = [_weight(message) for message in row["messages"]]
    if _weight(row) == 0:
        raise Invalid("its weight is 0, so there is nothing to learn from it")
    start = 0
    while start < len(messages):
        if messages[start]["role"] not in ("assistant", "tool"):
            start += 1
            continue
        end = start
        while end < len(messages) and messages[end]["role"] in ("assistant", "tool"):
            end += 1
        thumb: Thumb | None = "up" if weights[end - 1] else None
        found.append(_said(messages[:start], messages[start:end], thumb, tools=tools))
        start = end
    if not any(one.thumb for one in found):
        raise Invalid("no message of the assistant in it is to be learned from")
    return found, False


def _open_webui(row: Row) -> _Found:
    data, meta, snapshot = (_object(row, name) for name in ("data", "meta", "snapshot"))
    thumb = _owui_thumb(row, data)
    chat = _object(snapshot, "chat")
    # The snapshot is the row of the chat, in which the chat itself stands once more.
    content = chat["chat"] if isinstance(chat.get("chat"), dict) else chat
    messages = _object(_object(content, "history"), "messages")
    branch, key, seen = list[Row](), meta.get("message_id"), set[str]()
    while isinstance(key, str) and isinstance(messages.get(key), dict):
        if key in seen:
            raise Invalid("the messages of its chat follow each other in a circle")
        seen.add(key)
        branch.append(messages[key])
        key = messages[key].get("parentId")
    branch.reverse()
    if not branch or branch[-1].get("role") != "assistant":
        raise Invalid("its snapshot of the chat does not hold the answer that was rated")
    plain = [{"role": one.get("role"), "content": one.get("content")} for one in branch]
    prompt, answer = _messages({"chat": plain[:-1]}, "chat"), _messages({"chat": plain[-1:]}, "chat")
    reason, comment = data.get("reason"), data.get("comment")
    return [
        _said(
            prompt,
            answer,
            thumb,
            reasons=[str(reason)[:100]] if isinstance(reason, str) and reason else [],
            comment=comment if isinstance(comment, str) else "",
            model=str(data.get("model_id") or branch[-1].get("model") or "")[:200],
            title=" ".join(str(content.get("title") or chat.get("title") or "").split())[:200],
            at=_epoch(row.get("created_at")),
            person=str(row.get("user_id") or ""),
        )
    ], False


def _owui_thumb(row: Row, data: Row) -> Thumb:
    if row.get("type") != "rating":
        raise Invalid(f"it is of the type {str(row.get('type'))[:40]!r}, and only ratings are read")
    found: Thumb | None = {"1": "up", "-1": "down"}.get(str(data.get("rating")))  # type: ignore[assignment]
    if found is None:
        raise Invalid("data.rating must be 1 or -1")
    return found


_FORMS: Mapping[str, tuple[frozenset[str], Callable[[Row], _Found]]] = {
    "openai_preference": (
        frozenset({"input", "preferred_output", "non_preferred_output"}),
        _openai_preference,
    ),
    "preference": (frozenset({"chosen", "rejected"}), _preference),
    "unpaired": (frozenset({"prompt", "completion", "label"}), _unpaired),
    "completion": (frozenset({"prompt", "completion"}), _completion),
    "messages": (frozenset({"messages"}), _conversation),
    "open_webui": (frozenset({"type", "data", "snapshot"}), _open_webui),
}


# -- their parts -------------------------------------------------------------------------------------


def _pair(
    prompt: Sequence[Message], better: Sequence[Message], worse: Sequence[Message], tools: Sequence[Any]
) -> list[Said]:
    if list(better) == list(worse):
        raise Invalid("both answers are the same")
    return [_said(prompt, answer, None, tools=tools) for answer in (better, worse)]


def _said(prompt: Sequence[Message], completion: Sequence[Message], thumb: Thumb | None, **more: Any) -> Said:
    if not any(message["role"] == "user" for message in prompt):
        raise Invalid("nobody asks anything before the answer")
    if not completion or completion[-1]["role"] != "assistant":
        raise Invalid("the answer must end with a message of the assistant")
    if any(message["role"] not in ("assistant", "tool") for message in completion):
        raise Invalid("the answer holds messages that are not the assistant's")
    if not answer_of(completion).strip() and not completion[-1].get("tool_calls"):
        raise Invalid("the answer is empty")
    return Said(prompt, completion, thumb, **more)


def answer_of(completion: Sequence[Message]) -> str:
    """The words of an answer as a turn keeps them: also those before calls of tools."""
    words = [str(message.get("content") or "") for message in completion if message["role"] == "assistant"]
    return BETWEEN.join([*filter(None, words[:-1]), words[-1]])


def _messages(row: Row, name: str, role: str = "") -> list[dict[str, Any]]:
    """Messages in our form. A mere text is one message of the `role`, if there may be one."""
    given = row.get(name)
    if isinstance(given, str) and role:
        given = [{"role": role, "content": given}]
    if not isinstance(given, list):
        raise Invalid(f"{name} must be a list of messages")
    return [_message(one, name) for one in given]


def _message(given: Any, name: str) -> dict[str, Any]:
    if not isinstance(given, dict) or given.get("role") not in _ROLES:
        raise Invalid(f"{name} must be a list of messages, each with a role of {', '.join(_ROLES)}")
    if given.get("function_call"):
        raise Invalid("function_call is the old form of tool_calls; write it as tool_calls")
    calls = given.get("tool_calls")
    found = {
        "role": "system" if given["role"] == "developer" else given["role"],
        "content": _words(given, calls),
    }
    if calls:
        found["tool_calls"] = [_call(call) for call in calls] if isinstance(calls, list) else [_call(calls)]
    if given["role"] == "tool":
        found["tool_call_id"] = str(given.get("tool_call_id") or "")
    return found


def _words(given: Row, calls: Any) -> str:
    content = given.get("content")
    if content is None and calls:
        return ""
    if isinstance(content, list):
        parts = [part.get("text") if isinstance(part, dict) else None for part in content]
        if not all(isinstance(part, str) for part in parts):
            raise Invalid("a message holds something else than text, which nothing here learns from")
        content = "".join(map(str, parts))
    if not isinstance(content, str):
        raise Invalid("a message needs a content in words")
    return storable(content)


def _call(given: Any) -> dict[str, Any]:
    function = given.get("function") if isinstance(given, dict) else None
    if not isinstance(function, dict) or not isinstance(function.get("name"), str):
        raise Invalid("a call of a tool needs a function with a name")
    arguments = function.get("arguments")
    text = arguments if isinstance(arguments, str) else json.dumps(arguments or {})
    whole = {"name": storable(function["name"]), "arguments": storable(text)}
    return {"id": str(given.get("id") or ""), "type": "function", "function": whole}


def _tools(row: Row) -> list[Any]:
    """The tools that were offered: a list, or the same as JSON in a text, as our exports have it."""
    given = row.get("tools")
    if isinstance(given, str):
        try:
            given = json.loads(given or "[]")
        except ValueError:
            raise Invalid("tools is a text that is no JSON") from None
    if given is not None and not (isinstance(given, list) and all(isinstance(one, dict) for one in given)):
        raise Invalid("tools must be a list of objects")
    return given or []


def _weight(given: Row) -> int:
    weight = given.get("weight", 1)
    if weight is not None and weight not in (0, 1):
        raise Invalid("weight must be 0 or 1")
    return 1 if weight is None else int(weight)


def _object(row: Row, name: str) -> Row:
    found = row.get(name)
    if not isinstance(found, dict):
        raise Invalid(f"{name} must be an object")
    return found


def _epoch(given: Any) -> datetime | None:
    """Open WebUI counts seconds since 1970."""
    if type(given) not in (int, float):
        return None
    try:
        return datetime.fromtimestamp(given, UTC)
    except (OverflowError, ValueError, OSError):
        return None
