"""Tests of the ids of requests: the client's own or a new one, in every answer, error and line of the log."""

from __future__ import annotations

import logging

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from starlette.concurrency import run_in_threadpool

from assistant import api_errors
from assistant.request_ids import RequestIds, current, log_ids

log = logging.getLogger("assistant.test")


@pytest.fixture
def client() -> TestClient:
    app = FastAPI()
    api_errors.install(app)

    @app.get("/v1/id")
    async def told() -> list[str]:
        log.warning("inside")
        return [current(), await run_in_threadpool(current)]

    @app.get("/v1/bug")
    async def bug() -> None:
        raise ZeroDivisionError

    @app.get("/elsewhere")
    async def elsewhere() -> str:
        return current()

    app.add_middleware(RequestIds)
    return TestClient(app, raise_server_exceptions=False)


def test_a_clients_own_id_is_echoed_and_known_everywhere(client: TestClient) -> None:
    reply = client.get("/v1/id", headers={"x-request-id": "trace-7f:1"})
    assert reply.headers["x-request-id"] == "trace-7f:1"
    assert reply.json() == ["trace-7f:1"] * 2


@pytest.mark.parametrize("given", [None, "", "a b", "x" * 129, "é", "a;b", "-a", '"'])
def test_without_a_good_one_there_is_a_new_one(client: TestClient, given: str | None) -> None:
    headers = {} if given is None else {"x-request-id": given.encode("latin-1")}
    names = {client.get("/v1/id", headers=headers).headers["x-request-id"] for _ in range(2)}
    assert len(names) == 2
    assert all(name.startswith("req-") for name in names)


@pytest.mark.parametrize(("path", "status"), [("/v1/none", 404), ("/v1/bug", 500)])
def test_errors_carry_it_too(client: TestClient, path: str, status: int) -> None:
    reply = client.get(path, headers={"x-request-id": "mine"})
    assert (reply.status_code, reply.headers.get_list("x-request-id")) == (status, ["mine"])
    assert status != 500 or "(mine)" in reply.json()["error"]["message"]


def test_it_stands_in_the_log_beside_how_it_ended(
    client: TestClient, caplog: pytest.LogCaptureFixture
) -> None:
    log_ids()
    log_ids()
    with caplog.at_level("INFO"):
        client.get("/v1/id", headers={"x-request-id": "mine"})
        log.warning("outside")
    told = {record.getMessage().partition(" in ")[0]: vars(record)["of_request"] for record in caplog.records}
    assert told["inside"] == told["GET /v1/id 200"] == " [mine]"
    assert told["outside"] == ""


def test_pages_are_left_alone(client: TestClient) -> None:
    reply = client.get("/elsewhere", headers={"x-request-id": "mine"})
    assert "x-request-id" not in reply.headers
    assert reply.json() == ""
