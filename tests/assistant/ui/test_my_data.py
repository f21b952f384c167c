"""A person's own data on the page: all of it in a file, and all of it deleted."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from assistant.deletions import Deletions
from assistant.ui import my_data
from assistant.ui.gate import COOKIE
from tests.assistant.ui.scripted import PASSWORD, House


@pytest.fixture
def deletions(house: House, tmp_path: Path) -> Deletions:
    house.accounts.add("mia", "user", PASSWORD)
    canaries, runs = house.desk.canaries, house.desk.runs
    return Deletions(house.store.database, house.accounts, runs, canaries, tmp_path, lambda _: None)


def client(house: House, deletions: Deletions, name: str | None = "mia") -> TestClient:
    app = FastAPI()
    app.include_router(my_data.router(house.desk.registry, deletions))
    http = TestClient(app, follow_redirects=False)
    if name is not None:
        http.cookies.set(COOKIE, house.accounts.new_session(house.accounts.get(name)))
    return http


def test_all_of_it_is_taken_along(house: House, deletions: Deletions) -> None:
    mia = house.accounts.get("mia")
    house.store.start_conversation(mia.id, "Where is my parcel?")
    answer = client(house, deletions).get(f"{my_data.HOME}/all")
    assert answer.headers["content-type"] == "application/zip"
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert b"Where is my parcel?" in archive.read("conversations.jsonl")


def test_it_is_deleted_only_under_the_own_name(house: House, deletions: Deletions) -> None:
    mia = house.accounts.get("mia")
    house.store.start_conversation(mia.id, "Where is my parcel?")
    http = client(house, deletions)
    wrong = http.post(f"{my_data.HOME}/delete", data={"name": "ana"})
    assert (wrong.status_code, deletions.all()) == (400, [])
    assert http.post(f"{my_data.HOME}/delete", data={"name": "mia"}).status_code == 200
    assert http.get(my_data.HOME).headers["location"] == "/login"
    deletions.finish()
    assert deletions.all()[0].asked_by == mia.id, "a name would outlive the account"
    assert (deletions.all()[0].stage, house.accounts.of(mia.id)) == ("done", None)


def test_strangers_and_other_sites_get_nothing(house: House, deletions: Deletions) -> None:
    nobody = client(house, deletions, None)
    assert nobody.get(my_data.HOME).status_code == nobody.get(f"{my_data.HOME}/all").status_code == 303
    headers = {"sec-fetch-site": "cross-site"}
    foreign = client(house, deletions).post(f"{my_data.HOME}/delete", data={"name": "mia"}, headers=headers)
    assert (foreign.status_code, deletions.all()) == (403, [])
