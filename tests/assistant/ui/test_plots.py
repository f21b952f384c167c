"""Tests of the plots as text: what is drawn where, and what is said of it."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest

from assistant.ui import plots
from assistant.ui.plots import Line, scale

DAYS = ["2026-05-01", "2026-05-02", "2026-05-03", "2026-05-04"]


def percent(value: float) -> str:
    return f"{value:.0%}"


@pytest.mark.parametrize(
    ("highest", "top"),
    [(0, 1), (1, 1), (1.01, 2), (2.2, 2.5), (3, 5), (7, 10), (240, 250), (0.031, 0.05), (1e6, 1e6)],
)
def test_a_scale_ends_at_a_round_number(highest: float, top: float) -> None:
    assert scale(highest) == pytest.approx(top)


def test_a_line_bridges_days_without_a_value_and_is_told_in_words() -> None:
    line = Line("lora-1", 1, [0.5, None, 1.0, 0.0], [0.4, None, 0.9, 0.0], [0.6, None, 1.0, 0.2])
    html = plots.lines("Satisfied", "asked", DAYS, [line], percent, most=1.0)
    ElementTree.fromstring(html)
    assert 'd="M12.50 50.00L62.50 0.00L87.50 100.00"' in html
    assert 'class="s1 band"' in html
    assert "lora-1: 50% on 1 May, 0% on 4 May, between 0% and 100%" in html
    assert re.search(r'role="img" aria-label="Satisfied\. ', html)
    assert "<title>3 May\nlora-1: 100%</title>" in html
    assert "<title>2 May</title>" in html


def test_a_day_that_stands_alone_can_be_seen() -> None:
    html = plots.lines("Length", "", DAYS, [Line("a", 1, [None, 5.0, None, None])], str)
    assert 'd="M37.50 0.00h0"' in html


def test_bars_stand_on_each_other() -> None:
    html = plots.bars("Answers", "a day", DAYS, [Line("a", 1, [1, 0, 0, 2]), Line("b", 2, [1, 0, 0, 0])], str)
    ElementTree.fromstring(html)
    drawn = re.findall(
        r'<rect class="(s\d)" x="([\d.]+)" y="([\d.]+)" width="[\d.]+" height="([\d.]+)"', html
    )
    assert drawn == [
        ("s1", "3.50", "50.00", "50.00"),
        ("s1", "78.50", "0.00", "100.00"),
        ("s2", "3.50", "0.00", "50.00"),
    ]


def test_nothing_to_draw_is_said() -> None:
    for html in (plots.lines("A", "", DAYS, [], str), plots.bars("A", "", DAYS, [], str)):
        assert html.count("No figures in this time") == 2, "to those who see and to those who don't"


def test_everything_is_text() -> None:
    bad = '"><script>alert(1)</script>'
    line = Line(bad, 1, [1.0, 2.0, 3.0, 4.0])
    assert "<script" not in plots.lines(bad, bad, DAYS, [line], lambda value: bad)
    assert "<script" not in plots.bars(bad, bad, DAYS, [line], lambda value: bad)
