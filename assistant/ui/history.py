"""Draws what stands around a conversation: the list of earlier ones, and the page before the first question.

Pure, like `transcript.py`: everything that a person wrote is escaped.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from html import escape

from assistant.accounts import Account
from assistant.ui.buttons import icon, sign_out
from feedback.records import Conversation

EXAMPLES = (
    "How long does delivery to Austria take, and what does it cost?",
    "My jacket does not fit. How do I send it back?",
    "Which tent would you recommend for two people in the rain?",
    "When is the store in Hamburg open?",
)
"""Questions of customers of the starter's shop, offered before the first question."""


def history(conversations: Sequence[Conversation], current: str | None, now: datetime) -> str:
    """Links to this person's conversations, the newest first, under the headings of their age."""
    if not conversations:
        return '<p class="none">Your conversations will be listed here.</p>'
    groups: dict[str, list[str]] = {}
    for item in conversations:
        groups.setdefault(_age(now - item.updated_at), []).append(_link(item, item.id == current))
    parts = [f"<section><h2>{name}</h2><ul>{''.join(links)}</ul></section>" for name, links in groups.items()]
    return f'<nav aria-label="Your conversations">{"".join(parts)}</nav>'


def person(account: Account) -> str:
    """Who is signed in, where else they may go, and the way out; for a guest, the way in."""
    if account.role == "guest":
        who = (
            '<span class="name"><b>Guest</b><span>These chats stay in this browser for a week.</span></span>'
        )
        return (
            f'<div class="who">{who}</div><div class="ways"><a href="/login">{icon("leave")}Sign in</a></div>'
        )
    admin = f'<a href="/admin">{icon("gear")}Admin</a>' if account.may("admin") else ""
    documents = f'<a href="/documents">{icon("book")}Documents</a>' if account.may("staff") else ""
    return (
        f'<div class="who"><span class="initial" aria-hidden="true">{escape(account.name[:1].upper())}</span>'
        f'<a class="name" href="/account" title="Your account"><b>{escape(account.name)}</b>'
        f"<span>{account.role}</span></a></div>"
        f'<div class="ways">{documents}{admin}{sign_out()}</div>'
    )


def empty(examples: Sequence[str]) -> str:
    """The page before the first question."""
    offered = "".join(
        f'<li><button type="button" class="example" data-act="ask_example" data-text="{escape(text)}">'
        f"{escape(text)}</button></li>"
        for text in examples
    )
    return (
        '<div class="welcome"><h1>How can I help?</h1>'
        "<p>Ask a question. Your thumbs up and down teach the assistant to answer better.</p>"
        f'<ul aria-label="Examples">{offered}</ul></div>'
    )


def unanswered() -> str:
    """A conversation whose first question never reached the engine."""
    return (
        '<div class="welcome"><h1>Not asked yet</h1>'
        "<p>This question never reached the engine. It is in the box below: send it again.</p></div>"
    )


def _link(item: Conversation, current: bool) -> str:
    here = ' aria-current="page"' if current else ""
    title = escape(item.title or "Untitled")
    return (
        f'<li><a href="/?chat={escape(item.id)}" data-act="open_chat" data-chat="{escape(item.id)}" '
        f'title="{title}"{here}>{title}</a></li>'
    )


def _age(age: timedelta) -> str:
    # By the hour, not by the calendar: the server does not know what day it is for the reader.
    if age < timedelta(days=1):
        return "Last 24 hours"
    if age < timedelta(days=7):
        return "Last 7 days"
    return "Earlier"
