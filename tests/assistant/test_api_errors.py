"""Tests of errors over HTTP: each in OpenAI's shape, in one sentence, with the field that it is about."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi import FastAPI, Query
from fastapi.testclient import TestClient

from assistant import api_errors
from assistant.errors import AssistantError, EngineRefused, EngineUnavailable
from assistant.requests import ChatRequest
from feedback.records import Invalid, NotFound
from training.records import Refused


@pytest.mark.parametrize(
    ("error", "status", "kind"),
    [
        (Invalid("x"), 400, "invalid_request_error"),
        (NotFound("x"), 404, "not_found_error"),
        (Refused("x"), 400, "invalid_request_error"),
        (EngineRefused(422, "x"), 422, "invalid_request_error"),
        (EngineRefused(429, "x"), 429, "rate_limit_error"),
        (EngineUnavailable("x"), 503, "server_error"),
        (AssistantError("x"), 500, "server_error"),
    ],
)
def test_an_error_of_ours_is_one_in_openais_shape(error: Exception, status: int, kind: str) -> None:
    app = FastAPI()
    api_errors.install(app)

    @app.get("/")
    async def raises() -> None:
        raise error

    reply = TestClient(app).get("/")
    assert reply.status_code == status
    assert reply.json() == {"error": {"message": "x", "type": kind, "param": None, "code": status}}


def test_what_is_wrong_with_a_field_names_it() -> None:
    app = FastAPI()
    api_errors.install(app)

    @app.post("/")
    async def takes(asked: ChatRequest, limit: int = Query(1, le=3)) -> None:
        return None

    def param(body: Any, **query: Any) -> Any:
        return TestClient(app).post("/", json=body, params=query).json()["error"]["param"]

    hello = [{"role": "user", "content": "Hi"}]
    assert param({"messages": hello, "n": 9}) == "n"
    assert param({"messages": [{"role": "root", "content": "x"}]}) == "messages.0.role"
    assert param({"messages": hello}, limit=7) == "limit"
    assert param([1]) is None
