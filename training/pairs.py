"""From opinions to preference examples. Pure: the same facts give the same examples, in whatever order.

A pair has one prompt and two answers that were told apart by a person, or by a model of the votes where no
person compared. Ups and downs are never multiplied with each other. Does no I/O, knows no database, and
takes the fresh answers and the model of the votes as plain values.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import SequenceMatcher
from itertools import groupby
from typing import TypeVar

from feedback.records import Choice, Judged, Message, is_file, normalise
from training.records import Example, Source
from training.screening import LONGEST_ANSWER, held_out, is_echo, screen
from training.settling import (
    Preferred,
    Settled,
    context_key,
    named,
    on_their_sides,
    question_text,
    settle,
    settle_choices,
    settle_corrections,
    strays,
)

__all__ = ["WEIGHTS", "Built", "Limits", "Score", "build", "held_out", "needs_draws"]

Score = Callable[[Sequence[Message], str], float]
"""From a prompt and an answer to the probability, 0 to 1, of a thumbs-up."""

WEIGHTS: Mapping[Source, float] = {
    "correction": 1.0,
    "choice": 1.0,
    "siblings": 1.0,
    "same_question": 0.8,
    "ranked": 0.5,
}
"""How much an example of each source counts, the best source first: what one person compared counts whole,
what two people said of two answers a little less, what a model guessed half."""
_RANK = {source: rank for rank, source in enumerate(WEIGHTS)}

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Limits:
    """What keeps one person, one question or one guess from making up a run."""

    per_person: int = 64
    """Examples that one person's votes may stand behind, on each side of the split."""
    per_question: int = 3
    """Examples of one question in one context."""
    margin: float = 0.3
    """Difference in the probability of a thumbs-up from which on a ranked pair is clear."""
    alike: float = 0.97
    """Share of words in common (`SequenceMatcher.ratio`) from which on two answers count as the same: DPO on
    near-identical answers pushes both down (arXiv 2410.08847)."""


@dataclass(frozen=True, slots=True)
class Built:
    """Examples, the best source first, and where everything else went."""

    examples: tuple[Example, ...]
    """Training and held-out ones; `Example.held_out` tells them apart."""
    counts: Mapping[str, int]
    """Training examples by source, and `held_out` for all of the others."""
    dropped: Mapping[str, int]
    """Turns, opinions and pairs that became no example, by reason."""

    @property
    def training(self) -> list[Example]:
        """The examples to learn from."""
        return [example for example in self.examples if not example.held_out]

    @property
    def kept_back(self) -> list[Example]:
        """The held-out examples, for evaluation only."""
        return [example for example in self.examples if example.held_out]


@dataclass(frozen=True, slots=True)
class _Candidate:
    """An example before duplicates, contradictions and caps are looked at."""

    example: Example
    key: str
    age: str
    """Id of the newer turn: ids of turns grow with time."""


def build(
    judged: Sequence[Judged],
    choices: Sequence[Choice] = (),
    turns_of_choices: Mapping[str, Judged] | None = None,
    drawn: Mapping[str, Sequence[str]] | None = None,
    score: Score | None = None,
    limits: Limits | None = None,
) -> Built:
    """Turn opinions into examples. `judged` is screened here too, if the caller has not done so.

    Sources, the best first: a correction against the answer it corrects; a choice between two answers;
    siblings (the same prompt, the same asker or rater) with opposite votes; the same question in the same
    context with opposite votes; and, for voted answers that found no partner so, answers freshly `drawn`
    (texts by prompt key), ranked by `score` and kept where the margin is clear. Without `score` or `drawn`
    the last source gives nothing. `turns_of_choices` holds the turns that `choices` name, by id.

    An answer stands in at most one sibling or same-question pair, so n ups and m downs make at most
    min(n, m) of them. Where pairs say opposite things of the same two answers the better source wins, and
    within one source neither. Held-out questions get examples too, flagged; no question's text stands on
    both sides of the split.
    """
    limits = limits or Limits()
    kept, counted = screen(judged)
    kept, turns, wrong_side = on_their_sides(kept, turns_of_choices or {})
    settled, cancelled = settle(kept)
    preferred, undecided = settle_choices(choices, turns)
    dropped = Counter(counted) + Counter(undecided)
    dropped += Counter({"on_both_sides": wrong_side, "cancelled": cancelled})

    matched, alone = _matched(settled, _partnered(kept, choices))
    found = [*_corrected(kept), *_chosen(preferred), *matched]
    if score and drawn:
        found += _ranked(alone, drawn, score, limits)
    examples = tuple(_capped(_distinct(found, limits.alike, dropped), limits, dropped))
    training = Counter(example.source for example in examples if not example.held_out)
    counts: dict[str, int] = {source: training[source] for source in WEIGHTS if training[source]}
    counts["held_out"] = len(examples) - training.total()
    return Built(examples, counts, dict(sorted((+dropped).items())))


