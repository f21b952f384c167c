"""How examples become an adapter: step sizes and counts for each size of model and of data, with reasons.

Pure, but for two small looks at the machine (`parameters_of`, `device`). Imports nothing heavy; knows neither
the trainers' libraries nor where examples come from.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from training.records import Method, Recipe, Refused

Device = Literal["cpu", "cuda"]

RANKS = (1, 8, 16, 32)
"""What vLLM can be started for (`--max-lora-rank`), up to the engine's own limit here."""
METHODS = ("dpo",)


@dataclass(frozen=True, slots=True)
class _Size:
    """A class of models. `rate` goes with its `batch`; `seconds` is a step's time a pair, on two cores."""

    name: str
    below: float
    rate: float
    batch: int
    steps: int
    most_epochs: float
    seconds: float


# tiny: measured on an earlier starter (5.5 M weights, rank 16); a taste for courtesy, met by 19 % of answers:
#   202 pairs, 76 steps of 4 at 2e-3: 89 %     202, 101 at 1.5e-3: 91 %     202, 76 at 1e-3: 79 %
#    48 pairs, 60 steps of 4 at 1e-3: 78 %      16, 80 steps of 2 at 1e-3: 83 %     16, 32 of 4: 52 %
# On today's (8.7 M), three rounds of 96 votes: at 1.5e-3 from 0.43 to 0.79 and 0.92, while general tasks fall
# from 81 % to 73; at 1e-3 from 0.40 to 0.77 and 0.92 (they stay), and from 0.43 to 0.84 (77 %); at 7e-4 from
# 0.44 to 0.77 and 0.81 (they stay).
# The others were never measured here: LoRA wants about ten times the rate of full fine-tuning (Schulman et
# al. 2025, "LoRA without regret"), and less the wider the model.
_SIZES = (
    _Size("tiny", 50e6, 1e-3, 4, 90, 10.0, 0.05),
    _Size("small", 1e9, 1e-4, 8, 80, 5.0, 3.0),
    _Size("mid", 10e9, 5e-5, 8, 60, 3.0, 40.0),
    _Size("large", math.inf, 2e-5, 8, 50, 2.0, 300.0),
)
RANK = 16
BETA = 0.1
SFT_WEIGHT = 1.0
"""RPO's own (Pang et al. 2024). At 0 the starter's answers grew from 28 to 93 tokens within 125 steps, at 0.5
to 41, at 1 to 35."""
_ON_GPU = 50.0
"""How many times faster a step is on a GPU than on two cores, for the time budget alone."""
_BUDGET = {"cpu": 45 * 60.0, "cuda": 60 * 60.0}
"""Seconds of training that a run may take; it is cut to this by its number of passes."""
_MOST_STEPS = 2000


def choose(
    *,
    base: str,
    parameters: int | None,
    examples: int,
    device: Device,
    method: Method = "dpo",
    threads: int = 0,
    seed: int = 0,
) -> Recipe:
    """The recipe for `examples` pairs on a model of `parameters` weights (None: unknown, taken as small).

    What counts is the number of optimiser steps: few pairs are seen more often and in smaller batches, many
    ones once.
    """
    size = next(one for one in _SIZES if (parameters or 500e6) < one.below)
    batch = max(1, min(size.batch, round(examples * size.most_epochs / size.steps)))
    once = max(1, math.ceil(examples / batch))
    wanted = min(max(1.0, size.steps / once), size.most_epochs)
    epochs = min(wanted, _affordable(size, device, batch, once))
    reasons = [
        f"{_million(parameters)}: {size.name}, so a learning rate of {size.rate:g} at rank {RANK}.",
        f"{examples} pairs, {batch} a step, seen {epochs:.3g} times: {math.ceil(once * epochs)} steps. "
        f"About {size.steps} are wanted, since steps count more than the method.",
        "The chosen answers' own likelihood is in the loss, so that answers neither grow nor fall apart.",
    ]
    if epochs < wanted:
        reasons.append(f"Cut from {wanted:.3g} passes, to end within {_BUDGET[device] / 60:.0f} minutes.")
    return Recipe(
        method=method,
        base=base,
        rank=RANK,
        alpha=2 * RANK,
        learning_rate=size.rate,
        beta=BETA,
        sft_weight=SFT_WEIGHT,
        epochs=float(f"{epochs:.4g}"),
        batch_size=batch,
        checkpoint_steps=max(10, min(50, math.ceil(once * epochs / 2))),
        gradient_checkpointing=size.name in ("mid", "large"),
        threads=threads,
        seed=seed,
        reasons=tuple(reasons),
    )


CHOOSABLE = (
    *("method", "epochs", "learning_rate", "rank", "batch_size", "beta", "sft_weight"),
    "label_smoothing",
)
"""What a person may want otherwise in a recipe; the rest follows from it or from the machine."""


def adjust(recipe: Recipe, wished: Mapping[str, Any]) -> Recipe:
    """The recipe with what a person wants otherwise (`CHOOSABLE`). Raises `Refused` as `validate` does.

    The step of LoRA's matrices stays twice the rank, as `choose` has it.
    """
    if not wished:
        return recipe
    _check_choosable(wished)
    told = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in wished.items())
    changed: dict[str, Any] = dict(wished)
    if isinstance(rank := wished.get("rank"), int):
        changed["alpha"] = 2 * rank
    found = replace(recipe, **changed, reasons=(*recipe.reasons, f"Chosen by hand: {told}."))
    validate(found)
    return found


