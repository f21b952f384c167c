"""Writing: whole or not at all, and nothing is believed after a failed fsync."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import pytest

from training.trainers import files


def test_json_replaces_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "metrics.json"
    files.write_json(path, {"a": 1})
    files.write_json(path, {"a": [2, None]})
    assert json.loads(path.read_text()) == {"a": [2, None]}
    assert [file.name for file in tmp_path.iterdir() if file.is_file()] == ["metrics.json"]


def test_a_failed_fsync_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "metrics.json"
    files.write_json(path, 1)

    def broken(_: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fsync", broken)
    with pytest.raises(OSError, match="Input/output"):
        files.write_json(path, 2)
    assert json.loads(path.read_text()) == 1


def test_a_folder_is_moved_over_an_older_one(tmp_path: Path) -> None:
    for name in ("new", "old"):
        (tmp_path / name).mkdir()
        (tmp_path / name / name).write_text(name)
    files.move_folder(tmp_path / "new", tmp_path / "old")
    assert [path.name for path in (tmp_path / "old").iterdir()] == ["new"]
    assert not (tmp_path / "new").exists()


def test_the_hash_is_sha256(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"abc" * 1000)
    assert files.sha256(tmp_path / "x") == hashlib.sha256(b"abc" * 1000).hexdigest()
