"""LoRA's products on a CPU: as one row at a time, and as vLLM's own operations."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

from assistant.engine.cpu_products import Layer, Span, add, laid_out, plan  # noqa: E402

SLOTS = 5  # of which the last stays empty: vLLM's own operations read it for rows without an adapter
ROWS = st.lists(st.sampled_from([None, 0, 1, 2, 3]), min_size=1, max_size=24)


@st.composite
def stacks(draw: st.DrawFn) -> dict[str, Any]:
    """vLLM's stacks for one layer of one to three slices, whose adapters have ranks of their own."""
    dtype = draw(st.sampled_from([torch.float32, torch.bfloat16]))
    noise = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    width, most = draw(st.sampled_from([8, 24, 64])), draw(st.sampled_from([8, 32, 64]))
    sizes = tuple(draw(st.lists(st.sampled_from([8, 16, 40]), min_size=1, max_size=3)))
    a = tuple(torch.zeros(SLOTS, 1, most, width, dtype=dtype) for _ in sizes)
    b = tuple(torch.zeros(SLOTS, 1, size, most, dtype=dtype) for size in sizes)
    ranks = {}
    for slot in range(SLOTS - 1):
        # 0: this adapter leaves the slice alone
        ranks[slot] = [draw(st.sampled_from([0, 1, 8, 16, 32, 64])) for _ in sizes]
        ranks[slot] = [min(rank, most) for rank in ranks[slot]]
        for place, rank in enumerate(ranks[slot]):
            a[place][slot, 0, :rank] = torch.randn(rank, width, generator=noise).to(dtype)
            b[place][slot, 0, :, :rank] = torch.randn(sizes[place], rank, generator=noise).to(dtype)
    return {"a": a, "b": b, "ranks": ranks, "sizes": sizes, "width": width, "dtype": dtype, "noise": noise}


def layer_of(given: dict[str, Any]) -> Layer:
    layer = Layer()
    for slot, ranks in given["ranks"].items():
        layer.put(slot, laid_out(given["a"], given["b"], slot, ranks, given["sizes"]))
    return layer


def batch(given: dict[str, Any], rows: int) -> tuple[Any, Any]:
    x = torch.randn(rows, given["width"], generator=given["noise"]).to(given["dtype"])
    y = torch.randn(rows, sum(given["sizes"]), generator=given["noise"]).to(given["dtype"])
    return x, y


def one_by_one(given: dict[str, Any], x: Any, y: Any, of_rows: list[int | None]) -> Any:
    """The same by its definition, in fp64."""
    sums = y.double()
    for row, slot in enumerate(of_rows):
        column = 0
        for a, b, size in zip(given["a"], given["b"], given["sizes"], strict=True):
            if slot is not None:
                inner = a[slot, 0].double() @ x[row].double()
                sums[row, column : column + size] += b[slot, 0].double() @ inner
            column += size
    return sums


def assert_close(found: Any, wanted: Any, dtype: Any) -> None:
    # fp32 up to the order of sums; bf16 rounds the middle and the end, each to eight bits.
    relative = 1e-4 if dtype == torch.float32 else 0.03
    scale = wanted.double().abs().max()
    assert float((found.double() - wanted.double()).abs().max()) <= relative * float(scale + 1)


@given(ROWS)
def test_a_plan_covers_each_row_once(of_rows: list[int | None]) -> None:
    made_plan = plan(of_rows)
    back: list[int | None] = [None] * len(of_rows)
    for span in made_plan.spans:
        back[span.start : span.end] = [span.slot] * (span.end - span.start)
    assert back == of_rows
    if made_plan.scattered:
        order, places = made_plan.order.tolist(), made_plan.back.tolist()
        assert [slot for one in made_plan.groups for slot in [one.slot] * (one.end - one.start)] == [
            of_rows[row] for row in order
        ]
        assert len({one.slot for one in made_plan.groups}) == len(made_plan.groups)
        assert [order[place] if place < len(order) else None for place in places] == [
            None if slot is None else row for row, slot in enumerate(of_rows)
        ]


def test_a_plan_for_one_adapter_is_one_span() -> None:
    assert plan([2, 2, 2]).spans == (Span(0, 3, 2),)
    assert plan([None, None]).spans == ()


@settings(deadline=None, max_examples=150)
@given(stacks(), ROWS)
def test_the_sums_are_those_of_one_row_at_a_time(given: dict[str, Any], of_rows: list[int | None]) -> None:
    x, y = batch(given, len(of_rows))
    wanted = one_by_one(given, x, y, of_rows)
    layer, step = layer_of(given), plan(of_rows)
    add(y, x, layer, step)
    assert_close(y, wanted, given["dtype"])
    # The plan's buffers and masks serve the next layer too.
    x, y = batch(given, len(of_rows))
    wanted = one_by_one(given, x, y, of_rows)
    add(y, x, layer, step)
    assert_close(y, wanted, given["dtype"])


def test_a_dropped_adapter_adds_nothing_and_its_place_can_be_taken() -> None:
    a, b = (torch.ones(2, 1, 4, 8),), (torch.ones(2, 1, 6, 4),)
    layer, x = Layer(), torch.ones(4, 8)
    for rows in ([0, 0, 1, 1], [0, 1, 0, 1]):
        layer.put(0, laid_out(a, b, 0, [4], [6]))
        layer.put(1, laid_out(a, b, 1, [2], [6]))
        y = torch.zeros(4, 6)
        add(y, x, layer, plan(rows))
        assert [float(one) for one in y[:, 0]] == [16.0 if slot else 32.0 for slot in rows]
        layer.put(0, None)
        y = torch.zeros(4, 6)
        add(y, x, layer, plan(rows))
        assert [float(one) for one in y[:, 0]] == [16.0 if slot else 0.0 for slot in rows]


# Beside vLLM's own operations


@pytest.mark.engine
@pytest.mark.timeout(240)
@settings(deadline=None, max_examples=80)
@given(given=stacks(), of_rows=ROWS, prefill=st.booleans())
def test_the_sums_are_vllm_s_own(given: dict[str, Any], of_rows: list[int | None], prefill: bool) -> None:
    pytest.importorskip("vllm")
    from vllm.lora.layers import LoRAMapping
    from vllm.lora.punica_wrapper.punica_cpu import PunicaWrapperCPU

    wrapper = PunicaWrapperCPU(64, 64, "cpu")
    names = tuple(0 if slot is None else slot + 1 for slot in of_rows)
    wrapper.update_metadata(LoRAMapping(names, names, is_prefill=prefill), [1, 2, 3, 4, None], SLOTS, 100)
    x, y = batch(given, len(of_rows))
    theirs = y.clone()
    wrapper.add_lora_linear(theirs, x, given["a"], given["b"], 1.0, given["sizes"])
    add(y, x, layer_of(given), plan(of_rows))
    assert_close(y, theirs, given["dtype"])
