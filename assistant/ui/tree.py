"""Which turns of a conversation are shown, and what can be paged to from each of them.

A conversation is a tree of turns. Turns after the same one (same parent) with the same question are
regenerations and are paged at the answer; with another question they are edits and are paged at the
question. Pure: knows no page and no store.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from feedback.records import Turn


@dataclass(frozen=True, slots=True)
class Shown:
    """One turn on the page, with the ids of what can be paged to from it."""

    turn: Turn
    answers: Sequence[str]
    """Turns that answer the same question, in the order they were asked for."""
    answer: int
    """Where this turn stands in `answers`."""
    questions: Sequence[str]
    """For each version of the question the newest turn, in the order of the edits."""
    question: int
    """Where this turn's question stands in `questions`."""


def newest_leaf(turns: Iterable[Turn], start: str | None = None) -> str | None:
    """The last turn of the newest branch below `start` (that of the whole conversation without it)."""
    children = _children(turns)
    leaf = start
    while below := children.get(leaf):
        leaf = below[-1].id
    return leaf


def shown(turns: Sequence[Turn], leaf: str | None) -> list[Shown]:
    """The branch that ends with `leaf`, oldest turn first, each with what it can be paged to."""
    by_id = {turn.id: turn for turn in turns}
    children = _children(turns)
    found: list[Shown] = []
    while leaf is not None and leaf in by_id:
        turn = by_id[leaf]
        found.append(_with_siblings(turn, children[turn.parent_id]))
        leaf = turn.parent_id
    return found[::-1]


def _with_siblings(turn: Turn, siblings: Sequence[Turn]) -> Shown:
    # A try that brought no word is not an answer that one would want to page back to.
    kept = [item for item in siblings if item.answer or item.status == "pending" or item.id == turn.id]
    versions: dict[str, list[str]] = {}
    for item in kept:
        versions.setdefault(item.question, []).append(item.id)
    answers = versions[turn.question]
    return Shown(
        turn=turn,
        answers=answers,
        answer=answers.index(turn.id),
        questions=[ids[-1] for ids in versions.values()],
        question=list(versions).index(turn.question),
    )


def _children(turns: Iterable[Turn]) -> Mapping[str | None, list[Turn]]:
    found: dict[str | None, list[Turn]] = {}
    for turn in sorted(turns, key=lambda item: item.id):
        found.setdefault(turn.parent_id, []).append(turn)
    return found
