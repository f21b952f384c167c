"""Bad answers whose cause is known, built from the starter's documents: what the sorting is measured on.

A document is taken away (`missing`), its passages are kept out of the prompt (`unretrieved`), they stand in
it and the answer is wrong all the same (`misread`), or the answer is right and people dislike it (`other`).
Knows no rule: it makes cases, and searches the way it is told.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from feedback.records import Cause
from retrieval.causes import Seen
from retrieval.records import Hit, Passage
from training.starter import asking, smalltalk
from training.starter.facts import Fact, by_topic
from training.starter.library import Section, sections, telling
from training.starter.reading import holds, says_value
from training.starter.wording import vary

MOST, FLOOR = 4, 0.3
Find = Callable[[str, int, Collection[str]], list[Hit]]
"""The best passages for a text: at most so many, none of the documents (by title) that are taken away."""

_AMOUNT = re.compile(
    r"(?:minus )?\d[\d.,]*(?: to \d[\d.,]*)? ?"
    r"(?:days?|hours?|euros?|grams?|years?|degrees|percent|weeks?|litres|cm|mm)"
)
_REFUSALS = (
    smalltalk.DONT_KNOW,
    "I could not find anything about this in our documents.",
    "I am sorry, I can't help with that. Please ask our team.",
)
_RUDE = ("Read the page yourself. ", "As I said before: ", "Obviously ", "That is a silly question. ")
_LONG = (
    " As you surely know, our shop has grown over many years, and we are proud of it.",
    " There is much more that could be said about this, and about many other things as well.",
    " Before you decide, take your time, breathe, and think about what you really want.",
)
_KIND = ("Thank you for asking! ", "Of course, happy to help. ", "Good question. ", "Hello! ")
_CLOSE = (" Have a good day!", " Do let us know if you need anything else.", " Kind regards", "")


@dataclass(frozen=True, slots=True)
class Case:
    """A bad answer, what was said of it, and why it really was bad. `gone` are the documents taken away."""

    cause: Cause
    question: str
    answer: str
    used: Sequence[Hit]
    reasons: Sequence[str]
    correction: str
    gone: frozenset[str]


def knowledge_base() -> list[Passage]:
    """Every section of the shop's documents as a passage, its document's title as the source."""
    return [
        Passage(f"psg-{place}", one.document, "document", "", _title(one), one.text, None, place)
        for place, one in enumerate(sections())
    ]


def cases(count: int, seed: int, find: Find) -> list[Case]:
    """`count` cases, the four causes equally often, the same for the same seed and search."""
    rng = random.Random(f"causes {seed}")
    makers = {"missing": _missing, "unretrieved": _unretrieved, "misread": _misread, "other": _other}
    found: list[Case] = []
    while len(found) < count:
        maker = list(makers.values())[len(found) % len(makers)]
        if (made := maker(rng, find)) is not None:
            found.append(made)
    return found


def _title(one: Section) -> str:
    return f"{one.document} › {one.heading}" if one.heading else one.document


def _asked(rng: random.Random) -> tuple[Fact, str]:
    topics = by_topic()
    fact = rng.choice(topics[rng.choice(list(topics))])
    return fact, asking.question(rng, fact)


def _documents(fact: Fact) -> frozenset[str]:
    """The titles of the documents that tell a fact. One without a subject may stand anywhere."""
    return frozenset(one.document for one in telling(fact))


def _tells(fact: Fact, hit: Hit) -> bool:
    one = hit.passage
    return one.source_id in _documents(fact) and holds(fact, one.text)


def _above(find: Find, question: str, gone: Collection[str]) -> list[Hit]:
    return [hit for hit in find(question, MOST, gone) if hit.score >= FLOOR]


def _missing(rng: random.Random, find: Find) -> Case | None:
    fact, question = _asked(rng)
    gone = _documents(fact)
    used = _above(find, question, gone)
    answer, reasons = _without(rng, fact, used)
    return Case("missing", question, answer, used, reasons, _corrected(rng, fact), gone)


def _unretrieved(rng: random.Random, find: Find) -> Case | None:
    fact, question = _asked(rng)
    used = [hit for hit in find(question, 3 * MOST, ()) if hit.score >= FLOOR and not _tells(fact, hit)]
    answer, reasons = _without(rng, fact, used[:MOST])
    return Case("unretrieved", question, answer, used[:MOST], reasons, _corrected(rng, fact), frozenset())


def _misread(rng: random.Random, find: Find) -> Case | None:
    fact, question = _asked(rng)
    used = _above(find, question, ())
    if not any(_tells(fact, hit) for hit in used):
        return None
    answer = _wrong(rng, fact, used)
    reasons = rng.choice((["facts"], ["facts"], ["facts"], ["off_topic"], []))
    return Case("misread", question, answer, used, reasons, _corrected(rng, fact), frozenset())


def _other(rng: random.Random, find: Find) -> Case | None:
    if rng.random() < 0.2:
        return _chatted(rng, find)
    fact, question = _asked(rng)
    used = _above(find, question, ())
    if not any(_tells(fact, hit) for hit in used):
        return None
    truth = vary(rng, rng.choice(fact.says))
    answer, reason = rng.choice(
        (
            (rng.choice(_RUDE) + truth, "tone"),
            (truth + "".join(rng.sample(_LONG, 2)), "too_long"),
            (fact.curt, "too_short"),
            (rng.choice(_REFUSALS), "refused"),
            (truth, "other"),
        )
    )
    kinder = rng.choice(_KIND) + vary(rng, rng.choice(fact.says)) + rng.choice(_CLOSE)
    correction = kinder if rng.random() < 0.5 else ""
    reasons = [reason] if correction == "" or rng.random() < 0.6 else []
    return Case("other", question, answer, used, reasons, correction, frozenset())


def _chatted(rng: random.Random, find: Find) -> Case:
    question, kind, curt = (vary(rng, line) for line in rng.choice(smalltalk._SMALL_TALK))
    used = _above(find, question, ())
    correction = rng.choice((kind, "", ""))
    return Case(
        "other", question, curt, used, rng.choice((["tone"], ["too_short"], [])), correction, frozenset()
    )


def _without(rng: random.Random, fact: Fact, used: Sequence[Hit]) -> tuple[str, list[str]]:
    """What is said where the fact is not in the prompt, and what people tick then."""
    if rng.random() < 0.35:
        return rng.choice(_REFUSALS), rng.choice((["refused"], ["refused"], ["facts"], ["off_topic"], []))
    return _wrong(rng, fact, used), rng.choice((["facts"], ["facts"], ["facts"], ["off_topic"], []))


def _wrong(rng: random.Random, fact: Fact, used: Sequence[Hit]) -> str:
    """An answer with another value: one that stands in a passage, a sister's, or a whole other sentence."""
    truth = vary(rng, rng.choice(fact.says))
    key = next(one for one in fact.keys if one.lower() in truth.lower())
    said = [amount for hit in used for amount in _AMOUNT.findall(hit.passage.text)]
    like = [one for one in said if _unit(one) == _unit(key) and not says_value(one, key)]
    sisters = [one.keys[0] for one in by_topic()[fact.topic] if one.keys[0] != key]
    if like and rng.random() < 0.6:
        return re.sub(re.escape(key), rng.choice(like), truth, flags=re.IGNORECASE)
    if sisters and rng.random() < 0.8:
        return re.sub(re.escape(key), rng.choice(sisters), truth, flags=re.IGNORECASE)
    lines = [line for hit in used for line in re.split(r"(?<=[.!?])\s+", hit.passage.text)]
    lines = [line for line in lines if 20 < len(line) < 120 and not holds(fact, line)]
    return rng.choice(lines) if lines else rng.choice(("Yes, that is possible.", "No, we do not offer that."))


def _unit(amount: str) -> str:
    return amount.split()[-1].rstrip("s") if amount[-1:].isalpha() else ""


def _corrected(rng: random.Random, fact: Fact) -> str:
    """What it should have said, for half of the cases: a sentence, a sentence and more, or the bare fact."""
    if rng.random() < 0.5:
        return ""
    truth = vary(rng, rng.choice(fact.says))
    more = vary(rng, rng.choice(fact.more)) if fact.more else ""
    return rng.choice((truth, truth, f"{truth} {more}".strip(), fact.curt))


def seen(case: Case, find: Find, wide: int = 12) -> list[Seen]:
    """The passages of the prompt and those that a wider search finds, as the sorting looks at them."""
    asked = {hit.passage.id: hit for hit in find(case.question, wide, case.gone)}
    said = {hit.passage.id: hit for hit in find(case.correction, wide, case.gone)} if case.correction else {}
    used = {hit.passage.id: hit for hit in case.used}
    passages = {key: hit.passage for key, hit in (asked | said | used).items()}
    return [
        Seen(
            f"{one.title}\n{one.text}",
            key in used,
            used[key].score if key in used else asked[key].score if key in asked else 0.0,
            said[key].score if key in said else 0.0,
        )
        for key, one in passages.items()
    ]