def wanted(texts: Mapping[str, str], recipe: Recipe) -> dict[str, Any]:
    """What texts from a form want otherwise than `recipe` has it; empty ones want nothing.

    Raises `Refused` with one sentence for what is no number, or is not within bounds.
    """
    found = {name: value for name, value in wishes(texts).items() if value != getattr(recipe, name)}
    adjust(recipe, found)
    return found


def wishes(texts: Mapping[str, str]) -> dict[str, Any]:
    """Wishes from texts, empty ones left out, whatever the recipe will be. Raises `Refused` as `wanted`."""
    _check_choosable(texts)
    found = {name: _read(name, text.strip()) for name, text in texts.items() if text.strip()}
    check_wishes(found)
    return found


def check_wishes(found: Mapping[str, Any]) -> None:
    """Raise `Refused` with one sentence for wishes that no recipe can take."""
    adjust(Recipe(method="dpo", base="any"), found)


def steps_of(recipe: Recipe, examples: int) -> int:
    """About how many optimiser steps `examples` take."""
    each = recipe.batch_size * recipe.gradient_accumulation
    return max(1, math.ceil(examples * recipe.epochs / each)) if examples else 0


def bounds(name: str) -> str:
    """What may be chosen for one of `CHOOSABLE`, in words."""
    if name == "method":
        return " or ".join(METHODS)
    if name == "rank":
        return ", ".join(map(str, RANKS))
    low, high = _BOUNDS[name]
    return f"{low:g} to {high:g}"


def _check_choosable(names: Iterable[str]) -> None:
    for name in names:
        if name not in CHOOSABLE:
            raise Refused(f"The recipe is not usable: {name!r} can't be chosen, only {', '.join(CHOOSABLE)}.")


def _read(name: str, text: str) -> str | int | float:
    if name == "method":
        return text
    try:
        return int(text) if name in _WHOLE or name == "rank" else float(text)
    except ValueError:
        kind = "a whole number" if name in _WHOLE or name == "rank" else "a number"
        raise Refused(f"{name.replace('_', ' ')} is {text[:40]!r}, not {kind}.") from None


def validate(recipe: Recipe) -> None:
    """Raise `Refused` with one sentence if the recipe can't be trained, or can't be served afterwards."""
    for fault in _faults(recipe):
        raise Refused(f"The recipe is not usable: {fault}.")


def parameters_of(folder: Path) -> int | None:
    """How many weights a model folder holds, by its safetensors headers; None if they don't tell."""
    total = 0
    for path in sorted(folder.glob("*.safetensors")) if folder.is_dir() else ():
        try:
            with path.open("rb") as file:
                length = int.from_bytes(file.read(8), "little")
                header: Any = json.loads(file.read(length)) if length <= path.stat().st_size else None
            total += sum(
                math.prod(tensor["shape"]) for name, tensor in header.items() if name != "__metadata__"
            )
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            return None
    return total or None


def device() -> Device:
    """`cuda` where an NVIDIA driver has a card, without importing torch to find out."""
    return "cuda" if any(Path("/proc/driver/nvidia/gpus").glob("*")) else "cpu"


def _affordable(size: _Size, device: Device, batch: int, once: int) -> float:
    """How many passes fit the time budget and the most steps, one step at least."""
    step = size.seconds * batch / (_ON_GPU if device == "cuda" else 1)
    return max(1 / once, min(_BUDGET[device] / (step * once), _MOST_STEPS / once))


def _million(parameters: int | None) -> str:
    return f"A model of {parameters / 1e6:,.3g} M weights" if parameters else "A model of unknown size"


def _faults(recipe: Recipe) -> Iterator[str]:
    if recipe.method not in METHODS:
        yield f"the method is {recipe.method!r}, not one of {', '.join(METHODS)}"
    base: Any = recipe.base
    if not isinstance(base, str) or not base:
        yield "it names no base model"
    if recipe.rank not in RANKS:
        yield f"the rank is {recipe.rank!r}, not one of {RANKS}"
    if recipe.dtype not in ("bfloat16", "float32"):
        yield f"dtype is {recipe.dtype!r}, not bfloat16 or float32"
    targets: Any = recipe.target_modules
    names = [targets] if isinstance(targets, str) else targets
    if not isinstance(names, list | tuple) or not names or not all(isinstance(name, str) for name in names):
        yield "target_modules is neither a name nor a list of names"
    elif any("lm_head" in name or "embed" in name for name in names):
        yield "target_modules names the embedding or the head, which the engine does not adapt"
    for field, (low, high) in _BOUNDS.items():
        value = getattr(recipe, field)
        whole = field in _WHOLE
        if isinstance(value, bool) or not isinstance(value, int if whole else int | float):
            yield f"{field} is {value!r}, not a {'whole ' if whole else ''}number"
        elif not low <= value <= high:
            yield f"{field} is {value!r}, not within {low:g} and {high:g}"


_BOUNDS: dict[str, tuple[float, float]] = {
    "alpha": (1, 512),
    "learning_rate": (1e-7, 1e-2),
    "beta": (1e-3, 10),
    "label_smoothing": (0, 0.45),
    "sft_weight": (0, 10),
    "epochs": (1e-6, 50),
    "batch_size": (1, 512),
    "gradient_accumulation": (1, 512),
    "max_length": (16, 131_072),
    "warmup": (0, 0.99),
    "seed": (0, 2**32 - 1),
    "checkpoint_steps": (1, 1_000_000),
    "threads": (0, 1024),
}
_WHOLE = {
    "alpha",
    "batch_size",
    "gradient_accumulation",
    "max_length",
    "seed",
    "checkpoint_steps",
    "threads",
}
