"""A turn with all that was said about it as one flat row of JSON, and back: our own form of an export.

Every row has the same keys with values of one type; what differs from row to row is JSON in a text. Pure.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import fields
from datetime import UTC, datetime
from typing import Any, get_args

from feedback.records import (
    Choice,
    Correction,
    Fault,
    History,
    Invalid,
    Preference,
    Rating,
    Review,
    Role,
    Ruling,
    Thumb,
    Turn,
    TurnStatus,
    prompt_key,
    storable,
)

_TEXTS = {
    "turn_id": 60,
    "conversation_id": 40,
    "parent_id": 60,
    "person_id": 40,
    "title": 200,
    "opening": None,
    "question": None,
    "answer": None,
    "adapter": 40,
    "model": 200,
    "status": 12,
    "created_at": 40,
}
"""The plain columns of a raw row and the most characters the tables take of each."""
_FREE = ("prompt", "details", "ratings", "corrections", "choices", "reviews")
"""The columns of a raw row that hold JSON as text, since their shape may differ from row to row."""
_DETAILS = (
    "sampling",
    "first_token_at",
    "ended_at",
    "prompt_tokens",
    "completion_tokens",
    "finish_reason",
    "error",
    "tool_calls",
    "passages",
    "steps",
    "searched",
    "restricted",
    "asked",
    "origin",
)


def row(history: History) -> dict[str, Any]:
    """The row of a turn."""
    turn = history.turn
    live = {rating.person_id: rating.thumb for rating in history.ratings}
    return {
        "turn_id": turn.id,
        "conversation_id": turn.conversation_id,
        "parent_id": turn.parent_id or "",
        "person_id": turn.person_id,
        "title": history.title,
        "opening": history.opening,
        "question": turn.question,
        "answer": turn.answer,
        "adapter": turn.adapter or "",
        "model": turn.model,
        "status": turn.status,
        "created_at": turn.created_at.isoformat(),
        "up": list(live.values()).count("up"),
        "down": list(live.values()).count("down"),
        "prompt": json.dumps([dict(message) for message in turn.prompt]),
        "details": json.dumps(
            {
                "grounded": history.grounded,
                "learned_from": history.learned_from,
                **{name: _plain(getattr(turn, name)) for name in _DETAILS},
            }
        ),
        "ratings": json.dumps([_opinion(row) for row in history.ratings]),
        "corrections": json.dumps([_opinion(row) for row in history.corrections]),
        "choices": json.dumps([_opinion(row) for row in history.choices]),
        "reviews": json.dumps([_opinion(row) for row in history.reviews]),
    }


def _opinion(row: Rating | Correction | Choice | Review) -> dict[str, Any]:
    """An opinion less its id, which is given anew, and the turn, which is the row's."""
    return {
        field.name: _plain(getattr(row, field.name))
        for field in fields(row)
        if field.name not in ("id", "turn_id")
    }


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else value


def history(found: Mapping[str, Any]) -> History:
    """A row as values. Raises `Invalid` with a sentence that says what is wrong."""
    row = _read(found)
    turn_id = _id(row, "turn_id")
    details = row["details"]
    passages = _objects(details, "passages")
    # Exports of before there were tools have none.
    steps = _objects({"steps": [], **details}, "steps")
    turn = Turn(
        id=turn_id,
        conversation_id=_id(row, "conversation_id"),
        parent_id=_id(row, "parent_id") if row["parent_id"] else None,
        person_id=_id(row, "person_id"),
        question=row["question"],
        prompt=row["prompt"],
        prompt_key=prompt_key(row["prompt"]),
        answer=row["answer"],
        adapter=row["adapter"] or None,
        model=row["model"],
        status=_one_of(row, "status", TurnStatus, without="pending"),
        created_at=_moment(row, "created_at"),
        sampling=_typed(details, "sampling", dict),
        first_token_at=_moment(details, "first_token_at") if details.get("first_token_at") else None,
        ended_at=_moment(details, "ended_at") if details.get("ended_at") else None,
        prompt_tokens=_count(details, "prompt_tokens"),
        completion_tokens=_count(details, "completion_tokens"),
        finish_reason=_text(details, "finish_reason", 20) if details.get("finish_reason") else None,
        error=_text(details, "error", None) if details.get("error") else None,
        tool_calls=_objects(details, "tool_calls"),
        passages=passages,
        steps=steps,
        searched=_text(details, "searched", None) if details.get("searched") else None,
        restricted=details.get("restricted") is True
        or any(passage.get("audience") for passage in passages)
        or any(step.get("audiences") for step in steps),
        # Exports of before there were such answers do not say it.
        asked=details.get("asked") is True,
        origin=_text({"origin": "", **details}, "origin", 40),
    )
    return History(
        turn=turn,
        title=row["title"],
        opening=row["opening"],
        grounded=details.get("grounded") is not False,
        ratings=tuple(_rating(said, turn_id) for said in row["ratings"]),
        corrections=tuple(_correction(said, turn_id) for said in row["corrections"]),
        choices=tuple(_choice(said, turn_id) for said in row["choices"]),
        learned_from=details.get("learned_from") is not False,
        reviews=tuple(_review(said, turn_id) for said in row["reviews"]),
    )


