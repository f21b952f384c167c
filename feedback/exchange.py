"""Facts as JSONL: out for other tools and other homes, and back in. One object a line.

Every row of a format has the same keys, each of one type and never null: readers that fix their columns by
the first rows, as `datasets` does, then never meet a surprise. Knows no pairs: examples come ready-made.
"""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import fields
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any, Literal, TextIO, get_args

from feedback import dialogues
from feedback.records import (
    Choice,
    Correction,
    History,
    Invalid,
    Judged,
    Preference,
    Rating,
    Role,
    Thumb,
    Turn,
    TurnStatus,
    prompt_key,
    storable,
)
from feedback.store import Store

Format = Literal["raw", "unpaired", "sft"]

_BATCH = 200
"""Lines that one transaction of an import takes."""
_LONGEST_LINE = 4_000_000
"""Characters; a line beyond is refused unread."""

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
_FREE = ("prompt", "details", "ratings", "corrections", "choices")
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
)


def export(
    store: Store, kind: Format, out: Path | TextIO, keep: Callable[[Judged], bool] = lambda _: True
) -> int:
    """Write the feedback in one of the formats and return the number of rows.

    - `raw`: every turn that has ended with all that was said about it, older opinions included; `import_raw`
      reads it back. `prompt`, `details`, `ratings`, `corrections`, `choices` are JSON in a string.
    - `unpaired`: `{prompt, completion, tools, label}`, a row a live thumb, for `trl.KTOTrainer`.
    - `sft`: `{prompt, completion, tools}`, live corrections and answers with ups alone, for `trl.SFTTrainer`.

    Turns in which tools were called come first, so that who fixes columns by the first rows has seen them.
    `keep` chooses the turns for the two training formats, which leave out conversations that nothing may be
    learned from. A `Path` is replaced as a whole or not at all.
    """
    if kind == "raw":
        return write_rows(map(_raw_row, store.histories()), out)
    rows = _unpaired_rows if kind == "unpaired" else _sft_rows
    fit = [
        item
        for item in store.judged()
        if dialogues.is_readable(item.turn) and item.learned_from and keep(item)
    ]
    fit.sort(key=lambda item: not dialogues.uses_tools(item.turn))
    return write_rows((row for item in fit for row in rows(item)), out)


def write_rows(rows: Iterable[Mapping[str, Any]], out: Path | TextIO) -> int:
    """Write rows as JSONL and return how many. A `Path` is replaced as a whole or not at all."""
    if not isinstance(out, Path):
        return _write(rows, out)
    out.parent.mkdir(parents=True, exist_ok=True)
    # In the same folder, since a rename is atomic only inside one file system.
    handle, name = tempfile.mkstemp(dir=out.parent, prefix=f".{out.name}.")
    try:
        with open(handle, "w", encoding="utf-8") as file:
            count = _write(rows, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, out)
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(name)
        raise
    _sync_folder(out.parent)
    return count


def import_raw(store: Store, lines: Iterable[str]) -> tuple[int, list[tuple[int, str]]]:
    """Store the turns of a raw export: how many were stored, and (line number, why) of those refused.

    Ids stay, so importing a file twice stores it once. A line is stored whole or not at all, and a bad one
    does not stop those after it. Whether the people of the file exist here is not asked.
    """
    stored, refused = 0, []
    numbered = ((number, line) for number, line in enumerate(lines, 1) if line.strip())
    while batch := list(islice(numbered, _BATCH)):
        good: list[tuple[int, History]] = []
        for number, line in batch:
            try:
                good.append((number, _history(line)))
            except Invalid as error:
                refused.append((number, str(error)))
        reasons = store.restore([history for _, history in good]) if good else []
        for (number, _), reason in zip(good, reasons, strict=True):
            if reason:
                refused.append((number, reason))
            else:
                stored += 1
    return stored, sorted(refused)


# -- out ---------------------------------------------------------------------------------------------


def _write(rows: Iterable[Mapping[str, Any]], out: TextIO) -> int:
    count = 0
    for row in rows:
        # ASCII only: no editor, shell or JSON reader then trips over exotic line ends or lone surrogates.
        out.write(json.dumps(row) + "\n")
        count += 1
    return count


def _sync_folder(folder: Path) -> None:
    """Make the rename itself durable."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _unpaired_rows(item: Judged) -> Iterator[dict[str, Any]]:
    for rating in item.ratings:
        yield {
            "prompt": dialogues.prompt(item.turn),
            "completion": dialogues.completion(item.turn),
            "tools": dialogues.tools(item.turn),
            "label": rating.thumb == "up",
        }


def _sft_rows(item: Judged) -> Iterator[dict[str, Any]]:
    thumbs = {rating.thumb for rating in item.ratings}
    texts = list(dict.fromkeys(correction.text for correction in item.corrections))
    pairs = [dialogues.corrected(item.turn, text) for text in texts]
    if not texts and thumbs == {"up"}:
        pairs = [(dialogues.prompt(item.turn), dialogues.completion(item.turn))]
    for prompt, completion in pairs:
        yield {"prompt": prompt, "completion": completion, "tools": dialogues.tools(item.turn)}


def _raw_row(history: History) -> dict[str, Any]:
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
    }


def _opinion(row: Rating | Correction | Choice) -> dict[str, Any]:
    """An opinion less its id, which is given anew, and the turn, which is the row's."""
    return {
        field.name: _plain(getattr(row, field.name))
        for field in fields(row)
        if field.name not in ("id", "turn_id")
    }


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else value


# -- in ----------------------------------------------------------------------------------------------


def _history(line: str) -> History:
    """One raw line as values. Raises `Invalid` with a sentence that says what is wrong."""
    row = _row(line)
    turn_id = _id(row, "turn_id")
    details = row["details"]
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
        passages=_objects(details, "passages"),
        # Exports of before there were tools have none.
        steps=_objects({"steps": [], **details}, "steps"),
        searched=_text(details, "searched", None) if details.get("searched") else None,
        restricted=details.get("restricted") is True
        or any(passage.get("audience") for passage in _objects(details, "passages")),
        # Exports of before there were such answers do not say it.
        asked=details.get("asked") is True,
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
    )


def _row(line: str) -> dict[str, Any]:
    """A line as an object with all columns of a raw row, those that hold JSON already read."""
    if len(line) > _LONGEST_LINE:
        raise Invalid(f"the line is longer than {_LONGEST_LINE} characters")
    found = _json(line, "the line")
    if not isinstance(found, dict):
        raise Invalid("the line is not a JSON object")
    row: dict[str, Any] = {name: _text(found, name, most) for name, most in _TEXTS.items()}
    free = {name: _json(_text(found, name, None), name) for name in _FREE}
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


def _who(said: dict[str, Any]) -> tuple[str, Role]:
    role: Role = _one_of(said, "role", Role)
    _text(said, "person_id", 40)
    return _id(said, "person_id"), role


def _json(text: str, name: str) -> Any:
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
    return found
