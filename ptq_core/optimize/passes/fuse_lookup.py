"""Functions of one int8 tensor become tables of 256 values."""

from __future__ import annotations

import dataclasses

import numpy as np

from ptq_core.flatfile.interpreter import run
from ptq_core.flatfile.program import Array, DType, Op, OpKind, Program, Tensor
from ptq_core.numerics import reference
from ptq_core.optimize.rewrite import NOTHING, Rewriter

ELEMENTWISE = (
    OpKind.UNARY,
    OpKind.CLAMP,
    OpKind.ADD,
    OpKind.SUB,
    OpKind.MUL,
    OpKind.DIV,
    OpKind.MAXIMUM,
    OpKind.MINIMUM,
    OpKind.POW,
)


def fuse_lookup(program: Program) -> int:
    """dequantize → element-wise operators on that tensor alone and constants of one element → quantize ⇒ lookup.

    Requires that they are not just a clamp, which int8 has. Operators whose float results have other readers stay for them.
    Ensures bit-identical values: the table is what these operators give for the 256 integers.
    """
    rewriter = Rewriter(program)
    for quantize in rewriter.ops(OpKind.QUANTIZE):
        island = _island(rewriter, quantize)
        if island is None or {op.kind for op in island[1:]} <= {OpKind.CLAMP}:
            continue
        source = island[0].reads[0]
        out = rewriter.tensor(quantize.outputs[0])
        table = rewriter.constant(f"{out.name}/table", _table(program, island, out), out.qparams)
        lookup = Op(OpKind.LOOKUP, quantize.name, (source, table), quantize.outputs, NOTHING)
        rewriter.replace(quantize, [lookup])
    return rewriter.changes


def _island(rewriter: Rewriter, quantize: Op) -> list[Op] | None:
    """The dequantize and the operators between it and ``quantize``, in execution order; None if other values enter."""
    dims = rewriter.tensor(quantize.outputs[0]).dims
    inside: dict[int, Op] = {}
    pending, sources = [quantize.inputs[0]], {}
    while pending:
        index = pending.pop()
        tensor = rewriter.tensor(index)
        if tensor.is_constant and tensor.elements == 1 and tensor.qparams is None:
            continue
        op = rewriter.producer(index, OpKind.DEQUANTIZE, *ELEMENTWISE)
        if op is None or index is None or tensor.dims != dims:
            return None
        if op.kind == OpKind.DEQUANTIZE:
            sources[op.inputs[0]] = op
        elif index not in inside:
            inside[index] = op
            pending += op.inputs
    if len(sources) != 1:
        return None
    # Execution order: several dequantizes of one tensor are one after share_common.
    ordered = [op for op in rewriter.program.ops if any(op is other for other in inside.values())]
    return [*sources.values(), *ordered]


def _table(program: Program, island: list[Op], out: Tensor) -> Array:
    """What ``island`` gives for the integers −128 … 127, quantized like ``out``, int8 [256]; no number becomes 0."""
    flat = Program([_as_row(tensor) for tensor in program.tensors], island)
    flat.inputs, flat.outputs = [island[0].reads[0]], [island[-1].outputs[0]]
    (values,) = run(flat, [np.arange(-128, 128).astype(np.int8)])
    assert out.qparams is not None
    numbers = np.where(np.isnan(values), np.float32(0), values)
    return reference.quantize(numbers, out.qparams.scale, out.qparams.zero_point)


def _as_row(tensor: Tensor) -> Tensor:
    if tensor.data is None:
        return dataclasses.replace(tensor, dims=(256,))
    if tensor.elements == 1 and tensor.dtype == DType.F32:
        return dataclasses.replace(tensor, dims=(1,), data=tensor.data.reshape(1))
    return tensor
