"""Gemm and MatMul → fully_connected with constant weights, matmul where both matrices are computed."""

from __future__ import annotations

import math

import numpy as np
import onnx_ir as ir

from ptq_core.flatfile.operators.attributes import Clamp
from ptq_core.flatfile.operators.binary import ADD, MUL
from ptq_core.flatfile.operators.fully_connected import FULLY_CONNECTED
from ptq_core.flatfile.operators.matmul import MATMUL, Matmul
from ptq_core.graph.edits import per_channel
from ptq_core.optimize.lowering.arithmetic import combine
from ptq_core.optimize.lowering.context import (
    Activation,
    Constant,
    Entry,
    Lowering,
    Unsupported,
    get_float,
    get_int,
)
from ptq_core.optimize.lowering.convolution import weight_layout


def lower_gemm(context: Lowering, node: ir.Node) -> None:
    """Gemm: alpha · A' · B' + beta · C; alpha and beta go into constant weights and a constant bias."""
    a, b = _matrix(context, node, 0), _matrix(context, node, 1)
    trans_a, trans_b = get_int(node, "transA", 0), get_int(node, "transB", 0)
    alpha, name = get_float(node, "alpha", 1.0), str(node.outputs[0].name)
    if len(context.dims(a)) != 2 or len(context.dims(b)) != 2:
        raise Unsupported("its matrices are not two-dimensional")
    if trans_a:
        a = _transposed(context, a, (1, 0), node, f"{name}:transposed")
    if isinstance(a, Activation) and isinstance(b, Constant):
        stored = weight_layout(b, (0, 1) if trans_b else (1, 0))  # [O, K]
        if alpha != 1.0:
            stored = Constant((stored.real.astype(np.float64) * alpha).astype(np.float32))
        bias, addend = _bias(context, node, stored.array.shape[0])
        out = _fully_connected(context, node, a, stored, bias, name if addend is None else f"{name}:product")
    else:
        addend = _addend(context, node)
        plain = addend is None and alpha == 1.0
        out = _product(context, node, a, b, bool(trans_b), name if plain else f"{name}:product")
        if alpha != 1.0:
            factor = Constant(np.array(alpha, np.float32))
            scaled = name if addend is None else f"{name}:scaled"
            out = combine(context, MUL, str(node.name), scaled, out, factor)
    context.bind(node.outputs[0], out)  # also where C is added: the parts of the result are found by it
    if addend is not None:
        context.bind(node.outputs[0], combine(context, ADD, str(node.name), name, out, addend))


def lower_mat_mul(context: Lowering, node: ir.Node) -> None:
    """MatMul, NumPy's: a matrix of constants [K, O] → fully_connected, the dimensions before it folded into rows; else matmul."""
    a, b = _matrix(context, node, 0), _matrix(context, node, 1)
    context.bind(node.outputs[0], multiply(context, node, a, b, str(node.outputs[0].name)))


def multiply(context: Lowering, node: ir.Node, a: Entry, b: Entry, name: str) -> Activation:
    """``a`` · ``b``, at most one of them constant, as numpy.matmul defines it; in the model's layout."""
    node_name = str(node.name)
    a_dims, b_dims = context.dims(a), context.dims(b)
    if not a_dims or not b_dims:
        raise Unsupported("a matrix is a scalar")
    # A vector is a matrix of one row, or of one column, that the result lacks again.
    rows = (1, *a_dims) if len(a_dims) == 1 else a_dims
    columns = (*b_dims, 1) if len(b_dims) == 1 else b_dims
    if rows[-1] != columns[-2]:
        raise Unsupported(f"its matrices {list(a_dims)} and {list(b_dims)} do not fit")
    try:
        batch = np.broadcast_shapes(rows[:-2], columns[:-2])
    except ValueError:
        raise Unsupported(f"its shapes {list(a_dims)} and {list(b_dims)} do not broadcast") from None
    dims = (
        *batch,
        *(() if len(a_dims) == 1 else rows[-2:-1]),
        *(() if len(b_dims) == 1 else columns[-1:]),
    )
    if isinstance(a, Activation) and isinstance(b, Constant) and math.prod(columns[:-2]) == 1:
        weights = weight_layout(_reshaped(b, columns[-2:]), (1, 0))
        flat = (math.prod(rows[:-1]), rows[-1])
        source = context.reshaped(a, flat, f"{name}:rows", node_name)
        part = name if dims == (flat[0], columns[-1]) else f"{name}:product"
        made = _fully_connected(context, node, source, weights, None, part)
    else:
        left = a if isinstance(a, Activation) else _reshaped(a, rows)
        right = b if isinstance(b, Activation) else _reshaped(b, columns)
        if isinstance(left, Activation):
            left = context.reshaped(left, rows, f"{name}:row", node_name)
        if isinstance(right, Activation):
            right = context.reshaped(right, columns, f"{name}:column", node_name)
        part = name if dims == (*batch, rows[-2], columns[-1]) else f"{name}:product"
        made = _product(context, node, left, right, False, part)
    return context.reshaped(made, dims, name, node_name)


