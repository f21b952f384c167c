"""Tests of where the bytes of documents are kept."""

from __future__ import annotations

import io
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from retrieval.files import Files, clean_name
from retrieval.records import Document, Unreadable


def document(key: str, digest: str) -> Document:
    now = datetime.now(UTC)
    return Document(key, "a.md", "", "", digest, 3, "waiting", 0, None, None, "ana", False, now, now)


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path / "files", 10)


def kept(files: Files, key: str, content: bytes) -> Document:
    with files.arriving(io.BytesIO(content)) as arrived, files.held():
        files.keep(arrived, key)
        return document(key, arrived.digest)


def names(files: Files) -> list[str]:
    return sorted(file.name for file in files.folder.iterdir() if file.name != ".lock")


def test_bytes_are_kept_by_document_and_content(files: Files) -> None:
    one = kept(files, "doc-1", b"abc")
    assert files.place(one).read_bytes() == b"abc"
    assert files.place(one).stat().st_mode & 0o777 == 0o600
    two = kept(files, "doc-1", b"abcd")
    assert files.place(one).read_bytes() == b"abc"
    files.sweep(two)
    assert names(files) == [files.place(two).name]
    files.delete(two)
    assert names(files) == []


def test_one_that_another_machine_was_first_with_is_renamed(files: Files) -> None:
    one = kept(files, "doc-1", b"abc")
    other = document("doc-2", one.digest)
    files.move("doc-1", other)
    assert files.place(other).read_bytes() == b"abc"
    assert names(files) == [files.place(other).name]


@pytest.mark.parametrize(
    ("content", "why"), [(b"", "it is empty"), (b"x" * 11, "it is larger than 1e-05 MB")]
)
def test_nothing_is_left_of_what_is_refused(files: Files, content: bytes, why: str) -> None:
    with pytest.raises(Unreadable, match=why), files.arriving(io.BytesIO(content)):
        pass
    assert names(files) == []


def test_what_belongs_to_nobody_is_deleted(files: Files) -> None:
    files.tidy(list)
    one = kept(files, "doc-1", b"abc")
    kept(files, "doc-2", b"abc")
    for name, age in ((".a.part", 7200), (".b.part", 0)):
        file = files.folder / name
        file.write_bytes(b"x")
        os.utime(file, (file.stat().st_mtime - age,) * 2)
    files.tidy(lambda: [one])
    assert names(files) == [".b.part", files.place(one).name]


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("a.md", "a.md"),
        ("/etc/../a.md", "etc/a.md"),
        ("..\\win\\a.md", "win/a.md"),
        ("a\x00b\u202e\n.md", "ab.md"),
        ("u\u0308.md", "ü.md"),
        ("x" * 400 + ".md", "x" * 297 + ".md"),
    ],
)
def test_names_are_relative_paths_that_a_page_can_show(name: str, kept: str) -> None:
    assert clean_name(name) == kept


@pytest.mark.parametrize("name", ["", "..", "/", "\x00"])
def test_a_name_is_needed(name: str) -> None:
    with pytest.raises(Unreadable, match="it has no name"):
        clean_name(name)
