"""Tests of addresses under /v1 that are not there: errors like any other, not the pages'."""

from __future__ import annotations

from fastapi import FastAPI
from fastapi.testclient import TestClient

from assistant import api_errors, unserved


def client() -> TestClient:
    async def anybody() -> None:
        return None

    app = FastAPI()
    api_errors.install(app)

    @app.post("/v1/things/{name}")
    async def thing(name: str) -> str:
        return name

    app.include_router(unserved.router(anybody))  # type: ignore[arg-type]

    @app.get("/{rest:path}")
    async def page(rest: str) -> str:
        return "a page"

    return TestClient(app)


def test_what_is_not_there_is_no_page() -> None:
    reply = client().get("/v1/embeddings")
    assert reply.status_code == 404
    assert reply.json()["error"] == {
        "message": "there is no /v1/embeddings here",
        "type": "not_found_error",
        "param": None,
        "code": 404,
    }
    assert client().get("/elsewhere").json() == "a page"


def test_another_method_is_told_the_right_one() -> None:
    reply = client().get("/v1/things/x")
    assert (reply.status_code, reply.headers["allow"]) == (405, "POST")
    assert reply.json()["error"]["message"] == "GET is not allowed here, only POST"
    assert client().post("/v1/things/x").json() == "x"
