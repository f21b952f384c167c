"""The settings in force, as text."""

from __future__ import annotations

from assistant.origins import MASK, Setting
from assistant.ui import settings_view


def test_sections_values_and_origins() -> None:
    html = settings_view.draw(
        [
            Setting("APPRENTICE_MODEL", "<b>", "environment"),
            Setting("APPRENTICE_ENGINE_KEY", MASK, "file named by APPRENTICE_ENGINE_KEY_FILE", True),
            Setting("APPRENTICE_CHAT__TOP_P", "", "default"),
        ]
    )
    assert "2 of 3 are set otherwise" in html
    assert html.count("<table>") == 2
    assert "&lt;b&gt;" in html
    assert ">secret<" in html
    assert ">Chat<" in html
