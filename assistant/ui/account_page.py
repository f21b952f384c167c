"""A person's own account, `/account`: sessions and keys listed and ended, a new key, the password.

Plain forms without script; a new key is shown on the page that answers, and never again. What the acts do is
in `people.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from anyio import to_thread
from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from assistant.accounts import SHORTEST_PASSWORD, Account, AccountError
from assistant.credentials import Credential
from assistant.doors import opens
from assistant.entry import OidcSection
from assistant.limits import Limits, TooMany
from assistant.people import People, Person
from assistant.ui import paper
from assistant.ui.entrance import proof
from assistant.ui.gate import COOKIE, account_of, address_of, same_origin
from assistant.ui.words import number, sentence, when

_HOME = "/account"


def router(people: People, limits: Limits, oidc: OidcSection | None = None) -> APIRouter:
    """The routes at and below `/account`."""
    routes, own = APIRouter(include_in_schema=False), _Own(people, limits, oidc or OidcSection())
    routes.add_api_route(_HOME, own.page, methods=["GET"], response_class=HTMLResponse)
    for path, handler in (
        ("password", own.password),
        ("key", own.new_key),
        ("end-key", own.end_key),
        ("end-session", own.end_session),
        ("end-sessions", own.end_sessions),
    ):
        routes.add_api_route(f"{_HOME}/{path}", handler, methods=["POST"], response_class=HTMLResponse)
    return routes


class _Own:
    """The handlers behind the routes. Each looks once more who it is, as if there were no gate."""

    def __init__(self, people: People, limits: Limits, oidc: OidcSection) -> None:
        self._people = people
        self._limits = limits
        self._oidc = oidc

    @opens("user")
    async def page(self, request: Request) -> Response:
        account = await self._who(request)
        return await self._sheet(request, account) if account else RedirectResponse("/login", 303)

    @opens("user")
    async def password(self, request: Request) -> Response:
        account = await self._who(request)
        if account is None:
            return _nobody()
        form = await request.form()
        old, new, again = (str(form.get(name, "")) for name in ("old", "password", "again"))
        if new != again:
            return await self._sheet(request, account, problem="The two passwords are not the same.")
        token, address = request.cookies[COOKIE], address_of(request)
        try:
            # Whoever found an open page may guess here as little as at the way in.
            with self._limits.password(account.name, address) as guess:
                guess.right = False
                await to_thread.run_sync(self._people.change_password, account, old, new, token)
                guess.right = True
        except (TooMany, AccountError) as problem:
            return await self._sheet(request, account, problem=sentence(problem))
        return await self._sheet(request, account, said="Your password is changed; other sessions ended.")

    @opens("user")
    async def new_key(self, request: Request) -> Response:
        account = await self._who(request)
        if account is None:
            return _nobody()
        label = str((await request.form()).get("label", "")).strip()
        try:
            key = await to_thread.run_sync(self._people.new_key, account, label)
        except AccountError as problem:
            return await self._sheet(request, account, problem=sentence(problem))
        return await self._sheet(request, account, key=key)

    @opens("user")
    async def end_key(self, request: Request) -> Response:
        return await self._end(request, "key")

    @opens("user")
    async def end_session(self, request: Request) -> Response:
        return await self._end(request, "session")

    @opens("user")
    async def end_sessions(self, request: Request) -> Response:
        account = await self._who(request)
        if account is None:
            return _nobody()
        token = request.cookies[COOKIE]
        ended = await to_thread.run_sync(self._people.end_sessions, account, account.name, token)
        return await self._sheet(request, account, said=f"{number(ended, 'other session')} ended.")

    async def _end(self, request: Request, kind: str) -> Response:
        account = await self._who(request)
        if account is None:
            return _nobody()
        which = str((await request.form()).get("id", ""))
        try:
            if kind == "key":
                await to_thread.run_sync(self._people.end, account, "key", which, account.name)
            else:
                await to_thread.run_sync(self._people.end, account, "session", which, account.name)
        except AccountError as problem:
            return await self._sheet(request, account, problem=sentence(problem))
        return RedirectResponse(_HOME, 303)

    async def _who(self, request: Request) -> Account | None:
        """Whose page it is; nobody's if another site sent the form."""
        if request.method == "POST" and not same_origin(request):
            return None
        account = await to_thread.run_sync(account_of, request, self._people.accounts)
        return account if account is not None and account.may("user") else None

    async def _sheet(
        self, request: Request, account: Account, *, key: str = "", said: str = "", problem: str = ""
    ) -> HTMLResponse:
        token = request.cookies.get(COOKIE)
        person, sessions, keys = await to_thread.run_sync(
            lambda: (
                self._people.person(account.name),
                self._people.sessions(account, token),
                self._people.keys(account),
            )
        )
        return draw(person, sessions, keys, self._oidc, proof(request), key=key, said=said, problem=problem)


