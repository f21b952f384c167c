"""Sentences, numbers and times."""

from __future__ import annotations

import pytest

from assistant.ui.words import amount, number, percent, seconds, sentence, short_time, when
from tests.assistant.ui.turns import NOON


@pytest.mark.parametrize(
    ("said", "sentence_of_it"),
    [
        ("no engine is ready", "No engine is ready."),
        ("Really?", "Really?"),
        (" it is … ", "It is …"),
        ("", ""),
        (None, ""),
    ],
)
def test_sentences(said: str | None, sentence_of_it: str) -> None:
    assert sentence(said) == sentence_of_it
    assert sentence(ValueError("x y")) == "X y."


def test_numbers() -> None:
    assert number(1, "vote") == "1 vote"
    assert number(1200, "vote") == "1,200 votes"
    assert number(2, "reply", "replies") == "2 replies"


@pytest.mark.parametrize(("value", "text"), [(4.6, "5 s"), (200, "3 min 20 s"), (7500, "2 h 5 min")])
def test_durations(value: float, text: str) -> None:
    assert seconds(value) == text


def test_times_carry_what_the_browser_needs() -> None:
    assert when(NOON) == '<time datetime="2026-11-20T12:00:00+00:00">20 Nov 2026, 12:00 UTC</time>'


def test_shares_times_and_amounts_are_short() -> None:
    assert [percent(share) for share in (0, 0.042, 0.5, 1)] == ["0 %", "4.2 %", "50 %", "100 %"]
    assert [short_time(time) for time in (4, 420.4, 999, 15_400)] == ["4 ms", "420 ms", "1 s", "15 s"]
    assert [amount(value) for value in (0, 2.5, 3, 1_234.5)] == ["0", "2.5", "3", "1,234"]
