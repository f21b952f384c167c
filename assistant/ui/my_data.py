"""A person's own data, `/account/data`: all of it to take along, and all of it to be deleted.

A plain page without script. What is kept of a person `personal.py` knows, how it goes `deletions.py`.
"""

from __future__ import annotations

from html import escape

from anyio import to_thread
from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response, StreamingResponse

from assistant import outgoing, personal
from assistant.accounts import Account, AccountError
from assistant.deletions import Deletions
from assistant.doors import opens
from assistant.ui import paper
from assistant.ui.gate import account_of, same_origin
from assistant.ui.words import sentence
from training.registry import Registry

HOME = "/account/data"


def router(registry: Registry, deletions: Deletions) -> APIRouter:
    """The routes at and below `/account/data`."""
    routes, own = APIRouter(include_in_schema=False), _Own(registry, deletions)
    routes.add_api_route(HOME, own.page, methods=["GET"], response_class=HTMLResponse)
    routes.add_api_route(f"{HOME}/all", own.take, methods=["GET"], response_class=HTMLResponse)
    routes.add_api_route(f"{HOME}/delete", own.delete, methods=["POST"], response_class=HTMLResponse)
    return routes


class _Own:
    """The handlers behind the routes. Each looks once more who it is, as if there were no gate."""

    def __init__(self, registry: Registry, deletions: Deletions) -> None:
        self._registry = registry
        self._deletions = deletions

    @opens("user")
    async def page(self, request: Request) -> Response:
        account = await self._who(request)
        return draw(account) if account else RedirectResponse("/login", 303)

    @opens("user")
    async def take(self, request: Request) -> Response:
        account = await self._who(request)
        if account is None:
            return RedirectResponse("/login", 303)
        database = self._deletions.database
        learned = await to_thread.run_sync(personal.learned_by, self._registry, account.id)
        body = await outgoing.made(lambda file: personal.export(database, account, file, learned))
        headers = {"content-disposition": f'attachment; filename="{account.name}.zip"'}
        return StreamingResponse(body, media_type="application/zip", headers=headers)

    @opens("user")
    async def delete(self, request: Request) -> Response:
        account = await self._who(request)
        if account is None or not same_origin(request):
            text = "You are signed out, or this came from another site. Open the page here and try again."
            return paper.sheet("This request was refused", text, paper.link("/login", "Sign in"), status=403)
        if str((await request.form()).get("name", "")).strip() != account.name:
            return draw(account, f"To have everything deleted, type your name as it is: {account.name}.")
        try:
            await to_thread.run_sync(self._deletions.ask, account.id, account.id)
        except AccountError as problem:
            return draw(account, sentence(problem))
        text = "You are signed out. What you said here, and your account, go within minutes."
        return paper.sheet("Your data is being deleted", text, "")

    async def _who(self, request: Request) -> Account | None:
        account = await to_thread.run_sync(account_of, request, self._deletions.accounts)
        return account if account is not None and account.may("user") else None


def draw(account: Account, problem: str = "") -> HTMLResponse:
    """The page."""
    told = f'<p class="problem" role="alert">{escape(problem)}</p>' if problem else ""
    name = paper.field("name", f"Type your name, {account.name}, to confirm", fill="off")
    body = (
        f"<h1>Your data</h1>{told}"
        "<h2>Take it along</h2>"
        "<p>Your account, conversations, votes and whatever else is kept of you, as a ZIP of JSON lines.</p>"
        f"{paper.link(f'{HOME}/all', 'Download all of it')}"
        "<h2>Delete it</h2>"
        "<p>Your conversations, votes, corrections and the examples made of them go, and your account with "
        "them, for good. A model that learned from you is not put to use again, and one that did not is "
        "trained in its place.</p>"
        f"{paper.form(f'{HOME}/delete', 'Delete all my data', name)}"
        f"{paper.other('/account', 'Back to your account')}"
    )
    sheet = paper.wide("Your data", f'<div class="account">{body}</div>')
    sheet.status_code = 400 if problem else 200
    return sheet
