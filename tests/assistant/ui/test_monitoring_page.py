"""Monitoring in a real browser: the tab, the choice of a time, the phone, the dark."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.assistant.ui.browsing import Site
from tests.feedback.days import turn, vote

pytestmark = pytest.mark.browser


def answers(site: Site) -> None:
    """Some answers of two adapters over twelve days, an alert, and all of it read."""
    now, monitor = datetime.now(UTC), site.house.monitor
    for age in range(12):
        for number in range(6):
            at = now - timedelta(days=age, seconds=number)
            adapter = None if age > 6 else "lora-0123456789ab"
            vote(site._database, turn(site._database, at, adapter=adapter), "up" if number else "down", at)
    monitor.runs.queue("dpo", "test")
    run = monitor.runs.claim("w")
    if run is not None:
        monitor.runs.finish(run, "parked", "no space left on the machine that trains")
    while monitor.step(beat=True):
        pass


def test_the_tab_shows_cards_plots_and_alerts_and_takes_another_time(
    site: Site, open_page: Callable[..., Any]
) -> None:
    page = open_page("/admin/")
    page.get_by_role("tab", name="Monitoring").click()
    page.get_by_text("No answer in these 30 days.").wait_for()
    answers(site)
    page.reload()
    page.get_by_role("list", name="Open alerts").get_by_text("A run is parked").wait_for()
    page.get_by_role("tab", name="Monitoring").click()
    page.locator("#monitoring .card").nth(1).wait_for()
    assert page.locator("#monitoring figure").count() == 6
    plot = page.get_by_role("img", name="Satisfied.")
    assert "lora-0123456789ab: 83 % on" in plot.get_attribute("aria-label")
    page.get_by_role("button", name="7 days").click()
    page.locator("#monitoring-head [data-days='7'][aria-pressed='true']").wait_for()
    page.locator("#monitoring .card").nth(1).wait_for(state="detached")
    page.get_by_text("The same day by day").click()
    assert page.locator("#monitoring-table tbody tr").count() == 7


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_on_a_phone_nothing_stands_out_of_the_page(
    site: Site, open_page: Callable[..., Any], scheme: str
) -> None:
    page = open_page("/admin/", viewport={"width": 390, "height": 844}, color_scheme=scheme)
    # Tabs that do not fit are in a menu
    page.locator(".overflow-menu > button").click()
    page.locator(".overflow-dropdown button", has_text="Monitoring").click()
    page.locator("#monitoring figure").first.wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    drawn = page.evaluate(
        "[...document.querySelectorAll('#monitoring .field path.s1:not(.band)')]"
        ".map(path => getComputedStyle(path).stroke)"
    )
    assert set(drawn) == {"rgb(31, 111, 92)" if scheme == "light" else "rgb(111, 203, 176)"}
