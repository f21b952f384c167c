"""Which checkpoint of a run may be resumed: only one that this trainer sealed, whole and for this very job.

A checkpoint holds pickles (optimiser, random state), so loading one is running code: nothing is resumed
whose hashes do not match the manifest that was written last. Does not know what is in the files.
"""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

from training.trainers.files import sha256, sync, write_json

MANIFEST = "MANIFEST.json"
_NAME = re.compile(r"checkpoint-(\d+)")


def seal(folder: Path, *, step: int, fingerprint: str) -> None:
    """Write `MANIFEST.json` (sha256 and size of each file, step, job) after all else is on the disk."""
    files = {}
    for path in sorted(folder.iterdir()):
        sync(path)
        files[path.name] = {"sha256": sha256(path), "size": path.stat().st_size}
    write_json(folder / MANIFEST, {"step": step, "fingerprint": fingerprint, "files": files})
    sync(folder.parent)


def newest(root: Path, fingerprint: str) -> Path | None:
    """The newest sealed checkpoint of this job, or None; everything else under `root` is deleted."""
    if not root.is_dir():
        return None
    found = None
    for path in sorted(root.iterdir(), key=_step, reverse=True):
        if found is None and _sound(path, fingerprint):
            found = path
        else:
            _delete(path)
    return found


def _step(path: Path) -> int:
    match = _NAME.fullmatch(path.name)
    return int(match[1]) if match else -1


def _sound(folder: Path, fingerprint: str) -> bool:
    """Same job, exactly the files of the manifest, plain files each, every hash right."""
    manifest = _manifest(folder)
    if manifest is None or (manifest.get("fingerprint"), manifest.get("step")) != (
        fingerprint,
        _step(folder),
    ):
        return False
    files = manifest.get("files")
    if not isinstance(files, dict) or {*files, MANIFEST} != {path.name for path in folder.iterdir()}:
        return False
    return all(_same(folder / name, facts) for name, facts in files.items())


def _manifest(folder: Path) -> dict[str, Any] | None:
    if folder.is_symlink() or not folder.is_dir() or _step(folder) < 0:
        return None
    try:
        plain = json.loads((folder / MANIFEST).read_bytes())
    except (OSError, ValueError):
        return None
    return plain if isinstance(plain, dict) else None


def _same(path: Path, facts: Any) -> bool:
    if not isinstance(facts, dict) or path.is_symlink() or not path.is_file():
        return False
    return path.stat().st_size == facts.get("size") and sha256(path) == facts.get("sha256")


def _delete(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()
