"""Adapter folders on disk: may this one be served, what is it called, and how it gets its final place.

Owns the names, the hashes and the rules; reads safetensors as bytes, so nothing that is inspected is ever
loaded or run. Knows neither torch nor the engine, neither rows nor gates.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
import shutil
import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from training.records import Refused
from training.trainers.files import sha256, sync

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
CARD, MANIFEST = "README.md", "manifest.json"
NAME = re.compile(r"lora-[0-9a-f]{12}")
"""The only form of an adapter's name (`NAME.fullmatch`): a path trick has no place in it."""

_ALLOWED = {CONFIG, WEIGHTS, CARD, MANIFEST}
_MOST_JSON = {MANIFEST: 64 << 20}
_MOST_HEADER = 100_000_000  # bytes; the limit of the safetensors format itself
_TENSOR = re.compile(r"base_model\.model\.([A-Za-z0-9_.]+)\.lora_([AB])\.weight")
_BYTES = {"F32": 4, "F16": 2, "BF16": 2}
# What vLLM 0.32 does not serve (vllm/lora/peft_helper.py), and PEFT's doors to other code.
_UNSERVED = (
    "use_dora", "lora_bias", "modules_to_save", "alora_invocation_tokens", "layer_replication", "use_bdlora",
    "use_qalora", "trainable_token_indices", "target_parameters", "auto_mapping", "auto_map",
    "fan_in_fan_out",
)  # fmt: skip
_SERVED_INITS = {"gaussian", "eva", "orthogonal", "mica", "lora_ga"}

Header = dict[str, dict[str, Any]]


@dataclass(frozen=True, slots=True)
class AdapterFacts:
    """What an inspection found. `untrained`: every B is zero, so that it answers exactly like the base."""

    rank: int
    alpha: float
    base: str
    base_hash: str
    target_modules: tuple[str, ...]
    parameters: int
    content_hash: str
    untrained: bool

    def as_dict(self) -> dict[str, Any]:
        """Plain values, as they stand in a manifest."""
        return asdict(self) | {"target_modules": list(self.target_modules)}


def inspect(folder: Path, *, base: str, base_hash: str, max_rank: int = 32) -> AdapterFacts:
    """Whether the adapter in `folder` may be served on `base`; raises `Refused` with the reason if not.

    `base` is the location that the engine serves, `base_hash` its hash (`base.py`).
    """
    _check_files(folder)
    config = _object(folder / CONFIG)
    rank = _check_config(config, base, max_rank)
    if (folder / MANIFEST).exists():
        _check_manifest(_object(folder / MANIFEST), base_hash)
    path = folder / WEIGHTS
    header, start = _header(path)
    pairs = _pairs(header, config, rank)
    _check_shapes(pairs, base)
    data = np.memmap(path, dtype=np.uint8, mode="r", offset=start)
    moved = [_moves(data, name, tensor) for name, tensor in header.items()]
    return AdapterFacts(
        rank=max(tensors["A"]["shape"][0] for tensors in pairs.values()),
        alpha=float(config["lora_alpha"]),
        base=base,
        base_hash=base_hash,
        target_modules=tuple(sorted({module.rsplit(".", 1)[-1] for module in pairs})),
        parameters=sum(math.prod(tensor["shape"]) for tensor in header.values()),
        content_hash=content_hash(folder),
        untrained=not any(flag for name, flag in zip(header, moved, strict=True) if ".lora_B." in name),
    )


def content_hash(folder: Path) -> str:
    """64 hex of configuration and weights: what decides how the adapter answers. Card and manifest don't."""
    lines = [f"{name} {sha256(folder / name)}\n" for name in (CONFIG, WEIGHTS)]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def name_of(content: str) -> str:
    """The name of the adapter with that content hash."""
    return f"lora-{content[:12]}"


