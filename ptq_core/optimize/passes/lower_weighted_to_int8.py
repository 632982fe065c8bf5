"""dequantize → conv2d/fully_connected (→ quantize) with int8 weights ⇒ the int8 operator."""

from __future__ import annotations

import dataclasses

import numpy as np

from ptq_core.flatfile.operators import kinds
from ptq_core.flatfile.operators.dequantize import DEQUANTIZE
from ptq_core.flatfile.operators.quantize import QUANTIZE
from ptq_core.flatfile.program import Op, Program
from ptq_core.flatfile.tensors import DType, QuantParams
from ptq_core.numerics.qparams import quantize_bias
from ptq_core.numerics.requantize import quantize_bound
from ptq_core.optimize.rewrite import Rewriter, clamp_of, with_attributes

AFFINE = kinds(lambda kind: kind.affine)

# onnxruntime takes an int32 bias as it is; a scale that differs from s_in · s_w by more than rounding is another bias.
_BIAS_SCALE_TOLERANCE = 1e-5


def lower_weighted_to_int8(program: Program) -> list[str]:
    """Run convolutions and fully connected layers on int8.

    Requires x from a dequantize and constant int8 weights. A float bias becomes int32 with scale s_in · s_w. The output is
    int8 if a quantize is its only reader, else f32. Ensures the values of docs/numerics.md, "Requantize".
    """
    rewriter = Rewriter(program)
    for op in rewriter.ops(*AFFINE):
        dequantize = rewriter.producer(op.inputs[0], DEQUANTIZE)
        weight = rewriter.tensor(op.inputs[1])
        if dequantize is None or weight.dtype != DType.I8 or weight.qparams is None:
            continue
        s_in = rewriter.tensor(dequantize.inputs[0]).qparams
        assert s_in is not None
        bias = _bias(rewriter, op, s_in, weight.qparams)
        int8 = dataclasses.replace(op, inputs=(dequantize.inputs[0], op.inputs[1], bias))
        quantize = rewriter.sole_consumer(op.outputs[0], QUANTIZE)
        if quantize is None:
            rewriter.replace(op, [int8])
            continue
        out = rewriter.tensor(quantize.outputs[0]).qparams
        assert out is not None
        rewriter.fuse(
            op, quantize, dataclasses.replace(with_int8_bounds(int8, out), outputs=quantize.outputs)
        )
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


def _bias(rewriter: Rewriter, op: Op, x: QuantParams, w: QuantParams) -> int | None:
    """The bias as a constant i32 tensor with scale s_in · s_w."""
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
            return rewriter.constant(tensor.name, data.astype(np.int32), _along_outputs(scales))
        data = ((data.astype(np.float64) - given.zero_point) * given.scales).astype(np.float32)
    return rewriter.constant(tensor.name, quantize_bias(data, scales), _along_outputs(scales))


def _along_outputs(scales: np.ndarray) -> QuantParams:
    return QuantParams(scales, 0, 0 if len(scales) > 1 else -1)
