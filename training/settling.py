"""What people together say: which votes, corrections and choices stand once they are laid side by side. Pure.

A person's later word replaces the earlier one; opposite words cancel; where staff have spoken, users are not
counted. What one of the staff said on the page for reviews replaces their own thumb, and their own correction
if it has one. Knows nothing of examples: it says what holds, `pairs.py` says what to learn from it.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from feedback.records import Choice, Correction, Judged, Rating, Review, Turn, normalise
from training.screening import held_out, inimitable, unusable

_Opinion = TypeVar("_Opinion", Rating, Correction, Choice, Review)
_Said = TypeVar("_Said", Rating | Review, Correction | Review, Choice)


@dataclass(frozen=True, slots=True)
class Settled:
    """One answer to one question and the verdict on it. `votes` and `people` are those that back it, `askers`
    the people whose turns they were given on."""

    item: Judged
    """The newest turn that gave this answer."""
    up: bool
    votes: tuple[str, ...]
    people: tuple[str, ...]
    askers: tuple[str, ...]
    key: str
    """The question in its context, see `context_key`."""
    turn_ids: frozenset[str]
    """All turns that gave this answer."""
    circles: frozenset[tuple[str, str]]
    """(prompt key, person) of everyone who asked for the answer or voted on it: answers that share one are
    siblings."""

    @property
    def turn(self) -> Turn:
        return self.item.turn

    @property
    def held_out(self) -> bool:
        return held_out(self.item.opening)


@dataclass(frozen=True, slots=True)
class Preferred:
    """Of two answers to the same prompt the one that people chose, side by side. `choices` back it."""

    winner: Judged
    loser: Judged
    choices: tuple[Choice, ...]


def question_text(turn: Turn) -> str:
    """The words by which a question is one; signs alone, which normalise to nothing, stay as they are."""
    return normalise(turn.question) or turn.question.strip()


def context_key(turn: Turn) -> str:
    """64 hex that name a question in its context: turns with the same key have comparable answers.

    The last message and the question count in normalised words, everything before and the passages as it is,
    but for their scores, in which two wordings of one question differ.
    The prompt must end with a message in words (`screening.unfit`).
    """
    last = dict(turn.prompt[-1])
    last["content"] = normalise(str(last["content"])) or last["content"]
    before = [dict(message) for message in turn.prompt[:-1]]
    passages = [{name: passage[name] for name in passage if name != "score"} for passage in turn.passages]
    plain = [before, last, question_text(turn), passages]
    return hashlib.sha256(json.dumps(plain, sort_keys=True, default=str).encode()).hexdigest()


def strays(turns: Collection[Judged]) -> frozenset[str]:
    """Ids of turns to leave out so that no question's text stands on both sides of the hold-out split.

    A question may open one conversation and come up in the middle of another. Asked on both sides, it stays
    on the side of its own hash, which is where it stands as an opening question.
    """
    sides: dict[str, set[bool]] = {}
    for item in turns:
        sides.setdefault(question_text(item.turn), set()).add(held_out(item.opening))
    return frozenset(
        item.turn.id
        for item in turns
        if len(sides[question_text(item.turn)]) > 1
        and held_out(item.opening) != held_out(question_text(item.turn))
    )


def on_their_sides(
    judged: Sequence[Judged], shown: Mapping[str, Judged]
) -> tuple[list[Judged], dict[str, Judged], int]:
    """Both without the `strays` among them, and how many those are. `shown`: turns of choices by id, of which
    those that can't be used are left out as well; `judged` is screened."""
    usable = {name: item for name, item in shown.items() if not unusable(item)}
    astray = strays([*judged, *usable.values()])
    kept = [item for item in judged if item.turn.id not in astray]
    return kept, {name: item for name, item in usable.items() if name not in astray}, len(astray)


def settle(judged: Iterable[Judged]) -> tuple[list[Settled], int]:
    """The verdict on each answer that was voted on, and on how many answers the votes cancelled.

    Equal answers (normalised) to the same question are one. Each up cancels one down, the rest decides.
    """
    answers: dict[tuple[str, str], list[Judged]] = {}
    for item in judged:
        answers.setdefault((context_key(item.turn), normalise(item.turn.answer)), []).append(item)
    settled, cancelled = [], 0
    for (key, _), items in sorted(answers.items()):
        thumbs = _staff_or_all(_thumbs(items))
        balance = sum(1 if row.thumb == "up" else -1 for row in thumbs)
        if balance == 0:
            cancelled += bool(thumbs)
            continue
        backing = [row for row in thumbs if (row.thumb == "up") == (balance > 0)]
        people = {row.person_id for row in backing}
        voted = {row.turn_id for row in backing}
        circles = {(item.turn.prompt_key, item.turn.person_id) for item in items}
        circles |= {(item.turn.prompt_key, person) for item in items for person in people}
        settled.append(
            Settled(
                item=max(items, key=lambda item: item.turn.id),
                up=balance > 0,
                votes=tuple(named(row) for row in backing),
                people=tuple(sorted(people)),
                askers=tuple(sorted({item.turn.person_id for item in items if item.turn.id in voted})),
                key=key,
                turn_ids=frozenset(item.turn.id for item in items),
                circles=frozenset(circles),
            )
        )
    return settled, cancelled


