"""Questions in customers' own words: what the shop's documents tell, and answers that staff approved.

Reads them from `customers/*.jsonl`, and lays passages and approved answers into prompts as the product does.
Numbers are mostly other ones than in the documents, so that what stands in the prompt counts.
Does not know manners, retrieval or models.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from feedback.records import PASSAGES
from training.starter import library, reading, values
from training.starter.library import Section
from training.starter.records import Message, turn
from training.starter.wording import upper_first, vary

NOTHING = "No passage was found. If only a document can tell this, say that you don't have that information."
"""What the product says in the place of passages."""
EXAMPLES = "Passages:\n"
"""What the product says before approved answers."""
_NUMBER = re.compile(r"\d[\d.,]*\d|\d")
_WORD = re.compile(r"[A-Za-z]{4,}")
_WORDS_OF_A_BLOCK = 150
# How often the best passage comes with what stands around it: long texts are costly, and read no other way.
_GROWN = 0.3
# Where the passage that answers stands among those that are found, the best first; none: it was not found.
_RANKS: tuple[int | None, ...] = (0, 1, 2, 3, 4, None)
_RANK_WEIGHTS = (0.62, 0.13, 0.07, 0.05, 0.04, 0.09)


@dataclass(frozen=True)
class Told:
    """One thing that a document tells: where, its bare value, how customers ask for it, short answers."""

    document: str
    quote: str
    value: str
    asks: tuple[str, ...]
    says: tuple[str, ...]

    @property
    def sentence(self) -> str:
        """The surest answer: the quote if it can be said as it stands, else the plainest other one."""
        return self.quote if self.quote[-1] in ".!" and self.quote[0].isupper() else self.says[0]


@dataclass(frozen=True)
class Approved:
    """An answer that staff approved, and ways to ask for it."""

    asks: tuple[str, ...]
    answer: str


@dataclass(frozen=True)
class Found:
    """Passages as an engine's prompt has them, best first, and what they tell."""

    texts: tuple[str, ...]
    told: tuple[Told, ...]

    def prompt(self, ask: str) -> Message:
        """The user's message: the passages, numbered, before the question."""
        block = "\n\n".join(f"[{place}] {text}" for place, text in enumerate(self.texts, 1)) or NOTHING
        return {"role": "user", "content": f"{PASSAGES[0]}{block}{PASSAGES[1]}{ask}"}


@cache
def told() -> tuple[Told, ...]:
    """Everything that customers ask the documents for, in a stable order."""
    return tuple(
        Told(one["document"], one["quote"], one["value"], tuple(one["asks"]), tuple(one["says"]))
        for one in _lines("documents")
    )


def texts() -> list[str]:
    """All that customers and staff write here, as it stands: what new words are learnt from."""
    said = [line for one in told() for line in (*one.asks, *one.says)]
    said += [line for one in approved() for line in (*one.asks, one.answer)]
    return said + [one.text for one in library.sections()]


@cache
def approved() -> tuple[Approved, ...]:
    """Answers in the house's own wording, in a stable order."""
    return tuple(Approved((one["question"], *one["again"]), one["answer"]) for one in _lines("approved"))


def found(rng: random.Random) -> tuple[Told, Found, bool]:
    """Something to ask for, what a search finds for it, and whether that has the answer."""
    wanted = rng.choice(_by_document()[rng.choice(list(_by_document()))])
    home = _home(wanted)
    rank = rng.choices(_RANKS, _RANK_WEIGHTS)[0]
    others = [
        one
        for one in _near(rng, home, rng.choice((1, 2, 2, 3, 3, 4)))
        if rank is not None or not _tells(one, wanted)
    ]
    shown = others[: rng.randrange(1, 5)] if rank is None else others
    if rank is not None:
        shown.insert(min(rank, len(shown)), home)
    # The best one comes with what stands around it, as far as there is room.
    texts = [
        _grown(one, shown, wanted if rank is None else None)
        if place == 0 and rng.random() < _GROWN
        else _alone(one)
        for place, one in enumerate(shown)
    ]
    whole = "\n".join(texts)
    has = any(wanted.quote in text for text in texts)
    known = tuple(
        one for one in told() if one.document in {some.stem for some in shown} and one.quote in whole
    )
    change = _changed(rng, whole) if rng.random() < 0.6 else str
    return (
        _with(wanted, change),
        Found(tuple(map(change, texts)), tuple(_with(one, change) for one in known)),
        has,
    )


