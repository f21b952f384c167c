"""Finds the turns that are worth a look, and why: the newest of each kind, never all rows.

Each kind is read by an index and up to a bound, so it takes as long with a hundred turns as with millions.
Which of them come first is decided in `review_order.py`. Knows no model: vectors are handed in.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from sqlalchemy import Row, func, select

from feedback.database import Database
from feedback.likeness import Embed, apart, hashed, unlike
from feedback.records import normalise
from feedback.restoring import RESTORED
from feedback.review_order import Candidate, chance
from feedback.review_records import Kind
from feedback.schema import conversations, corrections, ratings, review_tasks, reviews, turns

MOST_RATINGS = 4_000
MOST_TURNS = 2_000
"""The newest ratings and answers that are looked through."""
_QUICK = 200
"""As many of each where somebody waits."""
_MOST_GROUNDED = 500
_MOST_COMPARED = 300
"""Unrated and rated answers whose likeness is measured."""
_MOST_NOVEL = 40
_UNLIKE = 0.2
"""Distance from all that is rated below which an answer is nothing new."""
_MOST_ASKED_AGAIN = 100
_EXCERPT = 600
_FAINT = 0.8
"""What a poor foundation counts beside two answers that differ: it is a sign of less."""
# Answers of ours, in conversations that their person lets us learn from
_WORTH = (
    turns.c.status.in_(("complete", "stopped")),
    turns.c.answer != "",
    turns.c.origin == "",
    conversations.c.learned_from,
)


def candidates(
    database: Database, seed: int = 0, embed: Embed = hashed, quick: bool = False
) -> list[Candidate]:
    """The turns that may be looked at, without those that somebody has looked at.

    `quick`: somebody waits; few are looked through, and none is compared with what was rated.
    """
    rated = _rated(database, _QUICK if quick else MOST_RATINGS)
    newest = _newest(database, _QUICK if quick else MOST_TURNS)
    scores: dict[str, dict[Kind, float]] = {}
    found: Mapping[Kind, Mapping[str, float]] = {
        "disputed": disputed(rated),
        "unexplained": unexplained(rated, _corrected(database, rated)),
        "novel": {} if quick else _novel(rated, newest, embed),
        "unsure": {} if quick else unsure(newest, _grounded(database)),
        "random": {row.id: 1.0 - chance(row.id, seed) for row in newest},
    }
    for kind, by_turn in found.items():
        for turn_id, score in by_turn.items():
            scores.setdefault(turn_id, {})[kind] = score
    seen = _seen(database, scores)
    return [Candidate(turn_id, one) for turn_id, one in scores.items() if turn_id not in seen]


def disputed(rated: Sequence[Row[Any]]) -> dict[str, float]:
    """The newest turn of each answer to which people say opposite things: 1 where they are as many."""
    votes: dict[tuple[str, str], list[Row[Any]]] = {}
    for row in rated:
        votes.setdefault((row.prompt_key, normalise(row.answer)), []).append(row)
    found = {}
    for rows in votes.values():
        ups = len({row.rater for row in rows if row.thumb == "up"})
        downs = len({row.rater for row in rows if row.thumb == "down"})
        if ups and downs:
            found[max(row.id for row in rows)] = 2 * min(ups, downs) / (ups + downs)
    return found


def unexplained(rated: Sequence[Row[Any]], corrected: Collection[tuple[str, str]]) -> dict[str, float]:
    """Turns with a thumb down and not a word why, the newest most; `corrected` by turn and person."""
    silent = [
        row.id
        for row in rated
        if row.thumb == "down"
        and not row.reasons
        and not row.comment.strip()
        and (row.id, row.rater) not in corrected
    ]
    return {turn_id: 1 - place / len(silent) for place, turn_id in reversed(list(enumerate(silent)))}


def unsure(newest: Sequence[Row[Any]], grounded: Sequence[Row[Any]]) -> dict[str, float]:
    """Turns with a sign that the model was not sure.

    Turns keep no probabilities of their tokens. What stands for them are signs in the rows: an answer that
    came out differently when it was asked for again (arXiv 2303.08896 tells made-up answers by that), and
    one that stands on passages far from the question, or on none where they were looked for.
    """
    again: dict[str, list[Row[Any]]] = {}
    for row in newest:
        again.setdefault(row.prompt_key, []).append(row)
    found = {}
    for rows in [rows for rows in again.values() if len(rows) > 1][:_MOST_ASKED_AGAIN]:
        differ = apart(rows[0].answer, rows[1].answer)
        if differ:
            found[rows[0].id] = differ
    for row in grounded:
        nearest = max((float(one.get("score") or 0.0) for one in row.passages), default=0.0)
        found.setdefault(row.id, _FAINT * min(1.0, max(0.0, 1.0 - nearest)))
    return found


def _novel(rated: Sequence[Row[Any]], newest: Sequence[Row[Any]], embed: Embed) -> dict[str, float]:
    known = list(dict.fromkeys(row.answer for row in rated))[:_MOST_COMPARED]
    judged = {row.id for row in rated}
    fresh = [row for row in newest if row.id not in judged][:_MOST_COMPARED]
    if not known:
        # Where nothing is rated all is unlike it: chance does as well.
        return {}
    far = unlike([row.answer for row in fresh], known, _MOST_NOVEL, embed)
    return {fresh[place].id: value for place, value in far.items() if value > _UNLIKE}


# -- rows


def _rated(database: Database, most: int) -> list[Row[Any]]:
    """The newest live thumbs with their turns, the newest first."""
    newest = select(ratings).order_by(ratings.c.id.desc()).limit(most).subquery()
    query = (
        select(
            turns.c.id,
            turns.c.prompt_key,
            func.substr(turns.c.answer, 1, _EXCERPT).label("answer"),
            newest.c.person_id.label("rater"),
            newest.c.thumb,
            newest.c.reasons,
            newest.c.comment,
        )
        .join(newest, newest.c.turn_id == turns.c.id)
        .join(conversations, conversations.c.id == turns.c.conversation_id)
        .where(*_WORTH)
        .order_by(newest.c.id.desc())
    )
    with database.read() as connection:
        rows = connection.execute(query).all()
    live = {(row.id, row.rater): row for row in reversed(rows)}
    return [row for row in rows if live[row.id, row.rater] is row and row.thumb]


def _newest(database: Database, most: int) -> list[Row[Any]]:
    """The newest answers, the newest first."""
    query = (
        select(turns.c.id, turns.c.prompt_key, func.substr(turns.c.answer, 1, _EXCERPT).label("answer"))
        .join(conversations, conversations.c.id == turns.c.conversation_id)
        .where(*_WORTH)
        .order_by(turns.c.id.desc())
        .limit(most)
    )
    with database.read() as connection:
        return list(connection.execute(query))


def _grounded(database: Database) -> list[Row[Any]]:
    """The newest answers that documents were looked through for, with the passages they stand on."""
    newest = select(turns.c.id).order_by(turns.c.id.desc()).limit(_MOST_GROUNDED).subquery()
    query = (
        select(turns.c.id, turns.c.passages)
        .join(newest, newest.c.id == turns.c.id)
        .join(conversations, conversations.c.id == turns.c.conversation_id)
        .where(turns.c.searched.is_not(None), *_WORTH)
        .order_by(turns.c.id.desc())
    )
    with database.read() as connection:
        return list(connection.execute(query))


def _corrected(database: Database, rated: Sequence[Row[Any]]) -> set[tuple[str, str]]:
    """Who has corrected which of these turns, as it is live."""
    said: dict[tuple[str, str], str] = {}
    with database.read() as connection:
        for some in _some(row.id for row in rated if row.thumb == "down"):
            query = select(corrections).where(corrections.c.turn_id.in_(some)).order_by(corrections.c.id)
            said |= {(row.turn_id, row.person_id): row.text for row in connection.execute(query)}
    return {key for key, text in said.items() if text}


def _seen(database: Database, turn_ids: Iterable[str]) -> set[str]:
    """Those of these turns that somebody has looked at, here or in another home, or has in hand."""
    found: set[str] = set()
    with database.read() as connection:
        for some in _some(turn_ids):
            query = select(review_tasks.c.turn_id).where(
                review_tasks.c.turn_id.in_(some), review_tasks.c.person_id.is_not(None)
            )
            found.update(connection.execute(query).scalars())
            brought = select(reviews.c.turn_id).where(
                reviews.c.turn_id.in_(some), reviews.c.task_id == RESTORED
            )
            found.update(connection.execute(brought).scalars())
    return found


def _some(turn_ids: Iterable[str]) -> Iterator[tuple[str, ...]]:
    left = iter(turn_ids)
    while some := tuple(islice(left, 500)):
        yield some