def settle_corrections(judged: Iterable[Judged]) -> list[tuple[Judged, Correction | Review]]:
    """The corrections that stand, each with the turn it was made on, by context and answer.

    A user's correction falls where staff corrected the same answer or voted it up.
    """
    answers: dict[tuple[str, str], list[Judged]] = {}
    for item in judged:
        answers.setdefault((context_key(item.turn), normalise(item.turn.answer)), []).append(item)
    found: list[tuple[Judged, Correction | Review]] = []
    for _, items in sorted(answers.items()):
        rows = _staff_or_all(_texts(items))
        if any(_is_staff(row) and row.thumb == "up" for row in _thumbs(items)):
            rows = [row for row in rows if _is_staff(row)]
        found += [(next(item for item in items if item.turn.id == row.turn_id), row) for row in rows]
    return found


def _thumbs(items: Sequence[Judged]) -> list[Rating | Review]:
    """Each person's thumb on an answer."""
    seen = [row for row in _newest(row for item in items for row in item.reviews) if row.thumb]
    reviewers = {row.person_id for row in seen}
    rated = _newest(row for item in items for row in item.ratings)
    return [*(row for row in rated if row.thumb and row.person_id not in reviewers), *seen]


def _texts(items: Sequence[Judged]) -> list[Correction | Review]:
    """Each person's correction of an answer."""
    seen = [row for row in _newest(row for item in items for row in item.reviews) if row.correction]
    reviewers = {row.person_id for row in seen}
    written = _newest(row for item in items for row in item.corrections)
    return [*(row for row in written if row.person_id not in reviewers), *seen]


def named(row: Rating | Correction | Choice | Review) -> str:
    """The name of an opinion in examples and manifests, such as `rating:12`."""
    return f"{type(row).__name__.lower()}:{row.id}"


def settle_choices(
    choices: Iterable[Choice], turns: Mapping[str, Judged]
) -> tuple[list[Preferred], dict[str, int]]:
    """What side-by-side choices come to, and how many came to nothing, by reason. `turns` are theirs, by id.

    `choice_unfit`: a turn is missing or unusable, or the prompts differ. `choice_undecided`: a
    tie, both bad, or as many against it as for it. The winner must be fit to be imitated.
    """
    dropped: Counter[str] = Counter()
    told: dict[tuple[str, tuple[str, ...]], list[Choice]] = {}
    for choice in choices:
        first, second = turns.get(choice.first_turn_id), turns.get(choice.second_turn_id)
        if not first or not second or not _comparable(first, second):
            dropped["choice_unfit"] += 1
            continue
        answers = tuple(sorted((normalise(first.turn.answer), normalise(second.turn.answer))))
        told.setdefault((context_key(first.turn), answers), []).append(choice)
    found = []
    for _, rows in sorted(told.items()):
        decisive = _staff_or_all([row for row in _newest(rows) if row.preference in ("first", "second")])
        wins = Counter(normalise(_sides(row, turns)[0].turn.answer) for row in decisive)
        best = max(wins, key=lambda answer: wins[answer], default=None)
        if best is None or 2 * wins[best] == len(decisive):
            dropped["choice_undecided"] += 1
            continue
        backing = [row for row in decisive if normalise(_sides(row, turns)[0].turn.answer) == best]
        winner, loser = _sides(backing[-1], turns)
        flaw = inimitable(winner.turn)
        if flaw:
            dropped[flaw] += 1
        else:
            found.append(Preferred(winner, loser, tuple(backing)))
    return found, dict(dropped)


def _comparable(first: Judged, second: Judged) -> bool:
    fit = not any(unusable(side) for side in (first, second))
    return fit and context_key(first.turn) == context_key(second.turn)


def _sides(choice: Choice, turns: Mapping[str, Judged]) -> tuple[Judged, Judged]:
    """(winner, loser) of a clear choice."""
    first, second = turns[choice.first_turn_id], turns[choice.second_turn_id]
    return (first, second) if choice.preference == "first" else (second, first)


def _newest(rows: Iterable[_Opinion]) -> list[_Opinion]:
    """Each person's newest opinion, by id: a changed mind is another row."""
    last = {row.person_id: row for row in sorted(rows, key=lambda row: row.id)}
    return sorted(last.values(), key=lambda row: row.id)


def _staff_or_all(rows: Sequence[_Said]) -> list[_Said]:
    """Staff's opinions alone where there are any, else everybody's."""
    return [row for row in rows if _is_staff(row)] or list(rows)


def _is_staff(row: Rating | Correction | Choice | Review) -> bool:
    return row.role in ("staff", "admin")
