"""Nodes that move or rename data: reshapes, transposes, concatenation, identity."""

from __future__ import annotations

import math

import numpy as np
import onnx_ir as ir

from ptq_core.flatfile.operators.reshape import RESHAPE
from ptq_core.flatfile.tensors import UNSCALED, DType, QuantParams
from ptq_core.optimize.lowering.context import (
    Activation,
    Constant,
    Lowering,
    Unsupported,
    get_axes,
    get_int,
    get_ints,
    get_string,
    is_used,
    normal_axis,
    require_type,
    to_last,
    to_second,
)


def lower_identity(context: Lowering, node: ir.Node) -> None:
    """Identity: another name for the same value."""
    entry = context.find(node.inputs[0])
    if entry is None:
        raise Unsupported("its input is missing")
    context.bind(node.outputs[0], entry)


def lower_dropout(context: Lowering, node: ir.Node) -> None:
    """Dropout at inference: another name for the same value."""
    training = context.constant(node, 2, "training mode")
    if training is not None and training.array.reshape(-1)[0]:
        raise Unsupported("it is in training mode")
    if any(is_used(value) for value in node.outputs[1:]):
        raise Unsupported("its second output (mask) is used")
    lower_identity(context, node)


def lower_shape(context: Lowering, node: ir.Node) -> None:
    """Shape is known while lowering: a constant."""
    entry = context.find(node.inputs[0])
    if entry is None:
        raise Unsupported("its input is missing")
    dims = context.dims(entry)
    rank = len(dims)
    start, end = get_int(node, "start", 0), get_int(node, "end", rank)
    context.bind(node.outputs[0], Constant(np.array(dims[start:end], np.int64)))


def lower_flatten(context: Lowering, node: ir.Node) -> None:
    """Flatten → reshape to two dimensions."""
    dims = context.dims(context.activation(node, 0))
    axis = get_int(node, "axis", 1)
    axis = axis if axis == len(dims) else normal_axis(axis, len(dims))
    _reshape(context, node, (math.prod(dims[:axis]), math.prod(dims[axis:])))


