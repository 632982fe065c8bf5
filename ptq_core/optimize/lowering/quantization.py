"""QuantizeLinear and DequantizeLinear: int8 as in docs/numerics.md, uint8 as the int8 that is 128 less.

x − z = (x − 128) − (z − 128): the shift is exact. Anything else is refused with the reason.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from ptq_core.flatfile.operators.attributes import INT8_MAX
from ptq_core.flatfile.operators.dequantize import DEQUANTIZE
from ptq_core.flatfile.operators.quantize import QUANTIZE
from ptq_core.flatfile.tensors import Array, DType, QuantParams
from ptq_core.graph.edits import input_of
from ptq_core.optimize.lowering.context import (
    Activation,
    Constant,
    Lowering,
    Unsupported,
    get_int,
    normal_axis,
    require_type,
)

SHIFTS = {"int8": 0, "uint8": 128}
"""The types of activations, and what is taken off their integers and zero points to make them int8."""

FOUR_BITS = ("int4", "uint4")
WIDE = ("int16", "uint16", "int32")
"""Other types of constants: those of 4 bits are int8 here, those of 32 are biases."""


@dataclass(frozen=True)
class _Affine:
    """Scale and zero point as a node has them: float32 [n] and int64 [1] or [n] along ``axis`` (−1 when n is 1)."""

    dtype: str
    scales: Array
    zero_points: Array
    axis: int

    def spread(self, values: Array, rank: int) -> Array:
        """``values``, a scale or zero point per channel, shaped to broadcast along their axis."""
        return values.reshape([-1 if i == self.axis and values.size > 1 else 1 for i in range(rank)])

    def real(self, q: Array) -> Array:
        """What the integers ``q`` stand for, float32."""
        centred = q.astype(np.int64) - self.spread(self.zero_points, q.ndim)
        return np.asarray(centred.astype(np.float32) * self.spread(self.scales, q.ndim), np.float32)

    def quantized(self, x: Array) -> Array:
        """The integers of ``x``, in the node's type."""
        limits = np.iinfo(self.dtype)
        with np.errstate(over="ignore", invalid="ignore"):
            steps = np.rint(x.astype(np.float32) / self.spread(self.scales, x.ndim))
        shifted = steps.astype(np.float64) + self.spread(self.zero_points, x.ndim)
        return np.clip(shifted, limits.min, limits.max).astype(self.dtype)

    def of_tensor(self) -> QuantParams:
        """The parameters of an int8 activation. Unsupported for a type, or for scales, that int8 kernels have not."""
        if self.dtype not in SHIFTS:
            raise Unsupported(f"it uses {self.dtype}; int8 kernels need int8 or uint8")
        if self.scales.size > 1 or self.zero_points.size > 1:
            raise Unsupported("an activation has one scale per channel; int8 kernels need one per tensor")
        return QuantParams(self.scales, int(self.zero_points[0]) - SHIFTS[self.dtype])


def lower_quantize(context: Lowering, node: ir.Node) -> None:
    """QuantizeLinear to int8 or uint8 → quantize; of a constant: done now."""
    entry = context.find(input_of(node, 0))
    if entry is None:
        raise Unsupported("its input is missing")
    declared = get_int(node, "output_dtype", 0)
    affine = _affine(context, node, str(ir.DataType(declared)).lower() if declared else "uint8")
    if isinstance(entry, Constant):
        if affine.dtype not in (*SHIFTS, *WIDE):
            raise Unsupported(f"it uses {affine.dtype}; constants are quantized to 8, 16 or 32 bits")
        context.bind(node.outputs[0], Constant(affine.quantized(entry.real)))
        return
    require_type(context.tensor(entry), (DType.F32,))
    qparams = affine.of_tensor()
    if SHIFTS[affine.dtype]:
        if node.outputs[0].is_graph_output():
            raise Unsupported(
                "its uint8 is an output of the model; a flat file gives out what is dequantized"
            )
        context.shifted.add(node.outputs[0])
    dims = context.tensor(entry).dims
    out = context.arena_tensor(str(node.outputs[0].name), dims, DType.I8, qparams)
    context.emit(QUANTIZE, str(node.name), (entry.tensor,), out)
    context.bind(node.outputs[0], Activation(out, entry.channels_last))


