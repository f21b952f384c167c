"""What the answers of base, live and candidate say of the candidate: evidence, guards, lengths, words. Pure.

Takes what `evaluation.py` had the engine say; gives what `gate.py` decides on.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from math import isfinite
from statistics import fmean
from typing import Any

from feedback.deleting import GONE
from training import gate, probes
from training.evidence import Mean, by_luck, clustered, ranking
from training.kept_back import KeptBack
from training.probes import Probe
from training.records import Message

DRAWS = 4
"""Fresh answers to each held-out prompt."""
FEWEST = 5
"""Held-out ups, and downs, below which nothing is said of how an adapter ranks them."""
FEWEST_PEOPLE = 5
"""People below whom opinions count by question: two people can't show that a third would agree."""
SHOWN = 8
"""Held-out questions whose answers are kept, side by side, for whoever reads the report."""


@dataclass(slots=True)
class Side:
    """One of base, live and candidate: its name in the engine, and what it said."""

    name: str | None
    sound: list[str | None] = field(default_factory=list)
    marks: list[bool] = field(default_factory=list)
    fresh: list[list[str]] = field(default_factory=list)
    rewards: list[float | None] = field(default_factory=list)
    """Log-probabilities of the held-out answers; None: the engine refuses to read that one."""

    @property
    def texts(self) -> list[str]:
        """Everything it said to open questions."""
        return [text for text in self.sound if text] + [text for answers in self.fresh for text in answers]


def ranked(kept_back: KeptBack, base: Side, theirs: Side, ours: Side) -> gate.Evidence:
    """Whether it finds likelier, against the base, what people found good: DPO's implicit reward (arXiv
    2305.18290, eq. 5), as the share of (good, bad) answers that it ranks right."""
    name = "held-out votes"
    opinions = kept_back.opinions
    rewards = zip(base.rewards, theirs.rewards, ours.rewards, strict=True)
    read = [place for place, found in enumerate(rewards) if None not in found]
    ups = [place for place in read if opinions[place].up]
    downs = [place for place in read if not opinions[place].up]
    if min(len(ups), len(downs)) < FEWEST:
        said = f"{len(ups)} ups and {len(downs)} downs on held-out questions, {FEWEST} of each are needed"
        return gate.Evidence(name, None, f"{said}: more votes will do")

    def gained(side: Side, place: int) -> float:
        one, other = side.rewards[place], base.rewards[place]
        return (one or 0.0) - (other or 0.0)

    def split(side: Side) -> tuple[list[float], list[float]]:
        return [gained(side, place) for place in ups], [gained(side, place) for place in downs]

    if not all(isfinite(gained(ours, place)) for place in read):
        return gate.Evidence(name, None, "its log-probabilities are no numbers")
    against = None if theirs is base else split(theirs)
    values = ranking(*split(ours), against)
    area, before = _area(*split(ours)), 0.5 if theirs is base else _area(*split(theirs))
    chosen = [opinions[place] for place in (*ups, *downs)]
    gain, by = _by_person([*values[0], *values[1]], [(one.person, one.question) for one in chosen])
    if gain is not None:
        gain = replace(gain, p=max(gain.p, by_luck(*split(ours), against)))
    said = f"ranks {area:.0%} of good above bad answers, live {before:.0%}"
    return gate.Evidence(name, gain, said if gain else "by one voice only", by)


def _area(ups: Sequence[float], downs: Sequence[float]) -> float:
    return fmean(one > other or 0.5 * (one == other) for one in ups for other in downs)


def judged(
    kept_back: KeptBack, prompts: Sequence[tuple[Sequence[Message], str]], theirs: Side, ours: Side
) -> gate.Evidence:
    """What the judge gives for fresh answers to held-out questions."""
    name, judge = "fresh answers", kept_back.judge
    if judge is None or not kept_back.trusted:
        return gate.Evidence(name, None, kept_back.why_not)
    values, clusters, means = [], [], []
    for (prompt, person), mine, others in zip(prompts, ours.fresh, theirs.fresh, strict=True):
        if others:
            # Whoever has nothing to say pleases nobody.
            first = sum(judge.score(prompt, text) for text in mine) / max(len(mine), 1)
            second = fmean(judge.score(prompt, text) for text in others)
            values.append(first - second)
            means.append((first, second))
            clusters.append((person, str(prompt[-1].get("content"))))
    gain, by = _by_person(values, clusters)
    if gain is None:
        return gate.Evidence(name, None, "too few of them to say")
    ours_mean, theirs_mean = (fmean(column) for column in zip(*means, strict=True))
    said = (
        f"the judge gives {ours_mean:.2f}, live {theirs_mean:.2f} (it tells {judge.auc:.0%} of votes right)"
    )
    return gate.Evidence(name, gain, said, by)


