"""The HTTP routes by which admins take everybody's feedback out and read other tools' in.

Files pass through without a name on this machine: whatever is killed leaves no copy. Knows no page.
"""

from __future__ import annotations

import io
import tempfile
from collections.abc import Awaitable, Callable
from functools import partial
from typing import IO, Any

from anyio import to_thread
from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import StreamingResponse
from starlette.exceptions import HTTPException

from assistant import outgoing
from assistant.accounts import Account
from assistant.people import Note, to_log
from feedback import importing
from feedback.database import Database
from feedback.importing import Imported
from feedback.store import Store

LARGEST = 2_000_000_000
"""Bytes of a file that is read in."""
IMPORT = "/v1/feedback/import"
Asking = Callable[[Request], Awaitable[Account]]


def router(store: Store, database: Database, admin: Asking, note: Note = to_log) -> APIRouter:
    """The routes; `admin` gives the account behind a request that has the role, `note` keeps what it did."""
    routes, role = APIRouter(), Depends(admin)

    @routes.get("/v1/feedback/export")
    async def export(
        kind: outgoing.Format = Query(alias="format"), account: Account = role
    ) -> StreamingResponse:
        body = await outgoing.made(partial(outgoing.feedback_bytes, store, kind))
        await to_thread.run_sync(note, account.name, "export feedback", kind, "", "")
        headers = {"content-disposition": f'attachment; filename="{kind}.jsonl"'}
        return StreamingResponse(body, media_type="application/jsonl", headers=headers)

    @routes.post(IMPORT)
    async def import_(
        request: Request, name: str = Query("upload", max_length=300), account: Account = role
    ) -> dict[str, Any]:
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind.startswith("multipart/") or kind == "application/x-www-form-urlencoded":
            raise HTTPException(400, "send the file itself as the body: curl --data-binary @FILE")
        with tempfile.TemporaryFile() as file:
            async for chunk in request.stream():
                await to_thread.run_sync(file.write, chunk)
            found = await to_thread.run_sync(_read, database, file, name, account.name)
        lines = f"{found.stored} lines"
        await to_thread.run_sync(note, account.name, "import feedback", found.id or name, "", lines)
        return found.as_dict()

    return routes


def _read(database: Database, file: IO[bytes], name: str, by: str) -> Imported:
    file.seek(0)
    text = io.TextIOWrapper(file, encoding="utf-8", errors="replace", newline="\n")
    found = importing.read_in(database, text, name=name, by=by)
    text.detach()
    return found
