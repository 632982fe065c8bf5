"""dequantize → weighted operator (→ quantize) with int8 weights ⇒ the int8 operator."""

from __future__ import annotations

import dataclasses

import numpy as np

from ptq_core.flatfile.operators import kinds
from ptq_core.flatfile.operators.dequantize import DEQUANTIZE
from ptq_core.flatfile.operators.quantize import QUANTIZE
from ptq_core.flatfile.operators.weighted import MAX_INT32, largest_sums
from ptq_core.flatfile.program import Op, Program
from ptq_core.flatfile.tensors import Array, DType, QuantParams, Tensor
from ptq_core.numerics.qparams import quantize_bias
from ptq_core.numerics.requantize import quantize_bound, requantize
from ptq_core.optimize.rewrite import Rewriter, clamp_of, with_attributes

AFFINE = kinds(lambda kind: kind.affine)

# onnxruntime takes an int32 bias as it is; a scale that differs from s_in · s_w by more than rounding is another bias.
_BIAS_SCALE_TOLERANCE = 1e-5


def lower_weighted_to_int8(program: Program) -> list[str]:
    """Run convolutions and fully connected layers on int8.

    Requires x from a dequantize and constant int8 weights. A float bias becomes int32 with scale s_in · s_w. The output is
    int8 if a quantize is its only reader, else f32. Ensures the values of docs/numerics.md, "Requantize". Where sums might
    leave int32 the operator stays in float, but for channels that saturate whatever x is: they keep saturating.
    """
    rewriter = Rewriter(program)
    for op in rewriter.ops(*AFFINE):
        dequantize = rewriter.producer(op.inputs[0], DEQUANTIZE)
        weight = rewriter.tensor(op.inputs[1])
        if dequantize is None or weight.dtype != DType.I8 or weight.qparams is None:
            continue
        s_in = rewriter.tensor(dequantize.inputs[0]).qparams
        assert s_in is not None
        quantize = rewriter.sole_consumer(op.outputs[0], QUANTIZE)
        out = rewriter.tensor(quantize.outputs[0]).qparams if quantize is not None else None
        bounded = op if out is None else with_int8_bounds(op, out)
        index, bias = None, _bias(rewriter, op, s_in, weight.qparams)
        if bias is not None:
            name, data, scales = bias
            within = _within_int32(bounded, s_in, weight, data, scales, out)
            if within is None:
                continue
            index = rewriter.constant(name, within, _along_outputs(scales))
        int8 = dataclasses.replace(bounded, inputs=(dequantize.inputs[0], op.inputs[1], index))
        if quantize is None:
            rewriter.replace(op, [int8])
        else:
            rewriter.fuse(op, quantize, dataclasses.replace(int8, outputs=quantize.outputs))
    return rewriter.changes


def with_int8_bounds(op: Op, out: QuantParams) -> Op:
    """The clamp of ``op`` in real units as q_min and q_max of an output with the parameters ``out``."""
    clamp = clamp_of(op)
    return with_attributes(
        op,
        lo=-np.inf,
        hi=np.inf,
        q_min=quantize_bound(clamp.lo, out.scale, out.zero_point),
        q_max=quantize_bound(clamp.hi, out.scale, out.zero_point),
    )


def _bias(rewriter: Rewriter, op: Op, x: QuantParams, w: QuantParams) -> tuple[str, Array, Array] | None:
    """The bias as (name, int32 [O], its scales s_in · s_w)."""
    index = op.inputs[2] if len(op.inputs) > 2 else None
    if index is None:
        return None
    tensor = rewriter.tensor(index)
    assert tensor.data is not None
    scales = np.asarray(x.scale * w.scales, np.float32)
    given = tensor.qparams
    data = tensor.data
    if given is not None:
        if np.allclose(given.scales, scales, rtol=_BIAS_SCALE_TOLERANCE, atol=0.0) and given.zero_point == 0:
            return tensor.name, data.astype(np.int32), scales
        data = ((data.astype(np.float64) - given.zero_point) * given.scales).astype(np.float32)
    return tensor.name, quantize_bias(data, scales), scales


def _within_int32(
    op: Op, x: QuantParams, weight: Tensor, bias: Array, scales: Array, out: QuantParams | None
) -> Array | None:
    """``bias`` such that no sum of ``op`` leaves int32, with the same outputs for every x; None if there is none.

    Other quantizers write biases next to the largest int32 for channels that hardly depend on x. With less of it such a
    channel gives the same integer where all its sums lie beyond the last one: an output of floats has no last one.
    """
    assert weight.data is not None
    largest = largest_sums(x, weight.data)
    room = MAX_INT32 - largest
    wide = bias.astype(np.int64)
    beyond = np.abs(wide) > room
    if not beyond.any():
        return bias
    if out is None or (room < 0).any():
        return None
    less = np.clip(wide, -room, room)
    inner = (less - np.sign(less) * largest).astype(np.int32)  # the sums that are nearest to zero
    bounds = clamp_of(op)
    m = np.broadcast_to(scales / out.scale, wide.shape)
    q = requantize(inner, m, out.zero_point, bounds.q_min, bounds.q_max)
    last = np.where(less > 0, bounds.q_max, bounds.q_min)
    return None if (beyond & (q != last)).any() else less.astype(np.int32)


def _along_outputs(scales: Array) -> QuantParams:
    return QuantParams(scales, 0, 0 if len(scales) > 1 else -1)
