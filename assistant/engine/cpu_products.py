"""LoRA's products on a CPU: rows grouped by adapter, weights laid out once, kernels that are quick to start.

Owns which rows of a batch use which adapter and how `y += x A B` is taken for all of them. Does not know
vLLM's layers (`cpu_lora.py`), only the kernels that it brings for weights of its own, where it is loaded.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import groupby
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

# Rows up to which the kernel for few of them is the quickest, and numbers put out up to which a product and
# a sum are quicker than a product for each slice that adds to what is there.
_FEW, _SMALL = 16, 400_000
# What the kernel for few rows takes: inner sizes that are multiples of the first, outer ones of the second.
# Ranks are filled up with zeros for it, those of B alone: A leaves that part of what it puts out as it is.
_INNER, _OUTER = 32, 16
# Rows a span from which spans are taken one by one, though an adapter has several.
_LONG = 16

Block = tuple[slice, slice]


class Kernels:
    """A and B of one adapter as vLLM's kernels for weights of its own want them.

    PyTorch's own product takes three to six times as long for a few rows: all of it is setting up.
    """

    def __init__(self, a: torch.Tensor, b: torch.Tensor) -> None:
        import torch
        from torch.nn.functional import pad

        self.few: tuple[torch.Tensor, torch.Tensor] | None = None
        self.ranks = len(b)
        self.filled = -(-self.ranks // _INNER) * _INNER
        self._mm = torch.mm
        self._weights, self._handlers = (a, b), None
        custom = sys.modules.get("vllm._custom_ops")
        if custom is None or a.dtype != torch.bfloat16:
            return
        own = torch.ops._C
        fits = len(a) % _INNER == 0 and len(b) % _OUTER == 0 and b.shape[1] % _OUTER == 0
        if fits and torch.cpu._is_avx512_bf16_supported() and hasattr(own, "weight_packed_linear"):
            whole = a.T, pad(b.T, (0, self.filled - self.ranks))
            first, second = (own.convert_weight_packed(one.contiguous()) for one in whole)
            self.few, self._packed_mm = (first, second), own.weight_packed_linear.default
        if custom._supports_onednn:
            self._handlers = tuple(custom.create_onednn_mm(one, 32) for one in (a, b))
            self._dense_mm = own.onednn_mm.default

    def times_few(self, out: torch.Tensor, x: torch.Tensor, which: int) -> torch.Tensor:
        """`out` filled with x times A (0) or B (1), for few rows and filled-up ranks."""
        assert self.few
        self._packed_mm(out, x, self.few[which], None, True)
        return out

    def times(self, out: torch.Tensor, x: torch.Tensor, which: int) -> torch.Tensor:
        """`out` filled with x times A (0) or B (1)."""
        if self._handlers is None:
            self._mm(x, self._weights[which], out=out)
        else:
            self._dense_mm(out, x, None, self._handlers[which].handler_tensor)
        return out


class Slot:
    """One adapter in one layer: all slices of A side by side (in, ranks), and B as blocks (ranks, out).

    `blocks` says where B is not zero: (ranks, columns), one a slice.
    """

    def __init__(self, a: torch.Tensor, b: torch.Tensor, blocks: Sequence[Block] = ()) -> None:
        self.a, self.b = a, b
        self.blocks = tuple(blocks) or ((slice(0, len(b)), slice(0, b.shape[1])),)

    @cached_property
    def kernels(self) -> Kernels:
        """Both laid out."""
        return Kernels(self.a, self.b)

    def prepared(self) -> Slot:
        """The same with all of it laid out now: at an adapter's load, not at its first request."""
        for name in ("kernels", "parts"):
            getattr(self, name)
        return self

    @cached_property
    def parts(self) -> list[tuple[slice, slice, torch.Tensor]]:
        """The blocks of B, each by itself."""
        return [(ranks, columns, self.b[ranks, columns].contiguous()) for ranks, columns in self.blocks]

    def product(self, out: torch.Tensor, x: torch.Tensor, step: Plan) -> torch.Tensor:
        """`out` filled with x A B."""
        rows, kernels = len(x), self.kernels
        if rows > _FEW or kernels.few is None:
            return kernels.times(out, kernels.times(step.buffer("inner", rows, len(self.b), x), x, 0), 1)
        # Named by the ranks that are filled, so that those behind them stay zero.
        inner = step.buffer(f"filled {kernels.ranks}", rows, kernels.filled, x)
        kernels.times_few(inner[:, : kernels.ranks] if kernels.filled != kernels.ranks else inner, x, 0)
        return kernels.times_few(out, inner, 1)

    def add(self, y: torch.Tensor, x: torch.Tensor, step: Plan) -> None:
        """`y += x A B` in place."""
        rows, columns = y.shape
        if rows <= _FEW or rows * columns <= _SMALL:
            y.add_(self.product(step.buffer("outer", rows, columns, x), x, step))
            return
        inner = self.kernels.times(step.buffer("inner", rows, len(self.b), x), x, 0)
        for of_ranks, of_columns, block in self.parts:
            y[:, of_columns].addmm_(inner[:, of_ranks], block)


@dataclass(frozen=True)
class Span:
    """Rows `start` to `end` of a batch that use the adapter in `slot`."""

    start: int
    end: int
    slot: int


