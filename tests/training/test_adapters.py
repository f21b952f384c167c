"""Adapter folders: what is refused and why, what makes a name, and publication that is whole or not there."""

from __future__ import annotations

import contextlib
import json
import os
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

from tests.tiny_model import make, make_adapter
from training import adapters
from training.adapters import CONFIG, WEIGHTS
from training.base import base_hash
from training.records import Refused

STEM = "base_model.model.model.layers.0.self_attn.q_proj"


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("base") / "model")


@pytest.fixture
def adapter(tmp_path: Path, base: Path) -> Path:
    return make_adapter(tmp_path / "adapter", base)


def inspect(folder: Path, base: Path, **given: Any) -> adapters.AdapterFacts:
    return adapters.inspect(folder, base=str(base), base_hash=base_hash(str(base)), **given)


def configure(folder: Path, **changes: Any) -> None:
    config = json.loads((folder / CONFIG).read_text()) | changes
    (folder / CONFIG).write_text(json.dumps(config))


def weigh(folder: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    weights = load_file(folder / WEIGHTS)
    change(weights)
    save_file(weights, folder / WEIGHTS)


def test_a_sound_adapter_is_described(adapter: Path, base: Path) -> None:
    facts = inspect(adapter, base)
    assert (facts.rank, facts.alpha, facts.untrained) == (8, 16.0, False)
    assert facts.target_modules == (
        "down_proj", "gate_proj", "k_proj", "o_proj", "q_proj", "up_proj", "v_proj"
    )  # fmt: skip
    assert facts.parameters == sum(tensor.size for tensor in load_file(adapter / WEIGHTS).values())
    assert json.loads(json.dumps(facts.as_dict()))["content_hash"] == adapters.content_hash(adapter)


def test_an_untrained_adapter_is_flagged(adapter: Path, base: Path) -> None:
    weigh(adapter, lambda all_: [all_[name].fill(0) for name in all_ if "lora_B" in name])
    assert inspect(adapter, base).untrained


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"use_dora": True}, "use_dora"),
        ({"bias": "all"}, "bias"),
        ({"lora_bias": True}, "lora_bias"),
        ({"modules_to_save": ["lm_head"]}, "modules_to_save"),
        ({"init_lora_weights": "pissa"}, "init_lora_weights"),
        ({"init_lora_weights": "loftq"}, "init_lora_weights"),
        ({"layer_replication": [[0, 1]]}, "layer_replication"),
        ({"alora_invocation_tokens": [1]}, "alora_invocation_tokens"),
        ({"auto_map": {"AutoModel": "evil.Model"}}, "auto_map"),
        ({"auto_mapping": {"parent_library": "evil"}}, "auto_mapping"),
        ({"peft_type": "IA3"}, "not a LORA"),
        ({"r": 64}, "above 32"),
        ({"rank_pattern": {"q_proj": 64}}, "above 32"),
        ({"rank_pattern": ["q_proj"]}, "not a table"),
        ({"r": "8"}, "not a positive whole number"),
        ({"r": True}, "not a positive whole number"),
        ({"r": 4}, "another rank"),
        ({"lora_alpha": float("nan")}, "lora_alpha"),
        ({"lora_alpha": 0}, "lora_alpha"),
        ({"base_model_name_or_path": "another/model"}, "another/model"),
    ],
)
def test_what_the_engine_can_not_serve_is_refused(
    adapter: Path, base: Path, changes: dict[str, Any], reason: str
) -> None:
    configure(adapter, **changes)
    with pytest.raises(Refused, match=reason):
        inspect(adapter, base)


@pytest.mark.parametrize("init", [True, False, "gaussian", "eva", "orthogonal"])
def test_harmless_starts_are_served(adapter: Path, base: Path, init: bool | str) -> None:
    configure(adapter, init_lora_weights=init, use_rslora=True)
    assert inspect(adapter, base).rank == 8


@pytest.mark.parametrize("name", [CONFIG, WEIGHTS])
def test_a_missing_file_is_refused(adapter: Path, base: Path, name: str) -> None:
    (adapter / name).unlink()
    with pytest.raises(Refused, match=f"{name} is missing"):
        inspect(adapter, base)