def _read(found: Mapping[str, Any]) -> dict[str, Any]:
    """All columns of a row, those that hold JSON already read."""
    row: dict[str, Any] = {name: _text(found, name, most) for name, most in _TEXTS.items()}
    # Exports of before there were reviews have none.
    free = {name: parsed(_text({"reviews": "[]", **found}, name, None), name) for name in _FREE}
    row["details"] = _typed(free, "details", dict)
    row |= {name: _objects(free, name) for name in _FREE if name != "details"}
    if not all(isinstance(message.get("role"), str) for message in row["prompt"]):
        raise Invalid("prompt must be a list of messages with a role")
    return row


def _rating(said: dict[str, Any], turn_id: str) -> Rating:
    thumb: Thumb | None = _one_of(said, "thumb", Thumb) if said.get("thumb") is not None else None
    reasons = _typed(said, "reasons", list)
    if not all(isinstance(reason, str) for reason in reasons):
        raise Invalid("reasons must be texts")
    return Rating(
        0, turn_id, *_who(said), thumb, reasons, _text(said, "comment", None), _moment(said, "created_at")
    )


def _correction(said: dict[str, Any], turn_id: str) -> Correction:
    return Correction(0, turn_id, *_who(said), _text(said, "text", None), _moment(said, "created_at"))


def _choice(said: dict[str, Any], turn_id: str) -> Choice:
    first, second = _text(said, "first_turn_id", 60), _text(said, "second_turn_id", 60)
    if turn_id not in (first, second) or first == second:
        raise Invalid("a choice must be between this turn and another one")
    preference: Preference = _one_of(said, "preference", Preference)
    return Choice(0, first, second, *_who(said), preference, _moment(said, "created_at"))


def _review(said: dict[str, Any], turn_id: str) -> Review:
    verdict: Ruling | None = _one_of(said, "verdict", Ruling) if said.get("verdict") is not None else None
    fault: Fault | None = _one_of(said, "fault", Fault) if said.get("fault") is not None else None
    return Review(
        0,
        turn_id,
        *_who(said),
        verdict,
        fault,
        _text(said, "correction", None),
        said.get("include") is not False,
        said.get("approve") is True,
        _text(said, "comment", None),
        _moment(said, "created_at"),
    )


def _who(said: dict[str, Any]) -> tuple[str, Role]:
    role: Role = _one_of(said, "role", Role)
    _text(said, "person_id", 40)
    return _id(said, "person_id"), role


def parsed(text: str, name: str) -> Any:
    """JSON as a value. Raises `Invalid`."""
    try:
        return json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        raise Invalid(f"{name} is not JSON") from None


def _refuse_constant(name: str) -> None:
    """NaN and Infinity are Python's own; a database that checks its JSON does not take them."""
    raise ValueError(name)


def _typed(row: Mapping[str, Any], name: str, kind: type) -> Any:
    value = row.get(name)
    if not isinstance(value, kind):
        raise Invalid(f"{name} must be a JSON {'object' if kind is dict else 'list'}")
    return value


def _count(row: Mapping[str, Any], name: str) -> int | None:
    value = row.get(name)
    # True is an int to Python but no count of tokens; the columns take 31 bits.
    if value is not None and (type(value) is not int or not 0 <= value < 2**31):
        raise Invalid(f"{name} must be a number of tokens or null")
    return value


def _id(row: Mapping[str, Any], name: str) -> str:
    value: str = row[name]
    if not re.fullmatch(r"[A-Za-z0-9_.:@-]+", value):
        raise Invalid(f"{name} must be letters, digits and _ . : @ - only, and not empty")
    return value


def _text(row: Mapping[str, Any], name: str, most: int | None) -> str:
    value = row.get(name)
    if not isinstance(value, str):
        raise Invalid(f"{name} must be a text")
    if most is not None and len(value) > most:
        raise Invalid(f"{name} has more than {most} characters")
    return storable(value)


def _objects(row: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    found = row.get(name)
    if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
        raise Invalid(f"{name} must be a list of objects")
    return found


def _one_of(row: Mapping[str, Any], name: str, choices: Any, without: str = "") -> Any:
    allowed = [value for value in get_args(choices) if value != without]
    if row.get(name) not in allowed:
        raise Invalid(f"{name} must be one of {', '.join(allowed)}")
    return row[name]


def _moment(row: Mapping[str, Any], name: str) -> datetime:
    try:
        found = datetime.fromisoformat(_text(row, name, 40))
    except ValueError:
        raise Invalid(f"{name} must be a time such as 2026-01-31T12:00:00+00:00") from None
    if found.tzinfo is None:
        raise Invalid(f"{name} must say its time zone")
    try:
        return found.astimezone(UTC)
    except OverflowError:
        raise Invalid(f"{name} is a time that no calendar has in UTC") from None
