"""The HTTP routes for programs: the OpenAI protocol, feedback, runs, adapters, health, metrics.

Translates between JSON and the services, and decides nothing itself. Knows no page.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Mapping
from contextlib import aclosing
from functools import partial
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Depends, Path, Request
from fastapi.responses import JSONResponse, PlainTextResponse, StreamingResponse
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from assistant import doors, routing
from assistant.accounts import Account, Accounts
from assistant.api_errors import error_body, status_of
from assistant.approvals import Approvals
from assistant.audit import DOOR
from assistant.chat import Ask, Begun, Chat
from assistant.errors import AssistantError
from assistant.metrics import Metrics
from assistant.requests import ChatRequest, FeedbackRequest, Reason, RunRequest
from feedback.records import Role
from feedback.store import Verdict
from training.canaries import Canaries
from training.records import CanaryStep, Run
from training.registry import Registry
from training.runs import Runs

log = logging.getLogger(__name__)
T = TypeVar("T")
AdapterName = Annotated[str, Path(pattern=r"^[!-~]{1,40}$")]


def router(
    chat: Chat,
    accounts: Accounts,
    runs: Runs,
    registry: Registry,
    canaries: Canaries,
    ready: Callable[[], str | None],
    metrics: Metrics,
    approvals: Approvals | None = None,
) -> APIRouter:
    """All routes for programs, over services that the composition root hands in."""
    routes = APIRouter()
    user, admin = Depends(bearer(accounts, "user")), Depends(bearer(accounts, "admin"))
    staff = Depends(bearer(accounts, "staff"))
    _health(routes, ready, metrics, bearer(accounts, "admin"))
    _models(routes, registry, user)
    _chat(routes, chat, metrics, user)
    _feedback(routes, chat, metrics, user, approvals)
    _training(routes, runs, registry, admin)
    _canary(routes, canaries, staff, admin)
    return routes


def bearer(accounts: Accounts, role: Role) -> Callable[[Request], Awaitable[Account]]:
    """Gives the account behind `Authorization: Bearer KEY`, if it has the role."""

    async def account(request: Request) -> Account:
        scheme, _, key = request.headers.get("authorization", "").partition(" ")
        # The gate in front of the whole application has looked it up already.
        found: Account | None = request.scope.get(doors.KEYED)
        if found is None and scheme.lower() == "bearer" and key.strip():
            found = await run_in_threadpool(accounts.by_key, key.strip())
        if found is None:
            raise HTTPException(401, "a valid API key is needed: send `Authorization: Bearer KEY`")
        if not found.may(role):
            raise HTTPException(403, f"this needs the role {role}; {found.name} has {found.role}")
        DOOR.set("api")
        return found

    return doors.mark(account, doors.Door(role, "key"))


def _health(
    routes: APIRouter,
    ready: Callable[[], str | None],
    metrics: Metrics,
    admin: Callable[[Request], Awaitable[Account]],
) -> None:
    @routes.get("/healthz")
    @doors.opens(None)
    async def healthz() -> dict[str, str]:
        return {"status": "alive"}

    @routes.get("/readyz")
    @doors.opens(None)
    async def readyz() -> JSONResponse:
        reason = await run_in_threadpool(ready)
        if reason is None:
            return JSONResponse({"status": "ready"})
        return JSONResponse({"status": "not ready", "reason": reason}, 503)

    @routes.get("/metrics")
    @doors.opens(None)
    async def metrics_text(request: Request) -> PlainTextResponse:
        # A proxy on the same machine speaks for the whole world, so behind one the key is needed.
        near = request.client is not None and request.client.host in ("127.0.0.1", "::1")
        if not near or not {"forwarded", "x-forwarded-for", "x-real-ip"}.isdisjoint(request.headers):
            await admin(request)
        text = await run_in_threadpool(metrics.text)
        return PlainTextResponse(text, media_type="text/plain; version=0.0.4")


def _models(routes: APIRouter, registry: Registry, user: Any) -> None:
    @routes.get("/v1/models")
    async def models(account: Account = user) -> dict[str, Any]:
        return {"object": "list", "data": await run_in_threadpool(models_of, registry, account)}

    @routes.get("/v1/models/{name}")
    async def model(name: str, account: Account = user) -> dict[str, Any]:
        found = await run_in_threadpool(models_of, registry, account)
        for one in found:
            if one["id"] == name:
                return one
        raise routing.NoSuchModel(f"the model `{name[:60]}` does not exist")


def models_of(registry: Registry, account: Account) -> list[dict[str, Any]]:
    """The models that this person may ask by name, as programs see them."""
    made = {routing.LIVE: 0, routing.BASE: 0}
    if account.may("staff"):
        adapters = (adapter for adapter in registry.all() if not adapter.retired and registry.fits(adapter))
        made |= {adapter.name: int(adapter.created_at.timestamp()) for adapter in adapters}
    return [
        {"id": name, "object": "model", "created": created, "owned_by": "apprentice"}
        for name, created in made.items()
    ]


def _chat(routes: APIRouter, chat: Chat, metrics: Metrics, user: Any) -> None:
    @routes.post("/v1/chat/completions", response_model=None)
    async def completions(asked: ChatRequest, request: Request, account: Account = user) -> Any:
        messages = tuple(message.as_sent() for message in asked.messages)
        begun = await chat.begin(
            Ask(account, messages, asked.model, asked.sampling(), grounded=asked.grounded)
        )
        headers = {"x-apprentice-adapter": begun.answered_by}
        log.info("%s answers %s", begun.answered_by, begun.id)
        if not asked.stream:
            whole = await _unless_gone(request, _whole(chat, begun, metrics))
            return JSONResponse(whole, headers=headers)
        usage = bool(asked.stream_options and asked.stream_options.include_usage)
        body = _events(chat, begun, metrics, usage)
        # The first chunk is awaited here, so that a refusal still has a status of its own.
        first = await _unless_gone(request, _next(body))
        return StreamingResponse(
            _chain(first, body),
            media_type="text/event-stream",
            headers={**headers, "cache-control": "no-cache"},
        )


async def _unless_gone(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """The result of `work`; if the client goes away first, the work is cancelled, and the engine stops."""

    async def gone() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass

    working, leaving = asyncio.create_task(work), asyncio.create_task(gone())
    try:
        await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise HTTPException(499, "the client has gone")
        return working.result()
    finally:
        for task in (working, leaving):
            task.cancel()
        await asyncio.wait({working, leaving})


async def _whole(chat: Chat, begun: Begun, metrics: Metrics) -> dict[str, Any]:
    with metrics.answering():
        return await chat.whole(begun)


async def _next(events: AsyncGenerator[str, None]) -> str:
    return await anext(events)


async def _events(chat: Chat, begun: Begun, metrics: Metrics, with_usage: bool) -> AsyncGenerator[str, None]:
    """The answer as server-sent events in OpenAI's order: chunks, the usage if it was asked for, `[DONE]`."""
    sent = False
    try:
        with metrics.answering():
            async with aclosing(chat.stream(begun)) as chunks:
                async for chunk in chunks:
                    usage = chunk.pop("usage", None)
                    if chunk["choices"]:
                        yield _event({**chunk, "usage": None} if with_usage else chunk)
                        sent = True
                    elif usage and with_usage:
                        yield _event({**chunk, "usage": usage})
    except AssistantError as error:
        if not sent:
            raise
        yield _event(error_body(status_of(error), str(error)))
        return
    yield "data: [DONE]\n\n"


