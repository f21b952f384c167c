"""Tests of the small files that processes leave for each other."""

from __future__ import annotations

import stat
import threading
from pathlib import Path

import pytest

from assistant.files import read_json, write_json


def test_what_is_written_is_read_again_by_its_owner_only(tmp_path: Path) -> None:
    file = tmp_path / "run" / "web.json"
    write_json(file, {"url": "http://127.0.0.1:7860", "pid": 7})
    assert read_json(file) == {"url": "http://127.0.0.1:7860", "pid": 7}
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [path.name for path in file.parent.iterdir()] == ["web.json"]


@pytest.mark.parametrize("content", [None, b"", b'{"url": "http', b"[1]", b"\xff\xfe"])
def test_what_is_not_there_or_is_no_object_is_none(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "web.json"
    if content is not None:
        file.write_bytes(content)
    assert read_json(file) is None


def test_a_reader_never_sees_half_of_it(tmp_path: Path) -> None:
    file, done = tmp_path / "engine.json", threading.Event()
    write_json(file, {"text": "a" * 50_000})

    def write() -> None:
        for number in range(60):
            write_json(file, {"text": "ab"[number % 2] * 50_000})
        done.set()

    writer = threading.Thread(target=write)
    writer.start()
    seen = []
    while not done.is_set():
        seen.append(read_json(file))
    writer.join()
    assert all(found is not None and len(set(found["text"])) == 1 for found in seen)
