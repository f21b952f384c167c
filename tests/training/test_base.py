"""Which adapters were trained on the model that is served, and that the answer is kept between processes."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from training.base import Base, base_hash
from training.records import Adapter


def model(folder: Path, weights: bytes = b"one") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(weights)
    return folder


def trained_on(base: Path | str) -> Adapter:
    hashed = base_hash(str(base))
    return Adapter("lora-" + "a" * 12, Path("/none"), str(base), hashed, None, 8, datetime.now(UTC))


def test_an_adapter_fits_the_weights_it_was_trained_on_wherever_they_lie(tmp_path: Path) -> None:
    old, moved = model(tmp_path / "old"), model(tmp_path / "moved")
    new = model(tmp_path / "new", b"two")
    adapter = trained_on(old)
    for folder, fits in ((old, True), (moved, True), (new, False)):
        assert Base(str(folder), tmp_path / "memory.json").made(adapter) is fits


def test_weights_that_are_exchanged_in_their_place_are_another_base(tmp_path: Path) -> None:
    base = Base(str(model(tmp_path / "model")), tmp_path / "memory.json")
    adapter = trained_on(tmp_path / "model")
    assert base.made(adapter)
    model(tmp_path / "model", b"others")
    assert not base.made(adapter)
    model(tmp_path / "model")
    assert base.made(adapter)


def test_where_no_weights_lie_the_location_tells(tmp_path: Path) -> None:
    adapter = trained_on("org/model")
    assert Base("org/model", tmp_path / "memory.json").made(adapter)
    assert not Base("org/other", tmp_path / "memory.json").made(adapter)
    # The engine has them on another machine; here is what the tokenizer needs.
    only = tmp_path / "only"
    only.mkdir()
    (only / "config.json").write_text("{}")
    adapter = replace(trained_on(only), base_hash="0" * 64)
    assert Base(str(only), tmp_path / "memory.json").made(adapter)
    (only / "model.safetensors").write_bytes(b"one")
    assert not Base(str(only), tmp_path / "memory.json").made(adapter)


def test_another_process_need_not_hash_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, memory = model(tmp_path / "model"), tmp_path / "memory.json"
    found = Base(str(folder), memory).hash()
    asked: list[str] = []

    def hashed(place: str) -> str:
        asked.append(place)
        return "f" * 64

    monkeypatch.setattr("training.base.base_hash", hashed)
    assert Base(str(folder), memory).hash() == found
    assert asked == []
    os.utime(folder / "config.json", (1, 1))
    assert Base(str(folder), memory).hash() == "f" * 64
    assert asked == [str(folder)]


@pytest.mark.parametrize("left", [b"", b"{", b"[]", b'{"model": 1}'])
def test_a_memory_that_can_not_be_read_costs_a_hash_only(tmp_path: Path, left: bytes) -> None:
    folder, memory = model(tmp_path / "model"), tmp_path / "memory.json"
    memory.write_bytes(left)
    assert Base(str(folder), memory).hash() == base_hash(str(folder))
    assert Base(str(folder), tmp_path / "no-such-folder" / "memory.json").hash()
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_the_hash_of_a_base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = model(tmp_path / "model")
    first = base_hash(str(folder))
    (folder / "README.md").write_text("words")
    assert base_hash(str(folder)) == first
    (folder / "chat_template.jinja").write_text("{{ messages }}")
    assert base_hash(str(folder)) != first
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hub-home"))
    named = base_hash("org/model")
    ref = tmp_path / "hub-home" / "hub" / "models--org--model" / "refs" / "main"
    ref.parent.mkdir(parents=True)
    ref.write_text("abc123\n")
    assert base_hash("org/model") != named