def nearest(rng: random.Random) -> tuple[Told, str, Found, bool]:
    """Something to ask for, a question for it, and the lines that the product's search really finds for that,
    the nearest first, by passage; whether they have the answer.

    To learn on what is found, right or wrong, is after Zhang et al., "RAFT: Adapting Language Model to Domain
    Specific RAG" (2024). Where the answer was not found, it is mostly put among the rest.
    """
    kept = _nearest()
    place = rng.randrange(len(kept["near"]))
    wanted, ask = _asked()[place]
    numbers = list(kept["near"][place][: rng.randrange(4, 9)])
    mine = [number for number, (_, text) in enumerate(kept["lines"]) if _is_line_of(text, wanted)]
    if mine and not set(mine) & set(numbers) and rng.random() < 0.7:
        numbers.insert(rng.randrange(1, len(numbers) + 1), rng.choice(mine))
    groups: dict[str, list[str]] = {}
    for number in numbers:
        title, text = kept["lines"][number]
        groups.setdefault(title, []).append(text)
    texts = ["\n".join([title, *some]) for title, some in groups.items()]
    whole = "\n".join(texts)
    change = _changed(rng, whole) if rng.random() < 0.5 else str
    has = wanted.value.lower() in whole.lower()
    return _with(wanted, change), ask, Found(tuple(map(change, texts)), ()), has


def says(rng: random.Random, one: Told) -> str:
    """A short answer: the passage's own sentence at times, to quote is the surest way to be right."""
    return one.sentence if rng.random() < 0.7 else rng.choice(one.says)


def example(rng: random.Random) -> tuple[list[Message], str, str]:
    """A prompt that begins with one to three approved answers, a question like one of theirs, its answer."""
    made = [_pair(rng) for _ in range(rng.choice((1, 1, 1, 2, 3)))]
    # Mostly the best one is meant; it stands first in the list and last before the question.
    place = 0 if rng.random() < 0.8 else rng.randrange(len(made))
    listed = "\n\n".join(f"[{number}] {asks[0]}\n{text}" for number, (asks, text) in enumerate(made, 1))
    said = [message for asks, text in reversed(made) for message in turn(asks[0], text)]
    asks, answer = made[place]
    ask = asks[0] if rng.random() < 0.1 else asks[1]
    return [{"role": "system", "content": f"{EXAMPLES}{listed}"}, *said], ask, answer


def _pair(rng: random.Random) -> tuple[list[str], str]:
    """Two ways to ask for the same, and its answer: a free wording, a detail of a thing, or what is told."""
    draw = rng.random()
    if draw < 0.6:
        one = rng.choice(approved())
        return rng.sample(one.asks, 2), _reworded(rng, one.answer)
    if draw < 0.8:
        detail = rng.choice(reading.passage(rng).details)
        return [vary(rng, ask) for ask in rng.sample(detail.asks, 2)], vary(rng, rng.choice(detail.says))
    told_one = rng.choice(told())
    told_one = _with(told_one, _changed(rng, told_one.quote))
    return rng.sample(told_one.asks, 2), says(rng, told_one)


@cache
def _by_document() -> dict[str, tuple[Told, ...]]:
    return {
        stem: tuple(one for one in told() if one.document == stem)
        for stem in dict.fromkeys(one.document for one in told())
    }


@cache
def _nearest() -> dict[str, Any]:
    text = (Path(__file__).parent / "customers" / "nearest.json").read_text(encoding="utf-8")
    return dict(json.loads(text))


@cache
def _asked() -> tuple[tuple[Told, str], ...]:
    return tuple((one, ask) for one in told() for ask in one.asks)


