"""Move a per-channel multiplication or addition into the operator before it; batch norms are folded in graph/passes."""

from __future__ import annotations

import dataclasses

import numpy as np

from ptq_core.flatfile.operators import kinds
from ptq_core.flatfile.operators.binary import ADD, DIV, MUL, SUB
from ptq_core.flatfile.program import Op, Program
from ptq_core.flatfile.tensors import Array, DType
from ptq_core.numerics import reference
from ptq_core.optimize.rewrite import Rewriter, clamp_of, is_clamped, with_attributes

AFFINE = kinds(lambda kind: kind.affine)


def fold_affine(program: Program) -> list[str]:
    """affine operator → mul/div/add/sub by a constant per channel ⇒ new weights and bias.

    Requires a float operator with float weights and without clamp, whose output has no other reader: behind int8 weights a
    float constant stays a float operator, as in onnxruntime, since an int32 bias would round it. Ensures equal values up
    to the rounding of the folded constants.
    """
    rewriter = Rewriter(program)
    for op in rewriter.ops(MUL, DIV, ADD, SUB):
        for position in (0, 1):
            if op.kind in (SUB, DIV) and position == 1:
                continue
            weighted = rewriter.producer(op.inputs[position], *AFFINE)
            if weighted is None or is_clamped(weighted):
                continue
            values = _per_channel(rewriter, weighted, op, op.inputs[1 - position])
            if values is None or rewriter.sole_consumer(weighted.outputs[0]) is not op:
                continue
            fused = _fused(rewriter, weighted, op, values)
            if fused is not None:
                rewriter.fuse(weighted, op, fused)
                break
    return rewriter.changes


def _per_channel(rewriter: Rewriter, weighted: Op, op: Op, other: int | None) -> Array | None:
    """The constant operand as float64 [O], None if it is no constant or varies along another dimension."""
    constant, out = rewriter.tensor(other), rewriter.tensor(weighted.outputs[0])
    channels = out.dims[-1]
    if constant.data is None or rewriter.tensor(op.outputs[0]).dims != out.dims:
        return None
    if constant.elements not in (1, channels) or (constant.elements > 1 and constant.dims[-1] != channels):
        return None
    data = constant.data
    if constant.qparams is not None:
        if not constant.qparams.per_tensor:
            return None
        data = reference.dequantize(data, constant.qparams.scale, constant.qparams.zero_point)
    return np.broadcast_to(data.reshape(-1).astype(np.float64), (channels,))


def _fused(rewriter: Rewriter, weighted: Op, op: Op, values: Array) -> Op | None:
    weight = rewriter.tensor(weighted.inputs[1])
    if weight.dtype != DType.F32 or weight.data is None:
        return None
    bias_index = weighted.inputs[2] if len(weighted.inputs) > 2 else None
    weight_index = weighted.inputs[1]
    bias = np.zeros(len(values))
    if bias_index is not None:
        tensor = rewriter.tensor(bias_index)
        bias = _real(tensor.data, tensor.qparams.scales if tensor.qparams is not None else None)
    multiplies = op.kind in (MUL, DIV)
    if op.kind == DIV:
        if not values.all():
            return None
        values = 1 / values
    if multiplies:
        shape = (-1, *[1] * (len(weight.dims) - 1))
        scaled = weight.data.astype(np.float64) * values.reshape(shape)
        weight_index = rewriter.constant(weight.name, scaled.astype(np.float32))
        bias = bias * values
    else:
        bias = bias + (-values if op.kind == SUB else values)
    if bias_index is not None or not multiplies:
        bias_index = rewriter.constant(f"{weighted.name}/bias", bias.astype(np.float32))
    clamp = clamp_of(op)
    fused = with_attributes(weighted, lo=clamp.lo, hi=clamp.hi)
    return dataclasses.replace(
        fused, inputs=(weighted.inputs[0], weight_index, bias_index), outputs=op.outputs
    )


def _real(data: Array | None, scales: Array | None) -> Array:
    assert data is not None
    return data.astype(np.float64) * (1.0 if scales is None else scales.astype(np.float64))