@pytest.mark.parametrize(
    "name", ["adapter_model.bin", "training_args.bin", "optimizer.pt", "model.py", ".hidden", "x.safetensors"]
)
def test_a_file_more_is_refused(adapter: Path, base: Path, name: str) -> None:
    (adapter / name).write_bytes(b"\x80\x04")
    with pytest.raises(Refused, match="no place"):
        inspect(adapter, base)


def test_links_and_folders_are_refused(adapter: Path, base: Path, tmp_path: Path) -> None:
    (adapter / WEIGHTS).rename(tmp_path / "elsewhere")
    (adapter / WEIGHTS).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(Refused, match="not a plain file"):
        inspect(adapter, base)
    (tmp_path / "link").symlink_to(adapter)
    with pytest.raises(Refused, match="not a folder"):
        inspect(tmp_path / "link", base)
    (adapter / WEIGHTS).unlink()
    (adapter / WEIGHTS).mkdir()
    with pytest.raises(Refused, match="not a plain file"):
        inspect(adapter, base)


@pytest.mark.parametrize("poison", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("kind", [np.float32, np.float16])
def test_numbers_that_are_none_are_refused(adapter: Path, base: Path, poison: float, kind: Any) -> None:
    def spoil(weights: dict[str, Any]) -> None:
        for name in weights:
            weights[name] = weights[name].astype(kind)
        weights[f"{STEM}.lora_A.weight"][1, 2] = poison

    weigh(adapter, spoil)
    with pytest.raises(Refused, match=r"lora_A\.weight holds NaN"):
        inspect(adapter, base)


def as_bfloat16(folder: Path, poison: int | None = None, zero: bool = False) -> None:
    """Rewrite the weights as bfloat16, which numpy does not know: the upper halves of float32."""
    weights = load_file(folder / WEIGHTS)
    header, data = {}, b""
    for name, tensor in weights.items():
        bits = (tensor.view(np.uint32) >> 16).astype(np.uint16)
        if zero and "lora_B" in name:
            bits[:] = 0x8000  # minus zero
        if poison is not None and name == f"{STEM}.lora_B.weight":
            bits[3, 3] = poison
        raw = bits.tobytes()
        offsets = [len(data), len(data) + len(raw)]
        header[name] = {"dtype": "BF16", "shape": list(tensor.shape), "data_offsets": offsets}
        data += raw
    text = json.dumps(header).encode()
    (folder / WEIGHTS).write_bytes(struct.pack("<Q", len(text)) + text + data)


def test_bfloat16_is_read(adapter: Path, base: Path) -> None:
    as_bfloat16(adapter)
    assert not inspect(adapter, base).untrained
    as_bfloat16(make_adapter(adapter, base), zero=True)
    assert inspect(adapter, base).untrained


@pytest.mark.parametrize("poison", [0x7F80, 0xFF80, 0x7FC0])
def test_bfloat16_that_is_no_number_is_refused(adapter: Path, base: Path, poison: int) -> None:
    as_bfloat16(adapter, poison)
    with pytest.raises(Refused, match="NaN"):
        inspect(adapter, base)


def test_other_tensors_are_refused(adapter: Path, base: Path) -> None:
    weigh(adapter, lambda weights: weights.update({"model.embed_tokens.weight": np.ones((2, 2), np.float32)}))
    with pytest.raises(Refused, match="not the A or B"):
        inspect(adapter, base)


def test_a_lone_half_is_refused(adapter: Path, base: Path) -> None:
    weigh(adapter, lambda weights: weights.pop(f"{STEM}.lora_B.weight"))
    with pytest.raises(Refused, match="without the other"):
        inspect(adapter, base)


def test_no_tensor_is_refused(adapter: Path, base: Path) -> None:
    weigh(adapter, lambda weights: weights.clear())
    with pytest.raises(Refused, match="no tensor"):
        inspect(adapter, base)


def test_another_shape_than_the_base_is_refused(adapter: Path, base: Path) -> None:
    weigh(
        adapter,
        lambda weights: weights.update({f"{STEM}.lora_A.weight": np.ones((8, 65), np.float32)}),
    )
    with pytest.raises(Refused, match="does not fit the base"):
        inspect(adapter, base)


def test_another_base_of_the_same_name_is_refused(adapter: Path, base: Path) -> None:
    manifest = {"base": {"location": str(base), "hash": "0" * 64}}
    (adapter / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(Refused, match="hash"):
        inspect(adapter, base)


@pytest.mark.parametrize("length", [8 << 30, 2**63, 0, 5])
def test_a_header_that_lies_about_its_length_is_refused(adapter: Path, base: Path, length: int) -> None:
    raw = (adapter / WEIGHTS).read_bytes()
    (adapter / WEIGHTS).write_bytes(struct.pack("<Q", length) + raw[8:])
    with pytest.raises(Refused):
        inspect(adapter, base)


def test_a_name_given_twice_is_refused(adapter: Path, base: Path) -> None:
    config = (adapter / CONFIG).read_text().rstrip().rstrip("}")
    (adapter / CONFIG).write_text(config + ', "r": 8}')
    with pytest.raises(Refused, match="twice"):
        inspect(adapter, base)


def test_endless_nesting_is_refused(adapter: Path, base: Path) -> None:
    (adapter / CONFIG).write_text("[" * 500_000)
    with pytest.raises(Refused, match="can't be read"):
        inspect(adapter, base)


FUZZ = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@FUZZ
@given(st.data())
def test_a_cut_file_never_passes(adapter: Path, base: Path, data: st.DataObject) -> None:
    whole = make_adapter(adapter, base)
    name = data.draw(st.sampled_from([WEIGHTS, CONFIG]))
    raw = (whole / name).read_bytes()
    (whole / name).write_bytes(raw[: data.draw(st.integers(0, len(raw) - 1))])
    with pytest.raises(Refused):
        inspect(whole, base)


@FUZZ
@given(st.data())
def test_flipped_bits_are_refused_or_harmless(adapter: Path, base: Path, data: st.DataObject) -> None:
    whole = make_adapter(adapter, base)
    name = data.draw(st.sampled_from([WEIGHTS, CONFIG]))
    raw = bytearray((whole / name).read_bytes())
    # The front of a file holds what is parsed, so most flips go there.
    end = data.draw(st.sampled_from([16, 400, len(raw)]))
    for place in data.draw(st.lists(st.integers(0, min(end, len(raw)) - 1), min_size=1, max_size=4)):
        raw[place] ^= 1 << data.draw(st.integers(0, 7))
    (whole / name).write_bytes(bytes(raw))
    with contextlib.suppress(Refused):
        inspect(whole, base)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@FUZZ
@given(st.sampled_from(["r", "lora_alpha", "rank_pattern", "alpha_pattern", "bias", "peft_type"]), JSON)
def test_odd_values_in_the_configuration_are_refused_or_harmless(
    adapter: Path, base: Path, name: str, value: Any
) -> None:
    configure(make_adapter(adapter, base), **{name: value})
    with contextlib.suppress(Refused):
        inspect(adapter, base)


def test_names_are_made_of_content(adapter: Path, tmp_path: Path, base: Path) -> None:
    name = adapters.name_of(adapters.content_hash(adapter))
    assert adapters.NAME.fullmatch(name)
    (adapter / "README.md").write_text("words change nothing")
    assert adapters.name_of(adapters.content_hash(adapter)) == name
    other = make_adapter(tmp_path / "other", base, seed=1)
    assert adapters.name_of(adapters.content_hash(other)) != name
    for trick in ("../lora-000000000000", "lora-000000000000/..", "lora-00000000000G", "lora-000000000000\n"):
        assert not adapters.NAME.fullmatch(trick)


def test_publication_and_verification(adapter: Path, tmp_path: Path, base: Path) -> None:
    home = tmp_path / "home" / "adapters"
    manifest = {"run": "r1", "base": {"location": str(base), "hash": base_hash(str(base))}}
    name, path = adapters.publish(adapter, home, manifest, "# card")
    assert path == home / name
    assert sorted(file.name for file in path.iterdir()) == [
        "README.md", CONFIG, WEIGHTS, "manifest.json"
    ]  # fmt: skip
    assert adapters.verify(path) == json.loads((path / "manifest.json").read_text())
    assert adapters.verify(path)["run"] == "r1"
    assert inspect(path, base).content_hash == adapters.verify(path)["content_hash"]
    again = adapters.publish(adapter, home, {"run": "r2"}, "# other card")
    assert again == (name, path)
    assert adapters.verify(path)["run"] == "r1"
    assert [folder.name for folder in home.iterdir()] == [name]


@pytest.mark.parametrize("name", [CONFIG, WEIGHTS, "README.md"])
def test_a_published_file_that_was_changed_is_noticed(adapter: Path, tmp_path: Path, name: str) -> None:
    _, path = adapters.publish(adapter, tmp_path / "home", {}, "# card")
    os.chmod(path / name, 0o644)
    with (path / name).open("ab") as file:
        file.write(b" ")
    with pytest.raises(Refused, match=name):
        adapters.verify(path)
    with pytest.raises(Refused):
        adapters.publish(adapter, tmp_path / "home", {}, "# card")


def test_a_published_folder_under_another_name_is_noticed(adapter: Path, tmp_path: Path) -> None:
    _, path = adapters.publish(adapter, tmp_path / "home", {}, "# card")
    moved = path.rename(path.with_name("lora-000000000000"))
    with pytest.raises(Refused, match="another name"):
        adapters.verify(moved)
    (moved / "more.txt").write_text("x")
    with pytest.raises(Refused, match="no place"):
        adapters.verify(moved)


def test_what_was_not_inspected_is_not_published(adapter: Path, tmp_path: Path) -> None:
    with pytest.raises(Refused, match="changed between"):
        adapters.publish(adapter, tmp_path / "home", {"content_hash": "0" * 64}, "# card")
    assert list((tmp_path / "home").iterdir()) == []


@pytest.mark.parametrize("fails", ["fsync", "rename"])
def test_a_failing_disk_publishes_nothing(
    adapter: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails: str
) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, fails, broken)
    with pytest.raises(OSError, match="Input/output"):
        adapters.publish(adapter, tmp_path / "home", {}, "# card")
    assert list((tmp_path / "home").iterdir()) == []


def test_the_order_of_publication(adapter: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files, folder, rename, parent: any other order can lose a file that has a name."""
    seen: list[str] = []
    sync, rename = os.fsync, os.rename

    def fsync(descriptor: int) -> None:
        seen.append(Path(os.readlink(f"/proc/self/fd/{descriptor}")).name)
        sync(descriptor)

    def move(source: Path, target: Path) -> None:
        seen.append(f"rename to {target.name}")
        rename(source, target)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "rename", move)
    name, _ = adapters.publish(adapter, tmp_path / "home", {}, "# card")
    assert sorted(seen[:4]) == ["README.md", CONFIG, WEIGHTS, "manifest.json"]
    assert seen[4].startswith(".partial-")
    assert seen[5:] == [f"rename to {name}", "home"]


def test_what_a_kill_left_is_swept(tmp_path: Path) -> None:
    folder = tmp_path / "adapters"
    assert adapters.sweep(folder) == 0
    (folder / ".partial-1").mkdir(parents=True)
    (folder / "lora-000000000000").mkdir()
    assert adapters.sweep(folder) == 1
    assert [path.name for path in folder.iterdir()] == ["lora-000000000000"]


def test_the_card_says_what_the_hub_reads() -> None:
    manifest = {
        "run": "r1",
        "base": {"location": "org/model", "hash": "abc"},
        "recipe": {"method": "dpo", "rank": 16, "alpha": 32, "learning_rate": 2e-4},
        "metrics": {"steps": 90, "loss": 0.2},
        "examples": [{"id": "1"}],
        "versions": {"peft": "0.21.2"},
    }
    card = adapters.model_card(manifest)
    front, words = card.removeprefix("---\n").split("\n---\n")
    assert front.splitlines()[:2] == ['base_model: "org/model"', "library_name: peft"]
    assert "- dpo" in front
    assert "peft 0.21.2" in words
    assert adapters.model_card({}).startswith("---\nbase_model:")