def publish(staged: Path, home_adapters: Path, manifest: Mapping[str, Any], card: str) -> tuple[str, Path]:
    """Give the adapter in `staged` its name and its final, immutable folder under `home_adapters`.

    Copied beside its place, synced, renamed, parent synced: whole or not there. The same content again
    changes nothing. The hash is that of the copy, so nothing is swapped unseen. Raises `Refused`, `OSError`.
    """
    _check_files(staged)
    home_adapters.mkdir(parents=True, exist_ok=True)
    partial = home_adapters / f".partial-{uuid.uuid4().hex}"
    partial.mkdir()
    try:
        for name in (CONFIG, WEIGHTS):
            shutil.copyfile(staged / name, partial / name)
        content = content_hash(partial)
        # A manifest may say which content was inspected: nothing else is published under its words.
        if manifest.get("content_hash", content) != content:
            raise Refused("The adapter was changed between its inspection and its publication.")
        name = name_of(content)
        final = home_adapters / name
        (partial / CARD).write_text(card, encoding="utf-8")
        files = {
            path.name: {"sha256": sha256(path), "size": path.stat().st_size}
            for path in sorted(partial.iterdir())
        }
        whole = {**manifest, "name": name, "content_hash": content, "files": files}
        (partial / MANIFEST).write_text(json.dumps(whole, indent=1), encoding="utf-8")
        _put(partial, final)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return name, final


def verify(folder: Path) -> dict[str, Any]:
    """The manifest of a published adapter, if its files are still those of it; raises `Refused` if not."""
    _check_files(folder)
    manifest = _object(folder / MANIFEST)
    files = manifest.get("files")
    present = {path.name for path in folder.iterdir()} - {MANIFEST}
    if not isinstance(files, dict) or set(files) != present:
        raise Refused(f"{folder.name} does not hold exactly the files of its manifest.")
    for name, facts in files.items():
        if not isinstance(facts, dict) or sha256(folder / name) != facts.get("sha256"):
            raise Refused(f"{name} of {folder.name} is not the file that was published.")
    if name_of(content_hash(folder)) != folder.name:
        raise Refused(f"The content of {folder.name} belongs to another name.")
    return manifest


def sweep(home_adapters: Path) -> int:
    """Delete what a killed `publish` left behind; how many. Only for the one process that publishes."""
    left = list(home_adapters.glob(".partial-*"))
    for folder in left:
        shutil.rmtree(folder)
    return len(left)


def model_card(manifest: Mapping[str, Any]) -> str:
    """The README.md of an adapter as the Hugging Face hub reads it: YAML front matter, then words."""
    recipe, metrics = manifest.get("recipe", {}), manifest.get("metrics", {})
    base = str(manifest.get("base", {}).get("location", ""))
    facts = {
        "Run": manifest.get("run"),
        "Base model": f"`{base}`, hash `{str(manifest.get('base', {}).get('hash', ''))[:12]}`",
        "Method": f"{recipe.get('method')}, LoRA rank {recipe.get('rank')}, alpha {recipe.get('alpha')}",
        "Steps": f"{metrics.get('steps')} at a learning rate of {recipe.get('learning_rate')}",
        "Examples": len(manifest.get("examples", ())),
        "Loss at the end": metrics.get("loss"),
        "Pairs told apart": metrics.get("rewards/accuracies"),
        "Made with": ", ".join(f"{name} {found}" for name, found in manifest.get("versions", {}).items()),
    }
    table = "\n".join(f"| {name} | {value} |" for name, value in facts.items())
    front = f"base_model: {json.dumps(base)}\nlibrary_name: peft\npipeline_tag: text-generation"
    tags = "\n".join(
        f"- {tag}" for tag in ("lora", "trl", str(recipe.get("method", "")), "apprentice") if tag
    )
    return (
        f"---\n{front}\ntags:\n{tags}\n---\n\n# LoRA adapter trained from feedback\n\n"
        f"Made by Apprentice from the votes of the people who use it, each named in `{MANIFEST}`.\n\n"
        f"| | |\n|---|---|\n{table}\n"
    )


def _check_files(folder: Path) -> None:
    if folder.is_symlink() or not folder.is_dir():
        raise Refused(f"{folder.name} is not a folder.")
    for path in folder.iterdir():
        if path.is_symlink() or not path.is_file():
            raise Refused(f"{path.name!r} in the adapter's folder is not a plain file.")
        if path.name not in _ALLOWED:
            raise Refused(f"{path.name!r} has no place in an adapter's folder.")
    for name in (CONFIG, WEIGHTS):
        if not (folder / name).exists():
            raise Refused(f"{name} is missing.")