def lower_dequantize(context: Lowering, node: ir.Node) -> None:
    """DequantizeLinear of a constant → a quantized constant; of an int8 activation → dequantize.

    A constant that no int8 operator can take is float32 from here on: of 16 bits, of other zero points per channel.
    """
    entry = context.find(input_of(node, 0))
    if entry is None:
        raise Unsupported("its input is missing")
    if isinstance(entry, Constant):
        affine, dtype = _affine(context, node, str(entry.array.dtype)), str(entry.array.dtype)
        if dtype not in (*SHIFTS, *FOUR_BITS, *WIDE) or dtype != affine.dtype:
            raise Unsupported(f"it reads {dtype} with a zero point of {affine.dtype}")
        context.bind(node.outputs[0], _constant(entry.array, affine))
        return
    tensor = context.tensor(entry)
    if tensor.dtype != DType.I8:
        raise Unsupported("its input is not quantized")
    value = node.inputs[0]
    known = value.dtype if value is not None else None
    qparams = _affine(context, node, "int8" if known is None else str(known).lower()).of_tensor()
    if tensor.qparams != qparams:
        raise Unsupported("its scale or zero point differs from that of the QuantizeLinear before it")
    out = context.arena_tensor(str(node.outputs[0].name), tensor.dims)
    context.emit(DEQUANTIZE, str(node.name), (entry.tensor,), out)
    context.bind(node.outputs[0], Activation(out, entry.channels_last))


def _constant(array: Array, affine: _Affine) -> Constant:
    zero_points = affine.zero_points
    if affine.dtype == "int32" and zero_points.size == 1:
        return Constant(array, QuantParams(affine.scales, int(zero_points[0]), affine.axis))
    if affine.dtype not in (*SHIFTS, *FOUR_BITS):
        return Constant(affine.real(array))
    shift = SHIFTS.get(affine.dtype, 0)
    if zero_points.size == 1:
        shifted = (array.astype(np.int16) - shift).astype(np.int8)
        return Constant(shifted, QuantParams(affine.scales, int(zero_points[0]) - shift, affine.axis))
    centred = array.astype(np.int16) - affine.spread(zero_points, array.ndim)
    if np.abs(centred).max(initial=0) > INT8_MAX:
        return Constant(affine.real(array))
    return Constant(centred.astype(np.int8), QuantParams(affine.scales, 0, affine.axis))


def _affine(context: Lowering, node: ir.Node, default_type: str) -> _Affine:
    """The parameters of ``node``, of ``default_type`` where it has no zero point. Equal zero points are one."""
    scales = np.asarray(context.required(node, 1, "scale").real, np.float32)
    found = context.constant(node, 2, "zero point")
    zero: Array = np.zeros(1, np.int64) if found is None else found.array.reshape(-1).astype(np.int64)
    if get_int(node, "block_size", 0):
        raise Unsupported("it quantizes in blocks; int8 kernels need one scale per tensor or channel")
    if scales.ndim > 1 or not scales.size:
        raise Unsupported(f"its scale is of the shape {list(scales.shape)}")
    if not (np.isfinite(scales).all() and (scales > 0).all()):
        raise Unsupported("its scale is not a positive finite number")
    if zero.size not in (1, scales.size):
        raise Unsupported(f"it has {zero.size} zero points for {scales.size} scales")
    if (zero == zero[0]).all():
        zero = zero[:1]
    dtype = default_type if found is None else str(found.array.dtype)
    if scales.size == 1:
        return _Affine(dtype, scales.reshape(1), zero, -1)
    entry = context.find(node.inputs[0])
    dims = () if entry is None else context.dims(entry)
    axis = normal_axis(get_int(node, "axis", 1), len(dims))
    if scales.size != dims[axis]:
        raise Unsupported(f"it has {scales.size} scales for {dims[axis]} channels of {list(dims)}")
    return _Affine(dtype, scales, zero, axis)
