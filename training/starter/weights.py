"""How the weights start, and how they are left: a start that can copy, an end that LoRA can move.

Owns initial values and scales of a Llama's weights. Does not know recipes, data or files.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from transformers import LlamaForCausalLM

# Dimension 0 of every embedding holds the same value: something that a head may look at besides the words.
_CONSTANT = 1.0
_EMBEDDING = 0.1
# The fastest turning pairs of a head's positions, enough to tell the token before from all others.
_SHARP = 6
_COPYING_LAYERS = (1, 2)
# Where matrices usually lie: there LoRA's usual step sizes fit.
_USUAL = 0.025


def start(model: LlamaForCausalLM) -> None:
    """Set every attention so that the model can copy from the first step on.

    Layer 0 looks at the token before and notes it, turned, beside the token itself. Layers 1 and 2 look
    for places whose note is the present token and pass on what stands there: the induction heads of Olsson
    et al., "In-context Learning and Induction Heads" (2022), given instead of waited for. The other layers
    look for their like, after Trockman and Kolter, "Mimetic Initialization of Self-Attention Layers" (2023).
    """
    import torch

    width = model.config.hidden_size
    with torch.no_grad():
        words = model.model.embed_tokens.weight
        words.normal_(std=_EMBEDDING)
        words[:, 0] = _CONSTANT
        turn = _orthogonal(width, 1.0)
        turn[0, :] = 0
        for place, layer in enumerate(model.model.layers):
            heads = layer.self_attn
            heads.v_proj.weight.copy_(_orthogonal(width, 0.7))
            outward = heads.v_proj.weight.T
            if place == 0:
                _look_back(heads, model.config.num_attention_heads)
                heads.o_proj.weight.copy_(0.16 * turn @ outward)
                continue
            copying = place in _COPYING_LAYERS
            heads.q_proj.weight.normal_(std=0.13 if copying else 0.05)
            heads.q_proj.weight[:, 0] = 0
            like = heads.q_proj.weight @ turn.T if copying else heads.q_proj.weight
            heads.k_proj.weight.copy_(like)
            heads.o_proj.weight.copy_((0.4 if copying else 0.1) * outward)


def _orthogonal(width: int, gain: float) -> torch.Tensor:
    import torch

    made: torch.Tensor = torch.nn.init.orthogonal_(torch.empty(width, width), gain=gain)
    made[:, 0] = 0
    return made


def _look_back(heads: torch.nn.Module, count: int) -> None:
    """Turn each query one position back, so that it meets the key of the token before."""
    import torch

    size = heads.q_proj.weight.shape[0] // count
    half, sharp = size // 2, min(_SHARP, size // 2)
    speed = 10_000.0 ** (-torch.arange(half) / half)[:sharp]
    for part in (heads.q_proj.weight, heads.k_proj.weight):
        part.normal_(std=0.005)
    for head in range(count):
        low, high = head * size, head * size + half
        heads.q_proj.weight[low : low + sharp, 0] = 0.7 * torch.cos(speed)
        heads.q_proj.weight[high : high + sharp, 0] = -0.7 * torch.sin(speed)
        heads.k_proj.weight[low : low + sharp, 0] = 0.7
        heads.k_proj.weight[high : high + sharp, 0] = 0


def balance(model: LlamaForCausalLM) -> int:
    """Bring the matrices to the usual scale without changing what the model says; returns the factor.

    Muon leaves them several times larger, and then LoRA's small additions hardly count. What a norm feeds
    is divided and the norm's gain multiplied; what is added up along the layers is divided throughout,
    which the next norm undoes. A power of two, so that not even rounding changes.
    """
    import torch

    with torch.no_grad():
        inside = [one for name, one in model.named_parameters() if one.ndim == 2 and "layers" in name]
        size = math.sqrt(sum(float(one.float().pow(2).mean()) for one in inside) / len(inside))
        factor = 2 ** max(0, round(math.log2(size / _USUAL)))
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
    return factor