def _is_line_of(text: str, wanted: Told) -> bool:
    return wanted.quote in text or (text in wanted.quote and wanted.value in text)


@cache
def _home(one: Told) -> Section:
    """The section in which the quote stands."""
    return next(some for some in library.of(one.document) if one.quote in some.text)


def _near(rng: random.Random, home: Section, count: int) -> list[Section]:
    """Sections that a search may find as well: of the same kind of document mostly, told apart by a name."""
    family = home.stem.split("-")[0]
    like = [one for one in library.sections() if one.stem.split("-")[0] == family and one != home]
    same = [one for one in like if one.heading == home.heading]
    found: dict[Section, None] = {}
    for _ in range(count):
        draw = rng.random()
        pool = same if same and draw < 0.35 else like if like and draw < 0.7 else library.sections()
        one = rng.choice(pool)
        if one != home:
            found.setdefault(one)
    return list(found)


def _tells(section: Section, wanted: Told) -> bool:
    return section == _home(wanted) or wanted.value.lower() in section.text.lower()


def _alone(one: Section) -> str:
    head = f"{one.document} › {one.heading}" if one.heading else one.document
    return f"{head}\n{one.text}"


def _grown(one: Section, shown: Sequence[Section], without: Told | None) -> str:
    """A section with its neighbours in its document, one heading over all; never what must not be found."""
    every = list(library.of(one.stem))
    low = high = every.index(one)
    room = _WORDS_OF_A_BLOCK - len(one.text.split())
    grown = True
    while grown:
        grown = False
        for at in (high + 1, low - 1):
            if not 0 <= at < len(every) or every[at] in shown or len(every[at].text.split()) > room:
                continue
            if without and _tells(every[at], without):
                continue
            low, high, grown = min(low, at), max(high, at), True
            room -= len(every[at].text.split())
    if low == high:
        return _alone(one)
    parts = (f"{some.heading}\n{some.text}".strip() for some in every[low : high + 1])
    return f"{one.document}\n" + "\n\n".join(parts)


def _changed(rng: random.Random, text: str) -> Callable[[str], str]:
    """Puts another number in the place of each one in `text`, the same for the same."""
    other: dict[str, str] = {}
    for one in dict.fromkeys(_NUMBER.findall(text)):
        if rng.random() < 0.85:
            kind = "price" if "." in one else "number"
            made = values.value(rng, kind)
            while len(made) > len(one) + 1:
                made = values.value(rng, kind) if len(one) > 1 else str(rng.randrange(2, 100))
            other[one] = made

    def change(line: str) -> str:
        return _NUMBER.sub(lambda hit: other.get(hit[0], hit[0]), line)

    return change


def _with(one: Told, change: Callable[[str], str]) -> Told:
    return Told(one.document, change(one.quote), change(one.value), one.asks, tuple(map(change, one.says)))


@cache
def _vocabulary() -> tuple[str, ...]:
    return tuple(dict.fromkeys(word for one in approved() for word in _WORD.findall(one.answer)))


def _reworded(rng: random.Random, answer: str) -> str:
    """The answer, mostly with other words and numbers in it: nothing that can be known by heart."""
    draw = rng.random()
    if draw < 0.25:
        return answer
    if draw < 0.45:
        halves = [re.split(r"(?<=[,;.]) ", one.answer) for one in rng.sample(approved(), 3)]
        answer = upper_first(" ".join(rng.choice(parts) for parts in halves))
    share = rng.choice((0.1, 0.25, 0.5))

    def other(hit: re.Match[str]) -> str:
        if rng.random() > share:
            return hit[0]
        made = values.word(rng) if rng.random() < 0.15 else rng.choice(_vocabulary())
        return upper_first(made) if hit[0][0].isupper() else made

    changed = _WORD.sub(other, answer)
    return _NUMBER.sub(lambda hit: values.value(rng, "price" if "." in hit[0] else "number"), changed)


def _lines(name: str) -> list[dict[str, Any]]:
    text = (Path(__file__).parent / "customers" / f"{name}.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]
