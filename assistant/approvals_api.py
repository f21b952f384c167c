"""The HTTP routes for approved answers: approve, list, take back. For staff alone.

Who may approve what is decided in `approvals.py`. Knows no page.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Request
from pydantic import Field
from starlette.concurrency import run_in_threadpool

from assistant.accounts import Account
from assistant.approvals import Approvals, as_json
from assistant.requests import Plain
from feedback.approved import LONGEST_ANSWER, LONGEST_QUESTION
from retrieval.records import as_json as kept

Asking = Callable[[Request], Awaitable[Account]]
_Id = Annotated[str, Path(pattern=r"^[!-~]{1,60}$")]


class ApprovalRequest(Plain):
    """`POST /v1/approvals`. Without `answer` the answer is approved as it is."""

    completion_id: str = Field(pattern=r"^[!-~]{1,60}$")
    answer: str = Field("", max_length=LONGEST_ANSWER)
    question: str = Field("", max_length=LONGEST_QUESTION)
    """What it answers, where the question as it was asked does not say so by itself."""


def router(approvals: Approvals, live: Callable[[], str | None], staff: Asking) -> APIRouter:
    """The routes; `staff` gives the account behind a request that has the role, `live` the live adapter."""
    routes, needed = APIRouter(), Depends(staff)

    @routes.post("/v1/approvals", status_code=201)
    async def approve(asked: ApprovalRequest, account: Account = needed) -> dict[str, Any]:
        made = await run_in_threadpool(
            approvals.approve, asked.completion_id, account, asked.answer, asked.question
        )
        return as_json(made, await run_in_threadpool(live))

    @routes.get("/v1/approvals")
    async def listed(most: int = Query(1_000, ge=1, le=10_000), account: Account = needed) -> dict[str, Any]:
        found, now = await run_in_threadpool(lambda: (approvals.rows.all(most), live()))
        return {"object": "list", "data": [as_json(one, now) for one in found]}

    @routes.get("/v1/approvals/search")
    async def search(
        q: str = Query(min_length=1, max_length=LONGEST_QUESTION), account: Account = needed
    ) -> dict[str, Any]:
        hits = await approvals.look(q, account)
        return {"object": "list", "data": [kept(hit, number) for number, hit in enumerate(hits, 1)]}

    @routes.delete("/v1/approvals/{approval_id}")
    async def take_back(approval_id: _Id, account: Account = needed) -> dict[str, Any]:
        ended = await run_in_threadpool(approvals.take_back, approval_id, account.name)
        return as_json(ended, await run_in_threadpool(live))

    return routes