async def _chain(first: str, rest: AsyncGenerator[str, None]) -> AsyncGenerator[str, None]:
    try:
        yield first
        async for event in rest:
            yield event
    finally:
        # A reader that leaves must end the engine's work at once, not when the collector comes by.
        await rest.aclose()


def _event(data: Mapping[str, Any]) -> str:
    return f"data: {json.dumps(data, ensure_ascii=False, separators=(',', ':'))}\n\n"


def _feedback(
    routes: APIRouter, chat: Chat, metrics: Metrics, user: Any, approvals: Approvals | None
) -> None:
    @routes.post("/v1/feedback")
    async def feedback(said: FeedbackRequest, account: Account = user) -> dict[str, Any]:
        if said.approve and not account.may("staff"):
            raise HTTPException(
                403, f"only staff approve answers; {account.name} has the role {account.role}"
            )
        verdict = Verdict(said.rating, tuple(said.reasons), said.comment, said.correction)
        rating = await run_in_threadpool(
            chat.store.judge, said.completion_id, account.id, account.role, verdict
        )
        metrics.rated(said.rating)
        made, why_not = None, ""
        if approvals is not None and said.approve is not False:
            made, why_not = await run_in_threadpool(
                approvals.correct, said.completion_id, account, said.correction
            )
        return {
            "id": rating.id,
            "object": "feedback",
            "completion_id": rating.turn_id,
            "rating": rating.thumb,
            "created": int(rating.created_at.timestamp()),
            **({"approval": made.id} if made else {}),
            **({"not_approved": why_not} if why_not else {}),
        }


