"""The step of the build: a Llama's loss on packed rows, written out so that a CPU is quick at it.

Owns the arithmetic of one forward pass over a model's own parameters, in bf16, compiled where that is
possible. Does not know data, recipes or optimisers.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as f

from training.starter.batching import BLOCK, IGNORED

if TYPE_CHECKING:
    from transformers import LlamaForCausalLM

    from training.starter.batching import Batch

logger = logging.getLogger(__name__)
_FAR = -1e9
# Queries that share a product with the keys before them; smaller ones save less than their calls cost.
WINDOW = 256
Layer = tuple[torch.Tensor, ...]


def can_compile() -> bool:
    """Whether `torch.compile` finds what it needs here, a C++ compiler above all."""
    try:
        torch.compile(lambda one: one + 1, dynamic=False)(torch.ones(8))
    except (RuntimeError, OSError) as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        logger.warning("no torch.compile here, so the build is slower: %s", reason)
        return False
    return True


class Forward:
    """The loss of a model on a batch, with its parameters as they are at the time of the call.

    `dtype` is that of the products. Each head must have its own keys and values, as the build's models do.
    """

    def __init__(
        self, model: LlamaForCausalLM, dtype: torch.dtype = torch.bfloat16, compiled: bool = True
    ) -> None:
        config = model.config
        if config.num_key_value_heads != config.num_attention_heads:
            raise ValueError("shared keys and values are not written out here")
        self._model, self._dtype = model, dtype
        self._heads, self._eps = config.num_attention_heads, config.rms_norm_eps
        self._turns: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}
        wrap: Any = torch.compile(dynamic=False) if compiled else lambda one: one
        self._trunk: Callable[..., torch.Tensor] = wrap(trunk)
        self._score: Callable[..., torch.Tensor] = wrap(score)

    def loss(self, batch: Batch) -> torch.Tensor:
        """Mean cross-entropy of the batch's targets; a scalar that can be differentiated."""
        inner, head = self._model.model, self._model.lm_head.weight
        cos, sin = self._turn(batch.ids.shape[1])
        # Looking up and picking places stay outside: compiled, their gradients are summed in random order.
        words = f.embedding(torch.from_numpy(batch.ids), inner.embed_tokens.weight)
        hidden = self._trunk(
            words,
            [_weights(layer) for layer in inner.layers],
            inner.norm.weight,
            cos,
            sin,
            torch.from_numpy(batch.segments),
            self._heads,
            self._eps,
            self._dtype,
        )
        places, targets = torch.from_numpy(batch.places), torch.from_numpy(batch.targets)
        picked = hidden.flatten(0, 1).index_select(0, places)
        small = head.to(self._dtype)
        sums = [
            self._score(one, small, aim)
            for one, aim in zip(picked.split(BLOCK), targets.split(BLOCK), strict=True)
        ]
        return torch.stack(sums).sum() / int((batch.targets != IGNORED).sum())

    def _turn(self, length: int) -> tuple[torch.Tensor, torch.Tensor]:
        if length not in self._turns:
            with torch.no_grad():
                turn = self._model.model.rotary_emb
                cos, sin = turn(torch.zeros(1, dtype=self._dtype), torch.arange(length)[None])
            self._turns[length] = (cos[:, None], sin[:, None])
        return self._turns[length]


def _weights(layer: Any) -> Layer:
    heads, mlp = layer.self_attn, layer.mlp
    return (
        layer.input_layernorm.weight,
        heads.q_proj.weight,
        heads.k_proj.weight,
        heads.v_proj.weight,
        heads.o_proj.weight,
        layer.post_attention_layernorm.weight,
        mlp.gate_proj.weight,
        mlp.up_proj.weight,
        mlp.down_proj.weight,
    )


def trunk(
    words: torch.Tensor,
    layers: list[Layer],
    last: torch.Tensor,
    cos: torch.Tensor,
    sin: torch.Tensor,
    segments: torch.Tensor,
    heads: int,
    eps: float,
    dtype: torch.dtype,
) -> torch.Tensor:
    """All layers and the last norm: (rows, length, width) of words to the same of hidden states.

    A place sees the places of its own segment up to itself. Positions count from the row's start, not the
    segment's: rotary attention knows distances alone.
    """
    rows, length, width = words.shape
    size = width // heads
    hidden = words
    own = segments[:, None, :, None] == segments[:, None, None, :]
    before = torch.ones(length, length, dtype=torch.bool).tril()
    mask = torch.where(own & before, 0.0, _FAR).to(dtype)
    for norm_in, q, k, v, o, norm_mlp, gate, up, down in layers:
        x = normed(hidden, norm_in, eps, dtype)
        qkv = f.linear(x, torch.cat((q, k, v)).to(dtype)).view(rows, length, 3, heads, size)
        query, key, value = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        query, key = turned(query, cos, sin) * size**-0.5, turned(key, cos, sin)
        mixed = attended(query, key, value, mask)
        hidden = hidden + f.linear(mixed.transpose(1, 2).reshape(rows, length, width), o.to(dtype))
        x = normed(hidden, norm_mlp, eps, dtype)
        opened, let = f.linear(x, torch.cat((gate, up)).to(dtype)).chunk(2, -1)
        hidden = hidden + f.linear(f.silu(opened) * let, down.to(dtype))
    return normed(hidden, last, eps, dtype)


def normed(hidden: torch.Tensor, gain: torch.Tensor, eps: float, dtype: torch.dtype) -> torch.Tensor:
    """Llama's norm, computed in fp32."""
    wide = hidden.float()
    return (wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + eps) * gain).to(dtype)


def attended(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Masked attention, (rows, heads, length, size); what lies wholly in the future is left out."""
    mixed = []
    for low in range(0, query.shape[2], WINDOW):
        high = low + WINDOW
        marks = query[:, :, low:high] @ key[:, :, :high].transpose(-1, -2)
        mixed.append(torch.softmax(marks + mask[:, :, low:high, :high], -1) @ value[:, :, :high])
    return torch.cat(mixed, 2)


def turned(one: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    """Rotary positions as Llama has them: the halves of a head are the pairs."""
    first, second = one.chunk(2, -1)
    return one * cos + torch.cat((-second, first), -1) * sin


def score(picked: torch.Tensor, head: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Summed cross-entropy of (places, width) against their targets."""
    return f.cross_entropy(f.linear(picked, head).float(), targets, ignore_index=IGNORED, reduction="sum")
