"""What monitoring looks like, as text."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

from assistant.ui import monitor_views as views
from feedback.alerts import Alert
from feedback.days import Day
from feedback.drift import Change
from feedback.figures import Figures
from tests.assistant.ui.turns import NOON

BAD = "<script>alert(1)</script>"
TODAY = date(2026, 11, 20)


def figures(**more: Any) -> Figures:
    values: dict[str, Any] = {
        "statuses": {"complete": 90, "stopped": 6, "failed": 4},
        "asked_ups": 30,
        "asked_downs": 10,
        "ups": 5,
        "downs": 5,
        "corrections": 3,
        "refusals": 9,
        "completion_tokens": 900,
        "seconds": 96.0,
        "waits": {35: 100},
        "lengths": {30: 90},
    }
    return Figures(**values | more)


def day(age: int = 0, adapter: str = "lora-1", **more: Any) -> Day:
    return Day((TODAY - timedelta(days=age)).isoformat(), adapter, figures(**more))


def body(found: list[Day], length: int = 7, live: str | None = "lora-1", **more: Any) -> str:
    return views.body(found, TODAY, length, live, more.get("moved", []), more.get("price", 0.0))


def test_everything_is_text() -> None:
    html = views.alerts([Alert(1, BAD, BAD, BAD, NOON, None)])
    html += body([day(adapter=BAD)], moved=[Change("refused", BAD, 0.1, 0.2, 0.0, 9)])
    html += views.table([day(adapter=BAD)])
    assert "<script" not in html


def test_where_all_is_well_there_is_no_alert_and_no_room_for_one() -> None:
    assert views.alerts([]) == ""


def test_an_alert_says_what_where_and_since_when() -> None:
    html = views.alerts([Alert(1, "satisfied_fell", "lora-1", "from 90 to 60 %", NOON, None)])
    assert "Fewer people are satisfied" in html
    assert "lora-1" in html
    assert "From 90 to 60 %." in html
    assert "2026-11-20T12:00:00" in html


def test_every_alert_that_there_is_has_a_title() -> None:
    from training import monitor

    known = {rule.alert for rule in monitor.RULES.values()}
    known |= {"answers_fail", "run_parked", "worker_silent", "engine_came_back", "live_tainted"}
    assert known == set(views.TITLES)


def test_no_answer_is_said_in_words() -> None:
    assert "No answer in these 30 days." in views.body([], TODAY, 30, None, [], 0.0)
    assert views.table([]) == ""


def test_a_card_tells_asked_and_unasked_apart_with_intervals() -> None:
    html = body([day()])
    assert "75 %" in html
    assert "60 % to 86 %, of 40 ratings" in html
    assert "50 %" in html
    assert "of 10 ratings" in html
    assert ">live<" in html
    assert 'title="4 of 100: ' in html
    assert "Cost" not in html
    assert "Nothing found" not in html
    assert "no rating" in body([day(ups=0, downs=0)])


def test_costs_and_what_was_not_found_are_told_where_they_are_known() -> None:
    html = body([day(grounded=60)], price=3.6)
    assert "0.001 an answer" in html
    assert "30 answers without a passage" in html


def test_only_what_has_really_moved_is_told() -> None:
    sure, chance = (
        Change("refused", "lora-1", 0.02, 0.1, 1e-5, 90),
        Change("failed", "lora-1", 0.02, 0.1, 0.2, 90),
    )
    html = body([day()], moved=[sure, chance])
    assert html.count("since the week before") == 1
    assert "rose from 2.0 % to 10 %" in html


def test_adapters_beyond_the_colours_are_drawn_together() -> None:
    many = [day(adapter=f"lora-{number}") for number in range(8)] + [day(adapter="")]
    html = body(many)
    assert html.count('<section class="card">') == 6
    assert "3 more adapters: 300 answers." in html
    assert "others: " in html
    assert "base: " in html


def test_the_table_holds_what_the_plots_show_the_newest_first() -> None:
    html = views.table([day(1), day(), day(adapter="")])
    assert html.index("20 Nov") < html.index("19 Nov")
    assert "75 % of 40" in html
    assert ">base<" in html


def test_the_choice_of_a_time_says_which_is_chosen() -> None:
    html = views.heading(30)
    assert html.count("show_days") == 3
    assert 'data-days="30" aria-pressed="true"' in html
    assert html.count('aria-pressed="false"') == 2
