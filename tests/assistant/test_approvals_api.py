"""Tests of the routes for approved answers."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from assistant import api, api_errors, approvals_api
from assistant.accounts import Accounts
from feedback.database import Database
from tests.assistant.test_approvals import ASKED, World


@pytest.fixture
def world(sqlite: Database) -> Iterator[World]:
    found = World(sqlite)
    yield found
    found.library.close()


@pytest.fixture
def app(world: World, sqlite: Database) -> FastAPI:
    found = FastAPI()
    api_errors.install(found)
    staff = api.bearer(Accounts(sqlite), "staff")
    found.include_router(approvals_api.router(world.approvals, lambda: world.live, staff))
    return found


def client(app: FastAPI, sqlite: Database, name: str) -> TestClient:
    key = Accounts(sqlite).new_key(name)
    return TestClient(app, headers={"authorization": f"Bearer {key}"})


def test_staff_approve_list_and_take_back(app: FastAPI, world: World, sqlite: Database) -> None:
    stella, turn = client(app, sqlite, "stella"), world.said()
    made = stella.post("/v1/approvals", json={"completion_id": turn.id, "answer": "Green label."})
    assert made.status_code == 201, made.text
    found = made.json()
    assert (found["question"], found["answer"], found["state"]) == (ASKED, "Green label.", "example")
    assert (found["approved_by"], found["completion_id"], found["group"]) == ("stella", turn.id, None)
    assert [one["id"] for one in stella.get("/v1/approvals").json()["data"]] == [found["id"]]
    ended = stella.delete(f"/v1/approvals/{found['id']}").json()
    assert (ended["state"], ended["ended_by"]) == ("ended", "stella")


def test_users_may_not_even_look(app: FastAPI, world: World, sqlite: Database) -> None:
    ann, turn = client(app, sqlite, "ann"), world.said()
    assert ann.post("/v1/approvals", json={"completion_id": turn.id}).status_code == 403
    assert ann.get("/v1/approvals").status_code == 403
    assert ann.delete("/v1/approvals/appr-1").status_code == 403
    assert TestClient(app).get("/v1/approvals").status_code == 401


def test_refusals_are_sentences(app: FastAPI, world: World, sqlite: Database) -> None:
    stella = client(app, sqlite, "stella")
    assert stella.post("/v1/approvals", json={"completion_id": "turn-none"}).status_code == 404
    assert stella.delete("/v1/approvals/appr-none").status_code == 404
    two = stella.post("/v1/approvals", json={"completion_id": world.said(ASKED, "a", "b").id})
    assert two.status_code == 400
    assert "no approval is for both" in two.json()["error"]["message"]
