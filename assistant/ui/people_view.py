"""The part of the admin page about people: who they are, who waits, and the levers with their keys and links.

Reads a page of rows, however many there are. Drawing is pure, with every text escaped; every handler checks
the role. What the acts do is in `people.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any, cast, get_args

import gradio as gr
from anyio import to_thread

from assistant.accounts import ROLES, AccountError
from assistant.credentials import Credential
from assistant.people import LINK_DAYS, People, Person, Which
from assistant.ui.buttons import button, copier
from assistant.ui.chat_events import said
from assistant.ui.monitoring import html
from assistant.ui.page import Doorman, Parts, Wire
from assistant.ui.words import number, when
from feedback.records import Role

PAGE = 50
_NAMES: dict[str, str] = {
    "all": "Everybody",
    "pending": "Waiting",
    "admin": "Admins",
    "staff": "Staff",
    "disabled": "Locked out",
    "guest": "Guests",
}


@dataclass
class Looking:
    """What one open page shows. On the server, one for each open page."""

    which: Which = "all"
    search: str = ""
    after: int = 0
    chosen: str = ""
    """The name of the person whose levers are shown."""


# -- drawing -----------------------------------------------------------------------------------------


def filters(which: str, waiting: int) -> str:
    """Whom to show."""
    buttons = "".join(
        f'<button type="button" class="small" data-act="people_show" data-which="{name}" '
        f'aria-pressed="{str(name == which).lower()}">{label}'
        f"{f' ({waiting})' if name == 'pending' and waiting else ''}</button>"
        for name, label in _NAMES.items()
    )
    group = f'<div class="ranges" role="group" aria-label="Whom to show">{buttons}</div>'
    return f'<div class="heading"><h2>People</h2>{group}</div>'


def table(found: Sequence[Person], total: int, after: int) -> str:
    """A page of people."""
    if not found:
        return '<div class="nothing"><b>Nobody is here.</b></div>'
    rows = "".join(_row(one) for one in found)
    head = "".join(
        f"<th>{name}</th>" for name in ("Name", "Role", "Groups", "Sessions", "Keys", "Came in", "")
    )
    shown = f"{after + 1}–{after + len(found)} of {number(total, 'person', 'people')}"
    steps = ""
    if after:
        steps += button("Back", "people_more", after=str(max(0, after - PAGE)))
    if after + len(found) < total:
        steps += button("More", "people_more", after=str(after + PAGE))
    return (
        f'<div class="table"><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>'
        f'<p class="text">{shown} {steps}</p>'
    )


def _row(one: Person) -> str:
    account = one.account
    came = when(one.used_at) if one.used_at else "never"
    return (
        f"<tr><td><b>{escape(account.name)}</b>{_state(one)}</td><td>{account.role}</td>"
        f"<td>{escape(', '.join(account.groups)) or '–'}</td><td>{one.sessions}</td><td>{one.keys}</td>"
        f"<td>{came}</td><td>{button('Open', 'person_open', name=account.name)}</td></tr>"
    )


def _state(one: Person) -> str:
    if one.account.pending:
        return ' <span class="badge warn">waits</span>'
    return ' <span class="badge bad">locked out</span>' if one.account.disabled else ""


def detail(one: Person, keys: Sequence[Credential]) -> str:
    """One person, and what can be done about them."""
    account = one.account
    ways = ["a password"] if one.has_password else []
    ways += [escape(issuer) for issuer in one.identities]
    levers = [button("Approve", "person_approve", look="small main", name=account.name)] * account.pending
    if account.role != "guest":
        act = ("Let in again", "person_enable") if account.disabled else ("Lock out", "person_disable")
        levers.append(button(*act, name=account.name))
    if account.open and account.role != "guest":
        levers.append(button("Link for a new password", "person_link", name=account.name))
    if one.sessions:
        levers.append(button("End all sessions", "person_end_sessions", name=account.name))
    rows = "".join(
        f"<li>{escape(key.label or 'no name')} (…{escape(key.ending)}) · {when(key.created_at)} · "
        f"{'used ' + when(key.used_at) if key.used_at else 'never used'} "
        f"{button('End', 'person_end_key', name=account.name, key=key.id)}</li>"
        for key in keys
    )
    listed = f"<h3>API keys</h3><ul>{rows}</ul>" if rows else ""
    return (
        f"<h3>{escape(account.name)}{_state(one)}</h3>"
        f'<p class="text">since {when(account.created_at)} · comes in by {" and ".join(ways) or "keys alone"}'
        f' · {number(one.sessions, "session")}</p><div class="levers">{"".join(levers)}</div>{listed}'
    )


def link(name: str, address: str) -> str:
    """A one-time link, shown once."""
    return (
        f'<div class="said" role="status"><b>A link for {escape(name)}.</b> Send it to them yourself: it is '
        f"not shown again, works once, and ends after {LINK_DAYS} days."
        f"<pre><code>{escape(address)}</code></pre>{copier(address, 'Copy the link')}</div>"
    )


# -- handlers ----------------------------------------------------------------------------------------


class PeopleEvents:
    """The handlers."""

    def __init__(self, people: People, door: Doorman) -> None:
        self._people = people
        self._door = door

    async def load(self, looking: Looking, request: gr.Request) -> Parts:
        """The page was opened, or its list is to be shown anew."""
        await self._door.admit(request)
        return await to_thread.run_sync(self._everything, looking)

    async def show(self, looking: Looking, request: gr.Request, event: gr.EventData) -> Parts:
        """Others are to be shown."""
        await self._door.admit(request)
        which = said(event, "which")
        looking.which = cast(Which, which) if which in get_args(Which) else "all"
        looking.after, looking.chosen = 0, ""
        return await to_thread.run_sync(self._everything, looking)

    async def search(self, looking: Looking, text: str, request: gr.Request) -> Parts:
        """Names are looked for."""
        await self._door.admit(request)
        looking.search, looking.after, looking.chosen = (text or "")[:60].lstrip("="), 0, ""
        return await to_thread.run_sync(self._everything, looking)

    async def more(self, looking: Looking, request: gr.Request, event: gr.EventData) -> Parts:
        """Another page of them."""
        await self._door.admit(request)
        after = said(event, "after")
        looking.after = int(after) if after.isdecimal() and len(after) < 8 else 0
        return await to_thread.run_sync(self._everything, looking)

    async def open(self, looking: Looking, request: gr.Request, event: gr.EventData) -> Parts:
        """Somebody was chosen."""
        await self._door.admit(request)
        looking.chosen = said(event, "name")
        return await to_thread.run_sync(self._everything, looking)

    async def approve(self, looking: Looking, request: gr.Request, event: gr.EventData) -> Parts:
        """Let somebody in who signed up."""
        admin, name = await self._door.admit(request), said(event, "name")
        await to_thread.run_sync(self._people.approve, name, admin.name)
        return await to_thread.run_sync(self._everything, looking)

    async def enable(self, looking: Looking, request: gr.Request, event: gr.EventData) -> Parts:
        """Let somebody in again."""
        admin, name = await self._door.admit(request), said(event, "name")
        await to_thread.run_sync(self._people.enable, name, admin.name)
        return await to_thread.run_sync(self._everything, looking)

    async def disable(self, looking: Looking, request: gr.Request, event: gr.EventData) -> Parts:
        """Lock somebody out, at once."""
        admin, name = await self._door.admit(request), said(event, "name")
        if name == admin.name:
            raise AccountError("you can't lock yourself out; another admin can")
        await to_thread.run_sync(self._people.disable, name, admin.name)
        return await to_thread.run_sync(self._everything, looking)

    async def make_link(self, looking: Looking, request: gr.Request, event: gr.EventData) -> Parts:
        """A link by which somebody chooses a new password."""
        admin, name = await self._door.admit(request), said(event, "name")
        token = await to_thread.run_sync(self._people.reset_link, name, admin.name)
        shown = await to_thread.run_sync(self._everything, looking)
        return {**shown, "link": link(name, _address(request, token))}

    async def end_sessions(self, looking: Looking, request: gr.Request, event: gr.EventData) -> Parts:
        """Sign somebody out everywhere."""
        admin = await self._door.admit(request)
        account = await to_thread.run_sync(self._people.accounts.get, said(event, "name"))
        await to_thread.run_sync(self._people.end_sessions, account, admin.name)
        return await to_thread.run_sync(self._everything, looking)

    async def end_key(self, looking: Looking, request: gr.Request, event: gr.EventData) -> Parts:
        """End one key of somebody."""
        admin = await self._door.admit(request)
        account = await to_thread.run_sync(self._people.accounts.get, said(event, "name"))
        await to_thread.run_sync(self._people.end, account, "key", said(event, "key"), admin.name)
        return await to_thread.run_sync(self._everything, looking)

    async def save(self, looking: Looking, role: str, groups: str, request: gr.Request) -> Parts:
        """Give whoever is chosen another role and other groups."""
        admin, name = await self._door.admit(request), looking.chosen
        if not name:
            raise AccountError("choose somebody first")
        account = await to_thread.run_sync(self._people.accounts.get, name)
        if role != account.role:
            await to_thread.run_sync(self._people.set_role, name, cast(Role, role), admin.name)
        if tuple(sorted(_groups(groups))) != account.groups:
            await to_thread.run_sync(self._people.set_groups, name, _groups(groups), admin.name)
        return await to_thread.run_sync(self._everything, looking)

    async def invite(self, looking: Looking, name: str, role: str, groups: str, request: gr.Request) -> Parts:
        """Make an account, and a link by which its person chooses a password."""
        admin, name = await self._door.admit(request), (name or "").strip()
        token = await to_thread.run_sync(
            self._people.invite, name, cast(Role, role), _groups(groups), admin.name
        )
        looking.chosen = name
        shown = await to_thread.run_sync(self._everything, looking)
        return {**shown, "link": link(name, _address(request, token)), "new_name": "", "new_groups": ""}

    def _everything(self, looking: Looking) -> Parts:
        found, total = self._people.page(looking.which, looking.search, looking.after, PAGE)
        parts: Parts = {
            "filters": filters(looking.which, self._people.waiting()),
            "people": table(found, total, looking.after),
            "link": "",
        }
        try:
            one = self._people.person(looking.chosen)
        except AccountError:
            # Nobody is chosen, or whoever was has gone.
            looking.chosen = ""
            return {**parts, "person": "", "levers": gr.update(visible=False)}
        return {
            **parts,
            "person": detail(one, self._people.keys(one.account)),
            "levers": gr.update(visible=one.account.role != "guest"),
            "role": one.account.role if one.account.role in ROLES else gr.skip(),
            "groups": ", ".join(one.account.groups),
        }


def _groups(text: str) -> list[str]:
    return [group for part in (text or "").split(",") if (group := part.strip())]


def _address(request: gr.Request, token: str) -> str:
    """The link as its person has to open it: where the admin's browser says that it is."""
    return f"{request.headers.get('origin', '')}/password?token={token}"


