"""The HTTP routes for documents: list, add, show, remove and search for programs, and the files for people.

Who may see what is the library's to say: what is for others and what is not there are told apart by nobody.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, cast

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import JSONResponse
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException

from assistant.accounts import Account
from assistant.library import Library
from retrieval.records import EVERYBODY, Document, Hit
from retrieval.shelf import as_json

ROOM = 1_000_000
"""Bytes that an upload may have besides its file."""
_LONGEST_QUESTION = 2_000
Asking = Callable[[Request], Awaitable[Account]]


def router(library: Library, user: Asking, staff: Asking) -> APIRouter:
    """The routes; `user` and `staff` give the account behind a request that has the role."""
    routes = APIRouter()
    _read(routes, library, Depends(user))
    _write(routes, library, Depends(staff))
    return routes


def _read(routes: APIRouter, library: Library, user: Any) -> None:
    @routes.get("/v1/documents")
    async def documents(account: Account = user) -> dict[str, Any]:
        found = await run_in_threadpool(library.documents, account)
        return {
            "object": "list",
            "data": [shown(document, account) for document in found],
            "rebuilding": library.rebuilding,
        }

    # Before the route with an id, which would take `search` for one.
    @routes.get("/v1/documents/search")
    async def search(
        q: str = Query(min_length=1, max_length=_LONGEST_QUESTION),
        k: int = Query(5, ge=1, le=50),
        group: str | None = Query(None, max_length=60),
        account: Account = user,
    ) -> dict[str, Any]:
        _need(library)
        if group is None:
            hits = await library.find(q, account, most=k)
        else:
            if group not in account.groups and not account.may("staff"):
                raise HTTPException(403, f"{account.name} is not in the group {group}")
            hits = await library.search(q, {EVERYBODY, group}, most=k)
        rows = await run_in_threadpool(library.shelf.some, {hit.passage.source_id for hit in hits})
        found = [
            hit_as_json(number, hit, rows.get(hit.passage.source_id)) for number, hit in enumerate(hits, 1)
        ]
        return {"object": "list", "data": found}

    @routes.get("/v1/documents/{document_id}")
    async def document(document_id: str, account: Account = user) -> dict[str, Any]:
        return shown(await run_in_threadpool(library.document, document_id, account), account)


def _write(routes: APIRouter, library: Library, staff: Any) -> None:
    @routes.post("/v1/documents")
    async def add(request: Request, account: Account = staff) -> JSONResponse:
        _need(library)
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != "multipart/form-data":
            raise HTTPException(400, "send the file as multipart/form-data, in the field `file`")
        # Only now, when it is known who asks, is the body read; what is large goes to the disk as it comes.
        async with request.form(max_files=1, max_fields=4) as form:
            file, name, group = _fields(form)
            document, change = await run_in_threadpool(
                library.bring_in, name, cast("Any", file.file), group, account.name
            )
        said = {**shown(document, account), "change": change}
        return JSONResponse(said, 200 if change == "unchanged" else 201)

    @routes.delete("/v1/documents/{document_id}")
    async def remove(document_id: str, account: Account = staff) -> dict[str, Any]:
        document = await run_in_threadpool(library.remove, document_id, account.name)
        return {"id": document.id, "object": "document", "deleted": True}


def _need(library: Library) -> None:
    if library.disabled is not None:
        raise HTTPException(503, library.disabled)


def _fields(form: FormData) -> tuple[UploadFile, str, str]:
    file, group = form.get("file"), form.get("group") or EVERYBODY
    if not isinstance(file, UploadFile):
        raise HTTPException(400, "send the file in the field `file`")
    name = form.get("name") or file.filename
    if not isinstance(name, str) or not isinstance(group, str):
        raise HTTPException(400, "`name` and `group` are texts")
    return file, name, group


def shown(document: Document, account: Account) -> dict[str, Any]:
    """A document as this person's programs see it."""
    found = {**as_json(document), "url": f"/documents/{document.id}"}
    if not account.may("staff"):
        del found["added_by"]
    return found


def hit_as_json(number: int, hit: Hit, document: Document | None) -> dict[str, Any]:
    """A passage that was found."""
    one = hit.passage
    return {
        "number": number,
        "object": "passage",
        "id": one.id,
        "document": one.source_id,
        "name": document.name if document else None,
        "group": one.audience or None,
        "title": one.title,
        "text": one.text,
        "page": one.page,
        "score": round(hit.score, 4),
        "url": f"/documents/{one.source_id}",
    }