def needs_draws(
    judged: Sequence[Judged],
    choices: Sequence[Choice] = (),
    limit: int = 256,
    limits: Limits | None = None,
) -> list[Judged]:
    """Voted turns without a partner, to draw fresh answers for: one a question, `limit` at most.

    Held-out ones are among them. The newest come first, person by person in turn, so that the limit cuts
    everybody alike. Questions that have all the pairs they may have are left out.
    """
    limits = limits or Limits()
    kept, _ = screen(judged)
    wrong_side = strays(kept)
    kept = [item for item in kept if item.turn.id not in wrong_side]
    matched, alone = _matched(settle(kept)[0], _partnered(kept, choices))
    pairs = Counter(candidate.key for candidate in [*_corrected(kept), *matched])
    found: dict[str, Settled] = {}
    for answer in sorted(alone, key=lambda answer: answer.turn.id, reverse=True):
        if pairs[answer.key] < limits.per_question:
            found.setdefault(answer.key, answer)
    fair = in_turns(found.values(), lambda answer: answer.turn.person_id)
    return [answer.item for answer in fair][:limit]


# -- the sources -------------------------------------------------------------------------------------


def _corrected(judged: Iterable[Judged]) -> list[_Candidate]:
    found = []
    for item, row in settle_corrections(judged):
        downs = [r.id for r in item.ratings if r.person_id == row.person_id and r.thumb == "down"]
        votes = [named(row), *(f"rating:{rating}" for rating in downs)]
        answers = (row.text.strip(), item.turn.answer)
        found.append(_candidate(item, answers, "correction", votes, [row.person_id]))
    return found


def _chosen(preferred: Iterable[Preferred]) -> list[_Candidate]:
    found = []
    for one in preferred:
        votes, people = [f"choice:{row.id}" for row in one.choices], [row.person_id for row in one.choices]
        loser, answers = one.loser.turn, (one.winner.turn.answer, one.loser.turn.answer)
        askers = [loser.person_id]
        found.append(_candidate(one.winner, answers, "choice", votes, people, askers, loser.id))
    return found


def _partnered(judged: Iterable[Judged], choices: Iterable[Choice]) -> frozenset[str]:
    """Ids of turns that a correction or a clear choice has paired already."""
    clear = [choice for choice in choices if choice.preference in ("first", "second")]
    found = {turn_id for choice in clear for turn_id in (choice.first_turn_id, choice.second_turn_id)}
    return frozenset(found | {item.turn.id for item, _ in settle_corrections(judged)})


def _matched(settled: Iterable[Settled], partnered: frozenset[str]) -> tuple[list[_Candidate], list[Settled]]:
    """One-to-one pairs of opposite votes, and the answers left that no source has paired."""
    found: list[_Candidate] = []
    alone: list[Settled] = []
    for _, group in groupby(sorted(settled, key=lambda answer: answer.key), key=lambda answer: answer.key):
        newest = sorted(group, key=lambda answer: answer.turn.id, reverse=True)
        circles: dict[tuple[str, str], list[Settled]] = {}
        for answer in newest:
            for circle in answer.circles:
                circles.setdefault(circle, []).append(answer)
        taken: set[str] = set()
        for _, siblings in sorted(circles.items(), key=lambda entry: entry[0]):
            found += _opposites(siblings, "siblings", taken)
        found += _opposites(newest, "same_question", taken)
        alone += [a for a in newest if a.turn.id not in taken and not a.turn_ids & partnered]
    return found, alone


