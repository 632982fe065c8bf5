"""QuantizeLinear and DequantizeLinear: int8 as in docs/numerics.md; anything else is refused with the reason."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from ptq_core.flatfile.operators.dequantize import DEQUANTIZE
from ptq_core.flatfile.operators.quantize import QUANTIZE
from ptq_core.flatfile.tensors import Array, DType, QuantParams
from ptq_core.numerics import reference
from ptq_core.optimize.lowering.context import (
    Activation,
    Constant,
    Lowering,
    Unsupported,
    get_int,
    normal_axis,
)


def lower_quantize(context: Lowering, node: ir.Node) -> None:
    """QuantizeLinear to int8 → quantize; of a constant: done now."""
    entry = context.find(node.inputs[0])
    if entry is None:
        raise Unsupported("its input is missing")
    dims = context.dims(entry)
    qparams = _qparams(context, node, dims, np.dtype(np.int8), default_type="uint8")
    if isinstance(entry, Constant):
        scales = qparams.spread(len(dims))
        quantized = reference.quantize(entry.real.astype(np.float32), scales, qparams.zero_point)
        context.bind(node.outputs[0], Constant(quantized))
        return
    if context.tensor(entry).dtype != DType.F32:
        raise Unsupported("its input is already quantized")
    if not qparams.per_tensor:
        raise Unsupported("an activation has one scale per channel; int8 kernels need one per tensor")
    out = context.arena_tensor(
        str(node.outputs[0].name),
        context.tensor(entry).dims,
        DType.I8,
        QuantParams(qparams.scales, qparams.zero_point),
    )
    context.emit(QUANTIZE, str(node.name), (entry.tensor,), out)
    context.bind(node.outputs[0], Activation(out, entry.channels_last))


def lower_dequantize(context: Lowering, node: ir.Node) -> None:
    """DequantizeLinear of a constant → a quantized constant; of an int8 activation → dequantize."""
    entry = context.find(node.inputs[0])
    if entry is None:
        raise Unsupported("its input is missing")
    dims = context.dims(entry)
    if isinstance(entry, Constant):
        if entry.array.dtype not in (np.int8, np.int32):
            raise Unsupported(f"it reads {entry.array.dtype}; int8 kernels need int8 (bias: int32)")
        qparams = _qparams(context, node, dims, entry.array.dtype, default_type=str(entry.array.dtype))
        context.bind(node.outputs[0], Constant(entry.array, qparams))
        return
    tensor = context.tensor(entry)
    if tensor.dtype != DType.I8:
        raise Unsupported("its input is not quantized")
    qparams = _qparams(context, node, dims, np.dtype(np.int8), default_type="int8")
    if tensor.qparams != QuantParams(qparams.scales, qparams.zero_point):
        raise Unsupported("its scale or zero point differs from that of the QuantizeLinear before it")
    out = context.arena_tensor(str(node.outputs[0].name), tensor.dims)
    context.emit(DEQUANTIZE, str(node.name), (entry.tensor,), out)
    context.bind(node.outputs[0], Activation(out, entry.channels_last))


def _qparams(
    context: Lowering, node: ir.Node, dims: tuple[int, ...], dtype: np.dtype[np.generic], default_type: str
) -> QuantParams:
    scales = np.asarray(context.required(node, 1, "scale").real, np.float32)
    found = context.constant(node, 2, "zero point")
    if found is None:
        declared = get_int(node, "output_dtype", 0)
        default_type = str(ir.DataType(declared)).lower() if declared else default_type
        zero: Array = np.zeros((), np.int64)
    else:
        default_type, zero = str(found.array.dtype), found.array
    if default_type != str(dtype):
        raise Unsupported(f"it uses {default_type}; int8 kernels need {dtype}")
    if get_int(node, "block_size", 0):
        raise Unsupported("it quantizes in blocks; int8 kernels need one scale per tensor or channel")
    if scales.ndim > 1:
        raise Unsupported(f"its scale has {scales.ndim} dimensions")
    if not (np.isfinite(scales).all() and (scales > 0).all()):
        raise Unsupported("its scale is not a positive finite number")
    values = {int(v) for v in zero.reshape(-1)}
    if len(values) != 1 or (scales.size > 1 and values != {0}):
        raise Unsupported("its zero points differ between channels or are not 0")
    zero_point = values.pop()
    if scales.size == 1:
        return QuantParams(scales.reshape(1), zero_point)
    axis = normal_axis(get_int(node, "axis", 1), len(dims))
    if scales.size != dims[axis]:
        raise Unsupported(f"it has {scales.size} scales for {dims[axis]} channels of {list(dims)}")
    return QuantParams(scales, zero_point, axis)
