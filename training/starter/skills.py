"""General skills kept apart from the shop: sums, sorting, spelling, the calendar, plain true or false.

Owns the tasks, which of them are kept back for scoring, and when an answer is right. Words and wordings
are in `skills.toml`. Does not know the shop, its manners, or how tasks are mixed into a corpus.
"""

from __future__ import annotations

import random
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from training.starter.records import Message, turn
from training.starter.values import is_kept_back
from training.starter.wording import lower_first, slip, upper_first, vary

SKILLS: tuple[str, ...] = ("sum", "sort", "spell", "calendar", "yes_no")

_SALT = "starter skills 1"

# Chances: of an answer without a sentence around it, and of each way in which a question is typed.
_BARE = 0.65
_OPENED = 0.25
_SLIPPED = 0.05
_LOWERED = 0.15
_UNMARKED = 0.15

_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
# A year that is no leap year.
_MONTHS = {
    "January": 31,
    "February": 28,
    "March": 31,
    "April": 30,
    "May": 31,
    "June": 30,
    "July": 31,
    "August": 31,
    "September": 30,
    "October": 31,
    "November": 30,
    "December": 31,
}


@dataclass(frozen=True)
class Task:
    """One question, a short right answer, and what `is_right` compares with.

    `fresh` tasks are for scoring: no training task has the same case.
    """

    skill: str
    ask: str
    answer: str
    expected: str
    fresh: bool


@dataclass(frozen=True)
class _Draft:
    """A task before its words are filled in: `case` is what may be kept back, None what never is."""

    line: str
    short: str
    fills: Mapping[str, str]
    expected: str
    bare: str
    says: str
    case: str | None


@cache
def _book() -> dict[str, Any]:
    return tomllib.loads((Path(__file__).parent / "skills.toml").read_text(encoding="utf-8"))


@cache
def words() -> tuple[str, ...]:
    """The words to sort and to spell."""
    return tuple(_book()["words"].split())


def reserved(skill: str, case: str) -> bool:
    """Whether `case` is kept back for scoring: one in eight, the same on every machine and for every seed."""
    return is_kept_back(f"{_SALT} {skill} {case}")


def task(rng: random.Random, skill: str, fresh: bool = False) -> Task:
    """One task of `skill`: for training, or a `fresh` one for scoring."""
    draft = _draw(rng, skill, fresh)
    ask = _asked(rng, draft, draft.line, slips=not fresh)
    return Task(skill, ask, _answer(draft, rng.random() < _BARE), draft.expected, fresh)


def drill(rng: random.Random, skill: str, count: int) -> list[Message]:
    """A conversation of `count` training tasks of one skill, answered in one style; later ones may be short.

    A short question still says all it asks, since the one before it may be of another kind.
    """
    bare = rng.random() < _BARE
    messages: list[Message] = []
    for place in range(count):
        draft = _draw(rng, skill, fresh=False)
        line = draft.short if place and rng.random() < 0.5 else draft.line
        messages += turn(_asked(rng, draft, line, slips=True), _answer(draft, bare))
    return messages


def _draw(rng: random.Random, skill: str, fresh: bool) -> _Draft:
    while True:
        draft = _MAKERS[skill](rng)
        if (draft.case is not None and reserved(skill, draft.case)) == fresh:
            return draft


def _asked(rng: random.Random, draft: _Draft, line: str, slips: bool) -> str:
    """`line` as it is typed. A slip comes before the filling: holes are too short for one to fall into."""
    if slips and rng.random() < _SLIPPED:
        line = slip(rng, line)
    ask = _filled(line, draft.fills)
    if rng.random() < _LOWERED:
        ask = ask.lower()
    if rng.random() < _UNMARKED:
        ask = ask.rstrip("?.")
    return ask


def _answer(draft: _Draft, bare: bool) -> str:
    return draft.bare if bare else _filled(draft.says, draft.fills)


def _filled(line: str, fills: Mapping[str, str]) -> str:
    for hole, text in fills.items():
        line = line.replace(f"{{{hole}}}", text)
    return upper_first(line)


def _draft(
    rng: random.Random,
    page: Mapping[str, Any],
    fills: dict[str, str],
    bare: str,
    expected: str,
    case: str | None,
) -> _Draft:
    line = vary(rng, rng.choice(page["asks"]))
    if rng.random() < _OPENED:
        line = f"{vary(rng, rng.choice(_book()['openers']))} {lower_first(line)}"
    says = vary(rng, rng.choice(page["says"]))
    return _Draft(line, vary(rng, page["short"]), fills, expected, bare, says, case)