# -- the section -------------------------------------------------------------------------------------


def build(blocks: gr.Blocks, bus: Any, people: People, door: Doorman) -> None:
    """The section, to be called where it is to stand inside the page; `bus` hears the page's buttons."""
    looking = gr.State(Looking())
    parts: dict[str, Any] = {"filters": html("people-filters")}
    search = gr.Textbox(label="Look for a name", elem_id="people-search", max_length=60)
    parts |= {"people": html("people-list"), "link": html("people-link"), "person": html("person-detail")}
    with gr.Row(elem_id="person-levers", visible=False) as levers:
        parts["role"] = gr.Dropdown(list(ROLES), label="Role", elem_id="person-role", filterable=False)
        parts["groups"] = gr.Textbox(label="Groups, with commas", elem_id="person-groups", max_length=600)
        save = gr.Button("Save", size="sm", elem_id="person-save", scale=0)
    parts["levers"] = levers
    html("people-new-head", value='<div class="heading"><h2>New account</h2></div>')
    with gr.Row(elem_id="people-new"):
        parts["new_name"] = gr.Textbox(label="Name", elem_id="new-name", max_length=60)
        new_role = gr.Dropdown(list(ROLES), value="user", label="Role", elem_id="new-role", filterable=False)
        parts["new_groups"] = gr.Textbox(label="Groups, with commas", elem_id="new-groups", max_length=600)
        make = gr.Button("Make it, with a link", variant="primary", size="sm", elem_id="new-make", scale=0)
    events, wire = PeopleEvents(people, door), Wire(**parts)
    wire.on([blocks.load], events.load, [looking])
    wire.on([search.submit], events.search, [looking, search])
    for trigger, handler in (
        (bus.people_show, events.show),
        (bus.people_more, events.more),
        (bus.person_open, events.open),
        (bus.person_approve, events.approve),
        (bus.person_enable, events.enable),
        (bus.person_disable, events.disable),
        (bus.person_link, events.make_link),
        (bus.person_end_sessions, events.end_sessions),
        (bus.person_end_key, events.end_key),
    ):
        wire.on([trigger], handler, [looking])
    wire.on([save.click], events.save, [looking, parts["role"], parts["groups"]])
    wire.on([make.click], events.invite, [looking, parts["new_name"], new_role, parts["new_groups"]])
