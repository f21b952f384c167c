"""Tests of Chroma itself: in a folder, and on a real server that is started here."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from feedback.database import Database
from retrieval import vectors
from retrieval.index import open_index
from retrieval.records import EVERYBODY, Unavailable
from retrieval.vectors import open_vectors, places
from tests.retrieval.word_vectors import WordVectors, many, passage


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a Chroma server of our own."""
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    folder = tmp_path_factory.mktemp("chroma")
    program = Path(sys.executable).with_name("chroma")
    command = [str(program), "run", "--path", str(folder), "--host", "127.0.0.1", "--port", str(port)]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    url, deadline = f"http://127.0.0.1:{port}", time.monotonic() + 60
    try:
        while True:
            with suppress(httpx.HTTPError):
                if httpx.get(f"{url}/api/v2/heartbeat").status_code == 200:
                    break
            if process.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"the Chroma server did not start: {(folder / 'log').read_text()}")
            time.sleep(0.05)
        yield url
    finally:
        process.kill()
        process.wait()


def test_a_server_does_what_the_folder_does(server: str, database: Database, tmp_path: Path) -> None:
    embedder = WordVectors()
    index = open_index(server, tmp_path / "index", database, embedder)
    index.put("doc-1", [*many(40), passage("parcels take three days")])
    index.put("doc-2", [passage("parcels of the board", "doc-2", "board")])
    vector = embedder.question("parcels take three days")
    found = index.dense(vector, [EVERYBODY], ["document"], 3)
    assert index.passages([found[0][0]])[found[0][0]].text == "parcels take three days"
    assert round(found[0][1], 4) == 1.0
    assert len(index.dense(vector, ["board"], ["document"], 3)) == 1
    index.drop("doc-1")
    assert len(index.dense(vector, [EVERYBODY, "board"], ["document"], 3)) == 1
    index.close()
    other = open_index(server, tmp_path / "index", database, WordVectors("other"))
    assert other.stale()
    other.rebuild()
    assert not other.stale()
    other.close()


def test_two_databases_on_one_server_never_meet(
    server: str, sqlite: Database, postgres_url: str, tmp_path: Path
) -> None:
    from assistant import migrations
    from feedback.database import connect

    second = connect(postgres_url)
    migrations.upgrade(second)
    ours = open_index(server, tmp_path / "ours", sqlite, WordVectors())
    ours.put("doc-1", many(3))
    theirs = open_index(server, tmp_path / "theirs", second, WordVectors())
    assert not theirs.stale()
    assert theirs.dense(WordVectors().question("word1"), [EVERYBODY], ["document"], 3) == []
    theirs.close()
    second.close()
    ours.close()


def test_one_process_sees_what_another_put_on_the_server(
    server: str, sqlite: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vectors, "LOOK_SECONDS", 0.0)
    reading = open_index(server, tmp_path / "one", sqlite, WordVectors())
    writing = open_index(server, tmp_path / "two", sqlite, WordVectors())
    writing.put("doc-1", many(3))
    assert len(reading.dense(WordVectors().question("word1"), [EVERYBODY], ["document"], 3)) == 3
    # Nor does what one put in escape the other that takes it out
    reading.put("doc-2", [passage("for the board", "doc-2", "board")])
    writing.drop("doc-2")
    assert writing._vectors.count(("document", "board")) == 0
    writing.close()
    reading.close()


def test_a_server_that_is_away_is_said_to_be(
    sqlite: Database, tmp_path: Path, free_port: Callable[[], int]
) -> None:
    with pytest.raises(Unavailable, match="does not answer"):
        open_index(f"http://127.0.0.1:{free_port()}", tmp_path, sqlite, WordVectors())


@pytest.mark.parametrize("location", ["127.0.0.1:8000", "ftp://host", "http://"])
def test_what_is_no_address_is_refused(location: str, tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="no address of a Chroma server"):
        open_vectors(location, tmp_path, "owner", WordVectors())


def test_no_word_of_a_text_reaches_chroma(sqlite: Database, tmp_path: Path) -> None:
    index = open_index("", tmp_path / "index", sqlite, WordVectors())
    index.put("doc-1", [passage("unmistakable sentence", title="Remarkable heading")])
    index.close()
    held = b"".join(file.read_bytes() for file in (tmp_path / "index").rglob("*") if file.is_file())
    assert b"unmistakable" not in held
    assert b"Remarkable" not in held


def test_the_folder_is_free_again_after_closing(sqlite: Database, tmp_path: Path) -> None:
    for _ in range(2):
        open_index("", tmp_path / "index", sqlite, WordVectors()).close()


def test_each_kind_goes_with_each_audience_once() -> None:
    assert places(["answer", "document", "answer"], ["b", "", "b"]) == [
        ("answer", ""),
        ("answer", "b"),
        ("document", ""),
        ("document", "b"),
    ]
