"""Notices, as text."""

from __future__ import annotations

from assistant.notices import Notice
from assistant.ui import notices_view
from tests.assistant.ui.test_admin_views import BAD
from tests.assistant.ui.turns import NOON


def notice(kind: str, name: str, new: bool = True, text: str = BAD) -> Notice:
    return Notice(NOON, kind, name, "run-0123456789abcdef", text, new)


def test_each_kind_has_its_words() -> None:
    html = notices_view.draw(
        [
            notice("run", "failed"),
            notice("gate", "rejected", text=""),
            notice("alert", "engine_came_back"),
            notice("alert", BAD),
        ]
    )
    for text in (
        "A run failed",
        "The gate turned an adapter down",
        "The engine was away and is back",
        "run …89abcdef",
    ):
        assert text in html
    assert "<script>" not in html
    assert html.count(">new<") == 4
    assert "notices_see" in html


def test_what_was_seen_needs_no_button() -> None:
    assert "notices_see" not in notices_view.draw([notice("run", "done", new=False)])
    assert "Nothing has happened yet." in notices_view.draw([])


def test_the_pill_counts() -> None:
    assert notices_view.pill(0) == ""
    assert "2 new notices" in notices_view.pill(2)
    assert "100 or more" in notices_view.pill(100)
