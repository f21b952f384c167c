"""Puts the pages into the application: the way in, `/admin`, `/documents`, and the chat at `/`, the last.

Every page is an app of its own behind a gate of its own, so that a hidden tab or a shared configuration can
never show one role what is meant for another.
"""

from __future__ import annotations

from collections.abc import Callable

import gradio as gr
from fastapi import FastAPI
from fastapi.responses import RedirectResponse

from assistant.accounts import Accounts
from assistant.approvals import Approvals
from assistant.chat import Chat
from assistant.library import Library
from assistant.receipts import Receipts
from assistant.rivals import rival
from assistant.triage import Triage
from assistant.ui import admin_page, chat_page, document_file, documents_page, entrance, report_page, theme
from assistant.ui.chat_events import Offering
from assistant.ui.gate import Gate, admitted
from feedback.records import Role
from training.canaries import Canaries
from training.comparison import Comparison
from training.monitor import Monitor
from training.registry import Registry
from training.runs import Runs


def mount(
    app: FastAPI,
    *,
    chat: Chat,
    accounts: Accounts,
    runs: Runs,
    registry: Registry,
    canaries: Canaries,
    ready: Callable[[], str | None],
    monitor: Monitor,
    comparison: Callable[[], Comparison | None] = lambda: None,
    cost_per_hour: float = 0.0,
    library: Library | None = None,
    triage: Triage | None = None,
    approvals: Approvals | None = None,
    choice_share: float = 0.0,
) -> None:
    """Mount every page. Call it after all other routes: what is mounted at `/` takes whatever is left.

    `ready` says what keeps the engine from answering, or None; `comparison` gives the newest one, or None;
    `choice_share` is how many questions in the chat get two answers to choose from, 0 to 1.
    """
    app.include_router(entrance.router(accounts))
    app.include_router(report_page.router(accounts, registry))
    admin = admin_page.build(runs, registry, canaries, monitor, accounts, ready, comparison, cost_per_hour)
    _mount(app, admin, "/admin", accounts, "admin", admin_page.STYLES)
    if library is not None:
        app.include_router(document_file.router(accounts, library))
        documents = documents_page.build(library, accounts, triage, approvals)
        styles = documents_page.STYLES
        _mount(app, documents, "/documents", accounts, "staff", styles, library.largest)
    offering = Offering(choice_share, lambda: rival(registry))
    receipts = Receipts(chat.store.database, registry)
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