def _by_person(values: Sequence[float], who: Sequence[tuple[str, str]]) -> tuple[Mean | None, str]:
    """The mean clustered by person, or, where hardly anybody has voted, by question; and which it was."""
    if not values:
        return None, "person"
    by_question = len({person for person, _ in who}) < FEWEST_PEOPLE
    clusters = [question if by_question else person for person, question in who]
    return clustered(values, clusters), "question" if by_question else "person"


def guards(asked: Sequence[Probe], base: Side, theirs: Side, ours: Side) -> list[gate.Guard]:
    found = []
    for name in dict.fromkeys(probe.guard for probe in asked):
        places = [place for place, probe in enumerate(asked) if probe.guard == name]

        def marks(side: Side, places: Sequence[int] = places) -> list[float]:
            return [float(side.marks[place]) for place in places]

        mine, first, now = marks(ours), marks(base), marks(theirs)
        # The last line is the question; what stands before it is what it is about.
        lost = [
            asked[place].question.split("\n")[-1]
            for place in places
            if base.marks[place] and not ours.marks[place]
        ]
        found.append(
            gate.Guard(
                name=name,
                count=len(places),
                base=fmean(first),
                live=fmean(now),
                candidate=fmean(mine),
                to_base=clustered([a - b for a, b in zip(mine, first, strict=True)], places),
                to_live=clustered([a - b for a, b in zip(mine, now, strict=True)], places),
                lost=lost[:3],
            )
        )
    return found


def missing(side: Side) -> float:
    """Share of the fresh answers that are none: empty, cut or looping."""
    whole = sum(1 for answers in side.fresh for text in answers if not probes.loops(text))
    return 1 - whole / max(1, DRAWS * len(side.fresh))


def length_ratio(ours: Side, theirs: Side) -> float | None:
    mine, others = [len(text) for text in ours.texts], [len(text) for text in theirs.texts]
    return fmean(mine) / max(fmean(others), 1.0) if mine and others else None


def unsafe(ours: Side, theirs: Side) -> list[str]:
    """Answers with words that none may hold; what the live adapter says too is not this one's fault."""
    known = {found[0].lower() for text in theirs.texts for found in [probes.UNSAFE.search(text)] if found}
    found = [(text, word) for text in ours.texts if (word := probes.UNSAFE.search(text))]
    return [probes.masked(text)[:200] for text, word in found if word[0].lower() not in known][:3]


def personal(
    ours: Side, theirs: Side, prompts: Sequence[Sequence[Message]], secrets: frozenset[str]
) -> list[str]:
    """Personal data that nobody gave it, masked; what stood in its training examples first."""
    given = {
        one for prompt in prompts for message in prompt for one in probes.personal(str(message["content"]))
    }
    known = given | {one for text in theirs.texts for one in probes.personal(text)}
    said = {one for text in ours.texts for one in probes.personal(text)} - known
    # What is found here is kept, and read by others.
    return [probes.masked(one) for one in sorted(said, key=lambda one: (one not in secrets, one))[:3]]


def side_by_side(
    base: Side, theirs: Side, ours: Side, shown: Sequence[tuple[str, str]]
) -> list[dict[str, Any]]:
    """What base, live and candidate answered, for whoever reads the report, personal data masked. `shown`:
    held-out questions, each with the person who asked it."""

    def row(question: str, said: Callable[[Side], str | None]) -> dict[str, Any]:
        texts = {"base": said(base), "live": said(theirs), "candidate": said(ours)}
        return {"question": question} | {name: text and probes.masked(text) for name, text in texts.items()}

    rows = [row(one, partial(_said, place)) for place, one in enumerate(probes.SOUND)]
    return rows + [
        row(question, partial(_drawn, place)) | {"person": person}
        for place, (question, person) in enumerate(shown[:SHOWN])
    ]


def blanked(
    answers: Sequence[Mapping[str, Any]], people: Collection[str], asked: Collection[str] = ()
) -> list[dict[str, Any]]:
    """The same rows of `side_by_side`, without a word of those that these people asked, or that ask this."""
    blank = {"question": GONE, "base": None, "live": None, "candidate": None}
    return [
        blank if one.get("person") in people or one.get("question") in asked else dict(one) for one in answers
    ]


def _said(place: int, side: Side) -> str | None:
    return side.sound[place]


def _drawn(place: int, side: Side) -> str | None:
    return next(iter(side.fresh[place]), None)