def _opposites(answers: Iterable[Settled], source: Source, taken: set[str]) -> list[_Candidate]:
    """Pair the newest up with the newest down and so on; what is paired is added to `taken`."""
    free = [answer for answer in answers if answer.turn.id not in taken]
    found = []
    for up, down in zip([a for a in free if a.up], [a for a in free if not a.up], strict=False):
        taken |= {up.turn.id, down.turn.id}
        votes, people = [*up.votes, *down.votes], [*up.people, *down.people]
        answers_of, askers = (up.turn.answer, down.turn.answer), [*up.askers, *down.askers]
        found.append(_candidate(up.item, answers_of, source, votes, people, askers, down.turn.id))
    return found


def _ranked(
    alone: Iterable[Settled], drawn: Mapping[str, Sequence[str]], score: Score, limits: Limits
) -> list[_Candidate]:
    """Pairs of fresh answers, or of a fresh and a voted one, to questions whose votes found no partner."""
    found = []
    for _, group in groupby(sorted(alone, key=lambda answer: answer.key), key=lambda answer: answer.key):
        newest = sorted(group, key=lambda answer: answer.turn.id, reverse=True)
        texts = [
            text
            for answer in newest
            for prompt_key in sorted({prompt_key for prompt_key, _ in answer.circles})
            for text in drawn.get(prompt_key, ())
        ]
        if not texts:
            continue
        item = newest[0].item
        voted = {answer.turn.answer: answer for answer in newest}
        for better, worse in _clear_pairs(newest, texts, score, limits):
            backing = [voted[text] for text in (better, worse) if text in voted] or newest
            votes = [vote for answer in backing for vote in answer.votes]
            people = [person for answer in backing for person in answer.people]
            askers = [person for answer in backing for person in answer.askers]
            found.append(_candidate(item, (better, worse), "ranked", votes, people, askers))
    return found


def _clear_pairs(
    voted: Sequence[Settled], texts: Iterable[str], score: Score, limits: Limits
) -> list[tuple[str, str]]:
    """Best against worst, second best against second worst …, each text in one pair, all by a clear margin.

    A voted answer takes the first place on its side where the ranking agrees with the vote.
    """
    turn = voted[0].turn
    seen = {normalise(answer.turn.answer) for answer in voted} | {""}
    fresh: list[tuple[float, str]] = []
    for text in sorted(set(texts)):
        if normalise(text) not in seen and len(text) <= LONGEST_ANSWER and not is_echo(turn.question, text):
            seen.add(normalise(text))
            fresh.append((score(turn.prompt, text), text))
    if not fresh:
        return []
    fresh.sort(key=lambda entry: (-entry[0], entry[1]))
    rated = [(score(turn.prompt, answer.turn.answer), answer) for answer in voted]
    high, low = fresh[0][0], fresh[-1][0]
    ups = [(s, a.turn.answer) for s, a in rated if a.up and s - low >= limits.margin]
    downs = [(s, a.turn.answer) for s, a in rated if not a.up and high - s >= limits.margin]
    used: set[str] = set()
    found: list[tuple[str, str]] = []
    for (upper, better), (lower, worse) in zip([*ups, *fresh], [*downs, *reversed(fresh)], strict=False):
        if len(found) == limits.per_question or {better, worse} & used or better == worse:
            break
        used |= {better, worse}
        if upper - lower >= limits.margin:
            found.append((better, worse))
    return found


def _candidate(
    item: Judged,
    answers: tuple[str, str],
    source: Source,
    votes: Iterable[str],
    people: Iterable[str],
    askers: Iterable[str] = (),
    other_turn: str = "",
) -> _Candidate:
    """An example on the prompt of `item` from (better, worse) `answers`; its asker is one of the `askers`."""
    example = Example(
        prompt=tuple(dict(message) for message in item.turn.prompt),
        chosen=answers[0],
        rejected=answers[1],
        source=source,
        votes=_by_number(votes),
        people=tuple(sorted(set(people))),
        question=question_text(item.turn),
        weight=WEIGHTS[source],
        held_out=held_out(item.opening),
        askers=tuple(sorted({item.turn.person_id, *askers})),
    )
    return _Candidate(example, context_key(item.turn), max(item.turn.id, other_turn))


