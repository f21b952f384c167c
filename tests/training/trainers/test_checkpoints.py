"""Checkpoints: only a sealed, whole one of the same job is resumed, and nothing else stays."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from training.trainers import checkpoints
from training.trainers.checkpoints import MANIFEST

JOB = "f" * 64


def checkpoint(root: Path, step: int, *, sealed: bool = True, job: str = JOB) -> Path:
    folder = root / f"checkpoint-{step}"
    folder.mkdir(parents=True)
    (folder / "adapter_model.safetensors").write_bytes(bytes([step]) * 100)
    (folder / "optimizer.pt").write_bytes(b"state")
    if sealed:
        checkpoints.seal(folder, step=step, fingerprint=job)
    return folder


def test_the_newest_sealed_one_is_taken(tmp_path: Path) -> None:
    root = tmp_path / "checkpoints"
    checkpoint(root, 5)
    newest = checkpoint(root, 10)
    checkpoint(root, 15, sealed=False)
    (root / "README.md").write_text("a card of the library's own")
    assert checkpoints.newest(root, JOB) == newest
    assert list(root.iterdir()) == [newest]


def test_steps_are_numbers(tmp_path: Path) -> None:
    checkpoint(tmp_path / "c", 9)
    assert (
        checkpoints.newest(checkpoint(tmp_path / "c", 100).parent, JOB) == tmp_path / "c" / "checkpoint-100"
    )


def test_nothing_there(tmp_path: Path) -> None:
    assert checkpoints.newest(tmp_path / "absent", JOB) is None
    (tmp_path / "empty").mkdir()
    assert checkpoints.newest(tmp_path / "empty", JOB) is None


def test_another_job_starts_clean(tmp_path: Path) -> None:
    root = checkpoint(tmp_path / "c", 5, job="0" * 64).parent
    assert checkpoints.newest(root, JOB) is None
    assert list(root.iterdir()) == []


def flip(folder: Path) -> None:
    (folder / "optimizer.pt").write_bytes(b"stale")


def cut(folder: Path) -> None:
    (folder / "adapter_model.safetensors").write_bytes(b"")


def add(folder: Path) -> None:
    (folder / "rng_state.pth").write_bytes(b"\x80\x04")


def lose(folder: Path) -> None:
    (folder / "optimizer.pt").unlink()


def link(folder: Path) -> None:
    shutil.copy(folder / "optimizer.pt", folder.parent.parent / "elsewhere")
    (folder / "optimizer.pt").unlink()
    (folder / "optimizer.pt").symlink_to(folder.parent.parent / "elsewhere")


def garble(folder: Path) -> None:
    (folder / MANIFEST).write_text("{")


def empty(folder: Path) -> None:
    (folder / MANIFEST).write_text(json.dumps({"step": 10, "fingerprint": JOB, "files": []}))


def rename(folder: Path) -> None:
    folder.rename(folder.with_name("checkpoint-11"))


@pytest.mark.parametrize("harm", [flip, cut, add, lose, link, garble, empty, rename])
def test_a_harmed_one_is_deleted_and_an_older_one_taken(tmp_path: Path, harm: Callable[[Path], None]) -> None:
    older = checkpoint(tmp_path / "c", 5)
    harm(checkpoint(tmp_path / "c", 10))
    assert checkpoints.newest(tmp_path / "c", JOB) == older
    assert list((tmp_path / "c").iterdir()) == [older]


def test_a_link_to_a_checkpoint_is_none(tmp_path: Path) -> None:
    real = checkpoint(tmp_path / "elsewhere", 5)
    root = tmp_path / "c"
    root.mkdir()
    (root / "checkpoint-5").symlink_to(real)
    assert checkpoints.newest(root, JOB) is None
    assert real.exists()