def _check_config(config: Mapping[str, Any], base: str, max_rank: int) -> int:
    """The rank; raises `Refused` for what the engine would not serve, or not as it was trained."""
    if config.get("peft_type") != "LORA":
        raise Refused(f"{CONFIG} describes {config.get('peft_type')!r}, not a LORA.")
    for name in _UNSERVED:
        if config.get(name):
            raise Refused(f"The engine can't serve an adapter with {name} set.")
    if config.get("bias", "none") != "none":
        raise Refused(f"The engine can't serve an adapter with bias={config['bias']!r}.")
    init = config.get("init_lora_weights", True)
    if not isinstance(init, bool) and not (isinstance(init, str) and init.lower() in _SERVED_INITS):
        raise Refused(f"The engine can't serve init_lora_weights={init!r}.")
    if config.get("base_model_name_or_path") != base:
        raise Refused(f"The adapter is for {config.get('base_model_name_or_path')!r}, not for {base!r}.")
    alpha = config.get("lora_alpha")
    if isinstance(alpha, bool) or not isinstance(alpha, int | float) or not 0 < alpha < math.inf:
        raise Refused(f"lora_alpha is {alpha!r}, not a positive number.")
    patterns = [config.get(name) or {} for name in ("rank_pattern", "alpha_pattern")]
    if not isinstance(patterns[0], dict) or not isinstance(patterns[1], dict):
        raise Refused("rank_pattern or alpha_pattern is not a table.")
    for rank in (config.get("r"), *patterns[0].values()):
        if isinstance(rank, bool) or not isinstance(rank, int) or rank < 1:
            raise Refused(f"The rank is {rank!r}, not a positive whole number.")
        if rank > max_rank:
            raise Refused(f"The rank {rank} is above {max_rank}, the most that the engine serves.")
    return int(config["r"])


def _check_manifest(manifest: Mapping[str, Any], base_hash: str) -> None:
    base = manifest.get("base")
    found = base.get("hash") if isinstance(base, dict) else None
    if found != base_hash:
        raise Refused(f"The adapter was trained on a base model with the hash {found!r}, not {base_hash!r}.")


def _header(path: Path) -> tuple[Header, int]:
    """The tensors of a safetensors file by name, and where their data start; every offset is checked."""
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if size < 8 or length > min(size - 8, _MOST_HEADER):
            raise Refused(f"{WEIGHTS} is cut off, or its header claims {length} bytes of a file of {size}.")
        header = _parse(file.read(length), WEIGHTS)
    header.pop("__metadata__", None)
    if not header:
        raise Refused(f"{WEIGHTS} holds no tensor.")
    end = 0
    for name, tensor in sorted(header.items(), key=lambda item: _offsets(*item)):
        begin, after = _offsets(name, tensor)
        if begin != end or after - begin != math.prod(tensor["shape"]) * _BYTES[tensor["dtype"]]:
            raise Refused(f"The data of {name!r} in {WEIGHTS} do not fit its shape.")
        end = after
    if end != size - 8 - length:
        raise Refused(f"{WEIGHTS} is cut off or too long: {end} bytes of tensors, {size - 8 - length} there.")
    return header, 8 + length


def _offsets(name: str, tensor: Any) -> tuple[int, int]:
    """Begin and end of a tensor's data; raises `Refused` unless the whole entry is well formed."""
    entry = tensor if isinstance(tensor, dict) else {}
    shape, offsets = entry.get("shape"), entry.get("data_offsets")
    pairs = [one for one in (shape, offsets) if isinstance(one, list) and len(one) == 2]
    whole = all(type(number) is int and number >= 0 for pair in pairs for number in pair)
    if (
        len(pairs) != 2
        or not whole
        or not isinstance(entry.get("dtype"), str)
        or entry["dtype"] not in _BYTES
    ):
        raise Refused(f"{name!r} in {WEIGHTS} is not a matrix of 16 or 32 bit floats.")
    return entry["data_offsets"][0], entry["data_offsets"][1]