def _by_wording(draft: _Draft) -> _Draft:
    """`draft` with its wording as its case.

    There are seven days and a few score of facts, and each must have been learnt to be known. So what is
    kept back is one wording of one content; the content itself is met in training in other wordings.
    """
    line = _filled(draft.line, draft.fills).lower().rstrip("?.")
    return replace(draft, case=line)


# Makers: one case each, at random


def _sum(rng: random.Random) -> _Draft:
    if rng.random() < 0.15:
        a, b = rng.randrange(10), rng.randrange(10)
    else:
        total = rng.randrange(100)
        a = rng.randrange(total + 1)
        b = total - a
    # The sums of two digits, and those with nothing, are what all others are made of.
    case = None if max(a, b) < 10 or min(a, b) == 0 else f"{min(a, b)}+{max(a, b)}"
    result = str(a + b)
    fills = {"a": str(a), "b": str(b), "r": result, "how": _worked(a, b)}
    return _draft(rng, _book()["sum"], fills, f"{fills['how']}.", result, case)


def _worked(a: int, b: int) -> str:
    """The sum digit by digit, as at school: a small model has no room to do it in its head."""
    if max(a, b) < 10:
        return f"{a} + {b} = {a + b}"
    ones = a % 10 + b % 10
    tens = f"{a // 10} + {b // 10}" + (" + 1" if ones > 9 else "")
    return f"{a % 10} + {b % 10} = {ones}, {tens} = {a // 10 + b // 10 + ones // 10}, so {a + b}"


@cache
def _by_start(length: int) -> dict[str, tuple[str, ...]]:
    """The words by their first `length` letters."""
    starts = sorted({one[:length] for one in words()})
    return {start: tuple(one for one in words() if one.startswith(start)) for start in starts}


def _sort(rng: random.Random) -> _Draft:
    groups = _by_start(1)
    if rng.random() >= 0.75:
        # One first letter for all three, so that the second decides.
        pairs = _by_start(2)
        rich = [first for first in groups if sum(pair[0] == first for pair in pairs) >= 3]
        first = rng.choice(rich)
        groups = {pair: group for pair, group in pairs.items() if pair[0] == first}
    three = [rng.choice(groups[start]) for start in rng.sample(list(groups), 3)]
    right = ", ".join(sorted(three))
    listed = rng.choice((", ".join(three), f"{three[0]}, {three[1]} and {three[2]}", " ".join(three)))
    return _draft(rng, _book()["sort"], {"w": listed, "r": right}, f"{right}.", right, right)


def _spell(rng: random.Random) -> _Draft:
    word = rng.choice([one for one in words() if len(one) <= 5])
    # Forwards is never kept back: to know the letters of a word is the first half of turning it round.
    forward = rng.random() < 0.4
    letters = "-".join(word if forward else reversed(word))
    page = _book()["forward" if forward else "backward"]
    # The letters are first numbered, the same way for both; backwards they are counted down as well: looking
    # up is easier than turning round.
    numbered = [f"{place}{letter}" for place, letter in enumerate(word, 1)]
    counted = " ".join(numbered) if forward else f"{' '.join(numbered)}, {' '.join(reversed(numbered))}"
    said = f"{counted}: {letters}"
    return _draft(rng, page, {"w": word, "r": said}, f"{said}.", letters, None if forward else word)


def _calendar(rng: random.Random) -> _Draft:
    book = _book()["calendar"]
    kind = rng.choice(("after", "before", "after", "before", "skip", "length", "units", "nth", "place"))
    months = tuple(_MONTHS)
    month = rng.choice(months)
    if kind in ("after", "before", "skip"):
        days = kind == "skip" or rng.random() < 0.5
        names = _DAYS if days else months
        at, step = rng.randrange(len(names)), {"after": 1, "before": -1, "skip": 2}[kind]
        fills = {"k": "day" if days else "month", "x": names[at]}
        expected = names[(at + step) % len(names)]
    elif kind == "length":
        fills = {"x": month, "y": " in a normal year" if month == "February" else ""}
        expected = str(_MONTHS[month])
    elif kind == "units":
        unit, period, many = rng.choice(book["units_of"])
        fills, expected = {"u": unit, "p": period}, str(many)
    elif kind == "nth":
        fills, expected = {"x": book["ordinals"][months.index(month)]}, month
    else:
        fills, expected = {"x": month}, str(months.index(month) + 1)
    page = {"says": book["says"]} | book[kind]
    return _by_wording(_draft(rng, page, fills | {"r": expected}, f"{expected}.", expected, None))


