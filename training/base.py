"""The base model that is served, and which adapters were trained on it.

An adapter answers on any base of the same shapes, and answers rubbish: only the hash tells them apart.
Decides nothing about who answers (`registry.py`).
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
import threading
from functools import lru_cache
from pathlib import Path

from training.records import Adapter
from training.trainers.files import sha256
from training.workspace import replace_file

log = logging.getLogger(__name__)
_FILES = re.compile(
    r"(config|special_tokens_map)\.json|(tokenizer|chat_template|vocab|merges).*|.*\.safetensors(\.index\.json)?"
)


class Base:
    """The base model at `model`, a folder or the id of a hub model.

    Hashing some gigabytes takes seconds, and every process of a home asks: the answer is kept in the file
    `memory` for as long as no file of the model changes its size or its time of change.
    """

    def __init__(self, model: str, memory: Path) -> None:
        self.model = model
        self._memory = memory
        self._one_at_a_time = threading.Lock()

    def made(self, adapter: Adapter) -> bool:
        """Whether the adapter was trained on this model.

        By the hash where the weights lie here. Else (a hub model, whose revision each machine's cache knows
        for itself, or a folder with the tokenizer alone) by the location, which is all that can be told.
        """
        try:
            if any(Path(self.model).glob("*.safetensors")):
                return adapter.base_hash == self.hash()
        except OSError as error:
            log.warning("the base model %s can't be read: %s", self.model, error)
        return adapter.base == self.model

    def hash(self) -> str:
        """`base_hash` of a model that is a folder. Raises `OSError`."""
        with self._one_at_a_time:
            now = {"model": self.model, "files": [_state(path) for path in _files(self.model)]}
            known = self._known()
            if {name: known.get(name) for name in now} == now and isinstance(known.get("hash"), str):
                return str(known["hash"])
            found = base_hash(self.model)
            try:
                replace_file(self._memory, json.dumps({**now, "hash": found}))
            except OSError as error:
                # Only the next one to ask has to wait.
                log.warning("the hash of the base model can't be kept: %s", error)
            return found

    def _known(self) -> dict[str, object]:
        try:
            found = json.loads(self._memory.read_bytes())
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}


def _state(path: Path) -> list[str | int]:
    found = path.stat()
    return [path.name, found.st_size, found.st_mtime_ns]


def base_hash(model: str) -> str:
    """64 hex of a model folder's configuration, tokenizer and weights; of a hub model, its id (and revision).

    Files are hashed once as long as their size and time of change stay.
    """
    if not Path(model).is_dir():
        return hashlib.sha256(f"{model}@{_revision(model)}".encode()).hexdigest()
    lines = []
    for path in _files(model):
        status = path.stat()
        lines.append(f"{path.name} {_remembered(str(path), status.st_size, status.st_mtime_ns)}\n")
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _files(model: str) -> list[Path]:
    return sorted(path for path in Path(model).iterdir() if _FILES.fullmatch(path.name))


@lru_cache(maxsize=256)
def _remembered(path: str, size: int, changed: int) -> str:
    return sha256(Path(path))


def _revision(model: str) -> str:
    """The commit of a hub model in the local cache, or an empty string."""
    cache = Path(os.environ.get("HF_HOME", "~/.cache/huggingface")).expanduser() / "hub"
    ref = cache / f"models--{model.replace('/', '--')}" / "refs" / "main"
    return ref.read_text(encoding="utf-8").strip() if ref.is_file() else ""
