"""Muon, the optimiser of the build's matrices, with all matrices of one shape in one product.

Owns the update rule. Does not know the model: it is given matrices.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

import torch

# Keller Jordan's quintic: steep at zero, so that five rounds bring all singular values near one.
_A, _B, _C = 3.4445, -4.7750, 2.0315


class Muon(torch.optim.Optimizer):
    """Momentum whose step is made orthogonal, after Jordan et al., "Muon" (2024), kellerjordan.github.io.

    Does what `torch.optim.Muon(adjust_lr_fn="original")` does, Nesterov's momentum included. Matrices of one
    shape go through one batched product in bf16, which is quicker on a CPU than one after the other.
    """

    def __init__(
        self,
        matrices: Iterable[torch.nn.Parameter],
        lr: float,
        weight_decay: float = 0.0,
        momentum: float = 0.95,
        rounds: int = 5,
    ) -> None:
        super().__init__(
            matrices, {"lr": lr, "weight_decay": weight_decay, "momentum": momentum, "rounds": rounds}
        )

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:
        """Move every matrix that has a gradient."""
        if closure is not None:
            raise ValueError("Muon takes no closure")
        for group in self.param_groups:
            alike: dict[tuple[int, int], list[torch.nn.Parameter]] = defaultdict(list)
            for one in group["params"]:
                if one.grad is not None:
                    # A matrix and its transpose are orthogonalised alike, so they share a product.
                    alike[min(one.shape), max(one.shape)].append(one)
            for matrices in alike.values():
                self._move(matrices, group)

    def _move(self, matrices: list[torch.nn.Parameter], group: dict[str, Any]) -> None:
        grads = [one.grad for one in matrices]
        held = [
            self.state[one].setdefault("momentum_buffer", torch.zeros_like(one, dtype=torch.float32))
            for one in matrices
        ]
        torch._foreach_lerp_(held, grads, 1 - group["momentum"])
        ahead = torch._foreach_lerp(grads, held, group["momentum"])
        flat = [one if one.shape[0] <= one.shape[1] else one.T for one in ahead]
        straight = orthogonal(torch.stack([one.bfloat16() for one in flat]), group["rounds"])
        torch._foreach_mul_(matrices, 1 - group["lr"] * group["weight_decay"])
        for one, step in zip(matrices, straight, strict=True):
            rows, columns = one.shape
            rate = group["lr"] * math.sqrt(max(1, rows / columns))
            one.add_(step if rows <= columns else step.T, alpha=-rate)


def orthogonal(flat: torch.Tensor, rounds: int = 5) -> torch.Tensor:
    """(count, rows, columns), rows ≤ columns, with all singular values brought near one, by Newton–Schulz."""
    flat = flat / flat.norm(dim=(1, 2), keepdim=True).clamp(min=1e-7)
    for _ in range(rounds):
        gram = flat @ flat.mT
        flat = torch.baddbmm(flat, torch.baddbmm(gram, gram, gram, beta=_B, alpha=_C), flat, beta=_A)
    return flat