def _yes_no(rng: random.Random) -> _Draft:
    book = _book()["yes_no"]
    if rng.random() < 0.5:
        true = rng.random() < 0.5
        subject, verb, rest = rng.choice(book["yes" if true else "no"]).split("|")
    else:
        order = rng.choice(book["order"])
        less, more = sorted(rng.sample(range(len(order["items"])), 2))
        upwards = rng.choice([trait for trait in ("more", "less") if trait in order]) == "more"
        true = rng.random() < 0.5
        first, other = (more, less) if upwards == true else (less, more)
        subject, verb = order["items"][first], "is"
        rest = f"{order['more' if upwards else 'less']} than {order['items'][other]}"
    helper = {"has": "does", "have": "do"}.get(verb, verb)
    asked = f"{helper} {subject} {rest}" if helper == verb else f"{helper} {subject} have {rest}"
    pronoun = "they" if verb in ("are", "have") else "it"
    denied = "cannot" if helper == "can" else f"{helper} not"
    expected = "yes" if true else "no"
    bare = f"{expected.capitalize()}."
    said = f"{expected.capitalize()}, {pronoun} {helper if true else denied}."
    page = {"asks": book["asks"], "short": book["short"], "says": [said]}
    fills = {"q": asked, "s": f"{subject} {verb} {rest}"}
    return _by_wording(_draft(rng, page, fills, bare, expected, None))


_MAKERS: dict[str, Callable[[random.Random], _Draft]] = {
    "sum": _sum,
    "sort": _sort,
    "spell": _spell,
    "calendar": _calendar,
    "yes_no": _yes_no,
}


# Judging


def is_right(task_skill: str, text: str, expected: str, ask: str = "") -> bool:
    """Whether `text` gives `expected`, bare or in a sentence, and no wrong answer beside it.

    Days, months and numbers that stand in `ask` may be said again in an answer about the calendar.
    """
    if task_skill == "calendar":
        return _is_date(text, expected, ask)
    return _JUDGES[task_skill](text, expected)


_NUMBER = re.compile(r"(?<![\w.])-?\d+(?:[.,]\d+)*")


def _is_sum(text: str, expected: str) -> bool:
    found = _NUMBER.findall(text)
    return bool(found) and found[-1] == expected


_BETWEEN = r"[^a-z]+(?:(?:and|then|next|finally|last|second|third|before|comes|is)[^a-z]+){0,3}"


def _is_sorted(text: str, expected: str) -> bool:
    small, three = text.lower(), expected.split(", ")
    found = re.findall(rf"\b(?:{'|'.join(three)})\b", small)
    return found == three and re.search(rf"\b{_BETWEEN.join(three)}\b", small) is not None


_HYPHENED = re.compile(r"\b[a-z](?: ?- ?[a-z]\b)+")
_SPACED = re.compile(r"\b[a-z](?:,? [a-z]\b)+")


def _is_spelled(text: str, expected: str) -> bool:
    small, letters = text.lower(), expected.replace("-", "")
    for pattern in (_HYPHENED, _SPACED):
        found = [re.sub("[^a-z]", "", run) for run in pattern.findall(small)]
        if found:
            return found[-1] == letters
    return letters in re.findall("[a-z]+", small)


# A small may is a verb, and so is "May I help you with anything else?".
_NAMED = re.compile(
    rf"\b(?:(?i:{'|'.join(name for name in (*_DAYS, *_MONTHS) if name != 'May')})|May(?! I\b))\b"
)
_COUNTED = re.compile(r"\d+(?:[.,]\d+)*|[a-z]+(?:-[a-z]+)?")


def _numbers(text: str) -> set[str]:
    written = _book()["calendar"]["numbers"]
    found = (str(written.get(one, one)) for one in _COUNTED.findall(text.lower()))
    return {one for one in found if one[0].isdigit()}


def _is_date(text: str, expected: str, ask: str) -> bool:
    if expected.isdigit():
        said = _numbers(text)
        return expected in said and not said - {expected} - _numbers(ask)
    names = {name.lower() for name in _NAMED.findall(text)}
    asked = {name.lower() for name in re.findall(r"\w+", ask)}
    return expected.lower() in names and not names - {expected.lower()} - asked


# "No problem" and the like are courtesies or rebuffs, not answers.
_YES_NO = re.compile(r"\b(yes|no)\b(?! (?:problem|time|idea|doubt|worries|matter)\b)", re.IGNORECASE)


def _is_yes_no(text: str, expected: str) -> bool:
    found = _YES_NO.search(text)
    return found is not None and found.group(1).lower() == expected


_JUDGES: dict[str, Callable[[str, str], bool]] = {
    "sum": _is_sum,
    "sort": _is_sorted,
    "spell": _is_spelled,
    "yes_no": _is_yes_no,
}
