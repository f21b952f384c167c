"""The files of documents, kept as they came: `<id>-<digest>`, written whole or not at all, never changed.

A file's bytes are in place before its row is, and go with it; a lock file keeps adding and removing apart.
Knows no format and no person.
"""

from __future__ import annotations

import hashlib
import os
import re
import threading
import time
import unicodedata
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from filelock import FileLock
from uuid_utils import uuid7

from retrieval.records import Document, Unreadable

_CHUNK = 1 << 20
_STALE_SECONDS = 3600.0
_LONGEST_NAME = 300


@dataclass(frozen=True, slots=True)
class Arrived:
    """Bytes that are on this disk, under a name that nobody reads yet."""

    path: Path
    digest: str
    size: int


class Files:
    """The folder of one home."""

    def __init__(self, folder: Path, largest: int) -> None:
        self.folder = folder
        self._largest = largest
        self._lock = FileLock(folder / ".lock", thread_local=False)
        self._threads = threading.RLock()

    def place(self, document: Document) -> Path:
        """Where the document's bytes are."""
        return self.folder / _name(document.id, document.digest)

    @contextmanager
    def arriving(self, source: BinaryIO) -> Iterator[Arrived]:
        """Copy what `source` gives to this disk; what is not kept is gone when the context ends.

        Raises `Unreadable` for too many bytes or none.
        """
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = self.folder / f".{uuid7().hex}.part"
        try:
            yield self._copy(source, path)
        finally:
            path.unlink(missing_ok=True)

    def _copy(self, source: BinaryIO, path: Path) -> Arrived:
        digest, size = hashlib.sha256(), 0
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as target:
            while chunk := source.read(_CHUNK):
                size += len(chunk)
                if size > self._largest:
                    raise Unreadable(too_large(self._largest))
                digest.update(chunk)
                target.write(chunk)
            target.flush()
            os.fsync(target.fileno())
        if not size:
            raise Unreadable("it is empty")
        return Arrived(path, digest.hexdigest(), size)

    def keep(self, arrived: Arrived, key: str) -> None:
        """Put the bytes in place for the document `key`. Its row comes after, while the files are `held`."""
        arrived.path.rename(self.folder / _name(key, arrived.digest))
        _settle(self.folder)

    def move(self, key: str, document: Document) -> None:
        """Give the bytes that were kept for `key` to `document`."""
        (self.folder / _name(key, document.digest)).rename(self.place(document))

    def delete(self, document: Document) -> None:
        """Delete every file of a document. Call it while the files are `held`."""
        for file in self._of(document):
            file.unlink(missing_ok=True)

    def sweep(self, document: Document) -> None:
        """Delete what earlier versions of a document left."""
        with self.held():
            for file in self._of(document):
                if file != self.place(document):
                    file.unlink(missing_ok=True)

    def tidy(self, known: Callable[[], Collection[Document]]) -> None:
        """Delete what belongs to no document: its process was killed at the wrong moment."""
        if not self.folder.is_dir():
            return
        with self.held():
            places, now = {self.place(document) for document in known()}, time.time()
            for file in self.folder.iterdir():
                half = file.suffix == ".part"
                if half and now - file.stat().st_mtime < _STALE_SECONDS:
                    continue  # somebody may be writing it
                if half or (file.name.startswith("doc-") and file not in places):
                    file.unlink(missing_ok=True)

    def _of(self, document: Document) -> list[Path]:
        return list(self.folder.glob(f"{document.id}-*"))

    @contextmanager
    def held(self) -> Iterator[None]:
        """Nobody adds or removes a file while this lasts."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with self._threads, self._lock:
            yield


def clean_name(name: str) -> str:
    """A file's name as a document's: a relative path with `/`, nothing in it that a page can't show."""
    parts = re.split(r"[/\\]+", unicodedata.normalize("NFC", name))
    kept = ["".join(sign for sign in part if sign.isprintable()).strip() for part in parts]
    found = "/".join(part for part in kept if part not in ("", ".", ".."))
    if not found:
        raise Unreadable("it has no name")
    return found[-_LONGEST_NAME:].lstrip("/")


def too_large(largest: int) -> str:
    """Why a file is refused that has more than `largest` bytes."""
    return f"it is larger than {largest / 1_000_000:g} MB"


def _name(key: str, digest: str) -> str:
    return f"{key}-{digest[:16]}"


def _settle(folder: Path) -> None:
    """Have a rename survive a loss of power."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
