"""Puts the pages into the application: the ways in, `/admin`, `/documents`, `/review`, last the chat at `/`.

Every page is an app of its own with a door of its own, so that a hidden tab or a shared configuration can
never show one role what is meant for another. In front of everything stands the gate.
"""

from __future__ import annotations

import gradio as gr
from fastapi import FastAPI
from fastapi.responses import RedirectResponse

from assistant.accounts import Accounts
from assistant.approvals import Approvals
from assistant.chat import Chat
from assistant.deletions import Deletions
from assistant.doors import Door, mark_app, opens
from assistant.entry import AccountsSection, OidcSection
from assistant.library import Library
from assistant.limits import Limits
from assistant.people import People
from assistant.receipts import Receipts
from assistant.reviewing import ReviewDesk
from assistant.rivals import rival
from assistant.triage import Triage
from assistant.ui import (
    account_page,
    admin_page,
    chat_page,
    document_file,
    documents_page,
    entrance,
    joining,
    my_data,
    report_page,
    review_page,
    theme,
)
from assistant.ui.chat_events import Offering
from assistant.ui.desk import Desk
from assistant.ui.gate import Gate, admitted
from feedback.records import Role


def mount(
    app: FastAPI,
    *,
    chat: Chat,
    accounts: Accounts,
    desk: Desk,
    library: Library | None = None,
    triage: Triage | None = None,
    approvals: Approvals | None = None,
    reviews: ReviewDesk | None = None,
    people: People | None = None,
    deletions: Deletions | None = None,
    entry: AccountsSection | None = None,
    oidc: OidcSection | None = None,
    choice_share: float = 0.0,
) -> None:
    """Mount every page. Call it after all other routes: what is mounted at `/` takes whatever is left.

    `choice_share` is how many questions in the chat get two answers to choose from, 0 to 1.
    """
    people, entry = people or People(accounts), entry or AccountsSection()
    limits = Limits(entry)
    _ways_in(app, people, limits, entry, oidc)
    if deletions is not None:
        app.include_router(my_data.router(desk.registry, deletions))
    app.include_router(report_page.router(accounts, desk.registry))
    _mount(app, admin_page.build(desk, accounts, people), "/admin", "admin", admin_page.STYLES)
    if library is not None:
        app.include_router(document_file.router(accounts, library))
        documents = documents_page.build(library, accounts, triage, approvals)
        styles = documents_page.STYLES
        _mount(app, documents, "/documents", "staff", styles, library.largest)
    if reviews is not None:
        _mount(app, review_page.build(reviews, accounts), "/review", "staff", review_page.STYLES)
    role: Role = "guest" if entry.guests else "user"
    offering = Offering(choice_share, lambda: rival(desk.registry))
    receipts = Receipts(chat.store.database, desk.registry)
    page = chat_page.build(
        chat, accounts, approvals=approvals, offering=offering, receipts=receipts, role=role, limits=limits
    )
    _mount(app, page, "/", role, chat_page.STYLES)
    # The outermost of all: what no declaration opens is not even looked at.
    app.add_middleware(Gate, accounts=accounts, routes=app.routes, limits=limits, guests=entry.guests)


def _ways_in(
    app: FastAPI, people: People, limits: Limits, entry: AccountsSection, oidc: OidcSection | None
) -> None:
    app.include_router(entrance.router(people, limits, entry, oidc))
    app.include_router(joining.router(people, limits, entry))
    app.include_router(account_page.router(people, limits, oidc))
    if oidc is not None and oidc.on:
        # Authlib is loaded only where there is a service to speak to.
        from assistant.ui import oidc as service

        service.install(app, people, oidc)


def _mount(
    app: FastAPI,
    blocks: gr.Blocks,
    path: str,
    role: Role,
    styles: tuple[str, ...],
    largest_file: int = 0,
) -> None:
    """Mount a page for a role. Files can be sent to it and fetched from it only if `largest_file` says so."""
    if path != "/":
        # A mount begins behind the slash, and the one at `/` would take the address without it.
        @opens(role)
        def with_slash() -> RedirectResponse:
            return RedirectResponse(f"{path}/", 307)

        app.add_api_route(path, with_slash, include_in_schema=False)
    gr.mount_gradio_app(
        app,
        blocks,
        path=path,
        auth_dependency=admitted,
        theme=theme.theme(),
        head=theme.head(*styles),
        footer_links=[],
        run_history=False,
        enable_monitoring=False,
        show_error=True,
        allowed_paths=[],
        max_file_size=max(1, largest_file),
        pwa=False,
        ssr_mode=False,
        mcp_server=False,
        app_kwargs={"docs_url": None, "redoc_url": None, "openapi_url": None},
    )
    mark_app(app.routes[-1].app, Door(role, files=largest_file > 0))  # type: ignore[attr-defined]
