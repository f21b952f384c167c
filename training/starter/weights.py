"""How the weights start, and how they are left: a start that can copy, an end that LoRA can move.

Owns initial values and scales of a Llama's weights. Does not know recipes, data or files.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

# Dimension 0 of every embedding holds the same value: something that a head may look at besides the words.
_CONSTANT = 1.0
_EMBEDDING = 0.1
# The fastest turning pairs of a head's positions, enough to tell the token before from all others.
_SHARP = 6
# How far back the heads of the first layer look, in turn.
_BACK = (1, 2, 3, 4)
_COPYING_LAYERS = (1, 2)
# Strength of a match with the token before, and with each one before that.
_MATCH, _MATCH_BEFORE = 2.5, 1.2
_NOTE = 0.25
# Where matrices usually lie: there LoRA's usual step sizes fit.
_USUAL = 0.025


def start(model: LlamaForCausalLM) -> None:
    """Set every attention so that the model can copy from the first step on.

    Each head of layer 0 looks at one of the last four tokens and notes it, turned, beside the token itself.
    Layers 1 and 2 look for places where the notes are the present token and those before it, and pass on
    what stands there: the induction heads of Olsson et al., "In-context Learning and Induction Heads" (2022),
    given instead of waited for, and looking at more than one token: names have several. The other layers look
    for their like, after Trockman and Kolter, "Mimetic Initialization of Self-Attention Layers" (2023).
    """
    import torch

    width, count = model.config.hidden_size, model.config.num_attention_heads
    size = width // count
    with torch.no_grad():
        words = model.model.embed_tokens.weight
        words.normal_(std=_EMBEDDING)
        words[:, 0] = _CONSTANT
        seen = _orthogonal(width, 1.0)[:size]
        notes = {}
        for back in _BACK:
            notes[back] = _orthogonal(width, 1.0)
            notes[back][0, :] = 0
        for place, layer in enumerate(model.model.layers):
            heads = layer.self_attn
            if place == 0:
                _look_back(heads, count, seen, notes)
                continue
            heads.v_proj.weight.copy_(_orthogonal(width, 0.7))
            outward = heads.v_proj.weight.T
            if place in _COPYING_LAYERS:
                _match(heads, count, seen, notes)
                heads.o_proj.weight.copy_(0.4 * outward)
            else:
                heads.q_proj.weight.normal_(std=0.05)
                heads.q_proj.weight[:, 0] = 0
                heads.k_proj.weight.copy_(heads.q_proj.weight)
                heads.o_proj.weight.copy_(0.1 * outward)


def _orthogonal(width: int, gain: float) -> torch.Tensor:
    import torch

    made: torch.Tensor = torch.nn.init.orthogonal_(torch.empty(width, width), gain=gain)
    made[:, 0] = 0
    return made


def _look_back(
    heads: torch.nn.Module, count: int, seen: torch.Tensor, notes: Mapping[int, torch.Tensor]
) -> None:
    """Turn each query some positions back, so that it meets the key there; note what stands there."""
    import torch

    size = heads.q_proj.weight.shape[0] // count
    half, sharp = size // 2, min(_SHARP, size // 2)
    speed = 10_000.0 ** (-torch.arange(half) / half)[:sharp]
    for part in (heads.q_proj.weight, heads.k_proj.weight):
        part.normal_(std=0.005)
    for head in range(count):
        back = _BACK[head % len(_BACK)]
        low, high = head * size, head * size + half
        heads.q_proj.weight[low : low + sharp, 0] = 0.7 * torch.cos(back * speed)
        heads.q_proj.weight[high : high + sharp, 0] = -0.7 * torch.sin(back * speed)
        heads.k_proj.weight[low : low + sharp, 0] = 0.7
        heads.k_proj.weight[high : high + sharp, 0] = 0
        heads.v_proj.weight[low : low + size] = seen
        heads.o_proj.weight[:, low : low + size] = _NOTE / (1 + count // len(_BACK)) * notes[back] @ seen.T


def _match(heads: torch.nn.Module, count: int, seen: torch.Tensor, notes: Mapping[int, torch.Tensor]) -> None:
    """Let a query of the present token and those before it meet the key where they are the notes.

    Only the slowly turning pairs of a head take part, so that it does not matter how far away that is.
    """
    import torch

    size = heads.q_proj.weight.shape[0] // count
    half = size // 2
    slow = torch.cat([torch.arange(min(_SHARP + half // 4, half - 1), half) + low for low in (0, half)])
    for part in (heads.q_proj.weight, heads.k_proj.weight):
        part.normal_(std=0.01)
        part[:, 0] = 0
    for head in range(count):
        rows = head * size + slow
        turn = _MATCH * _some(len(slow), size) @ seen
        heads.q_proj.weight[rows] += turn
        heads.k_proj.weight[rows] += turn @ notes[1].T
        for back in _BACK[:-1]:
            turn = _MATCH_BEFORE * _some(len(slow), size) @ seen
            heads.q_proj.weight[rows] += turn @ notes[back].T
            heads.k_proj.weight[rows] += turn @ notes[back + 1].T


def _some(rows: int, width: int) -> torch.Tensor:
    """As many rows of a random rotation."""
    import torch

    made: torch.Tensor = torch.nn.init.orthogonal_(torch.empty(width, width))[:rows]
    return made * math.sqrt(width / rows)


def reworded(rows: torch.Tensor, old: PreTrainedTokenizerFast, new: PreTrainedTokenizerFast) -> torch.Tensor:
    """The embeddings (old entries, width) for another vocabulary: (new entries, width).

    What both have keeps its row; what is new begins as the mean of what it was written with before.
    """
    import torch

    known, made = old.get_vocab(), torch.empty(len(new), rows.shape[1])
    for token, number in new.get_vocab().items():
        if token in known:
            made[number] = rows[known[token]]
        else:
            parts = [known[one.value] for one in old.backend_tokenizer.model.tokenize(token)]
            made[number] = rows[parts].mean(0)
    return made


def balance(model: LlamaForCausalLM) -> int:
    """Bring the matrices to the usual scale without changing what the model says; returns the factor.

    Muon leaves them several times larger, and then LoRA's small additions hardly count. What a norm feeds
    is divided and the norm's gain multiplied; what is added up along the layers is divided throughout,
    which the next norm undoes. A power of two, so that not even rounding changes.
    """
    inside = [one for name, one in model.named_parameters() if one.ndim == 2 and "layers" in name]
    size = math.sqrt(sum(float(one.detach().float().pow(2).mean()) for one in inside) / len(inside))
    factor = 2 ** max(0, round(math.log2(size / _USUAL)))
    _scale(model, factor)
    return int(factor)


def unbalance(model: LlamaForCausalLM) -> int:
    """Undo `balance` before more of Muon, whose steps are for matrices of their first scale; returns the
    factor, told from the norms' gains, which begin at one."""
    gains = [float(layer.input_layernorm.weight.detach().float().mean()) for layer in model.model.layers]
    factor = 2 ** max(0, round(math.log2(sum(gains) / len(gains))))
    _scale(model, 1 / factor)
    return int(factor)


def _scale(model: LlamaForCausalLM, factor: float) -> None:
    import torch

    with torch.no_grad():
        for layer in model.model.layers:
            heads, mlp = layer.self_attn, layer.mlp
            for one in (heads.q_proj, heads.k_proj, heads.v_proj, heads.o_proj):
                one.weight /= factor
            for one in (mlp.gate_proj, mlp.up_proj, mlp.down_proj):
                one.weight /= factor
            layer.input_layernorm.weight *= factor
            layer.post_attention_layernorm.weight *= factor
        model.model.embed_tokens.weight /= factor
        model.model.norm.weight *= factor
