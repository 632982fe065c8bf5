"""Gemm and MatMul with constant weights → fully_connected."""

from __future__ import annotations

import math

import numpy as np
import onnx_ir as ir

from ptq_core.flatfile.operators.attributes import Clamp
from ptq_core.flatfile.operators.binary import ADD
from ptq_core.flatfile.operators.fully_connected import FULLY_CONNECTED
from ptq_core.flatfile.operators.reshape import RESHAPE
from ptq_core.graph.edits import per_channel
from ptq_core.optimize.lowering.arithmetic import combine
from ptq_core.optimize.lowering.context import (
    Activation,
    Constant,
    Lowering,
    Unsupported,
    get_float,
    get_int,
)
from ptq_core.optimize.lowering.convolution import weight_layout


def lower_gemm(context: Lowering, node: ir.Node) -> None:
    """Gemm: alpha · A' · B' + beta · C, B constant; alpha goes into the weights, beta into the bias."""
    x = context.activation(node, 0)
    weights = context.required(node, 1, "matrix B")
    if weights.array.ndim != 2 or len(context.dims(x)) != 2:
        raise Unsupported("its matrices are not two-dimensional")
    source = context.model_layout(x)
    name = str(node.outputs[0].name)
    if get_int(node, "transA", 0):
        source = context.transpose(source, (1, 0), str(node.name), f"{name}:transposed")
    # The weight is stored as [O, K].
    stored = weight_layout(weights, (0, 1) if get_int(node, "transB", 0) else (1, 0))
    alpha, beta = get_float(node, "alpha", 1.0), get_float(node, "beta", 1.0)
    if alpha != 1.0:
        stored = Constant((stored.real.astype(np.float64) * alpha).astype(np.float32))
    bias, addend = _bias(context, node, stored.array.shape[0], beta)
    _emit(context, node, source, stored, bias, name if addend is None else f"{name}:product")
    product = context.find(node.outputs[0])
    if addend is not None and product is not None:
        added = combine(context, ADD, str(node.name), name, product, addend)
        context.bind(node.outputs[0], added)


def lower_mat_mul(context: Lowering, node: ir.Node) -> None:
    """MatMul of a run-time value [..., K] with constant weights [K, O]; more than two dimensions are folded into rows."""
    x = context.activation(node, 0)
    weights = context.required(node, 1, "second matrix")
    dims = context.dims(x)
    if weights.array.ndim != 2:
        raise Unsupported(f"its second matrix has {weights.array.ndim} dimensions, not 2")
    if len(dims) < 2:
        raise Unsupported("its first matrix is a vector")
    source = context.model_layout(x)
    name, node_name = str(node.outputs[0].name), str(node.name)
    stored = weight_layout(weights, (1, 0))
    if len(dims) == 2:
        _emit(context, node, source, stored, None, name)
        return
    flat = context.like(f"{name}:rows", (math.prod(dims[:-1]), dims[-1]), source)
    source = context.emit(RESHAPE, node_name, (source,), flat)
    product = _emit(context, node, source, stored, None, f"{name}:product")
    out = context.like(name, (*dims[:-1], stored.array.shape[0]), product)
    context.bind(node.outputs[0], Activation(context.emit(RESHAPE, node_name, (product,), out)))


def _bias(
    context: Lowering, node: ir.Node, outputs: int, beta: float
) -> tuple[Constant | None, Constant | None]:
    """beta · C as (bias per output, None) or, where it differs from row to row, (None, addend)."""
    bias = context.constant(node, 2, "matrix C")
    if bias is None or beta == 0.0:
        return None, None
    if (
        bias.qparams is not None
        and bias.array.dtype == np.int32
        and bias.array.shape == (outputs,)
        and beta == 1
    ):
        return bias, None
    real = bias.real.astype(np.float32) * np.float32(beta)
    if real.ndim and real.shape[-1] not in (1, outputs):
        raise Unsupported(f"its matrix C {list(real.shape)} does not fit {outputs} outputs")
    row = per_channel(real, outputs)
    return (None, Constant(real)) if row is None else (Constant(np.ascontiguousarray(row)), None)


def _emit(
    context: Lowering, node: ir.Node, source: int, weights: Constant, bias: Constant | None, name: str
) -> int:
    rows, depth = context.program.tensors[source].dims
    outputs, inner = weights.array.shape
    if depth != inner:
        raise Unsupported(f"its matrices [{rows}, {depth}] and [{inner}, {outputs}] do not fit")
    operands = (
        source,
        context.constant_tensor(_name(node, 1), weights),
        None if bias is None else context.constant_tensor(_name(node, 2), bias),
    )
    out = context.arena_tensor(name, (rows, outputs))
    context.emit(FULLY_CONNECTED, str(node.name), operands, out, Clamp())
    context.bind(node.outputs[0], Activation(out))
    return out


def _name(node: ir.Node, position: int) -> str:
    value = node.inputs[position]
    return str(value.name) if value else ""
