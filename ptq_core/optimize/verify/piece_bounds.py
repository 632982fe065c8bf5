"""How far two computations of a few operators may be apart: float bounds carried through quantization, in the worst way.

Bounds of float tensors are in real units, those of integer tensors in steps. A quantization turns a float error into a
step only where the exact quotient lies so close to a tie that the error reaches it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np

from ptq_core.flatfile.error_bound import error_bound, is_float
from ptq_core.flatfile.operators.dequantize import DEQUANTIZE
from ptq_core.flatfile.operators.roundoff import UNITS, Roundoff
from ptq_core.flatfile.program import Op
from ptq_core.flatfile.tensors import Array, DType, QuantParams, Tensor
from ptq_core.numerics import reference
from ptq_core.optimize.rewrite import only_selects
from ptq_core.optimize.verify.pieces import Walk
from ptq_core.optimize.verify.regions import Cut


def real_operands(cut: Cut) -> list[Array | None]:
    """The operands of ``cut``, aligned with its inputs, with quantized constants of a float operator as float32."""
    pairs = list(zip(cut.tensors, cut.operands, strict=True))
    computed = [v for t, v in pairs if t is not None and not t.is_constant]
    if not computed or cast(Array, computed[0]).dtype != np.float32:
        return list(cut.operands)
    return [v if t is None or v is None or not t.is_constant else _real(t, v) for t, v in pairs]


def _real(tensor: Tensor, values: Array) -> Array:
    qparams = tensor.qparams
    if qparams is None:
        return values
    return reference.dequantize(values, qparams.spread(values.ndim), qparams.zero_point)


EXACT = Roundoff(0.0, independent=False)
"""Of integers."""


class PieceBounds:
    """Bounds of what operators of ``walk``'s program write; an operator at a time, as nothing is kept."""

    def __init__(self, walk: Walk) -> None:
        self._walk = walk
        self._program = walk.program

    def of(
        self,
        cut: Cut,
        carried: Sequence[Array | None],
        y: Array,
        *,
        accumulates: bool,
        ours: bool = False,
    ) -> Array:
        """The bound of ``y`` that ``cut`` makes of its operands, whose own bounds are ``carried`` (None: exact); aligned.

        ``accumulates`` False is for sums that are rounded once. ``ours`` leaves out what another implementation rounds:
        float32 operators then have only what reaches them, and those in half precision their own.
        """
        op = cut.op
        pairs = [(v, e) for v, e in zip(real_operands(cut), carried, strict=True) if v is not None]
        operands = [v for v, _ in pairs]
        incoming = [np.zeros(v.shape) if e is None else e for v, e in pairs]
        inexact = any(e.any() for e in incoming)
        exact = np.zeros(y.shape)
        if op.kind.steps is not None:
            return self._steps(op, operands, incoming, y)
        if op.kind.bound is not None and y.dtype.kind in "iub" and (y.dtype != np.int8 or only_selects(op)):
            return np.ceil(error_bound(op, operands, incoming, y, EXACT)) if inexact else exact
        if not is_float(op, operands, y):
            return np.full(y.shape, np.inf) if inexact else exact
        half = y.dtype == np.float16
        unit = 0.0 if ours and not half else UNITS[DType.F16 if half else DType.F32]
        if unit == 0.0 and not inexact:
            return exact
        roundoff = Roundoff(unit, independent=False, accumulates=accumulates, winograd=False, blocks=ours)
        with np.errstate(all="ignore"):
            bound = error_bound(op, operands, incoming, y, roundoff)
        return bound if ours else bound + self._bias_rounding(cut)

    def _steps(self, op: Op, operands: Sequence[Array], incoming: Sequence[Array], y: Array) -> Array:
        tensors = self._program.tensors
        inputs, out = [tensors[index] for index in op.reads], tensors[op.outputs[0]]
        assert op.kind.steps is not None
        return op.kind.steps(op.attributes, inputs, out, operands, incoming, y)

    def _bias_rounding(self, cut: Cut) -> Array:
        """What int8 kernels make of a bias: it becomes int32 with the scale s_in · s_w (docs/numerics.md, "Bias").

        0 for one that is stored with that scale, and for float operators.
        """
        op = cut.op
        if not op.kind.affine or len(op.reads) < 3:
            return np.zeros(())
        weight, bias = cut.tensors[1], cut.tensors[2]
        source = self._quantized(op.reads[0])
        if source is None or weight is None or weight.dtype != DType.I8 or weight.qparams is None:
            return np.zeros(())
        scales = float(source.scale) * weight.qparams.scales.astype(np.float64)
        if bias is None or bias.qparams is None or bias.dtype != DType.I32:
            return np.asarray(scales / 2)
        # Taken as it is where the scales are nearly equal, else rounded.
        apart = np.abs(bias.qparams.scales.astype(np.float64) - scales)
        integers = cast(Array, cut.operands[2])
        return np.where(apart > 2.0**-23 * scales, scales / 2 + apart * np.abs(integers), 0.0)

    def _quantized(self, tensor: int) -> QuantParams | None:
        """The scale of the integers that the float ``tensor`` is dequantized from, also through what moves values."""
        op = self._walk.writer(tensor)
        while op is not None and only_selects(op):
            op = self._walk.writer(op.reads[0])
        if op is None or op.kind != DEQUANTIZE:
            return None
        return self._program.tensors[op.reads[0]].qparams
