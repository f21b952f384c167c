"""Puts the pages into the application: the way in, `/admin`, `/documents`, `/review`, last the chat at `/`.

Every page is an app of its own behind a gate of its own, so that a hidden tab or a shared configuration can
never show one role what is meant for another.
"""

from __future__ import annotations

import gradio as gr
from fastapi import FastAPI
from fastapi.responses import RedirectResponse

from assistant.accounts import Accounts
from assistant.approvals import Approvals
from assistant.chat import Chat
from assistant.library import Library
from assistant.receipts import Receipts
from assistant.reviewing import ReviewDesk
from assistant.rivals import rival
from assistant.triage import Triage
from assistant.ui import (
    admin_page,
    chat_page,
    document_file,
    documents_page,
    entrance,
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
    choice_share: float = 0.0,
) -> None:
    """Mount every page. Call it after all other routes: what is mounted at `/` takes whatever is left.

    `choice_share` is how many questions in the chat get two answers to choose from, 0 to 1.
    """
    app.include_router(entrance.router(accounts))
    app.include_router(report_page.router(accounts, desk.registry))
    _mount(app, admin_page.build(desk, accounts), "/admin", accounts, "admin", admin_page.STYLES)
    if library is not None:
        app.include_router(document_file.router(accounts, library))
        documents = documents_page.build(library, accounts, triage, approvals)
        styles = documents_page.STYLES
        _mount(app, documents, "/documents", accounts, "staff", styles, library.largest)
    if reviews is not None:
        _mount(app, review_page.build(reviews, accounts), "/review", accounts, "staff", review_page.STYLES)
    offering = Offering(choice_share, lambda: rival(desk.registry))
    receipts = Receipts(chat.store.database, desk.registry)
    page = chat_page.build(chat, accounts, approvals=approvals, offering=offering, receipts=receipts)
    _mount(app, page, "/", accounts, "user", chat_page.STYLES)


def _mount(
    app: FastAPI,
    blocks: gr.Blocks,
    path: str,
    accounts: Accounts,
    role: Role,
    styles: tuple[str, ...],
    largest_file: int = 1,
) -> None:
    if path != "/":
        # A mount begins behind the slash, and the one at `/` would take the address without it.
        app.add_api_route(path, lambda: RedirectResponse(f"{path}/", 307), include_in_schema=False)
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
        max_file_size=largest_file,
        pwa=False,
        ssr_mode=False,
        mcp_server=False,
        app_kwargs={"docs_url": None, "redoc_url": None, "openapi_url": None},
    )
    inner = app.routes[-1].app  # type: ignore[attr-defined]
    inner.add_middleware(Gate, accounts=accounts, role=role)
