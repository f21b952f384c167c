"""Plain pages of HTML without any script, for everything that comes before gradio.

Owns what such a page looks like and which headers it has. Knows no account and no route.
"""

from __future__ import annotations

from html import escape

from fastapi.responses import HTMLResponse

from assistant.ui import theme

_HEADERS = {
    "cache-control": "no-store",
    "content-security-policy": (
        "default-src 'none'; style-src 'unsafe-inline'; img-src data:; form-action 'self'; "
        "frame-ancestors 'none'; base-uri 'none'"
    ),
    # The set-up link is a secret: it must not be told to where one goes from here.
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}


def sheet(title: str, text: str, body: str, *, problem: str = "", status: int = 200) -> HTMLResponse:
    """A page with one card on it. `title`, `text` and `problem` are plain text, `body` is HTML."""
    warning = f'<p class="problem" role="alert">{escape(problem)}</p>' if problem else ""
    explained = f"<p>{escape(text)}</p>" if text else ""
    card = f'<div class="card"><h1>{escape(title)}</h1>{explained}{warning}{body}</div>'
    return _page(title, "", card, status)


def wide(title: str, body: str) -> HTMLResponse:
    """A page as wide as its tables. `title` is plain text, `body` is HTML with a heading of its own."""
    return _page(title, ' class="wide"', f'<div class="card">{body}</div>', 200)


def _page(title: str, kind: str, body: str, status: int) -> HTMLResponse:
    mark = theme.favicon()
    html = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<title>{escape(title)} · Apprentice</title><link rel="icon" href="{mark}">'
        f"<style>{theme.style('colours', 'pages')}</style></head><body><main{kind}>"
        f'<div class="brand"><img src="{mark}" alt="">Apprentice</div>{body}</main></body></html>'
    )
    return HTMLResponse(html, status, _HEADERS)


def form(action: str, button: str, *fields: str, hidden: dict[str, str] | None = None) -> str:
    """A form that is sent to `action`; `hidden` values go along."""
    kept = "".join(
        f'<input type="hidden" name="{escape(name)}" value="{escape(value)}">'
        for name, value in (hidden or {}).items()
    )
    return (
        f'<form method="post" action="{escape(action)}">{kept}{"".join(fields)}'
        f'<button type="submit">{escape(button)}</button></form>'
    )


def field(
    name: str,
    label: str,
    *,
    kind: str = "text",
    value: str = "",
    fill: str,
    hint: str = "",
    focus: bool = False,
) -> str:
    """A labelled input. `fill` tells password managers what belongs there."""
    described = f' aria-describedby="{name}-hint"' if hint else ""
    told = f'<p class="hint" id="{name}-hint">{escape(hint)}</p>' if hint else ""
    return (
        f'<label for="{name}">{escape(label)}</label>'
        f'<input id="{name}" name="{name}" type="{kind}" value="{escape(value)}" autocomplete="{fill}" '
        f'autocapitalize="none" spellcheck="false" required{described}{" autofocus" if focus else ""}>{told}'
    )


def link(address: str, label: str) -> str:
    """A link that looks like the button of a form."""
    return f'<a class="button" href="{escape(address)}">{escape(label)}</a>'


def other(address: str, label: str) -> str:
    """Another way than the form above it."""
    return f'<p class="other"><a href="{escape(address)}">{escape(label)}</a></p>'
