"""Tests of reading a file in a child: what comes back, what is refused and why, and what is left behind."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from retrieval import formats, parsing
from retrieval.parsing import read
from retrieval.records import Section, Unreadable
from tests.retrieval import files

LARGEST = 2**26


def kept(folder: Path, content: bytes) -> Path:
    file = folder / "content"
    file.write_bytes(content)
    return file


def refused(path: Path, name: str = "secret-name.md", largest: int = LARGEST, **limits: float) -> str:
    with pytest.raises(Unreadable) as refusal:
        read(path, name, largest=largest, **limits)  # type: ignore[arg-type]
    sentence = str(refusal.value)
    assert "secret" not in sentence
    assert "\n" not in sentence
    return sentence


def slow() -> bytes:
    """A PDF that takes many seconds."""
    page = "\n".join("Some words that make a line of a page as long as it usually is." for _ in range(50))
    return files.pdf([page] * 3000)


@pytest.mark.parametrize(
    ("name", "content", "section"),
    [
        ("a.md", b"# Returns\n\n## Cost\n\nfree\n", Section("Returns › Cost", "free")),
        ("how-to_wash.txt", b"Cold.\r\n", Section("how to wash", "Cold.")),
        ("a.html", b"<h1>Returns</h1><p>free", Section("Returns", "free")),
        ("a.csv", b"name,cost\nTent,349\n", Section("a › Tent", "name: Tent\ncost: 349")),
        ("a.jsonl", b'{"title": "T", "n": 1}\n', Section("a › T", "title: T\nn: 1")),
        ("a.pdf", files.pdf(["free"]), Section("a", "free", 1)),
        ("a.docx", files.docx(files.paragraph("free")), Section("a", "free")),
    ],
)
def test_each_format_comes_back(tmp_path: Path, name: str, content: bytes, section: Section) -> None:
    assert read(kept(tmp_path, content), name, largest=LARGEST) == [section]


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    file = kept(tmp_path, b"text")
    (tmp_path / "link").symlink_to(file)
    os.mkfifo(tmp_path / "pipe")
    assert refused(tmp_path) == "it is a folder, not a file"
    assert refused(tmp_path / "link") == "it is a link, not a file"
    assert refused(tmp_path / "pipe") == "it is a device or a pipe, not a file"
    assert refused(Path("/dev/zero")) == "it is a device or a pipe, not a file"
    assert refused(tmp_path / "gone") == "it is not there any more"


def test_empty_and_huge_files_are_refused_unread(tmp_path: Path) -> None:
    assert refused(kept(tmp_path, b"")) == "it is empty"
    assert refused(kept(tmp_path, b" \n\n")) == "it is empty"
    large = kept(tmp_path, b"word " * 2**20)
    assert refused(large, largest=2**20) == "it is too large: 5 MB, at most 1 MB"


def test_a_slow_file_is_refused(tmp_path: Path) -> None:
    assert refused(kept(tmp_path, slow()), seconds=1) == "reading it takes too long (more than 1 seconds)"


def test_a_file_that_wants_much_memory_is_refused(tmp_path: Path) -> None:
    large = kept(tmp_path, b"# Heading\n\nword\n\n" * 2**20)
    assert refused(large, memory=150 * 2**20) == "reading it takes too much memory"


def test_a_file_with_too_much_text_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parsing, "_run", lambda _source, answer, *_: answer.write(b"x" * 1000) and 1)
    monkeypatch.setattr(parsing, "LARGEST_OUTPUT", 1000)
    assert refused(kept(tmp_path, b"text")) == "it holds more text than can be taken in"


def acting(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """Let a shell script stand in for the child."""
    stand_in = folder / "stand-in"
    stand_in.write_text(f"#!/bin/sh\n{script}\n")
    stand_in.chmod(0o700)
    monkeypatch.setattr(parsing.sys, "executable", str(stand_in))


def test_the_child_ends_with_all_that_it_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = kept(tmp_path, b"text")
    acting(tmp_path, monkeypatch, f"sleep 600 & echo $! > {tmp_path}/started; exec sleep 600")
    monkeypatch.setattr(parsing, "WAITS", 1)
    assert "too long" in refused(file, seconds=1)
    started = int((tmp_path / "started").read_text())
    until(lambda: not alive(started))


@pytest.mark.parametrize("script", ["exit 3", "kill -SEGV $$", "echo '{\"sections\": [1]}'", "echo nonsense"])
def test_a_child_that_crashes_means_a_broken_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str
) -> None:
    acting(tmp_path, monkeypatch, script)
    assert refused(kept(tmp_path, b"text")) == "it is broken and can't be read"


def test_the_child_sees_no_secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("APPRENTICE_ENGINE_KEY", "hush")
    acting(tmp_path, monkeypatch, f"env > {tmp_path}/seen")
    refused(kept(tmp_path, b"text"))
    assert "PYTHONPATH" in (tmp_path / "seen").read_text()
    assert "hush" not in (tmp_path / "seen").read_text()


def test_the_child_ends_with_us(tmp_path: Path) -> None:
    file = kept(tmp_path, slow())
    code = (
        "import sys, pathlib; from retrieval.parsing import read; "
        "read(pathlib.Path(sys.argv[1]), 'a.pdf', largest=10**9)"
    )
    root = str(Path(parsing.__file__).parents[1])
    with subprocess.Popen(
        [sys.executable, "-c", code, str(file)], env={**os.environ, "PYTHONPATH": root}
    ) as us:
        until(lambda: bool(psutil.Process(us.pid).children()))
        (child,) = psutil.Process(us.pid).children()
        # Bound to its parent once it is busy
        until(lambda: child.cpu_times().user > 1)
        us.send_signal(signal.SIGKILL)
    until(lambda: not alive(child.pid))


def alive(process: int) -> bool:
    return psutil.pid_exists(process) and psutil.Process(process).status() != psutil.STATUS_ZOMBIE


def until(holds: Callable[[], bool]) -> None:
    for _ in range(600):
        if holds():
            return
        time.sleep(0.1)
    raise AssertionError("still not so after a minute")


SAMPLES = [
    ("a.pdf", files.pdf(["Returns within 45 days", "Costs: free"], "Returns")),
    ("a.docx", files.docx(files.paragraph("Returns", "heading1") + files.table([["a", "b"], ["c", "d"]]))),
    ("a.html", b"<html><body><h1>Returns</h1><table><tr><td>1</table><p>\xc3\xa4"),
    ("a.jsonl", b'{"title": "T", "list": [1, {"a": null}]}\n{"b": "\\ud800"}\n'),
    ("a.md", b"---\ntitle: a\n---\n# b\n\n<div>\n\n| a |\n|---|\n"),
]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.sampled_from(SAMPLES),
    st.lists(st.tuples(st.floats(0, 1), st.binary(max_size=4)), max_size=8),
    st.floats(0, 1),
)
def test_whatever_a_file_holds_it_is_read_or_refused(
    sample: tuple[str, bytes], changes: list[tuple[float, bytes]], end: float
) -> None:
    name, whole = sample
    content = bytearray(whole)
    for where, put in changes:
        place = int(where * len(content))
        content[place : place + len(put)] = put
    cut = bytes(content[: max(1, int(end * len(content)))])
    answer = parsing._answer(lambda: formats.sections(cut, name))
    assert answer.get("refused") or all(re.search(r"\w", text) for _, text, _ in answer["sections"])
