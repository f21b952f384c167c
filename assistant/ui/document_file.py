"""Opens the file of a document for people who may see it: `/documents/doc-…`, by their session.

Nothing in a file may act on this site: text is sent as plain text, PDF is shown by the browser's own reader,
anything else is only saved. Knows no gradio.
"""

from __future__ import annotations

from pathlib import PurePosixPath

from anyio import to_thread
from fastapi import APIRouter, Request
from fastapi.responses import FileResponse, RedirectResponse, Response

from assistant.accounts import Accounts
from assistant.doors import opens
from assistant.library import Library
from assistant.ui import paper
from assistant.ui.gate import account_of
from retrieval.records import NotFound

_TEXT = frozenset(
    {".md", ".markdown", ".txt", ".text", ".rst", ".log", ".csv", ".tsv", ".json", ".jsonl", ".html", ".htm"}
)
_HEADERS = {
    "x-content-type-options": "nosniff",
    "cache-control": "private, no-store",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
}
_SHUT = "default-src 'none'; frame-ancestors 'none'; sandbox"
# A browser shows no PDF in a sandbox. Its reader runs apart from this site, whatever stands in the file.
_PDF = "default-src 'none'; object-src 'self'; style-src 'unsafe-inline'; frame-ancestors 'none'"


def router(accounts: Accounts, library: Library) -> APIRouter:
    """The route `/documents/doc-…`; other addresses below `/documents` are the page's."""
    routes = APIRouter(include_in_schema=False)

    @opens("user")
    async def file(key: str, request: Request) -> Response:
        account = await to_thread.run_sync(account_of, request, accounts)
        if account is None:
            return RedirectResponse(f"/login?next=/documents/doc-{key[:60]}", 303)
        try:
            document = await to_thread.run_sync(library.document, f"doc-{key}", account)
            path = await to_thread.run_sync(library.file, document)
        except NotFound:
            text = "It is not there, or it is not for this account."
            return paper.sheet("No such document", text, paper.link("/", "Back to the chat"), status=404)
        ending = PurePosixPath(document.name).suffix.lower()
        kind, shown, policy = "application/octet-stream", "attachment", _SHUT
        if ending == ".pdf":
            kind, shown, policy = "application/pdf", "inline", _PDF
        elif ending in _TEXT:
            kind, shown = "text/plain; charset=utf-8", "inline"
        return FileResponse(
            path,
            media_type=kind,
            filename=PurePosixPath(document.name).name,
            content_disposition_type=shown,
            headers={**_HEADERS, "content-security-policy": policy},
        )

    routes.add_api_route("/documents/doc-{key}", file, methods=["GET"], response_class=Response)
    return routes