def _training(routes: APIRouter, runs: Runs, registry: Registry, admin: Any) -> None:
    @routes.get("/v1/runs")
    async def list_runs(account: Account = admin) -> dict[str, Any]:
        found = await run_in_threadpool(runs.all)
        return {"object": "list", "data": [run_as_json(run) for run in found]}

    @routes.post("/v1/runs", status_code=201)
    async def queue_run(asked: RunRequest, account: Account = admin) -> dict[str, Any]:
        method = "dpo" if asked.method == "auto" else asked.method
        by = account.name
        queue = partial(runs.queue, method, f"by hand: {by}", actor=by, wishes=asked.recipe)
        return run_as_json(await run_in_threadpool(queue))

    @routes.get("/v1/adapters")
    async def list_adapters(account: Account = admin) -> dict[str, Any]:
        return {"object": "list", "data": await run_in_threadpool(adapters_as_json, registry)}

    @routes.post("/v1/adapters/rollback")
    async def rollback(why: Reason, account: Account = admin) -> dict[str, Any]:
        row = await run_in_threadpool(lambda: registry.rollback(actor=account.name, reason=why.reason))
        return {"adapter": row.adapter or "base", "action": row.action, "at": row.at.isoformat()}

    @routes.post("/v1/adapters/{name}/promote")
    async def promote(name: AdapterName, why: Reason, account: Account = admin) -> dict[str, Any]:
        row = await run_in_threadpool(lambda: registry.promote(name, actor=account.name, reason=why.reason))
        return {"adapter": row.adapter or "base", "action": row.action, "at": row.at.isoformat()}


def _canary(routes: APIRouter, canaries: Canaries, staff: Any, admin: Any) -> None:
    @routes.post("/v1/adapters/{name}/canary")
    async def start(name: AdapterName, why: Reason, account: Account = admin) -> dict[str, Any]:
        begun = await run_in_threadpool(
            lambda: canaries.start(name, actor=account.name, reason=why.reason).steps[-1]
        )
        return _step_as_json(begun)

    # A veto is for whoever looks at answers, and that is not only admins.
    @routes.post("/v1/adapters/canary-stop")
    async def stop(why: Reason, account: Account = staff) -> dict[str, Any]:
        row = await run_in_threadpool(lambda: canaries.stop(actor=account.name, reason=why.reason))
        return _step_as_json(row)


def _step_as_json(step: CanaryStep) -> dict[str, Any]:
    return {
        "adapter": step.adapter,
        "action": step.action,
        "share": step.share,
        "at": step.at.isoformat(),
    }


def run_as_json(run: Run) -> dict[str, Any]:
    """A run as programs see it."""
    return {
        "id": run.id,
        "object": "run",
        "state": run.state,
        "method": run.method,
        "recipe": dict(run.wishes),
        "due_by": run.due_by,
        "stage": run.stage,
        "progress": run.progress,
        "attempts": run.attempts,
        "adapter": run.adapter,
        "reason": run.reason,
        "counts": dict(run.counts),
        "seconds": dict(run.seconds),
        "created_at": run.created_at.isoformat(),
        "started_at": run.started_at.isoformat() if run.started_at else None,
        "ended_at": run.ended_at.isoformat() if run.ended_at else None,
    }


def adapters_as_json(registry: Registry) -> list[dict[str, Any]]:
    """Every adapter with its newest evaluation, as programs see it; `share` of conversations is 0 to 1."""
    live, canary = registry.live(), registry.canary()
    shares = {canary.adapter: canary.share} if canary else {}
    if live is not None:
        shares[live.name] = 1 - sum(shares.values())
    found = []
    for adapter in registry.all():
        evaluation = registry.evaluation(adapter.name)
        found.append(
            {
                "name": adapter.name,
                "object": "adapter",
                "live": live is not None and live.name == adapter.name,
                "share": shares.get(adapter.name, 0.0),
                "retired": adapter.retired,
                "run": adapter.run_id,
                "rank": adapter.rank,
                "base": adapter.base,
                "fits_the_base": registry.fits(adapter),
                "created_at": adapter.created_at.isoformat(),
                "outcome": evaluation.outcome if evaluation else None,
                "reasons": evaluation.reasons if evaluation else [],
            }
        )
    return found
