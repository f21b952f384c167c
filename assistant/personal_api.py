"""The HTTP routes by which people read what is kept of them, take it along, and have it deleted.

Everybody reads their own only: what is somebody else's is not there. Knows no page.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from anyio import to_thread
from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import JSONResponse, StreamingResponse
from starlette.exceptions import HTTPException

from assistant import outgoing, personal
from assistant.accounts import Account
from assistant.deletions import Deletions
from feedback.paging import conversation_page, rating_page
from feedback.records import Conversation, Turn
from feedback.store import Store
from training.registry import Registry

Asking = Callable[[Request], Awaitable[Account]]
LIMIT = Query(20, ge=1, le=100)


def router(store: Store, registry: Registry, deletions: Deletions, user: Asking, admin: Asking) -> APIRouter:
    """The routes; `user` and `admin` give the account behind a request that has the role."""
    routes = APIRouter()
    _own(routes, store, deletions, Depends(user))
    _me(routes, registry, deletions, Depends(user), Depends(admin))
    return routes


def _own(routes: APIRouter, store: Store, deletions: Deletions, user: Any) -> None:
    database = deletions.database

    @routes.get("/v1/conversations")
    async def conversations(
        limit: int = LIMIT, after: str | None = Query(None, max_length=40), account: Account = user
    ) -> dict[str, Any]:
        page = await to_thread.run_sync(conversation_page, database, account.id, limit, after)
        return listed([_conversation(one) for one in page.items], page.more)

    @routes.get("/v1/conversations/{conversation_id}")
    async def conversation(conversation_id: str, account: Account = user) -> dict[str, Any]:
        found = await to_thread.run_sync(store.conversation, conversation_id, account.id)
        turns = await to_thread.run_sync(store.turns, found.id)
        return {**_conversation(found), "completions": [_turn(turn) for turn in turns]}

    @routes.get("/v1/feedback")
    async def feedback(
        limit: int = LIMIT, after: int | None = Query(None, ge=1, lt=2**31), account: Account = user
    ) -> dict[str, Any]:
        page = await to_thread.run_sync(rating_page, database, account.id, limit, after)
        said = await to_thread.run_sync(store.opinion, [one.turn_id for one in page.items], account.id)
        rows = [
            {
                "id": one.id,
                "object": "feedback",
                "completion_id": one.turn_id,
                "rating": one.thumb,
                "reasons": list(one.reasons),
                "comment": one.comment,
                "correction": said[one.turn_id].correction,
                "created": int(one.created_at.timestamp()),
            }
            for one in page.items
        ]
        return listed(rows, page.more)


def _me(routes: APIRouter, registry: Registry, deletions: Deletions, user: Any, admin: Any) -> None:
    @routes.get("/v1/me/export")
    async def export(account: Account = user) -> StreamingResponse:
        learned = await to_thread.run_sync(personal.learned_by, registry, account.id)
        body = await outgoing.made(lambda file: personal.export(deletions.database, account, file, learned))
        headers = {"content-disposition": f'attachment; filename="{account.name}.zip"'}
        return StreamingResponse(body, media_type="application/zip", headers=headers)

    @routes.delete("/v1/me")
    async def delete(confirm: str = Query("", max_length=100), account: Account = user) -> JSONResponse:
        if confirm != account.name:
            raise HTTPException(
                400, f"this deletes all your data for good: confirm it by ?confirm={account.name}"
            )
        asked = await to_thread.run_sync(deletions.ask, account.id, account.id)
        return JSONResponse(asked.as_dict(), 202)

    @routes.get("/v1/deletions")
    async def all_deletions(account: Account = admin) -> dict[str, Any]:
        found = await to_thread.run_sync(deletions.all)
        return listed([one.as_dict() for one in found], False)


def listed(rows: list[dict[str, Any]], more: bool) -> dict[str, Any]:
    """A page in OpenAI's shape; the next one is asked for by `after` with `last_id`."""
    ends = {"first_id": rows[0]["id"] if rows else None, "last_id": rows[-1]["id"] if rows else None}
    return {"object": "list", "data": rows, **ends, "has_more": more}


def _conversation(found: Conversation) -> dict[str, Any]:
    return {
        "id": found.id,
        "object": "conversation",
        "title": found.title,
        "grounded": found.grounded,
        "created": int(found.created_at.timestamp()),
        "updated": int(found.updated_at.timestamp()),
    }


def _turn(turn: Turn) -> dict[str, Any]:
    return {
        "id": turn.id,
        "object": "turn",
        "parent": turn.parent_id,
        "question": turn.question,
        "answer": turn.answer,
        "status": turn.status,
        "finish_reason": turn.finish_reason,
        "adapter": turn.adapter or "base",
        "created": int(turn.created_at.timestamp()),
    }
