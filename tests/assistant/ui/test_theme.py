"""Colours and files of the pages."""

from __future__ import annotations

import re

from assistant.ui import theme

STYLES = ("colours", "parts", "chat", "admin", "comparison", "monitor", "pages")


def test_nothing_is_fetched_from_elsewhere() -> None:
    assert theme.theme()._stylesheets == []
    for name in STYLES:
        assert "//" not in theme.style(name)
        assert "@import" not in theme.style(name)
        assert "url(" not in theme.style(name)
    assert "://" not in theme.script("bus", "chat")


def test_colours_stand_in_one_file_only() -> None:
    for name in STYLES[1:]:
        assert not re.findall(r"#[0-9a-f]{3,8}\b(?=[;\s])", theme.style(name)), name


def test_every_colour_that_is_used_exists() -> None:
    known = set(re.findall(r"(--[\w-]+):", theme.style("colours")))
    used = set(re.findall(r"var\((--[\w-]+)", theme.style(*STYLES[1:]))) | set(theme._VARIABLES.values())
    assert used <= known


def _luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    """WCAG 2.2, 1.4.3."""
    light, dark = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_text_can_be_read_in_light_and_dark() -> None:
    pairs = re.findall(r"--([\w-]+): light-dark\((#\w{6}), (#\w{6})\)", theme.style("colours"))
    for side in (0, 1):
        colour = {name: (light, dark)[side] for name, light, dark in pairs}
        for text, grounds in {
            "ink": ("paper", "raised", "sunk", "hover", "tint"),
            "faint": ("paper", "raised", "sunk", "tint"),
            "accent": ("paper", "raised", "sunk", "tint"),
            "on-accent": ("accent", "accent-strong"),
            "warn": ("warn-tint",),
            "bad": ("bad-tint", "raised", "paper"),
        }.items():
            for ground in grounds:
                assert contrast(colour[text], colour[ground]) >= 4.5, (text, ground, side)


def test_the_head_holds_our_mark_and_styles() -> None:
    head = theme.head("colours", "chat")
    assert 'href="data:image/svg+xml;base64,' in head
    assert "#composer" in head
    assert "</style>" in head
