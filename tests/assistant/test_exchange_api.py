"""Tests of export and import over HTTP: what comes out goes in, and a bad file says what is wrong with it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from feedback.database import Database
from feedback.schema import imports
from feedback.store import Verdict
from tests.assistant.serving import Site, site
from tests.fake_engine import FakeEngine
from tests.feedback.test_exchange import asked
from tests.feedback.test_foreign import HI, NO, YES

PAIR = {"prompt": [HI], "chosen": [YES], "rejected": [NO]}
IMPORT = "/v1/feedback/import"


@pytest.fixture
def house(sqlite: Database, home: Path, fake: FakeEngine) -> Site:
    return site(sqlite, home, fake)


@pytest.fixture
def admin(house: Site) -> Iterator[TestClient]:
    with TestClient(house.app, raise_server_exceptions=False) as client:
        client.headers["authorization"] = f"Bearer {house.key('root', 'admin')}"
        yield client


def test_what_comes_out_is_known_when_it_goes_in(house: Site, admin: TestClient) -> None:
    turn = asked(house.store)
    house.store.judge(turn.id, "ann", "user", Verdict("up"))
    out = admin.get("/v1/feedback/export", params={"format": "raw"})
    assert out.headers["content-type"] == "application/jsonl"
    assert json.loads(out.text)["turn_id"] == turn.id
    back = admin.post(IMPORT, content=out.content).json()
    assert (back["stored"], back["refused"]) == (0, 1)
    unpaired = admin.get("/v1/feedback/export", params={"format": "unpaired"})
    assert json.loads(unpaired.text)["label"] is True
    assert admin.get("/v1/feedback/export", params={"format": "csv"}).json()["error"]["param"] == "format"
    assert admin.get("/v1/feedback/export").status_code == 400


def test_a_file_is_read_in_and_says_what_it_refused(house: Site, admin: TestClient, sqlite: Database) -> None:
    body = json.dumps(PAIR) + "\nnonsense\n" + json.dumps({"x": 1})
    found = admin.post(IMPORT, content=body, params={"name": "pairs.jsonl"}).json()
    assert (found["object"], found["stored"], found["refused"]) == ("import", 1, 2)
    assert found["reasons"][0] == {"line": 2, "reason": "the line is not JSON"}
    with sqlite.read() as connection:
        row = connection.execute(imports.select()).one()
    assert (row.name, row.read_by, row.counts["stored"]) == ("pairs.jsonl", "root", 1)
    assert admin.post(IMPORT, content=body).json()["known"] == 1


def test_a_form_is_refused_in_words_and_a_large_file_is_none(house: Site, admin: TestClient) -> None:
    reply = admin.post(IMPORT, files={"file": b"{}"})
    assert reply.status_code == 400
    assert "--data-binary" in reply.json()["error"]["message"]
    line = json.dumps({**PAIR, "note": "x" * 2_000_000}).encode()
    assert admin.post(IMPORT, content=line).json()["stored"] == 1


def test_restricted_answers_are_in_no_training_format(house: Site, admin: TestClient) -> None:
    closed = asked(house.store, "What margin?", passages=({"id": "q", "audience": "staff"},))
    house.store.judge(closed.id, "ann", "user", Verdict("down", (), "", "It is four percent of all."))
    for kind in ("unpaired", "sft", "preference"):
        assert admin.get("/v1/feedback/export", params={"format": kind}).text == ""
    assert "What margin?" in admin.get("/v1/feedback/export", params={"format": "raw"}).text
