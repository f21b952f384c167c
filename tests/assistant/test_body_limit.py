"""How large a request may be: by what it says, by what it is, and where more may come."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from fastapi import FastAPI, Request
from fastapi.testclient import TestClient

from assistant.body_limit import BodyLimit


@pytest.fixture
def http() -> TestClient:
    app = FastAPI()

    async def size(request: Request) -> int:
        return len(await request.body())

    for path in ("/v1/small", "/v1/large", "/page", "/login"):
        app.add_api_route(path, size, methods=["POST"])
    app.add_middleware(BodyLimit, largest=10, larger={"/v1/large": 100})
    return TestClient(app)


def in_pieces() -> Iterator[bytes]:
    """No length is told of such a body."""
    yield from [b"x" * 8] * 3


def test_what_is_too_large_is_refused_in_openais_shape(http: TestClient) -> None:
    assert http.post("/v1/small", content=b"x" * 10).json() == 10
    refused = http.post("/v1/small", content=b"x" * 11)
    assert (refused.status_code, refused.json()["error"]["message"]) == (
        413,
        "the request is larger than 10 bytes",
    )
    assert http.post("/v1/small", content=in_pieces()).status_code == 413


def test_more_may_come_where_it_is_said_and_outside_of_v1(http: TestClient) -> None:
    assert http.post("/v1/large", content=in_pieces()).json() == 24
    assert http.post("/v1/large", content=b"x" * 101).status_code == 413
    assert http.post("/page", content=b"x" * 1_000).json() == 1_000


def test_a_form_that_is_open_to_everybody_is_small(http: TestClient) -> None:
    assert http.post("/login", content=b"x" * 64_000).json() == 64_000
    assert http.post("/login", content=b"x" * 64_001).status_code == 413
