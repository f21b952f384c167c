"""Errors as OpenAI's protocol has them: each leaves as `{"error": …}` with a fitting status, in a sentence.

The one place where errors of all packages become answers over HTTP. Knows no route.
"""

from __future__ import annotations

import logging
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from assistant import request_ids, routing
from assistant.accounts import AccountError
from assistant.approvals import NotApproved
from assistant.errors import AssistantError, EngineRefused, EngineUnavailable
from feedback.database import DatabaseUnavailable
from feedback.records import FeedbackError, Invalid
from feedback.records import NotFound as NoFact
from retrieval.records import NotFound as NoDocument
from retrieval.records import Refused as DocumentRefused
from retrieval.records import RetrievalError, Unavailable, Unreadable
from training.records import NotFound as NoTraining
from training.records import Refused, TrainingError

log = logging.getLogger(__name__)


def install(app: FastAPI) -> None:
    """Every error leaves as OpenAI's `{"error": {"message", "type", "code"}}` with a fitting status."""

    @app.exception_handler(HTTPException)
    async def http(request: Request, error: HTTPException) -> JSONResponse:
        headers = {"www-authenticate": "Bearer"} if error.status_code == 401 else error.headers
        return JSONResponse(error_body(error.status_code, str(error.detail)), error.status_code, headers)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        where = [part for part in first["loc"] if part not in ("body", "query", "path")]
        parts = [str(part) for part in where if first["type"] != "json_invalid"]
        said = str(first["msg"]).removeprefix("Value error, ")
        name = ".".join(parts)
        return JSONResponse(error_body(400, f"{name or 'the body'}: {said}", name or None), 400)

    async def ours(request: Request, error: Exception) -> JSONResponse:
        status = status_of(error)
        if status >= 500:
            log.warning("%s %s: %s", request.method, request.url.path, error)
        return JSONResponse(error_body(status, str(error)), status)

    @app.exception_handler(Exception)
    async def bug(request: Request, error: Exception) -> JSONResponse:
        # Starlette raises it again when this answer has gone out, so it stands in the log with its trace. The
        # middleware that names requests is inside of this handler, so the name is put on here.
        name = getattr(request.state, "request_id", "")
        said = "something went wrong here; it stands in the log" + (f" ({name})" if name else "")
        if name:
            log.error("%s %s broke (%s)", request.method, request.url.path, name)
        return JSONResponse(error_body(500, said), 500, {request_ids.HEADER: name} if name else None)

    for family in (AssistantError, FeedbackError, RetrievalError, TrainingError):
        app.add_exception_handler(family, ours)


def status_of(error: Exception) -> int:
    """The HTTP status that fits an error of ours."""
    match error:
        case EngineRefused():
            return error.status
        case NoFact() | NoTraining() | NoDocument() | routing.NoSuchModel():
            return 404
        case Invalid() | AccountError() | NotApproved() | Refused() | DocumentRefused() | Unreadable():
            return 400
        case EngineUnavailable() | DatabaseUnavailable() | Unavailable():
            return 503
    return 500


def error_body(status: int, message: str, param: str | None = None) -> dict[str, Any]:
    """An error in OpenAI's shape; `param` names the field that it is about."""
    kinds = {
        401: "authentication_error",
        403: "permission_error",
        404: "not_found_error",
        429: "rate_limit_error",
    }
    kind = kinds.get(status, "invalid_request_error" if status < 500 else "server_error")
    return {"error": {"message": message, "type": kind, "param": param, "code": status}}
