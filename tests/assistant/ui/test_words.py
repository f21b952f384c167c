"""Sentences, numbers and times."""

from __future__ import annotations

import pytest

from assistant.ui.words import amount, browser, number, percent, seconds, sentence, short_time, when
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


@pytest.mark.parametrize(
    ("agent", "name"),
    [
        ("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0", "Firefox on Linux"),
        (
            "Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 Chrome/140.0 Safari/537.36 Edg/140.0",
            "Edge on Windows",
        ),
        (
            "Mozilla/5.0 (iPhone; CPU iPhone OS 19_0 like Mac OS X) Version/19.0 Mobile/15E148 Safari/604.1",
            "Safari on iPhone",
        ),
        (
            "Mozilla/5.0 (Linux; Android 16) AppleWebKit/537.36 Chrome/140.0 Mobile Safari/537.36",
            "Chrome on Android",
        ),
        ("curl/8.5", "curl"),
        ("<b>", "another browser"),
        ("", "another browser"),
    ],
)
def test_a_browser_is_named_as_people_call_it(agent: str, name: str) -> None:
    assert browser(agent) == name