def _matrix(context: Lowering, node: ir.Node, position: int) -> Entry:
    entry = context.find(node.inputs[position])
    return entry if isinstance(entry, Constant) else context.real_input(node, position)


def _reshaped(constant: Constant, dims: tuple[int, ...]) -> Constant:
    if dims == constant.array.shape:
        return constant
    if constant.qparams is None or constant.qparams.per_tensor:
        return Constant(constant.array.reshape(dims), constant.qparams)
    return Constant(constant.real.reshape(dims))


def _transposed(context: Lowering, entry: Entry, perm: tuple[int, ...], node: ir.Node, name: str) -> Entry:
    if isinstance(entry, Constant):
        return weight_layout(entry, perm)
    return Activation(context.transpose(context.model_layout(entry), perm, str(node.name), name))


def _product(
    context: Lowering, node: ir.Node, a: Entry, b: Entry, transpose_b: bool, name: str
) -> Activation:
    """matmul of two matrices or stacks of them, of which at most one is constant."""
    a_dims, b_dims = context.dims(a), context.dims(b)
    depth, columns = (b_dims[-1], b_dims[-2]) if transpose_b else (b_dims[-2], b_dims[-1])
    if a_dims[-1] != depth:
        raise Unsupported(f"its matrices {list(a_dims)} and {list(b_dims)} do not fit")
    operands = []
    for position, entry in enumerate((a, b)):
        if isinstance(entry, Activation):
            operands.append(context.model_layout(entry))
            continue
        if entry.qparams is not None and not entry.qparams.per_tensor:
            entry = Constant(entry.real)  # activations have one scale
        operands.append(context.constant_tensor(_name(node, position), entry))
    batch = np.broadcast_shapes(a_dims[:-2], b_dims[:-2])
    out = context.arena_tensor(name, (*batch, a_dims[-2], columns))
    attributes = Matmul(transpose_b=int(transpose_b))
    return Activation(context.emit(MATMUL, str(node.name), tuple(operands), out, attributes))


def _bias(context: Lowering, node: ir.Node, outputs: int) -> tuple[Constant | None, Entry | None]:
    """beta · C as (bias per output, None) or, where it is computed or differs from row to row, (None, addend)."""
    beta = get_float(node, "beta", 1.0)
    entry = context.find(node.inputs[2]) if len(node.inputs) > 2 else None
    if not isinstance(entry, Constant) or beta == 0.0:
        return None, _addend(context, node)
    if (
        entry.qparams is not None
        and entry.array.dtype == np.int32
        and entry.array.shape == (outputs,)
        and beta == 1
    ):
        return entry, None
    real = entry.real.astype(np.float32) * np.float32(beta)
    if real.ndim and real.shape[-1] not in (1, outputs):
        raise Unsupported(f"its matrix C {list(real.shape)} does not fit {outputs} outputs")
    row = per_channel(real, outputs)
    return (None, Constant(real)) if row is None else (Constant(np.ascontiguousarray(row)), None)


def _addend(context: Lowering, node: ir.Node) -> Entry | None:
    """beta · C, None if there is none."""
    beta = get_float(node, "beta", 1.0)
    if len(node.inputs) < 3 or node.inputs[2] is None or beta == 0.0:
        return None
    entry = _matrix(context, node, 2)
    if isinstance(entry, Constant):
        return Constant(entry.real.astype(np.float32) * np.float32(beta))
    if beta == 1.0:
        return entry
    factor = Constant(np.array(beta, np.float32))
    return combine(context, MUL, str(node.name), f"{node.outputs[0].name}:addend", entry, factor)


def _fully_connected(
    context: Lowering, node: ir.Node, a: Activation, weights: Constant, bias: Constant | None, name: str
) -> Activation:
    source = context.model_layout(a)
    rows, depth = context.program.tensors[source].dims
    outputs, inner = weights.array.shape
    if depth != inner:
        raise Unsupported(f"its matrices [{rows}, {depth}] and [{inner}, {outputs}] do not fit")
    operands = (
        source,
        context.constant_tensor(_name(node, 1), weights),
        None if bias is None else context.constant_tensor(_name(node, 2), bias),
    )
    return Activation(multiply_rows(context, str(node.name), name, *operands))


def multiply_rows(
    context: Lowering, node_name: str, name: str, x: int, weights: int, bias: int | None = None
) -> int:
    """Tensor ``x`` [rows, K] times the transposed constant ``weights`` [O, K], plus ``bias`` [O]: a tensor [rows, O]."""
    tensors = context.program.tensors
    out = context.arena_tensor(name, (tensors[x].dims[0], tensors[weights].dims[0]))
    return context.emit(FULLY_CONNECTED, node_name, (x, weights, bias), out, Clamp())


def _name(node: ir.Node, position: int) -> str:
    value = node.inputs[position]
    return str(value.name) if value else ""
