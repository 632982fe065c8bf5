"""Move a multiplication in front of a convolution, such as the 1/255 of a picture, into its weights."""

from __future__ import annotations

import dataclasses

import numpy as np

from ptq_core.flatfile.operators import kinds
from ptq_core.flatfile.operators.binary import DIV, MUL
from ptq_core.flatfile.operators.conv2d import CONV2D
from ptq_core.flatfile.operators.transpose import TRANSPOSE
from ptq_core.flatfile.program import Op, Program
from ptq_core.flatfile.tensors import Array, DType, Tensor
from ptq_core.optimize.rewrite import Rewriter, conv_of, is_clamped, transpose_of

AFFINE = kinds(lambda kind: kind.affine)


def fold_input_scale(program: Program) -> list[str]:
    """mul/div by a constant per channel (→ transpose) → affine operator ⇒ new weights: zeros of the padding stay zeros.

    Requires float weights, no clamp and no other reader. Ensures equal values up to the rounding of the folded weights.
    """
    rewriter = Rewriter(program)
    for op in rewriter.ops(MUL, DIV):
        reader = rewriter.sole_consumer(op.outputs[0])
        transpose = reader if reader is not None and reader.kind == TRANSPOSE else None
        weighted = reader if transpose is None else rewriter.sole_consumer(transpose.outputs[0])
        if weighted is None or weighted.kind not in AFFINE or is_clamped(op):
            continue
        weight = rewriter.tensor(weighted.inputs[1])
        for position in (0, 1) if op.kind == MUL else (0,):
            x, factor = op.inputs[position], rewriter.tensor(op.inputs[1 - position])
            values = _per_channel(factor, rewriter.tensor(weighted.inputs[0]).dims, transpose)
            same = rewriter.tensor(x).dims == rewriter.tensor(op.outputs[0]).dims
            if values is None or not same or weight.data is None or weight.dtype != DType.F32:
                continue
            if op.kind == DIV and not values.all():
                continue
            scaled = _scaled(weighted, weight.data, values if op.kind == MUL else 1 / values)
            moved = () if transpose is None else (transpose,)
            source = x if transpose is None else weighted.inputs[0]
            inputs = (source, rewriter.constant(weight.name, scaled), *weighted.inputs[2:])
            before = [dataclasses.replace(link, inputs=(x,)) for link in moved]
            new = [*before, dataclasses.replace(weighted, inputs=inputs)]
            rewriter.replace(weighted, new, without=[op, *moved])
            break
    return rewriter.changes


def _per_channel(factor: Tensor, dims: tuple[int, ...], transpose: Op | None) -> Array | None:
    """``factor`` as float64 [channels] of a weighted operator whose input has ``dims``; None if it is no such constant."""
    if factor.data is None or factor.qparams is not None or len(factor.dims) > len(dims):
        return None
    data = factor.data.reshape((1,) * (len(dims) - factor.data.ndim) + factor.data.shape)
    if transpose is not None:
        data = data.transpose(transpose_of(transpose).perm)
    if data.size not in (1, data.shape[-1]) or not np.isfinite(data).all():
        return None
    return np.broadcast_to(data.reshape(-1).astype(np.float64), dims[-1:])


def _scaled(weighted: Op, weight: Array, values: Array) -> Array:
    """The weights [O, …, I] with every input channel times its value."""
    groups = conv_of(weighted).groups if weighted.kind == CONV2D else 1
    outputs, inputs = weight.shape[0], weight.shape[-1]
    factors = np.repeat(values.reshape(groups, inputs), outputs // groups, axis=0)
    shape = (outputs, *[1] * (weight.ndim - 2), inputs)
    return np.asarray(weight.astype(np.float64) * factors.reshape(shape), np.float32)
