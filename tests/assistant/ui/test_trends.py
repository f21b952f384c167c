"""Tests of what is drawn of days: whose lines, over how many days, from how many cases."""

from __future__ import annotations

from typing import Any

from assistant.ui import trends
from feedback.days import Day
from feedback.figures import Figures

DAYS = [f"2026-11-{number:02}" for number in range(14, 21)]


def figures(**more: Any) -> Figures:
    values: dict[str, Any] = {
        "statuses": {"complete": 90, "failed": 10},
        "waits": {35: 100},
        "lengths": {30: 90},
    }
    return Figures(**values | more)


def day(day: int = 20, adapter: str = "lora-1", **more: Any) -> Day:
    return Day(f"2026-11-{day:02}", adapter, figures(**more))


def draw(found: list[Day], days: list[str] = DAYS) -> str:
    names = sorted({day.adapter for day in found}, reverse=True)
    colours = {name: place if place < 4 else 0 for place, name in enumerate(names, 1)}
    return "".join(trends.draw(found, days, names, colours))


def test_a_point_of_a_longer_time_sums_up_several_days() -> None:
    one, two = figures(), figures(ups=3)
    assert trends.rolled([one, None, two, two], 1) == [one, None, two, two]
    assert trends.rolled([one, None, two, two], 3) == [one, None, one + two, two + two]
    assert "days a point" not in draw([day()])
    month = [f"2026-10-{number:02}" for number in range(22, 32)] + [f"2026-11-{n:02}" for n in range(1, 21)]
    assert "3 days a point" in draw([day()], month)


def test_shares_of_a_handful_are_not_drawn() -> None:
    html = draw([day(asked_ups=25), day(19, asked_downs=2)])
    assert "Satisfied. lora-1: 100 % on 20 Nov, 100 % on 20 Nov" in html


def test_ratings_given_unasked_are_drawn_where_few_were_asked_for() -> None:
    assert "ratings given unasked" in draw([day(ups=9, asked_ups=3)])
    assert "ratings asked for" in draw([day(ups=9, asked_ups=30)])


def test_the_first_token_has_a_second_line_for_the_slow_ones() -> None:
    html = draw([day()])
    assert "lora-1, 9 of 10: " in html
    assert html.count("dashed") == 2


def test_adapters_without_a_colour_are_drawn_together() -> None:
    html = draw([day(adapter=f"lora-{number}") for number in range(6)])
    assert "others: " in html
    assert "lora-5: " in html
    assert "lora-0: " not in html
