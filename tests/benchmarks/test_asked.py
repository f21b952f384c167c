"""The questions about the shop: every label is true of the documents, and no question is a quote of one."""

from __future__ import annotations

import re
from collections import Counter
from functools import cache
from itertools import product

import pytest

from benchmarks import asked
from training.starter import library
from training.starter.facts import facts

_IN_A_ROW = 5
_SHARE = 0.2


def words(text: str) -> list[str]:
    return re.findall(r"[^\W_]+", text.lower())


# Words that say nothing about what is asked
_EMPTY_WORDS = """
    a about all am an and any are as at be been before but by can could did do does doing down for
    from get had has have he her his how i if in into is isn it its just may me much my no not of
    off on once one or our out over she should so some than that the their them then there they
    this to too up us was we were what when where which who whom why will with would you your s t
    ll ve re m d
"""
_EMPTY = frozenset(words(_EMPTY_WORDS))


@cache
def documents() -> dict[str, str]:
    return {path.stem: path.read_text("utf-8") for path in sorted(library.folder().glob("*.md"))}


def content(text: str) -> list[str]:
    return [word for word in words(text) if word not in _EMPTY]


def runs(text: str, length: int) -> set[tuple[str, ...]]:
    all_words = words(text)
    return {tuple(all_words[at : at + length]) for at in range(len(all_words) - length + 1)}


def in_order(first: list[str], second: list[str]) -> int:
    """How many words of `first` come in `second` in the same order."""
    best = [0] * (len(second) + 1)
    for one in first:
        before = 0
        for at, other in enumerate(second, 1):
            before, best[at] = best[at], before + 1 if one == other else max(best[at], best[at - 1])
    return best[-1]


def written_out(line: str) -> list[str]:
    """Every line that a line of the starter's grammar stands for."""
    parts = re.split(r"\[([^\]]*)\]", line)
    choices = [part.split("|") if place % 2 else [part] for place, part in enumerate(parts)]
    return ["".join(one) for one in product(*choices)]


def test_there_are_enough_of_them_and_none_twice() -> None:
    answered, unanswered = asked.answered(), asked.unanswered()
    assert len(answered) >= 320
    assert Counter(one.kind for one in unanswered).keys() == {"near", "far"}
    assert len(unanswered) >= 80
    texts = [one.question.lower() for one in (*answered, *unanswered)]
    assert len(set(texts)) == len(texts)


def test_every_document_is_asked_about() -> None:
    count = Counter(one.document for one in asked.answered())
    assert count.keys() == documents().keys()
    assert min(count.values()) >= 3


def test_the_documents_hold_what_is_said_to_be_in_them() -> None:
    for one in asked.answered():
        assert asked.holds(documents()[one.document], one.values[:1]), one
        for other in one.also:
            assert other != one.document
            assert asked.holds(documents()[other], one.values), (one, other)


def test_no_question_holds_its_own_answer() -> None:
    wrong = [one for one in asked.answered() if asked.holds(one.question, one.values[:1])]
    assert not wrong


def test_no_question_quotes_a_document() -> None:
    quotable = set().union(*(runs(text, _IN_A_ROW) for text in documents().values()))
    for one in (*asked.answered(), *asked.unanswered()):
        assert not runs(one.question, _IN_A_ROW) & quotable, one


def test_no_question_repeats_its_passage() -> None:
    for one in asked.answered():
        for part in documents()[one.document].split("\n## ")[1:]:
            told = content(part)
            assert in_order(content(one.question), told) <= max(2, _SHARE * len(told)), (one, part)


def test_no_question_is_worded_as_the_starter_was_taught() -> None:
    taught = {frozenset(words(line)) for fact in facts() for ask in fact.asks for line in written_out(ask)}
    for one in asked.answered():
        mine = frozenset(words(one.question))
        assert all(len(mine & other) / len(mine | other) < 0.7 for other in taught), one


def test_both_halves_are_of_a_size() -> None:
    for questions in (asked.answered(), asked.unanswered()):
        share = sum(asked.is_development(one.question) for one in questions) / len(questions)
        assert 0.4 < share < 0.6


@pytest.mark.parametrize(
    ("text", "value", "held"),
    [
        ("It costs 3 euros.", "3 euros", True),
        ("It costs 13 euros.", "3 euros", False),
        ("Label: 4.90 euros", "4.90", True),
        ("It is 14.90.", "4.90", False),
        ("It is 4.90.", "90", False),
        ("In size 41.5", "41", False),
        ("Once a Year", "once a year", True),
    ],
)
def test_a_value_stands_by_itself(text: str, value: str, held: bool) -> None:
    assert asked.holds(text, [value]) is held


def test_a_passage_answers_only_in_a_right_document() -> None:
    one = asked.Asked("?", "a", ("two weeks", "14 days"), ("b",))
    assert one.is_answered_by("a", "within two weeks")
    assert not one.is_answered_by("a", "within 14 days")
    assert one.is_answered_by("b", "within 14 days")
    assert not one.is_answered_by("c", "within two weeks")
