"""Functions of one int8 tensor become tables of 256 values."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np

from ptq_core.flatfile.interpreter import run
from ptq_core.flatfile.operators import kinds
from ptq_core.flatfile.operators.lookup import LOOKUP
from ptq_core.flatfile.operators.quantize import QUANTIZE
from ptq_core.flatfile.program import Op, Program
from ptq_core.flatfile.tensors import Array, DType, Tensor
from ptq_core.numerics import reference
from ptq_core.optimize.rewrite import NOTHING, Rewriter, excerpt

ELEMENTWISE = kinds(lambda kind: kind.elementwise)


@dataclass(frozen=True)
class _Island:
    """Operators in execution order whose only computed input is the int8 tensor ``source``."""

    source: int
    ops: list[Op]


def fuse_lookup(program: Program) -> list[str]:
    """Element-wise operators between an int8 tensor and a quantize ⇒ lookup, as far back as one tensor decides everything.

    x · sigmoid(x) is one table, also where the gate is quantized in between. Requires more than clamps and conversions,
    which int8 has, and constants of one element. Operators whose results have other readers stay for them. Ensures
    bit-identical values: the table is what these operators give for the 256 integers.
    """
    rewriter = Rewriter(program)
    order = {op.outputs[0]: i for i, op in enumerate(program.ops)}
    for quantize in rewriter.ops(QUANTIZE):
        island = _island(rewriter, order, quantize)
        if island is None or all(op.kind.converts for op in island.ops):
            continue
        out = rewriter.tensor(quantize.outputs[0])
        table = rewriter.constant(f"{out.name}/table", _table(program, island, out), out.qparams)
        lookup = Op(LOOKUP, quantize.name, (island.source, table), quantize.outputs, NOTHING)
        rewriter.replace(quantize, [lookup])
    return rewriter.changes


def _island(rewriter: Rewriter, order: dict[int, int], quantize: Op) -> _Island | None:
    """The largest island that ends before ``quantize``; None if no single int8 tensor decides it."""
    dims = rewriter.tensor(quantize.outputs[0]).dims
    inside: list[Op] = []
    found: _Island | None = None
    frontier = {index for index in quantize.inputs if index is not None}
    while frontier:
        # The latest value first: whatever it is computed from has been met, or is earlier.
        latest = max(frontier, key=lambda index: order.get(index, -1))
        op = rewriter.producer(latest, *ELEMENTWISE)
        if op is None or rewriter.tensor(latest).dims != dims:
            break
        inside.append(op)
        frontier.remove(latest)
        reads = (i for at, i in enumerate(op.inputs) if i is not None and not op.kind.operand(at).constant)
        frontier |= {index for index in reads if not _is_number(rewriter.tensor(index))}
        if len(frontier) == 1:
            (source,) = frontier
            tensor = rewriter.tensor(source)
            if tensor.dtype == DType.I8 and tensor.dims == dims and not tensor.is_constant:
                found = _Island(source, inside[::-1])
    return found


def _is_number(tensor: Tensor) -> bool:
    """A constant of one element: the same for all 256 integers."""
    return tensor.is_constant and tensor.elements == 1


def _table(program: Program, island: _Island, out: Tensor) -> Array:
    """What ``island`` gives for the integers −128 … 127, quantized like ``out``, int8 [256]; no number becomes 0."""
    flat = excerpt(program, island.ops, _as_row)
    (values,) = run(flat, [np.arange(-128, 128).astype(np.int8)])
    assert out.qparams is not None
    numbers = np.where(np.isnan(values), np.float32(0), values)
    return reference.quantize(numbers, out.qparams.scale, out.qparams.zero_point)


def _as_row(tensor: Tensor) -> Tensor:
    """``tensor`` for 256 integers at once; the operators of an island compute on float32, so numbers become that."""
    if tensor.data is None:
        return dataclasses.replace(tensor, dims=(256,))
    if tensor.elements != 1:
        return tensor
    data = tensor.data.reshape(1)
    if tensor.qparams is None:
        return dataclasses.replace(tensor, dims=(1,), data=data)
    data = reference.dequantize(data, tensor.qparams.scale, tensor.qparams.zero_point)
    return dataclasses.replace(tensor, dtype=DType.F32, dims=(1,), qparams=None, data=data)
