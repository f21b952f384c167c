"""Which turns may be learned from, and which are kept for judging only. Pure: values in, values out.

Every turn that is left out is counted under one reason in plain words. Knows nothing of how examples are
made from what is kept, nor of models.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from feedback.dialogues import uses_tools
from feedback.records import MANNERS, TOLD_BY_DOCUMENTS, Choice, Correction, Judged, Rating, Turn, normalise

_Opinion = TypeVar("_Opinion", Rating, Correction, Choice)
LONGEST_ANSWER = 8_000
"""Characters. A bound on what one vote can cost; the trainer cuts by tokens, and finer."""
LONGEST_PROMPT = 32_000
"""Characters of all messages together."""
_ECHO_WORDS = 4
"""Length of the word sequences by which an echo is told."""
_ECHO_SHARE = 0.6
"""Share of an answer's sequences that the person wrote before, from which on it is an echo."""
_ECHO_LEAST = 12
"""Words that an answer must have to be called an echo: short ones repeat the question by nature."""
_UNTAUGHT = ("missing", "unretrieved")
_STAFF = ("staff", "admin")


def held_out(opening: str, share: float = 0.3, salt: str = "hold-out") -> bool:
    """Whether conversations with this opening question are kept for judging and never trained on.

    A hash of the normalised text alone decides, so it is the same in every run, process and home. About
    `share` (0 to 1) of all questions are held out: with a fifth of 96 votes the gate could seldom tell an
    adapter that pleased twice as often from luck.
    """
    plain = f"{salt}\x00{normalise(opening)}".encode(errors="replace")
    return int.from_bytes(hashlib.sha256(plain).digest()[:8]) < share * 2**64


def known(rows: Iterable[_Opinion]) -> tuple[_Opinion, ...]:
    """Opinions of people with an account.

    One person may be any number of guests, and would else be counted as often as they like.
    """
    return tuple(row for row in rows if row.role != "guest")


def screen(judged: Sequence[Judged]) -> tuple[list[Judged], dict[str, int]]:
    """The turns that may be learned from, in the order given, and how many were dropped for each reason.

    A whole turn is dropped for what `unusable` and `untaught` say. What guests say is taken off, and users'
    votes that staff called invalid. Of an answer that must not be imitated (`inimitable`) the thumbs-up are
    taken off and the rest stays: it may still be the worse side of a pair. Corrections longer than an answer
    may be are taken off too. What then has no opinion left is dropped.
    """
    kept: list[Judged] = []
    dropped: Counter[str] = Counter()
    for item in judged:
        item = valid(replace(item, ratings=known(item.ratings), corrections=known(item.corrections)))
        reason = unusable(item) or untaught(item)
        flaw = inimitable(item.turn) if not reason else None
        if not reason:
            item = replace(
                item,
                ratings=tuple(row for row in item.ratings if not (flaw and row.thumb == "up")),
                corrections=tuple(row for row in item.corrections if 0 < len(row.text) <= LONGEST_ANSWER),
                reviews=tuple(
                    row if len(row.correction) <= LONGEST_ANSWER else replace(row, correction="")
                    for row in item.reviews
                    if not (flaw and row.thumb == "up")
                ),
            )
            if not _says_something(item):
                invalid = any(row.verdict == "invalid" for row in item.reviews)
                reason = flaw or ("invalid_vote" if invalid else "no_opinion")
        if reason:
            dropped[reason] += 1
        else:
            kept.append(item)
    return kept, dict(sorted(dropped.items()))


def unusable(item: Judged) -> str | None:
    """Why nothing may be learned from a turn, whatever was said about it, or None.

    `withheld`: its person said that nothing may be learned from the conversation; else as `excluded` and
    `unfit` say.
    """
    return unfit(item.turn) or excluded(item) if item.learned_from else "withheld"


def unfit(turn: Turn) -> str | None:
    """Why nothing may be learned from a turn, or None.

    `unfinished`: no end, or an end by an error or a crash: what came out says nothing about the model.
    `tool_calls`: tools were called; not learned from yet. `not_text`: pictures or other parts.
    `no_question`: the prompt does not end with words of the person. `empty`, `too_long`. `restricted`: it
    stands on a passage that is not for everybody, and adapters speak to everybody.
    """
    if turn.status not in ("complete", "stopped"):
        return "unfinished"
    if turn.restricted:
        return "restricted"
    if uses_tools(turn):
        return "tool_calls"
    contents = [message.get("content") for message in turn.prompt]
    if not all(isinstance(content, str) for content in contents):
        return "not_text"
    if not turn.prompt or turn.prompt[-1].get("role") != "user":
        return "no_question"
    if not normalise(turn.answer):
        return "empty"
    if len(turn.answer) > LONGEST_ANSWER or sum(len(str(content)) for content in contents) > LONGEST_PROMPT:
        return "too_long"
    return None