# -- what is kept ------------------------------------------------------------------------------------


def _distinct(found: Iterable[_Candidate], alike: float, dropped: Counter[str]) -> list[_Candidate]:
    """One candidate for each two answers, from its best source, none where that source contradicts itself."""
    between: dict[tuple[str, frozenset[str]], list[_Candidate]] = {}
    for candidate in found:
        better, worse = normalise(candidate.example.chosen), normalise(candidate.example.rejected)
        if not better or not worse or _are_alike(better, worse, alike):
            dropped["alike"] += 1
        else:
            between.setdefault((candidate.key, frozenset((better, worse))), []).append(candidate)
    kept = []
    for group in between.values():
        rank = min(_RANK[candidate.example.source] for candidate in group)
        best = [candidate for candidate in group if _RANK[candidate.example.source] == rank]
        if len({normalise(candidate.example.chosen) for candidate in best}) > 1:
            dropped["contradiction"] += len(group)
            continue
        first = max(best, key=lambda candidate: (candidate.age, candidate.example.id))
        better = normalise(first.example.chosen)
        against = sum(normalise(candidate.example.chosen) != better for candidate in group)
        dropped.update({"contradiction": against, "duplicate": len(group) - against - 1})
        votes = _by_number(vote for candidate in best for vote in candidate.example.votes)
        people = tuple(sorted({person for candidate in best for person in candidate.example.people}))
        askers = tuple(sorted({person for candidate in best for person in candidate.example.askers}))
        example = replace(first.example, votes=votes, people=people, askers=askers)
        kept.append(replace(first, example=example))
    return kept


def _capped(candidates: Collection[_Candidate], limits: Limits, dropped: Counter[str]) -> list[Example]:
    """The best sources first, inside one person by person in turn, until a person or a question is full."""
    people: Counter[tuple[bool, str]] = Counter()
    questions: Counter[str] = Counter()
    kept = []
    for source in WEIGHTS:
        tier = [candidate for candidate in candidates if candidate.example.source == source]
        # Stable, so that the clearest of a question's ranked pairs stay first.
        tier.sort(key=lambda candidate: candidate.age, reverse=True)
        for candidate in in_turns(tier, lambda candidate: candidate.example.people[0]):
            example = candidate.example
            # A file that an admin chose to read in is no person, and may be as long as it is.
            behind = [(example.held_out, person) for person in example.people if not is_file(person)]
            if any(people[person] >= limits.per_person for person in behind):
                dropped["person_full"] += 1
            elif questions[candidate.key] >= limits.per_question:
                dropped["question_full"] += 1
            else:
                people.update(behind)
                questions[candidate.key] += 1
                kept.append(example)
    return kept


def _are_alike(one: str, other: str, share: float) -> bool:
    if one == other:
        return True
    words = SequenceMatcher(None, one.split(), other.split(), autojunk=False)
    # The two quick ratios are upper bounds, and spare the slow one for nearly all pairs.
    return words.real_quick_ratio() >= share and words.quick_ratio() >= share and words.ratio() >= share


def in_turns(items: Iterable[_T], person: Callable[[_T], str]) -> list[_T]:
    """One of each person in turn, people in order of their ids, each person's items in the order given."""
    places: Counter[str] = Counter()
    placed: list[tuple[int, str, _T]] = []
    for item in items:
        who = person(item)
        placed.append((places[who], who, item))
        places[who] += 1
    return [item for *_, item in sorted(placed, key=lambda entry: entry[:2])]


def _by_number(votes: Iterable[str]) -> tuple[str, ...]:
    """Vote ids such as `rating:12` once each, by kind and number."""
    return tuple(sorted(set(votes), key=lambda vote: (vote.partition(":")[0], int(vote.partition(":")[2]))))