def draw(
    person: Person,
    sessions: Sequence[Credential],
    keys: Sequence[Credential],
    oidc: OidcSection,
    connect: str,
    *,
    key: str = "",
    said: str = "",
    problem: str = "",
) -> HTMLResponse:
    """The page. `key` is shown this once; `connect` proves that the link to the sign-in service is ours."""
    account = person.account
    told = f'<p class="problem" role="alert">{escape(problem)}</p>' if problem else ""
    told += f'<p class="said" role="status">{escape(said)}</p>' if said else ""
    if key:
        told += (
            '<div class="said" role="status"><b>Your new key.</b> Copy it now: it is not shown again.'
            f"<pre><code>{escape(key)}</code></pre></div>"
        )
    groups = f", in {escape(', '.join(account.groups))}" if account.groups else ""
    body = (
        f"<h1>{escape(account.name)}</h1><p>Your role is {account.role}{groups}.</p>{told}"
        f"<h2>Sessions</h2>{_table(sessions, 'end-session', 'Browser')}"
        f"{_button('end-sessions', 'End all other sessions')}"
        f"<h2>API keys</h2>{_table(keys, 'end-key', 'Purpose')}{_new_key()}"
        f"<h2>Password</h2>{_password(person)}{_services(person, oidc, connect)}"
        f"{paper.other('/account/data', 'Your data: take it along, or have it deleted')}"
        f"{paper.other('/', 'Back to the chat')}"
    )
    sheet = paper.wide("Your account", f'<div class="account">{body}</div>')
    sheet.status_code = 400 if problem else 200
    return sheet


def _table(found: Sequence[Credential], act: str, what: str) -> str:
    if not found:
        return "<p>There is none.</p>"
    rows = "".join(
        f"<tr><td>{escape(one.label or 'no name')}{f' (…{escape(one.ending)})' if one.ending else ''}</td>"
        f"<td>{when(one.created_at)}</td><td>{when(one.used_at) if one.used_at else 'never'}</td>"
        f"<td>{'this one' if one.current else _button(act, 'End', id=one.id)}</td></tr>"
        for one in found
    )
    head = f"<tr><th>{what}</th><th>Since</th><th>Last used</th><th></th></tr>"
    return f'<div class="table"><table><thead>{head}</thead><tbody>{rows}</tbody></table></div>'


def _button(act: str, label: str, **hidden: str) -> str:
    return paper.form(f"{_HOME}/{act}", label, hidden=hidden)


def _new_key() -> str:
    label = paper.field("label", "What is the new key for?", fill="off")
    return paper.form(f"{_HOME}/key", "Make a key", label)


def _password(person: Person) -> str:
    fields = []
    if person.has_password:
        fields.append(paper.field("old", "Present password", kind="password", fill="current-password"))
    hint = f"At least {SHORTEST_PASSWORD} characters."
    fields += [
        paper.field("password", "New password", kind="password", fill="new-password", hint=hint),
        paper.field("again", "The same password again", kind="password", fill="new-password"),
    ]
    return paper.form(f"{_HOME}/password", "Change the password", *fields)


def _services(person: Person, oidc: OidcSection, connect: str) -> str:
    if not oidc.on:
        return ""
    if person.identities:
        return f"<h2>Sign-in</h2><p>You can also sign in with {escape(oidc.name)}.</p>"
    return f"<h2>Sign-in</h2>{paper.link(f'/oidc/login?connect={connect}', f'Connect with {oidc.name}')}"


def _nobody() -> HTMLResponse:
    text = "You are signed out, or this came from another site. Open the page here and try again."
    return paper.sheet("This request was refused", text, paper.link("/login", "Sign in"), status=403)
