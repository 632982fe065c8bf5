"""Types, comparisons, logic and choices: Cast, Equal and its like, And and its like, Where."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import onnx_ir as ir

from ptq_core.flatfile.operators.binary import MAXIMUM, MINIMUM
from ptq_core.flatfile.operators.cast import CAST
from ptq_core.flatfile.operators.compare import COMPARE, Compare, Comparison
from ptq_core.flatfile.operators.unary import UnaryFunction
from ptq_core.flatfile.operators.where import WHERE
from ptq_core.flatfile.tensors import UNSCALED, DType
from ptq_core.optimize.lowering.arithmetic import aligned, apply, combine, operand_type, operands_of
from ptq_core.optimize.lowering.context import (
    DTYPES,
    TYPE_NAMES,
    Activation,
    Constant,
    Entry,
    Lowering,
    Unsupported,
    get_int,
    require_type,
)


def lower_cast(context: Lowering, node: ir.Node) -> None:
    """Cast between the types that the runtime has."""
    x, to = context.activation(node, 0), ir.DataType(get_int(node, "to", 0))
    if to not in DTYPES:
        raise Unsupported(f"it casts a computed value to {to.name.lower()}, which is none of {TYPE_NAMES}")
    require_type(context.tensor(x), UNSCALED)
    context.bind(node.outputs[0], cast(context, str(node.name), str(node.outputs[0].name), x, DTYPES[to]))


def lower_comparison(comparison: Comparison, swapped: bool = False) -> Callable[[Lowering, ir.Node], None]:
    """The lowering of a comparison of two values; ``swapped``, of the second with the first."""

    def lower(context: Lowering, node: ir.Node) -> None:
        a, b = operands_of(context, node)[:: -1 if swapped else 1]
        name = str(node.outputs[0].name)
        context.bind(node.outputs[0], compare(context, comparison, str(node.name), name, a, b))

    return lower


def lower_and(context: Lowering, node: ir.Node) -> None:
    """And: the smaller of two bools."""
    a, b = operands_of(context, node)
    context.bind(node.outputs[0], combine(context, MINIMUM, str(node.name), str(node.outputs[0].name), a, b))


def lower_or(context: Lowering, node: ir.Node) -> None:
    """Or: the larger of two bools."""
    a, b = operands_of(context, node)
    context.bind(node.outputs[0], combine(context, MAXIMUM, str(node.name), str(node.outputs[0].name), a, b))


def lower_not(context: Lowering, node: ir.Node) -> None:
    """Not: equal to false."""
    x, no = context.activation(node, 0), Constant(np.zeros((), np.bool_))
    name = str(node.outputs[0].name)
    context.bind(node.outputs[0], compare(context, Comparison.EQUAL, str(node.name), name, x, no))


def lower_is_nan(context: Lowering, node: ir.Node) -> None:
    """IsNaN: not equal to itself."""
    x, name = context.real_input(node), str(node.outputs[0].name)
    context.bind(node.outputs[0], compare(context, Comparison.NOT_EQUAL, str(node.name), name, x, x))


def lower_is_inf(context: Lowering, node: ir.Node) -> None:
    """IsInf: equal to the infinity, or to those that its attributes ask for."""
    x, name, node_name = context.real_input(node), str(node.outputs[0].name), str(node.name)
    below, above = (get_int(node, f"detect_{side}", 1) for side in ("negative", "positive"))
    if not (below or above):
        raise Unsupported("it detects nothing")
    if below and above:
        x = apply(context, UnaryFunction.ABS, node_name, f"{name}:abs", x)
    infinity = Constant(np.array(math.inf if above else -math.inf, np.float32))
    context.bind(node.outputs[0], compare(context, Comparison.EQUAL, node_name, name, x, infinity))


def lower_where(context: Lowering, node: ir.Node) -> None:
    """Where."""
    condition, a, b = operands_of(context, node)
    context.bind(node.outputs[0], where(context, str(node.name), str(node.outputs[0].name), condition, a, b))


def cast(context: Lowering, node_name: str, name: str, x: Activation, dtype: DType) -> Activation:
    """``x`` as ``dtype``, in the layout that it has; itself if it is of it."""
    if context.tensor(x).dtype == dtype:
        return x
    out = context.arena_tensor(name, context.tensor(x).dims, dtype)
    return Activation(context.emit(CAST, node_name, (x.tensor,), out), x.channels_last)


def compare(
    context: Lowering, comparison: Comparison, node_name: str, name: str, a: Entry, b: Entry
) -> Activation:
    """Emit a comparison of two values, at least one of them computed at run time."""
    tensors, stored, last = aligned(context, name, (a, b))
    operand_type(context, tensors, COMPARE)
    out = context.arena_tensor(name, stored, DType.BOOL)
    attributes = Compare(comparison=int(comparison))
    return Activation(context.emit(COMPARE, node_name, tensors, out, attributes), last)


def where(context: Lowering, node_name: str, name: str, condition: Entry, a: Entry, b: Entry) -> Activation:
    """Emit a where: ``a`` where the ``condition`` is true, else ``b``."""
    if isinstance(a, Constant) and isinstance(b, Constant):
        a, b = Constant(a.real), Constant(b.real)
    tensors, stored, last = aligned(context, name, (a, b, condition))
    out = context.arena_tensor(name, stored, operand_type(context, tensors[:2], WHERE))
    return Activation(context.emit(WHERE, node_name, tensors, out), last)
