"""Small turns of phrase that every page needs: sentences, numbers of things, times.

Pure; knows no page.
"""

from __future__ import annotations

from datetime import datetime


def sentence(problem: Exception | str | None) -> str:
    """An error's text as a sentence of its own; empty for none."""
    text = str(problem or "").strip()
    if not text:
        return ""
    return text[0].upper() + text[1:] + ("" if text[-1] in ".!?…" else ".")


def number(count: int, one: str, many: str = "") -> str:
    """`1 vote`, `2 votes`, `1,200 votes`."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def seconds(value: float) -> str:
    """A duration: `45 s`, `3 min 20 s`, `2 h 5 min`."""
    whole = round(value)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def when(moment: datetime) -> str:
    """HTML of a time, which `bus.js` rewrites into the reader's own time zone."""
    return f'<time datetime="{moment.isoformat()}">{moment:%d %b %Y, %H:%M} UTC</time>'


def percent(share: float) -> str:
    """A share, 0 to 1: `4.2 %`, `42 %`."""
    return f"{100 * share:.1f} %" if 0 < share < 0.1 else f"{100 * share:.0f} %"


def short_time(milliseconds: float) -> str:
    """A time that one waits: `420 ms`, `1.5 s`."""
    return f"{milliseconds:.0f} ms" if milliseconds < 995 else f"{milliseconds / 1000:.2g} s"


def amount(value: float) -> str:
    """`1,200`, and `2.5` where it is small."""
    return f"{value:,.0f}" if value >= 10 or value == int(value) else f"{value:.1f}"


_BROWSERS = ("Edg", "OPR", "Firefox", "Chrome", "Safari", "curl", "python")
_SYSTEMS = ("Android", "iPhone", "iPad", "Windows", "Mac OS X", "Linux")
_NAMES = {"Edg": "Edge", "OPR": "Opera", "Mac OS X": "macOS", "python": "Python"}


def browser(agent: str) -> str:
    """What a browser says of itself, as its person would call it: `Firefox on Linux`."""
    found = [
        next((_NAMES.get(word, word) for word in words if word in agent), "")
        for words in (_BROWSERS, _SYSTEMS)
    ]
    return " on ".join(filter(None, found)) or "another browser"
