"""Nodes whose indices are computed: Gather and its like, Scatter and its like, TopK, OneHot."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import onnx_ir as ir

from ptq_core.flatfile.operators.binary import ADD
from ptq_core.flatfile.operators.compare import Comparison
from ptq_core.flatfile.operators.gather_nd import GATHER_ND
from ptq_core.flatfile.operators.scatter_nd import SCATTER_ND, Reduction, ScatterNd
from ptq_core.flatfile.operators.top_k import TOP_K, TopK
from ptq_core.flatfile.tensors import DType
from ptq_core.optimize.lowering.arithmetic import combine
from ptq_core.optimize.lowering.context import (
    Activation,
    Constant,
    Lowering,
    Unsupported,
    check_numbers,
    get_int,
    get_string,
    is_used,
    normal_axis,
    require_type,
)
from ptq_core.optimize.lowering.logic import cast, compare, where


def by_places(
    constant: Callable[[Lowering, ir.Node], None], computed: Callable[[Lowering, ir.Node], None]
) -> Callable[[Lowering, ir.Node], None]:
    """The lowering by ``constant`` places where input 1 is known and nothing is reduced, else by ``computed`` ones."""

    def lower(context: Lowering, node: ir.Node) -> None:
        known = isinstance(context.find(node.inputs[1]), Constant)
        plain = get_string(node, "reduction", "none") == "none"
        (constant if known and plain else computed)(context, node)

    return lower


def gather_computed(context: Lowering, node: ir.Node) -> None:
    """Gather: the axis comes first, then gather_nd by one index, then the axis back to its place."""
    x, indices = context.activation(node, 0), _plain(context, node, 1)
    dims, wanted = context.dims(x), context.dims(indices)
    axis = normal_axis(get_int(node, "axis", 0), len(dims))
    name, node_name = str(node.outputs[0].name), str(node.name)
    rest = tuple(i for i in range(len(dims)) if i != axis)
    first = context.transpose(context.model_layout(x), (axis, *rest), node_name, f"{name}:first")
    rows = context.reshaped(indices, (math.prod(wanted), 1), f"{name}:rows", node_name)
    picked = gather_places(context, node_name, f"{name}:picked", Activation(first), rows)
    back = (*range(1, axis + 1), 0, *range(axis + 1, len(dims)))
    y = Activation(context.transpose(picked.tensor, back, node_name, f"{name}:back"))
    shape = (*dims[:axis], *wanted, *dims[axis + 1 :])
    if len(shape) > 8:
        raise Unsupported(f"its result has the shape {list(shape)}")
    context.bind(node.outputs[0], context.reshaped(y, shape, name, node_name))


def gather_nd_computed(context: Lowering, node: ir.Node) -> None:
    """GatherND; what lies in one batch has the number of the batch as its first indices."""
    x, indices = _plain(context, node, 0), _plain(context, node, 1)
    name, node_name = str(node.outputs[0].name), str(node.name)
    batch = get_int(node, "batch_dims", 0)
    rows = _with_places(context, node_name, name, indices, tuple(range(batch)), last=True)
    context.bind(node.outputs[0], gather_places(context, node_name, name, x, rows))


def gather_elements_computed(context: Lowering, node: ir.Node) -> None:
    """GatherElements: gather_nd by all coordinates, of which one is computed."""
    x, indices = _plain(context, node, 0), _plain(context, node, 1)
    name, node_name = str(node.outputs[0].name), str(node.name)
    axis = normal_axis(get_int(node, "axis", 0), len(context.dims(x)))
    context.bind(node.outputs[0], gather_elements(context, node_name, name, x, indices, axis))


def scatter_nd_computed(context: Lowering, node: ir.Node) -> None:
    """ScatterND."""
    x, indices, updates = (_plain(context, node, i) for i in range(3))
    _bind_scatter(context, node, x, indices, updates)


def scatter_elements_computed(context: Lowering, node: ir.Node) -> None:
    """ScatterElements: scatter_nd by all coordinates, of which one is computed."""
    x, indices, updates = (_plain(context, node, i) for i in range(3))
    name, node_name = str(node.outputs[0].name), str(node.name)
    axis = normal_axis(get_int(node, "axis", 0), len(context.dims(x)))
    _bind_scatter(context, node, x, _coordinates(context, node_name, name, indices, axis), updates)


def lower_top_k(context: Lowering, node: ir.Node) -> None:
    """TopK: the indices by top_k, the values by them; sorted always."""
    x = _plain(context, node, 0)
    dims = context.dims(x)
    axis = normal_axis(get_int(node, "axis", -1), len(dims))
    (k,) = context.integers(node, 1, "k") or (get_int(node, "k", 0),)
    if not 1 <= k <= dims[axis]:
        raise Unsupported(f"it takes {k} of {dims[axis]} elements")
    require_type(context.tensor(x), TOP_K.types)
    values, indices = node.outputs
    name, node_name = str(indices.name or f"{values.name}:indices"), str(node.name)
    out = context.arena_tensor(name, (*dims[:axis], k, *dims[axis + 1 :]), DType.I64)
    attributes = TopK(axis=axis, largest=int(bool(get_int(node, "largest", 1))))
    best = Activation(context.emit(TOP_K, node_name, (x.tensor,), out, attributes))
    if is_used(indices):
        context.bind(indices, best)
    if is_used(values):
        context.bind(values, gather_elements(context, node_name, str(values.name), x, best, axis))


def lower_one_hot(context: Lowering, node: ir.Node) -> None:
    """OneHot: on where the index, counted from the end if it is negative, is the place along the new axis."""
    x = _plain(context, node, 0)
    name, node_name = str(node.outputs[0].name), str(node.name)
    depth = int(context.required(node, 1, "depth").real.reshape(-1)[0])
    values = context.required(node, 2, "pair of values").real.reshape(-1)
    if depth < 1 or values.size != 2:
        raise Unsupported(f"its depth is {depth}, and it has {values.size} values")
    dims = context.dims(x)
    axis = normal_axis(get_int(node, "axis", -1), len(dims) + 1)
    whole = cast(context, node_name, f"{name}:int64", x, DType.I64)
    none = Constant(np.zeros((), np.int64))
    negative = compare(context, Comparison.LESS, node_name, f"{name}:negative", whole, none)
    shifted = combine(context, ADD, node_name, f"{name}:shifted", whole, Constant(np.array(depth, np.int64)))
    index = where(context, node_name, f"{name}:index", negative, shifted, whole)
    spread = context.reshaped(index, (*dims[:axis], 1, *dims[axis:]), f"{name}:spread", node_name)
    places = np.arange(depth).reshape(-1, *[1] * (len(dims) - axis))
    hot = compare(context, Comparison.EQUAL, node_name, f"{name}:hot", spread, Constant(places))
    off, on = (Constant(np.asarray(value)) for value in values)
    context.bind(node.outputs[0], where(context, node_name, name, hot, on, off))


def gather_elements(
    context: Lowering, node_name: str, name: str, x: Activation, indices: Activation, axis: int
) -> Activation:
    """The elements of ``x`` at the places of ``indices``, but along ``axis``, where the index says it; model's layout."""
    rows = _coordinates(context, node_name, name, indices, axis)
    return gather_places(context, node_name, name, x, rows)


