"""Writing that survives a kill or a power cut: whole files or none, and hashes to prove it.

Owns the order write, fsync, rename, fsync of the folder. Does not know what is written.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import Any


def write_json(path: Path, content: Any) -> None:
    """Replace `path` by `content` in one step; after the return it is on the disk."""
    partial = path.with_name(f".{path.name}.partial")
    with partial.open("w", encoding="utf-8") as file:
        json.dump(content, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    os.replace(partial, path)
    sync(path.parent)


def sync(path: Path) -> None:
    """fsync a file or a folder. An error ends the caller: a failed fsync is never retried."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def move_folder(source: Path, target: Path) -> None:
    """Put the folder `source` in the place of `target`: its files synced before, the parent after."""
    for path in source.iterdir():
        sync(path)
    sync(source)
    if target.exists():
        shutil.rmtree(target)
    os.rename(source, target)
    sync(target.parent)


def sha256(path: Path) -> str:
    """Hex digest of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
