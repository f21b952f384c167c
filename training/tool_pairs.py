"""Preference rows of answers in which tools were called, for an export: nothing here trains on them.

A run learns from words alone (`screening.py`): its trainer and its judge would have to put calls and results
before each answer as the engine had them. Another trainer reads them from the file. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from feedback import dialogues
from feedback.records import Judged, normalise
from training.records import Example
from training.screening import LONGEST_ANSWER, heard, held_out
from training.settling import settle_corrections


def rows(judged: Iterable[Judged], examples: Iterable[Example]) -> Iterator[dict[str, Any]]:
    """What an export of preferences holds, one shape for all: first the corrections of answers with tools,
    with calls and results in the prompt, then the examples of a run."""
    for example, tools in _corrected(judged):
        yield example.as_row() | {"tools": tools}
    for example in examples:
        yield example.as_row() | {"tools": "[]"}


def _corrected(judged: Iterable[Judged]) -> Iterator[tuple[Example, str]]:
    fit = [item for item in map(heard, judged) if item is not None and _is_fit(item)]
    for item, row in settle_corrections(fit):
        turn, worse = item.turn, dialogues.last_words(item.turn)
        better = dialogues.after_calls(turn, row.text).strip()
        if not 0 < len(better) <= LONGEST_ANSWER or normalise(better) in ("", normalise(worse)):
            continue
        prompt = dialogues.corrected(turn, better)[0]
        votes, people, askers = [f"correction:{row.id}"], [row.person_id], [turn.person_id]
        example = Example(
            tuple(prompt), better, worse, "correction", votes, people, turn.question, askers=askers
        )
        yield example, dialogues.tools(turn)


def _is_fit(item: Judged) -> bool:
    turn = item.turn
    asked = bool(turn.prompt) and turn.prompt[-1].get("role") == "user"
    words = bool(dialogues.last_words(turn).strip())
    fit = bool(turn.steps) and asked and words and dialogues.is_readable(turn)
    return fit and not held_out(item.opening)
