"""Norms by vLLM's kernels: as by their formula, and only where the kernels know their way."""

from __future__ import annotations

from typing import Any

import pytest


@pytest.fixture(scope="module")
def ops() -> Any:
    """vLLM's own list of operations, with ours in it and taken first."""
    from vllm import ir
    from vllm.platforms import current_platform

    from assistant.engine import cpu_norms

    current_platform.import_kernels()
    assert cpu_norms.install()
    assert cpu_norms.install(), "twice is as good as once"
    preferred = current_platform.get_default_ir_op_priority(None)
    with (
        ir.ops.rms_norm.set_priority(preferred.rms_norm),
        ir.ops.fused_add_rms_norm.set_priority(preferred.fused_add_rms_norm),
    ):
        yield ir.ops


def by_formula(x: Any, weight: Any) -> Any:
    exact = x.double()
    return exact * (exact.pow(2).mean(-1, keepdim=True) + 1e-5).rsqrt() * weight.double()


def provider(op: Any, *given: Any) -> str:
    return str(op.dispatch(*given).provider)


@pytest.mark.engine
@pytest.mark.parametrize(("dtype", "near"), [("float32", 1e-5), ("bfloat16", 0.02)])
@pytest.mark.parametrize("shape", [(1, 320), (7, 896), (3, 4, 64)])
def test_they_are_what_the_formula_says(ops: Any, dtype: str, near: float, shape: tuple[int, ...]) -> None:
    import torch

    noise = torch.Generator().manual_seed(0)
    kind = getattr(torch, dtype)
    x, residual = (torch.randn(shape, generator=noise).to(kind) for _ in range(2))
    weight = torch.rand(shape[-1], generator=noise).add(0.5).to(kind)
    assert provider(ops.rms_norm, x, weight, 1e-5) == "apprentice_cpu"
    assert provider(ops.fused_add_rms_norm, x, residual, weight, 1e-5) == "apprentice_cpu"
    found = ops.rms_norm(x, weight, 1e-5)
    torch.testing.assert_close(found.double(), by_formula(x, weight), rtol=near, atol=near)
    whole = x.double() + residual.double()
    found, kept = ops.fused_add_rms_norm(x.clone(), residual.clone(), weight, 1e-5)
    torch.testing.assert_close(kept.double(), whole, rtol=near, atol=near)
    torch.testing.assert_close(found.double(), by_formula(whole, weight), rtol=near, atol=near)


@pytest.mark.engine
def test_what_the_kernels_cannot_take_goes_the_usual_way(ops: Any) -> None:
    import torch

    noise = torch.Generator().manual_seed(0)
    heads = torch.randn((5, 192), generator=noise)[:, :128].view(
        5, 2, 64
    )  # as queries beside keys and values
    weight = torch.rand(64, generator=noise)
    assert provider(ops.rms_norm, heads, weight, 1e-5) == "native"
    torch.testing.assert_close(
        ops.rms_norm(heads, weight, 1e-5).double(), by_formula(heads, weight), rtol=1e-5, atol=1e-5
    )
    plain = torch.randn((5, 64), generator=noise)
    assert provider(ops.rms_norm, plain, None, 1e-5) == "native"
    assert provider(ops.rms_norm, plain.bfloat16(), weight, 1e-5) == "native"
    assert provider(ops.rms_norm, plain, weight, 1e-5, 32) == "native"
