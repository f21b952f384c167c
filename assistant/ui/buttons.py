"""Our small buttons as HTML: each names what it does in `data-act`, which `bus.js` turns into an event.

The drawings on them are inline SVG: nothing to fetch, and they take the colour of the text.
"""

from __future__ import annotations

from html import escape

_LINES = {
    "menu": "M4 7h16M4 12h16M4 17h16",
    "plus": "M12 5v14M5 12h14",
    "copy": "M9 9h10v11H9zM15 9V4H5v11h4",
    "again": "M19.5 8.5A8 8 0 1 0 20 13M20 4v4.7h-4.7",
    "edit": "M4 20l1-4L16.5 4.5a1.8 1.8 0 0 1 2.6 0l.4.4a1.8 1.8 0 0 1 0 2.6L8 19z",
    "up": "M7 11v9H4v-9zM7 11l4-7c1.5 0 2.4 1.1 2.1 2.5L12.4 10H18a2 2 0 0 1 2 2.4l-1.3 6A2 2 0 0 1 17 20H7",
    "down": "M17 13V4h3v9zM17 13l-4 7c-1.5 0-2.4-1.1-2.1-2.5l.7-3.5H6a2 2 0 0 1-2-2.4l1.3-6A2 2 0 0 1 7 4h10",
    "previous": "M14.5 6l-6 6 6 6",
    "next": "M9.5 6l6 6-6 6",
    "leave": "M10 5H5v14h5M15 8l4 4-4 4M19 12H9",
    "gear": "M4 8h9M17 8h3M4 16h3M11 16h9M15 6v4M9 14v4",
    "chat": "M5 5h14v11H12l-4 4v-4H5z",
    "book": "M5 5.5A1.5 1.5 0 0 1 6.5 4H19v13H6.5A1.5 1.5 0 0 0 5 18.5zM5 18.5A1.5 1.5 0 0 0 6.5 20H19v-3",
    "tool": "M20 7.5l-3 3-3.5-3.5 3-3a5 5 0 0 0-6.3 6.3L4 16.5 7.5 20l6.2-6.2A5 5 0 0 0 20 7.5z",
    "check": "M9 11.5l2.5 2.5L19 6.5M19 12v7H5V5h9",
    "dots": "M5.5 12h.01M12 12h.01M18.5 12h.01",
    "alert": "M12 4l9 16H3zM12 10v4M12 17v.4",
}


def icon(name: str) -> str:
    """A line drawing; what it means is said by what stands around it."""
    return (
        '<svg class="line" viewBox="0 0 24 24" width="20" height="20" fill="none" stroke="currentColor" '
        'stroke-width="1.7" stroke-linecap="round" stroke-linejoin="round" aria-hidden="true">'
        f'<path d="{_LINES[name]}"/></svg>'
    )


def button(label: str, act: str, *, look: str = "small", off: bool = False, **data: str) -> str:
    """A button with a word on it. `data` goes along with the event; `off` greys it out."""
    return f'<button type="button" class="{look}"{_data(act, data)}{_off(off)}>{escape(label)}</button>'


def drawn(drawing: str, label: str, act: str, *, off: bool = False, **data: str) -> str:
    """A button with a drawing on it; `label` is for those who point at it and those who can't see it."""
    name = escape(label)
    return (
        f'<button type="button" class="icon"{_data(act, data)}{_off(off)} '
        f'aria-label="{name}" title="{name}">{icon(drawing)}</button>'
    )


def copier(text: str, label: str) -> str:
    """A button that copies `text` to the letter."""
    return (
        f'<button type="button" class="icon" data-copy="text" data-text="{escape(text)}" '
        f'aria-label="{escape(label)}" title="{escape(label)}">{icon("copy")}</button>'
    )


def thumb(turn_id: str, which: str, label: str, pressed: bool) -> str:
    """A thumb, `up` or `down`. A second click on a pressed one takes the vote back."""
    return (
        f'<button type="button" class="icon thumb"'
        f"{_data('rate', {'turn': turn_id, 'thumb': '' if pressed else which})} "
        f'aria-pressed="{str(pressed).lower()}" aria-label="{label}" title="{label}">{icon(which)}</button>'
    )


def sign_out() -> str:
    """The way out: a form, since a link could be followed by mistake."""
    return (
        f'<form method="post" action="/logout"><button type="submit">{icon("leave")}Sign out</button></form>'
    )


def _data(act: str, data: dict[str, str]) -> str:
    return f' data-act="{act}"' + "".join(f' data-{name}="{escape(value)}"' for name, value in data.items())


def _off(off: bool) -> str:
    return " disabled" if off else ""
