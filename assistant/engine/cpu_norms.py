"""Norms on vLLM's CPU engine by the kernels that it brings, and uses on GPUs alone.

An engine with LoRA runs uncompiled, and vLLM's norms are written to be compiled: some eight operations of
PyTorch each, a tenth of a step of a small model. The kernels are quicker, and round once where those round
twice. Part of the plugin (`cpu_lora.py`); imported where vLLM is.
"""

from typing import Any

import torch
from vllm import ir
from vllm.platforms.cpu import CpuPlatform

PROVIDER = "apprentice_cpu"
"""The name of these among vLLM's implementations (`--ir-op-priority`)."""


def install() -> bool:
    """Let vLLM take these first on a CPU; False if its build lacks the kernels. Safe to call again."""
    if not all(hasattr(torch.ops._C, name) for name in ("rms_norm", "fused_add_rms_norm")):
        return False
    if PROVIDER in ir.ops.rms_norm.impls:
        return True
    ir.ops.rms_norm.register_impl(PROVIDER, supports_args=_suits)(rms_norm)
    ir.ops.fused_add_rms_norm.register_impl(PROVIDER, supports_args=_suits_both, inplace=True)(
        fused_add_rms_norm
    )
    usual = CpuPlatform.get_default_ir_op_priority

    def preferred(config: Any) -> Any:
        found = usual(config)
        found.rms_norm = [PROVIDER, *found.rms_norm]
        found.fused_add_rms_norm = [PROVIDER, *found.fused_add_rms_norm]
        return found

    CpuPlatform.get_default_ir_op_priority = staticmethod(preferred)
    return True


# vLLM compares the names and defaults of what follows, and the types of the norms, with those of its own.


def _suits(
    x: torch.Tensor, weight: torch.Tensor | None, epsilon: float, variance_size: int | None = None
) -> bool:
    # The kernels know no strides: norms of single heads come as a part of a larger tensor.
    return variance_size is None and weight is not None and weight.dtype == x.dtype and x.is_contiguous()


def _suits_both(
    x: torch.Tensor,
    x_residual: torch.Tensor,
    weight: torch.Tensor | None,
    epsilon: float,
    variance_size: int | None = None,
) -> bool:
    return _suits(x, weight, epsilon, variance_size) and x_residual.is_contiguous()


def rms_norm(
    x: torch.Tensor, weight: torch.Tensor | None, epsilon: float, variance_size: int | None = None
) -> torch.Tensor:
    """Each row of `x` (..., width) divided by its root mean square, times `weight` (width,)."""
    out = torch.empty_like(x)
    torch.ops._C.rms_norm(out, x, weight, epsilon)
    return out


def fused_add_rms_norm(
    x: torch.Tensor,
    x_residual: torch.Tensor,
    weight: torch.Tensor | None,
    epsilon: float,
    variance_size: int | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """The norm of `x + x_residual`, and that sum; both are written over what was given."""
    torch.ops._C.fused_add_rms_norm(x, x_residual, weight, epsilon)
    return x, x_residual
