"""Element-wise nodes: arithmetic with broadcasting, activations that are clamps, batch normalization, softmax."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import onnx_ir as ir

from ptq_core.flatfile.attributes import Clamp, Softmax
from ptq_core.flatfile.program import Array, DType, OpKind
from ptq_core.optimize.lowering.context import (
    TO_NHWC,
    Activation,
    Constant,
    Lowering,
    Unsupported,
    get_float,
    get_int,
    nhwc_axis,
    normal_axis,
)


def lower_arithmetic(kind: OpKind) -> Callable[[Lowering, ir.Node], None]:
    """The lowering of a binary operator with NumPy broadcasting."""

    def lower(context: Lowering, node: ir.Node) -> None:
        entries = [context.find(value) for value in node.inputs]
        if any(entry is None for entry in entries):
            raise Unsupported("an input is missing")
        operands = [entry for entry in entries if entry is not None]
        dims = _broadcast([context.dims(entry) for entry in operands])
        running = [entry for entry in operands if isinstance(entry, Activation)]
        # In NHWC if one operand lies so already; that needs all run-time operands to have 4 dimensions.
        last = any(entry.channels_last for entry in running) and all(
            len(context.dims(entry)) == 4 for entry in running
        )
        inputs = []
        for value, entry in zip(node.inputs, operands, strict=True):
            if isinstance(entry, Activation):
                tensor = context.channels_last(entry) if last else context.model_layout(entry)
                if context.program.tensors[tensor].dtype != DType.F32:
                    raise Unsupported("an input is quantized and not dequantized")
                inputs.append(tensor)
                continue
            constant = _as_channels_last(entry) if last else entry
            inputs.append(context.constant_tensor(str(value.name) if value else "", constant))
        stored = tuple(dims[i] for i in TO_NHWC) if last else dims
        out = context.arena_tensor(str(node.outputs[0].name), stored)
        context.emit(kind, str(node.name), tuple(inputs), out, Clamp())
        context.bind(node.outputs[0], Activation(out, last))

    return lower


def lower_relu(context: Lowering, node: ir.Node) -> None:
    """Relu → clamp to [0, inf]."""
    _emit_clamp(context, node, 0.0, math.inf)


def lower_clip(context: Lowering, node: ir.Node) -> None:
    """Clip with constant bounds → clamp."""
    bounds = []
    for position, name, default in ((1, "min", -math.inf), (2, "max", math.inf)):
        found = context.constant(node, position, f"bound {name}")
        bounds.append(
            get_float(node, name, default) if found is None else float(np.float32(found.real.reshape(-1)[0]))
        )
    if not bounds[0] <= bounds[1]:
        raise Unsupported(f"its bounds [{bounds[0]}, {bounds[1]}] are not an interval")
    _emit_clamp(context, node, bounds[0], bounds[1])


def lower_batch_normalization(context: Lowering, node: ir.Node) -> None:
    """BatchNormalization (inference) → mul and add per channel; fold passes move both into a convolution before it."""
    if get_int(node, "training_mode", 0):
        raise Unsupported("it is in training mode")
    gamma, beta, mean, variance = (
        context.required(node, i, what).real.astype(np.float64)
        for i, what in ((1, "scale"), (2, "bias"), (3, "mean"), (4, "variance"))
    )
    x = context.activation(node, 0)
    rank = len(context.dims(x))
    scale = gamma / np.sqrt(variance + get_float(node, "epsilon", 1e-5))
    offset = beta - mean * scale
    source = context.channels_last(x) if rank == 4 else context.model_layout(x)
    if context.program.tensors[source].dtype != DType.F32:
        raise Unsupported("its input is quantized and not dequantized")
    shape = (len(scale),) if rank in (2, 4) else (len(scale), *[1] * (rank - 2))
    dims = context.program.tensors[source].dims
    name, node_name = str(node.outputs[0].name), str(node.name)
    for kind, what, values, out_name in (
        (OpKind.MUL, "scale", scale, f"{name}:scaled"),
        (OpKind.ADD, "offset", offset, name),
    ):
        constant = context.constant_tensor(
            f"{name}:{what}", Constant(values.astype(np.float32).reshape(shape))
        )
        out = context.arena_tensor(out_name, dims)
        source = context.emit(kind, node_name, (source, constant), out, Clamp())
    context.bind(node.outputs[0], Activation(source, channels_last=rank == 4))


def lower_softmax(context: Lowering, node: ir.Node) -> None:
    """Softmax along one axis."""
    x = context.activation(node, 0)
    dims = context.dims(x)
    if context.tensor(x).dtype != DType.F32:
        raise Unsupported("its input is quantized and not dequantized")
    axis = normal_axis(get_int(node, "axis", -1), len(dims))
    out = context.arena_tensor(str(node.outputs[0].name), context.tensor(x).dims)
    attributes = Softmax(axis=nhwc_axis(axis) if x.channels_last else axis)
    context.emit(OpKind.SOFTMAX, str(node.name), (x.tensor,), out, attributes)
    context.bind(node.outputs[0], Activation(out, x.channels_last))


def _emit_clamp(context: Lowering, node: ir.Node, lo: float, hi: float) -> None:
    x = context.activation(node, 0)
    tensor = context.tensor(x)
    if tensor.dtype != DType.F32:
        raise Unsupported("its input is quantized and not dequantized")
    out = context.arena_tensor(str(node.outputs[0].name), tensor.dims)
    context.emit(OpKind.CLAMP, str(node.name), (x.tensor,), out, Clamp(lo=lo, hi=hi))
    context.bind(node.outputs[0], Activation(out, x.channels_last))


def _broadcast(shapes: list[tuple[int, ...]]) -> tuple[int, ...]:
    try:
        return tuple(np.broadcast_shapes(*shapes))
    except ValueError:
        raise Unsupported(f"its shapes {[list(s) for s in shapes]} do not broadcast") from None


def _as_channels_last(constant: Constant) -> Constant:
    """A constant that broadcasts in NCHW as one that broadcasts in NHWC."""

    def moved(array: Array) -> Array:
        spread: Array = array.reshape((1,) * (4 - array.ndim) + array.shape)
        moved_array: Array = spread.transpose(TO_NHWC)
        return moved_array

    if constant.qparams is not None and constant.qparams.per_tensor:
        return Constant(moved(constant.array), constant.qparams)
    return Constant(moved(constant.real))