def lower_reshape(context: Lowering, node: ir.Node) -> None:
    """Reshape to a constant shape; 0 copies a dimension (unless allowzero), -1 is inferred."""
    dims = context.dims(context.activation(node, 0))
    shape = list(context.integers(node, 1, "shape") or ())
    if not get_int(node, "allowzero", 0):
        shape = [dims[i] if d == 0 and i < len(dims) else d for i, d in enumerate(shape)]
    if shape.count(-1) == 1:
        known = -math.prod(shape)
        shape = [math.prod(dims) // known if d == -1 and known > 0 else d for d in shape]
    if min(shape, default=1) < 1 or math.prod(shape) != math.prod(dims):
        raise Unsupported(f"{list(dims)} cannot be reshaped to {shape}")
    _reshape(context, node, tuple(shape))


def lower_squeeze(context: Lowering, node: ir.Node) -> None:
    """Squeeze → reshape."""
    dims = context.dims(context.activation(node, 0))
    axes = get_axes(context, node)
    dropped = (
        {i for i, d in enumerate(dims) if d == 1}
        if axes is None
        else {normal_axis(axis, len(dims)) for axis in axes}
    )
    if any(dims[i] != 1 for i in dropped):
        raise Unsupported(f"axes {sorted(dropped)} of {list(dims)} are not all 1")
    _reshape(context, node, tuple(d for i, d in enumerate(dims) if i not in dropped))


def lower_unsqueeze(context: Lowering, node: ir.Node) -> None:
    """Unsqueeze → reshape."""
    dims = context.dims(context.activation(node, 0))
    axes = get_axes(context, node) or ()
    rank = len(dims) + len(axes)
    added = {normal_axis(axis, rank) for axis in axes}
    if len(added) != len(axes):
        raise Unsupported(f"its axes {list(axes)} name one twice")
    rest = iter(dims)
    _reshape(context, node, tuple(1 if i in added else next(rest) for i in range(rank)))


def lower_transpose(context: Lowering, node: ir.Node) -> None:
    """Transpose of a value or (keeping its quantization) of a constant."""
    entry = context.find(node.inputs[0])
    if entry is None:
        raise Unsupported("its input is missing")
    rank = len(context.dims(entry))
    perm = get_ints(node, "perm") or tuple(reversed(range(rank)))
    if sorted(perm) != list(range(rank)):
        raise Unsupported(f"perm {list(perm)} does not permute {rank} dimensions")
    if isinstance(entry, Constant):
        context.bind(node.outputs[0], _transposed(entry, perm))
        return
    stored = tuple(to_second(rank)[p] for p in perm) if entry.channels_last else perm
    name = str(node.outputs[0].name)
    # x itself may already lie as asked; a model in NHWC between two transposes costs nothing.
    last = rank > 2 and tuple(stored[i] for i in to_last(rank)) == tuple(range(rank))
    out = entry.tensor if last else context.transpose(entry.tensor, stored, str(node.name), name)
    context.bind(node.outputs[0], Activation(out, channels_last=last))


def lower_concat(context: Lowering, node: ir.Node) -> None:
    """Concat along one axis; constants among the inputs become constant tensors, int8 ones of one scale as they are."""
    entries = [_concat_input(context, node, i) for i in range(len(node.inputs))]
    running = [context.find(value) for value in node.inputs]
    shapes = [context.dims(entry) for entry in entries]
    rank = len(shapes[0])
    axis = normal_axis(get_int(node, "axis", 0), rank)
    if any(
        len(s) != rank or s[:axis] + s[axis + 1 :] != shapes[0][:axis] + shapes[0][axis + 1 :] for s in shapes
    ):
        raise Unsupported(f"its shapes {[list(s) for s in shapes]} do not fit")
    last = any(isinstance(entry, Activation) and entry.channels_last for entry in running)
    tensors = tuple(context.channels_last(e) if last else context.model_layout(e) for e in entries)
    # Quantized constants are dequantized by a pass, so the type is that of the others.
    plain = [t for t in (context.program.tensors[i] for i in tensors) if not (t.is_constant and t.qparams)]
    for tensor in plain:
        require_type(tensor, UNSCALED)
    stored, name = to_last(rank).index(axis) if last else axis, str(node.outputs[0].name)
    out = context.join(tensors, stored, name, str(node.name), plain[0].dtype if plain else DType.F32)
    context.bind(node.outputs[0], Activation(out, last))


def _concat_input(context: Lowering, node: ir.Node, position: int) -> Activation:
    entry = context.find(node.inputs[position])
    if isinstance(entry, Constant) and entry.qparams is not None:
        kept = entry.array.dtype == np.int8 and entry.qparams.per_tensor
        value = node.inputs[position]
        name = str(value.name) if value else ""
        return Activation(context.constant_tensor(name, entry if kept else Constant(entry.real)))
    return context.activation(node, position)


def lower_depth_to_space(context: Lowering, node: ir.Node) -> None:
    """DepthToSpace → reshape, transpose, reshape in NHWC."""
    x, (n, channels, height, width), block = _blocks(context, node)
    if channels % (block * block):
        raise Unsupported(f"{channels} channels are no blocks of {block}×{block}")
    depth = channels // (block * block)
    if get_string(node, "mode", "DCR") == "DCR":
        split, perm = (n, height, width, block, block, depth), (0, 1, 3, 2, 4, 5)
    else:
        split, perm = (n, height, width, depth, block, block), (0, 1, 4, 2, 5, 3)
    _rearrange(context, node, x, split, perm, (n, height * block, width * block, depth))


def lower_space_to_depth(context: Lowering, node: ir.Node) -> None:
    """SpaceToDepth → reshape, transpose, reshape in NHWC."""
    x, (n, channels, height, width), block = _blocks(context, node)
    if height % block or width % block:
        raise Unsupported(f"{height}×{width} is no whole number of blocks of {block}×{block}")
    rows, columns = height // block, width // block
    split = (n, rows, block, columns, block, channels)
    perm = (0, 1, 3, 2, 4, 5) if get_string(node, "mode", "DCR") == "DCR" else (0, 1, 3, 5, 2, 4)
    _rearrange(context, node, x, split, perm, (n, rows, columns, channels * block * block))


def _blocks(context: Lowering, node: ir.Node) -> tuple[int, tuple[int, ...], int]:
    """(tensor in NHWC, its dims as NCHW, block size)."""
    x = context.activation(node, 0)
    dims, block = context.dims(x), get_int(node, "blocksize", 0)
    if len(dims) != 4 or block < 1:
        raise Unsupported(f"its input has {len(dims)} dimensions, its block {block} elements")
    return context.channels_last(x), dims, block


def _rearrange(
    context: Lowering,
    node: ir.Node,
    source: int,
    split: tuple[int, ...],
    perm: tuple[int, ...],
    dims: tuple[int, ...],
) -> None:
    """Reshape ``source`` to ``split``, permute, reshape to ``dims`` (NHWC)."""
    name, node_name = str(node.outputs[0].name), str(node.name)
    parts = context.emit(RESHAPE, node_name, (source,), context.like(f"{name}:blocks", split, source))
    moved = context.transpose(parts, perm, node_name, f"{name}:moved")
    out = context.emit(RESHAPE, node_name, (moved,), context.like(name, dims, source))
    context.bind(node.outputs[0], Activation(out, channels_last=True))


def _reshape(context: Lowering, node: ir.Node, dims: tuple[int, ...]) -> None:
    if len(dims) > 8:
        raise Unsupported(f"{len(dims)} dimensions are more than 8")
    name, node_name = str(node.outputs[0].name), str(node.name)
    context.bind(node.outputs[0], context.reshaped(context.activation(node, 0), dims, name, node_name))


def _transposed(constant: Constant, perm: tuple[int, ...]) -> Constant:
    qparams = constant.qparams
    if qparams is not None and not qparams.per_tensor:
        qparams = QuantParams(qparams.scales, qparams.zero_point, perm.index(qparams.axis))
    return Constant(constant.array.transpose(perm), qparams)