def _pairs(header: Header, config: Mapping[str, Any], rank: int) -> dict[str, Header]:
    """The A and B of each module; raises `Refused` for other tensors, lone ones, and other ranks."""
    pairs: dict[str, Header] = {}
    for name, tensor in header.items():
        match = _TENSOR.fullmatch(name)
        if match is None:
            raise Refused(f"{name!r} in {WEIGHTS} is not the A or B of a LoRA.")
        pairs.setdefault(match[1], {})[match[2]] = tensor
    allowed = {rank, *(config.get("rank_pattern") or {}).values()}
    for module, pair in pairs.items():
        if set(pair) != {"A", "B"}:
            raise Refused(f"{module} has an A or a B without the other.")
        if pair["A"]["shape"][0] != pair["B"]["shape"][1] or pair["A"]["shape"][0] not in allowed:
            raise Refused(f"The tensors of {module} have another rank than {CONFIG} says.")
    return pairs


def _check_shapes(pairs: Mapping[str, Header], base: str) -> None:
    """Each module must be in the base model, and as large: the name of the base alone proves little."""
    shapes: dict[str, Any] = {}
    for path in sorted(Path(base).glob("*.safetensors")) if Path(base).is_dir() else ():
        with path.open("rb") as file:
            shapes |= _parse(file.read(int.from_bytes(file.read(8), "little")), path.name)
    for module, pair in pairs.items() if shapes else ():
        found = shapes.get(f"{module}.weight", {}).get("shape")
        if found != [pair["B"]["shape"][0], pair["A"]["shape"][1]]:
            raise Refused(f"{module} of the adapter does not fit the base model.")


def _moves(data: npt.NDArray[np.uint8], name: str, tensor: Mapping[str, Any]) -> bool:
    """Whether the tensor holds anything but zeros; raises `Refused` for NaN and infinity."""
    raw = data[slice(*tensor["data_offsets"])]
    if tensor["dtype"] == "BF16":
        # numpy has no bfloat16: all ones in the exponent are NaN or infinity, sign aside only zeros are zero.
        bits = np.ascontiguousarray(raw).view(np.uint16)
        finite, moves = bool(((bits & 0x7F80) != 0x7F80).all()), bool((bits & 0x7FFF).any())
    else:
        numbers = np.ascontiguousarray(raw).view(np.float32 if tensor["dtype"] == "F32" else np.float16)
        finite, moves = bool(np.isfinite(numbers).all()), bool(numbers.any())
    if not finite:
        raise Refused(f"{name} holds NaN or infinite numbers.")
    return moves


def _object(path: Path) -> dict[str, Any]:
    if path.is_symlink() or not path.is_file():
        raise Refused(f"{path.name} is missing.")
    if path.stat().st_size > _MOST_JSON.get(path.name, 1 << 20):
        raise Refused(f"{path.name} is too large.")
    return _parse(path.read_bytes(), path.name)


def _parse(raw: bytes, where: str) -> dict[str, Any]:
    """A JSON object that names nothing twice."""

    def once(items: list[tuple[str, Any]]) -> dict[str, Any]:
        if len({name for name, _ in items}) != len(items):
            raise Refused(f"{where} names something twice.")
        return dict(items)

    try:
        found = json.loads(raw, object_pairs_hook=once)
    except (ValueError, RecursionError) as error:
        raise Refused(f"{where} can't be read: {type(error).__name__}.") from error
    if not isinstance(found, dict):
        raise Refused(f"{where} is not an object.")
    return found


def _put(partial: Path, final: Path) -> None:
    """Move a complete folder to its name, unless the same content is there."""
    if not final.exists():
        for path in partial.iterdir():
            path.chmod(0o444)
            sync(path)
        sync(partial)
        try:
            os.rename(partial, final)
        except OSError:
            # Somebody else was first; what they left is verified below.
            if not final.is_dir():
                raise
        sync(final.parent)
    verify(final)
