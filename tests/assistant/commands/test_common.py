"""Tests of what the commands print: JSON for programs, tables and lines for people."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from assistant.commands.common import house_of, settings_of, show, show_one

ROWS = [
    {"id": "run-1", "state": "done", "reason": None, "more": {"gather": 1.5}},
    {"id": "run-2", "state": "failed", "reason": "[Errno 2] No such file: [/bold] [red]x", "more": {}},
]


def test_json_is_all_of_it_and_nothing_else(capsys: pytest.CaptureFixture[str]) -> None:
    show(ROWS, ["id"], True, "nothing")
    assert json.loads(capsys.readouterr().out) == ROWS
    show([], ["id"], True, "nothing")
    assert json.loads(capsys.readouterr().out) == []
    show_one({"at": datetime(2026, 5, 1, tzinfo=UTC), "path": Path("/x")}, True)
    assert json.loads(capsys.readouterr().out) == {"at": "2026-05-01 00:00:00+00:00", "path": "/x"}


def test_a_table_shows_the_columns_and_takes_nothing_for_markup(capsys: pytest.CaptureFixture[str]) -> None:
    show(ROWS, ["id", "state", "reason", "more"], False, "nothing")
    head, first, second = capsys.readouterr().out.splitlines()
    assert head.split() == ["id", "state", "reason", "more"]
    assert first.split() == ["run-1", "done", "-", "gather", "1.5"]
    assert "[Errno 2] No such file: [/bold] [red]x" in second


def test_an_empty_table_says_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    show([], ["id"], False, "no runs yet: apprentice train")
    assert capsys.readouterr().out == "no runs yet: apprentice train\n"


def test_one_object_is_a_line_for_each_thing(capsys: pytest.CaptureFixture[str]) -> None:
    show_one({"live": True, "retired": False, "ended_at": None, "reasons": ["a", "b"], "none": []}, False)
    assert capsys.readouterr().out == "live: yes\nretired: no\nended at: -\nreasons:\n  - a\n  - b\nnone: -\n"


def test_a_command_opens_a_home_and_gives_it_back(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    closed: list[str] = []
    monkeypatch.setattr("assistant.app.House.close", lambda house: closed.append(house.database.url))
    monkeypatch.setenv("APPRENTICE_MODEL", "org/model")
    with pytest.raises(KeyError), house_of(None) as house:  # noqa: PT012
        assert house.settings.home == home
        raise KeyError("in the middle")
    assert closed == [house.database.url]


@pytest.mark.parametrize(("model", "closed"), [("starter", True), ("org/model", False), ("HERE", True)])
def test_the_hub_is_closed_unless_a_hub_model_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: str, closed: bool
) -> None:
    (tmp_path / "config.json").write_text("{}")
    monkeypatch.setattr(os, "environ", dict(os.environ))
    os.environ.pop("HF_HUB_OFFLINE", None)
    settings_of(None, model=str(tmp_path) if model == "HERE" else model)
    assert os.environ.get("HF_HUB_OFFLINE") == ("1" if closed else None)
    assert os.environ["GRADIO_ANALYTICS_ENABLED"] == "False"
