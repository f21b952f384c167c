"""Tests of all that is kept of a person as a ZIP: complete, theirs alone, and without what is the house's."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from assistant import personal
from assistant.accounts import Accounts
from feedback import deleting
from feedback.database import Database
from feedback.store import Store, Verdict
from tests.feedback.test_exchange import asked


def test_it_holds_everything_of_theirs_and_nothing_of_others(
    sqlite: Database, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(personal, "_AT_ONCE", 2)
    store, accounts = Store(sqlite), Accounts(sqlite)
    ann, bob = (accounts.add(name, "user", "a long password") for name in ("ann", "bob"))
    key = accounts.new_key("ann")
    passage = {"id": "p", "number": 1, "kind": "document", "title": "Prices", "text": "four", "audience": ""}
    system = {"role": "system", "content": "house secret"}
    for number in range(5):
        prompt = [system, {"role": "user", "content": "?"}]
        turn = asked(store, f"Anns {number}", person=ann.id, passages=(passage,), prompt=prompt)
        store.judge(turn.id, ann.id, "user", Verdict("down", ["wrong"], "rude", "Better."))
    asked(store, "Bobs", person=bob.id)
    file = tmp_path / "ann.zip"
    count = personal.export_to(sqlite, ann, file, {"lora-1": 3})
    assert file.stat().st_mode & 0o77 == 0
    assert list(tmp_path.glob(".ann*")) == []
    with zipfile.ZipFile(file) as archive:
        texts = {name: archive.read(name).decode() for name in archive.namelist()}
    rows: dict[str, list[Any]] = {
        name.partition(".")[0]: [json.loads(line) for line in text.splitlines()]
        for name, text in texts.items()
        if name.endswith("jsonl")
    }
    assert set(rows) == {
        "account",
        "credentials",
        "identities",
        *(one.table.name for one in deleting.columns()),
    }
    assert sum(map(len, rows.values())) == count
    assert [row["question"] for row in rows["turns"]] == [f"Anns {number}" for number in range(5)]
    assert rows["turns"][0]["passages"] == [
        {"number": 1, "kind": "document", "title": "Prices", "page": None}
    ]
    assert [row["text"] for row in rows["corrections"]] == ["Better."] * 5
    assert rows["account"][0]["name"] == "ann"
    assert rows["credentials"][0]["kind"] == "key"
    assert "lora-1 (3)" in texts["README.txt"]
    everything = "".join(texts.values())
    for foreign in ("Bobs", "house secret", "argon2", "four", key):
        assert foreign not in everything


def test_what_breaks_off_leaves_no_file(
    sqlite: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ann = Accounts(sqlite).add("ann", "user")
    monkeypatch.setattr(personal, "_shown", lambda row: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        personal.export_to(sqlite, ann, tmp_path / "ann.zip", {})
    assert not list(tmp_path.glob("*ann*"))
