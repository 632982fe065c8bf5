"""What operators with weights share: rules of weights and biases, the way from int32 sums to the output."""

from __future__ import annotations

import numpy as np

from ptq_core.flatfile.operators.attributes import INT8_MAX, Attributes, Clamp
from ptq_core.flatfile.operators.call import Call
from ptq_core.flatfile.operators.checks import Operator
from ptq_core.flatfile.operators.description import Operand, Scales
from ptq_core.flatfile.refusal import shown
from ptq_core.flatfile.tensors import Array, DType, QuantParams, Tensor
from ptq_core.numerics import reference
from ptq_core.numerics.requantize import multiplier, requantize


def weights(rank: int) -> Operand:
    """The operand w."""
    return Operand("w", rank=rank, scales=Scales.PER_OUTPUT, constant=True, copied=True)


BIAS = Operand(
    "b", {DType.I8: (DType.I32,)}, rank=1, scales=Scales.ANY, constant=True, optional=True, copied=True
)


def sums(rank: int | None) -> Operand:
    """The output: int8 operators may write float."""
    return Operand("output", {DType.I8: (DType.F32, DType.I8)}, rank=rank)


MAX_INT32 = 2**31 - 1

STORED = frozenset({DType.I8, DType.I16})


def is_compressed(x: Tensor, w: Tensor) -> bool:
    """True if ``w`` holds integers that stand for the float32 weights of an operator on ``x`` (format 1.2)."""
    return x.dtype == DType.F32 and w.dtype in STORED and w.qparams is not None


def bias_shape(c: Operator[Clamp], bias: Tensor | None) -> None:
    """One bias per output."""
    if bias is not None:
        c.dim("b", bias, 0, c.input(1).dims[0])


def weight_scales(c: Operator[Attributes]) -> None:
    """One scale, or one per output; no zero point."""
    w = c.input(1)
    assert w.qparams is not None
    if w.qparams.zero_point:
        c.refuse(f"w {shown(w.name)} zero_point", w.qparams.zero_point, "weights have zero point 0")
    if not w.qparams.per_tensor and w.qparams.axis != 0:
        c.refuse(f"w {shown(w.name)} axis", w.qparams.axis, "scales count the outputs, axis 0")


def largest_sums(x: QuantParams, weights: Array) -> Array:
    """Σ |w| · |x − z_in| of each output of int8 ``weights`` [O, …] at most, int64: what a bias leaves room for in int32."""
    sums = np.abs(weights.reshape(len(weights), -1).astype(np.int16)).sum(axis=1, dtype=np.int64)
    return np.asarray(sums * (128 + abs(x.zero_point)))


def sums_fit(c: Operator[Clamp], bias: Tensor | None, scale: np.float32 | None) -> None:
    """int8 weights within −127 … 127, no order of summation that overflows int32, finite factors.

    ``scale`` is that of the sums' own output, None for floats.
    """
    x, w = c.input(0), c.input(1)
    if x.dtype != DType.I8:
        return
    assert w.data is not None
    assert x.qparams is not None
    assert w.qparams is not None
    weights = w.data.reshape(w.dims[0], -1)
    least = weights.min(axis=1)
    largest = largest_sums(x.qparams, w.data)
    biases = np.zeros(w.dims[0], np.int64)
    if bias is not None and bias.data is not None:
        biases = np.abs(bias.data.astype(np.int64))
    worst = biases + largest
    factors = np.broadcast_to(x.qparams.scale * w.qparams.scales, (w.dims[0],))
    if scale is not None:
        factors = factors / scale
    faults = (least < -INT8_MAX) | (worst > MAX_INT32) | ~np.isfinite(factors)
    if not faults.any():
        return
    channel = int(faults.argmax())
    if least[channel] < -INT8_MAX:
        c.refuse(f"w {shown(w.name)}", f"output {channel} holds −128", "weights are −127 … 127")
    if worst[channel] > MAX_INT32:
        reach = 128 + abs(x.qparams.zero_point)
        problem = f"|b| = {biases[channel]} and Σ|w| = {largest[channel] // reach}"
        c.refuse(f"output channel {channel}", problem, "no order of summation overflows int32")
    c.multiplier("requantization", factors[channel])


def finish(call: Call[Clamp], acc: Array) -> Array:
    """int32 sums to the output's type, channels last."""
    bounds = call.attributes
    s_in, s_w = call.qparams(0).scale, call.qparams(1).scales
    if call.out.dtype == DType.F32:
        return reference.scale_sums(acc, s_in, s_w, bounds.lo, bounds.hi)
    out = call.out_qparams
    return requantize(acc, multiplier(s_in, s_w, out.scale), out.zero_point, bounds.q_min, bounds.q_max)