@dataclass
class Plan:
    """Which rows of a batch use which adapter; made once for all layers, kept while nothing changes.

    `scattered`: some adapter's rows lie apart, a few here and a few there. Then `order` (rows with an
    adapter) brings them together, `groups` says where each adapter's are in that order, and `back` (rows)
    where each row's are; those without an adapter find zeros behind the last.
    """

    rows: int
    spans: tuple[Span, ...]
    scattered: bool = False
    groups: tuple[Span, ...] = ()
    order: torch.Tensor | None = None
    back: torch.Tensor | None = None
    _buffers: dict[tuple[Any, ...], torch.Tensor] = field(default_factory=dict)

    def buffer(self, name: str, rows: int, columns: int, like: torch.Tensor) -> torch.Tensor:
        """Room for (rows, columns), zeros at first, the same for every layer."""
        key = (name, rows, columns, like.dtype)
        found = self._buffers.get(key)
        if found is None:
            found = self._buffers[key] = like.new_zeros((rows, columns))
        return found


def plan(of_rows: Sequence[int | None]) -> Plan:
    """The plan for a batch whose row i uses the adapter in slot `of_rows[i]` (None: none)."""
    rows = len(of_rows)
    spans = _spans(of_rows)
    slots = {span.slot for span in spans}
    if len(spans) == len(slots) or sum(one.end - one.start for one in spans) >= _LONG * len(spans):
        return Plan(rows, spans)
    import torch

    order = sorted((row for row in range(rows) if of_rows[row] is not None), key=lambda row: of_rows[row])  # type: ignore[arg-type,return-value]
    back = [len(order)] * rows
    for place, row in enumerate(order):
        back[row] = place
    groups = _spans([of_rows[row] for row in order])
    return Plan(rows, spans, True, groups, torch.tensor(order), torch.tensor(back))


def _spans(of_rows: Sequence[int | None]) -> tuple[Span, ...]:
    spans: list[Span] = []
    start = 0
    for slot, run in groupby(of_rows):
        end = start + sum(1 for _ in run)
        if slot is not None:
            spans.append(Span(start, end, slot))
        start = end
    return tuple(spans)


class Layer:
    """The adapters of one linear layer, laid out when they are loaded."""

    def __init__(self) -> None:
        self.slots: dict[int, Slot] = {}
        self._cut: dict[int, Layer] = {}

    def put(self, index: int, slot: Slot | None) -> None:
        """Fill or empty the place `index`."""
        self._cut.clear()
        if slot is None:
            self.slots.pop(index, None)
        else:
            self.slots[index] = slot

    def cut(self, columns: int) -> Layer:
        """The same adapters with only the first `columns` of what they put out."""
        found = self._cut.get(columns)
        if found is None:
            found = self._cut[columns] = Layer()
            for index, slot in self.slots.items():
                found.put(index, Slot(slot.a, slot.b[:, :columns].contiguous()))
        return found


def add(y: torch.Tensor, x: torch.Tensor, layer: Layer, step: Plan) -> None:
    """`y += x A B` for every row of the batch with its own adapter, in place; (rows, out) and (rows, in)."""
    slots, rows = layer.slots, len(x)
    # A batch may be padded behind the rows that the plan knows of; then each span is taken by itself.
    if step.scattered and rows == step.rows:
        _add_scattered(y, x, slots, step)
        return
    for span in step.spans:
        slot = slots.get(span.slot)
        if slot is None:
            continue
        if span.start == 0 and span.end == rows:
            slot.add(y, x, step)
        else:
            slot.add(y[span.start : span.end], x[span.start : span.end], step)


def _add_scattered(y: torch.Tensor, x: torch.Tensor, slots: Mapping[int, Slot], step: Plan) -> None:
    """Rows of several adapters in turn: brought together, taken adapter by adapter, and put back."""
    import torch

    if not any(group.slot in slots for group in step.groups):
        return
    assert step.order is not None
    assert step.back is not None
    count, columns = len(step.order), y.shape[1]
    together = torch.index_select(x, 0, step.order, out=step.buffer("together", count, x.shape[1], x))
    sums = step.buffer("sums", count + 1, columns, x)
    for group in step.groups:
        own, slot = sums[group.start : group.end], slots.get(group.slot)
        if slot is None:
            own.zero_()
        else:
            slot.product(own, together[group.start : group.end], step)
    y.add_(torch.index_select(sums, 0, step.back, out=step.buffer("outer", len(y), columns, x)))


def laid_out(
    a: Sequence[torch.Tensor],
    b: Sequence[torch.Tensor],
    index: int,
    ranks: Sequence[int],
    sizes: Sequence[int],
) -> Slot | None:
    """The adapter in place `index` of vLLM's own stacks of A and B, one a slice, with each slice's true rank.

    Stacks are (slots, 1, rank, in) and (slots, 1, out, rank); None if no slice has any rank.
    """
    import torch

    if not any(ranks):
        return None
    parts = [one[index, 0, :rank] for one, rank in zip(a, ranks, strict=True)]
    out = b[0].new_zeros((sum(ranks), sum(sizes)))
    blocks = []
    row = column = 0
    for one, rank, size in zip(b, ranks, sizes, strict=True):
        here = slice(row, row + rank), slice(column, column + size)
        out[here] = one[index, 0, :size, :rank].T
        if rank:
            blocks.append(here)
        row, column = row + rank, column + size
    return Slot(torch.cat(parts).contiguous().T, out, blocks).prepared()