def excluded(item: Judged) -> str | None:
    """`excluded`, if one of the staff has kept the turn from training; one is enough."""
    return "excluded" if any(not row.include for row in item.reviews) else None


def valid(item: Judged) -> Judged:
    """The same without what users said, where one of the staff called their vote invalid."""
    if not any(row.verdict == "invalid" for row in item.reviews):
        return item
    return replace(
        item,
        ratings=tuple(row for row in item.ratings if row.role in _STAFF),
        corrections=tuple(row for row in item.corrections if row.role in _STAFF),
    )


def heard(item: Judged) -> Judged | None:
    """A turn with the opinions that count; None if nothing may be learned from it, whatever was said.

    Guests' opinions do not count, nor do those that staff called invalid.
    """
    if not item.learned_from or excluded(item):
        return None
    return valid(replace(item, ratings=known(item.ratings), corrections=known(item.corrections)))


def _says_something(item: Judged) -> bool:
    seen = any(row.thumb or row.correction for row in item.reviews)
    return bool(item.ratings or item.corrections or seen)


def untaught(item: Judged) -> str | None:
    """Why no training can mend a bad answer, or None: what the documents do not say is no matter of manners.

    `missing`: no document told it. `unretrieved`: one did, and it was not found. To learn such answers by
    heart teaches to make things up (arXiv 2405.05904). `not_sorted_yet`: documents were looked through, and
    it is not known yet whether it was one of these. `knowledge`: staff said one of these on the page for
    reviews. Where staff have said what the answer is, users' complaints decide nothing.
    """
    if any(row.thumb for row in item.reviews):
        told = any(row.fault in TOLD_BY_DOCUMENTS for row in item.reviews)
        return "knowledge" if told else None
    downs = [row for row in item.ratings if row.thumb == "down"]
    if not downs and not any(row.text for row in item.corrections):
        return None
    if item.cause is not None or item.turn.searched is None:
        return item.cause if item.cause in _UNTAUGHT else None
    reasons = {reason for row in downs for reason in row.reasons}
    return None if reasons and reasons <= MANNERS else "not_sorted_yet"


def inimitable(turn: Turn) -> str | None:
    """Why an answer may stand on the worse side of a pair only, or None.

    `cut_off`: stopped by the person or by the token limit; imitating it teaches to end in mid-sentence.
    `echo`: it mostly repeats what the person had written. Who dictates a text and then votes it up would
    otherwise put any text into the model (arXiv 2507.02850).
    """
    if turn.status == "stopped" or turn.finish_reason == "length":
        return "cut_off"
    return "echo" if is_echo(turn.question, turn.answer) else None


def usable_votes(
    judged: Sequence[Judged],
    since: Mapping[str, int],
    choices: Sequence[Choice] = (),
    turns_of_choices: Mapping[str, Judged] | None = None,
) -> int:
    """How many new live votes there are to learn from: this is what makes a run due.

    Counted are ratings, corrections, reviews and clear choices with an id above that of `since` (by table
    name, as `Store.newest` gives it; a missing name counts from 0), on turns that pass `screen` and are not
    held out.
    """
    after = {name: since.get(name, 0) for name in ("ratings", "corrections", "choices", "reviews")}
    count = 0
    for item in screen(judged)[0]:
        if not held_out(item.opening):
            count += sum(row.thumb is not None and row.id > after["ratings"] for row in item.ratings)
            count += sum(row.id > after["corrections"] for row in item.corrections)
            told = (row for row in item.reviews if row.thumb or row.correction)
            count += sum(row.id > after["reviews"] for row in told)
    turns = turns_of_choices or {}
    for choice in choices:
        sides = [turns.get(choice.first_turn_id), turns.get(choice.second_turn_id)]
        fit = all(side and not unusable(side) and not held_out(side.opening) for side in sides)
        count += fit and choice.preference in ("first", "second") and choice.id > after["choices"]
    return count


def is_echo(question: str, answer: str) -> bool:
    """Whether most of the answer's word sequences stand in what the person wrote."""
    words = normalise(answer).split()
    if len(words) < _ECHO_LEAST:
        return False
    written = _sequences(normalise(question).split())
    said = _sequences(words)
    return len(said & written) >= _ECHO_SHARE * len(said)


def _sequences(words: Sequence[str]) -> set[tuple[str, ...]]:
    return {tuple(words[start : start + _ECHO_WORDS]) for start in range(len(words) - _ECHO_WORDS + 1)}