def _plain(context: Lowering, node: ir.Node, position: int) -> Activation:
    """Input ``position`` in the model's layout."""
    return Activation(context.model_layout(context.activation(node, position)))


def gather_places(
    context: Lowering, node_name: str, name: str, x: Activation, rows: Activation
) -> Activation:
    """What lies in ``x`` behind each row of ``rows``; model's layout."""
    *lead, count = context.dims(rows)
    dims = (*lead, *context.dims(x)[count:])
    if len(dims) > 8:
        raise Unsupported(f"its result has the shape {list(dims)}")
    out = context.like(name, dims, x.tensor)
    return Activation(context.emit(GATHER_ND, node_name, (x.tensor, rows.tensor), out))


def _bind_scatter(
    context: Lowering, node: ir.Node, x: Activation, rows: Activation, updates: Activation
) -> None:
    reduction = Reduction[get_string(node, "reduction", "none").upper()]
    if reduction != Reduction.NONE:
        require_type(context.tensor(x), [t for t in SCATTER_ND.types if t not in (DType.I8, DType.BOOL)])
    out = context.like(str(node.outputs[0].name), context.dims(x), x.tensor)
    attributes = ScatterNd(reduction=int(reduction))
    operands = (x.tensor, rows.tensor, updates.tensor)
    context.bind(
        node.outputs[0], Activation(context.emit(SCATTER_ND, str(node.name), operands, out, attributes))
    )


def _coordinates(context: Lowering, node_name: str, name: str, indices: Activation, axis: int) -> Activation:
    """All coordinates of each element of ``indices``, of which that along ``axis`` is its value."""
    dims = context.dims(indices)
    if len(dims) == 8:
        raise Unsupported("its indices have 8 dimensions, and one more would be needed")
    column = context.reshaped(indices, (*dims, 1), f"{name}:column", node_name)
    before = _with_places(context, node_name, f"{name}:before", column, tuple(range(axis)), last=True)
    after = tuple(range(axis + 1, len(dims)))
    return _with_places(context, node_name, f"{name}:after", before, after, last=False)


def _with_places(
    context: Lowering, node_name: str, name: str, rows: Activation, axes: tuple[int, ...], *, last: bool
) -> Activation:
    """``rows`` with a row's own place along ``axes`` before its indices (``last``: these come last) or behind them."""
    if not axes:
        return rows
    dims = context.dims(rows)
    check_numbers(math.prod(dims[:-1]) * len(axes), "its list of coordinates")
    grid = np.stack([np.indices(dims[:-1])[axis] for axis in axes], -1)
    grid = grid.astype(context.tensor(rows).dtype.numpy)
    own = context.constant_tensor(f"{name}:places", Constant(grid))
    parts = (own, rows.tensor) if last else (rows.tensor, own)
    return Activation(context.join(parts, len(dims) - 1, f"{name}:rows", node_name))
