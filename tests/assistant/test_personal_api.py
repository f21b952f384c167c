"""Tests of one's own data over HTTP: read, taken along, deleted; somebody else's is not there."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from feedback.database import Database
from feedback.store import Verdict
from tests.assistant.serving import Site, site
from tests.fake_engine import FakeEngine
from tests.feedback.test_exchange import asked


@pytest.fixture
def house(sqlite: Database, home: Path, fake: FakeEngine) -> Site:
    return site(sqlite, home, fake)


@pytest.fixture
def ann(house: Site) -> Iterator[TestClient]:
    with TestClient(house.app, raise_server_exceptions=False) as client:
        client.headers["authorization"] = f"Bearer {house.key('ann')}"
        yield client


def said(house: Site, name: str, question: str, **more: Any) -> str:
    return asked(house.store, question, person=house.accounts.get(name).id, **more).id


def test_ones_own_conversations_come_page_by_page(house: Site, ann: TestClient) -> None:
    house.key("bob")
    turns = [said(house, "ann", f"{number}?") for number in range(3)]
    theirs = house.store.turn(said(house, "bob", "Bobs?")).conversation_id
    first = ann.get("/v1/conversations", params={"limit": 2}).json()
    assert [one["title"] for one in first["data"]] == ["2?", "1?"]
    assert (first["object"], first["has_more"]) == ("list", True)
    rest = ann.get("/v1/conversations", params={"after": first["last_id"]}).json()
    assert ([one["title"] for one in rest["data"]], rest["has_more"]) == (["0?"], False)
    whole = ann.get(f"/v1/conversations/{rest['last_id']}").json()
    assert [one["id"] for one in whole["completions"]] == turns[:1]
    assert whole["completions"][0]["answer"] == "Hi."
    missing = ann.get("/v1/conversations/conv-0")
    foreign = ann.get(f"/v1/conversations/{theirs}")
    assert (missing.status_code, missing.json()) == (foreign.status_code, foreign.json())
    assert missing.status_code == 404
    assert ann.get("/v1/conversations", params={"after": theirs}).status_code == 404
    for limit in (0, 101, "x"):
        assert ann.get("/v1/conversations", params={"limit": limit}).json()["error"]["param"] == "limit"


def test_ones_own_feedback_is_the_live_one(house: Site, ann: TestClient) -> None:
    turn = said(house, "ann", "Why?")
    for thumb, correction in (("up", ""), ("down", "So.")):
        verdict = Verdict(thumb, ["wrong"], "rude", correction)  # type: ignore[arg-type]
        house.store.judge(turn, house.accounts.get("ann").id, "user", verdict)
    found = ann.get("/v1/feedback").json()
    (one,) = found["data"]
    assert (one["completion_id"], one["rating"], one["correction"]) == (turn, "down", "So.")
    assert ann.get("/v1/feedback", params={"after": one["id"]}).json()["data"] == []


def test_everything_is_taken_along(house: Site, ann: TestClient) -> None:
    said(house, "ann", "Anns question")
    reply = ann.get("/v1/me/export")
    assert reply.headers["content-disposition"] == 'attachment; filename="ann.zip"'
    with zipfile.ZipFile(io.BytesIO(reply.content)) as archive:
        assert b"Anns question" in archive.read("turns.jsonl")


def test_a_deletion_wants_the_name_and_locks_out_at_once(house: Site, ann: TestClient) -> None:
    said(house, "ann", "Anns question")
    for confirm in ({}, {"confirm": "yes"}, {"confirm": "bob"}):
        assert "?confirm=ann" in ann.delete("/v1/me", params=confirm).json()["error"]["message"]
    reply = ann.delete("/v1/me", params={"confirm": "ann"})
    assert (reply.status_code, reply.json()["stage"]) == (202, "asked")
    assert ann.get("/v1/conversations").status_code == 401
    house.deletions.finish()
    admin = TestClient(house.app, headers={"authorization": f"Bearer {house.key('root', 'admin')}"})
    (done,) = admin.get("/v1/deletions").json()["data"]
    assert (done["stage"], done["counts"]["conversations"]) == ("done", 1)
    assert house.store.counts()["turns"] == 0
    refused = admin.delete("/v1/me", params={"confirm": "root"})
    assert (refused.status_code, "only admin" in refused.json()["error"]["message"]) == (400, True)
