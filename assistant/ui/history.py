"""Draws what stands around a conversation: the list of earlier ones, and the page before the first question.

Pure, like `transcript.py`: everything that a person wrote is escaped.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from html import escape

from assistant.accounts import Account
from assistant.ui.buttons import button, icon, sign_out
from assistant.ui.page import Page
from assistant.ui.words import number
from feedback.past import Listed
from feedback.records import Conversation
from feedback.searching import SHORTEST, Found
from feedback.titles import LONGEST_GIVEN

EXAMPLES = (
    "How long does delivery to Austria take, and what does it cost?",
    "My jacket does not fit. How do I send it back?",
    "Which tent would you recommend for two people in the rain?",
    "When is the store in Hamburg open?",
)
"""Questions of customers of the starter's shop, offered before the first question."""


def side(listed: Listed | Sequence[Found], page: Page, now: datetime) -> str:
    """The list beside a conversation: what is pinned, the others under the headings of their age, or what was
    found. The row that is being renamed or deleted shows the field or the question instead of its title."""
    if not isinstance(listed, Listed):
        return _found(listed, page)
    if not listed.pinned and not listed.recent:
        return '<p class="none">Your conversations will be listed here.</p>'
    groups: dict[str, list[str]] = {}
    for item in listed.pinned:
        groups.setdefault("Pinned", []).append(_row(item, page))
    for item in listed.recent:
        groups.setdefault(_age(now - item.updated_at), []).append(_row(item, page))
    parts = [_group(name, rows) for name, rows in groups.items()]
    more = button("Show older", "older_chats", look="quiet more") if listed.more else ""
    return f'<nav aria-label="Your conversations">{"".join(parts)}{more}</nav>'


def heading(title: str) -> str:
    """The title above a conversation."""
    return f"<h1>{escape(title)}</h1>"


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
    staff = f'<a href="/documents">{icon("book")}Documents</a><a href="/review">{icon("check")}Review</a>'
    return (
        f'<div class="who"><span class="initial" aria-hidden="true">{escape(account.name[:1].upper())}</span>'
        f'<a class="name" href="/account" title="Your account"><b>{escape(account.name)}</b>'
        f"<span>{account.role}</span></a></div>"
        f'<div class="ways">{staff if account.may("staff") else ""}{admin}{sign_out()}</div>'
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


def _found(found: Sequence[Found], page: Page) -> str:
    if not found:
        short = all(len(word) < SHORTEST for word in page.wanted.split())
        why = "Type at least two letters." if short else "Nothing was found in titles, questions and answers."
        return f'<p class="none" role="status">{why}</p>'
    rows = [_row(item.conversation, page, item.excerpt) for item in found]
    return f'<nav aria-label="Conversations that were found">{_group(number(len(rows), "chat"), rows)}</nav>'


def _group(name: str, rows: Sequence[str]) -> str:
    return f"<section><h2>{name}</h2><ul>{''.join(rows)}</ul></section>"


def _row(item: Conversation, page: Page, excerpt: str = "") -> str:
    if item.id == page.renaming:
        return f"<li>{_name_field(item)}</li>"
    if item.id == page.deleting:
        return f"<li>{_last_question(item)}</li>"
    here = ' aria-current="page"' if item.id == page.conversation_id else ""
    title = escape(item.title or "Untitled")
    below = f"<small>{escape(excerpt)}</small>" if excerpt else ""
    return (
        f'<li><a href="/?chat={escape(item.id)}" data-act="open_chat" data-chat="{escape(item.id)}" '
        f'title="{title}"{here}>{title}{below}</a>{_more(item, title)}</li>'
    )


def _more(item: Conversation, title: str) -> str:
    """What can be done with a conversation, folded behind three dots."""
    pinned = item.pinned_at is not None
    acts = (
        button(
            "Unpin" if pinned else "Pin", "pin_chat", look="quiet", chat=item.id, on="" if pinned else "yes"
        ),
        button("Rename", "rename_chat", look="quiet", chat=item.id),
        button("Delete", "delete_chat", look="quiet", chat=item.id),
    )
    return (
        f'<details class="more"><summary aria-label="More for {title}" title="More">{icon("dots")}</summary>'
        f'<div role="group" aria-label="{title}">{"".join(acts)}</div></details>'
    )


def _name_field(item: Conversation) -> str:
    save = '<button type="submit" class="small">Save</button>'
    return (
        f'<form class="row-form" data-act="rename_chat" data-chat="{escape(item.id)}">'
        f'<input type="text" name="title" value="{escape(item.title)}" maxlength="{LONGEST_GIVEN}" required '
        f'aria-label="Title" data-focus autocomplete="off"><span>{_cancel()}{save}</span></form>'
    )


def _cancel() -> str:
    return button("Cancel", "leave_row", look="quiet")


def _last_question(item: Conversation) -> str:
    sure = button("Delete", "delete_chat", look="small danger", chat=item.id, sure="yes")
    return (
        f'<div class="row-form" role="group" aria-label="Delete {escape(item.title)}?"><p>Delete '
        f"<b>{escape(item.title)}</b> with its answers and votes? This can't be undone. What an adapter has "
        f"learned already stays learned.</p><span>{_cancel()}{sure}</span></div>"
    )


def _age(age: timedelta) -> str:
    # By the hour, not by the calendar: the server does not know what day it is for the reader.
    if age < timedelta(days=1):
        return "Last 24 hours"
    if age < timedelta(days=7):
        return "Last 7 days"
    return "Earlier"
