"""What a comparison looks like, as text and in a browser."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from assistant.ui import comparison_view as view
from tests.assistant.ui.browsing import Site
from training.comparison import HELPERS, Answered, Comparison, Judge, cells, measure
from training.comparison_verdict import verdict

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
BAD = "<script>alert(1)</script>"
JUDGE = Judge("a model of the votes", "40 ups, 56 downs, AUC 0.91, at least 0.84")
TOKENS = {"prompt": 412, "adapter": 0, "retrieval": 655, "examples": 80}
GAINS = {"prompt": 0.2, "adapter": 0.45, "retrieval": 0.03, "examples": 0.1}


def comparison(
    have: Any = HELPERS, judge: Judge = JUDGE, price: float | None = 0.0002, **more: Any
) -> Comparison:
    """A comparison as it comes of 40 questions, with figures that look alive."""
    chance, answers = random.Random(2), []
    for number in range(40):
        ease = chance.uniform(0.1, 0.4)
        for cell in cells(have):
            share = min(0.97, ease + sum(GAINS[name] for name in cell.helpers))
            read = 30 + sum(TOKENS[name] for name in cell.helpers)
            first = 0.04 + read / 20_000 + chance.random() / 50
            liked = None if judge.abstains else float(chance.random() < share)
            seconds = first + chance.uniform(0.3, 0.7)
            answers.append(
                Answered(number, cell, liked, read, 34, 160, first, seconds, chance.random() < 0.02)
            )
    rows, looks = measure(answers, have, 40, price)
    notes = (
        "Judged by a model of the votes.",
        "The 13 intervals of differences hold all together with 95 %.",
    )
    found = Comparison(
        datetime.now(UTC) - timedelta(hours=3), "starter", "lora-3fa9c1d07e52", "the store", 40, judge,
        tuple(rows), tuple(looks), tuple(verdict(looks, judge)), notes,
    )  # fmt: skip
    return replace(found, **more)


def test_everything_is_text() -> None:
    html = view.draw(
        comparison(
            model=BAD, adapter=BAD, source=BAD, verdict=(BAD, BAD), notes=(BAD,), judge=Judge(BAD, BAD)
        )
    )
    assert "<script>" not in html


def test_nothing_yet_says_the_command() -> None:
    assert "<code>apprentice compare</code>" in view.draw(None)


def test_every_cell_has_a_row_with_a_bar_and_words() -> None:
    found = comparison()
    html = view.draw(found)
    assert html.count('<th scope="row">') == 10
    assert html.count("<svg") == 10
    assert "Helps here: the adapter" in html
    assert html.count("+ long prompt</span>") == 4
    widths = [float(width) for width in re.findall(r'class="share" width="([\d.]+)"', html)]
    assert widths == [round(100 * row.liked.value, 1) for row in found.rows if row.liked]
    # Bars are decoration: what they show stands beside them.
    assert html.count('aria-hidden="true"') == 10
    assert f"<b>{found.rows[1].liked.value:.0%}</b>" in html  # type: ignore[union-attr]


def test_what_is_not_known_is_folded() -> None:
    html = view.draw(comparison())
    shown, _, folded = html.partition("<summary>What these questions do not show</summary>")
    assert "<li>The adapter helps" in shown
    assert "<li>Not enough evidence" not in shown
    assert "<li>Not enough evidence whether" in folded


def test_four_cells_without_a_price_have_fewer_columns() -> None:
    html = view.draw(comparison(("prompt", "adapter"), price=None))
    assert html.count('<th scope="row">') == 4
    for name in ("Cost", "Failed"):
        assert f">{name}</th>" not in html
    assert ">Cost</th>" in view.draw(comparison())
    failed = comparison()
    rows = tuple(replace(row, failed=1) for row in failed.rows)
    assert ">Failed</th>" in view.draw(replace(failed, rows=rows))


def test_a_judge_that_abstains_leaves_a_column_that_says_so() -> None:
    html = view.draw(comparison(judge=Judge("x", abstains="there are too few votes")))
    assert "Nobody can say which answers are better: there are too few votes" in html
    assert ">Liked (judge abstains)</th>" in html
    assert ">Against base</th>" not in html
    assert "<svg" not in html


def test_a_difference_is_coloured_only_where_it_is_one() -> None:
    found = comparison()
    html = view.draw(found)
    sure = sum(row.gain is not None and row.gain.low > 0 for row in found.rows)
    assert html.count('<b class="good">+') == sure > 0
    assert '<b class="plain">' in html


@pytest.mark.browser
@pytest.mark.parametrize(
    ("width", "scheme"), [(1280, "light"), (1280, "dark"), (390, "light"), (390, "dark")]
)
def test_it_fits_the_screen(
    site: Site, open_page: Callable[..., Any], width: int, scheme: str, tmp_path: Any
) -> None:
    site.comparison = None
    page = open_page("/admin/", viewport={"width": width, "height": 900}, color_scheme=scheme)
    page.get_by_text("Nothing has been compared yet.").wait_for()
    assert page.locator("#comparison code").inner_text() == "apprentice compare"
    site.comparison = comparison()
    page.get_by_text("Helps here: the adapter").wait_for()
    page.get_by_text("How to read this").click()
    page.get_by_text("hold all together").wait_for()
    page.locator("#comparison").scroll_into_view_if_needed()
    room = "document.documentElement.scrollWidth <= document.documentElement.clientWidth"
    assert page.evaluate(room), "the page itself never scrolls sideways"
    box = page.locator("#comparison .share").first.bounding_box()
    assert box["width"] > 10
    assert 0 <= box["x"] < width
    page.locator("#comparison").screenshot(path=tmp_path / "comparison.png")
