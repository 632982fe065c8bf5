"""Averages whose last windows hang over the padding say so in a form that every kernel of onnxruntime reads alike.

With ceil_mode and count_include_pad, declared padding counts and what hangs over it does not. onnxruntime's integer kernel,
which takes the pool's place in a QDQ model, counts both.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import onnx_ir as ir

from ptq_core.graph.edits import add_constant


class _Pads(NamedTuple):
    """Of a dimension of ``size``: padding before and behind that a window sees, and whether one hangs over it."""

    size: int
    before: int
    behind: int
    overhang: bool


def count_no_overhang(model: ir.Model) -> dict[str, str]:
    """AveragePool(x, pads, count_include_pad = 1)  becomes  AveragePool(Pad(x, pads)), where a window hangs over the pads.

    Requires ceil_mode and known sizes. Ensures that no pool with count_include_pad has an overhang. Removes no node.
    """
    for pool in list(model.graph):
        if pool.op_type != "AveragePool" or not pool.attributes.get_int("count_include_pad", 0):
            continue
        pads = _pads(pool)
        if not any(p.overhang for p in pads):
            continue
        if any((p.before, p.behind) != (0, 0) for p in pads):
            _pad_explicitly(model.graph, pool, pads)
        for name, value in (("count_include_pad", 0), ("ceil_mode", 1)):
            pool.attributes[name] = ir.AttrInt64(name, value)
        pool.attributes["pads"] = ir.AttrInt64s("pads", [0] * 2 * len(pads))
    return {}


def _pads(pool: ir.Node) -> list[_Pads]:
    """Per dimension; none if there is no overhang by definition, or its sizes are not known."""
    x, kernel = pool.inputs[0], pool.attributes.get_ints("kernel_shape") or ()
    if (
        not pool.attributes.get_int("ceil_mode", 0)
        or pool.attributes.get_string("auto_pad", "NOTSET") != "NOTSET"
    ):
        return []
    sizes = (
        [dim for dim in x.shape[2:] if isinstance(dim, int)] if x is not None and x.shape is not None else []
    )
    if len(sizes) != len(kernel):
        return []
    n = len(kernel)
    strides = pool.attributes.get_ints("strides") or (1,) * n
    dilations = pool.attributes.get_ints("dilations") or (1,) * n
    pads = pool.attributes.get_ints("pads") or (0,) * 2 * n
    result = []
    for i in range(n):
        size, extent = sizes[i], (kernel[i] - 1) * dilations[i] + 1
        outputs = -(-(size + pads[i] + pads[n + i] - extent) // strides[i]) + 1
        if (outputs - 1) * strides[i] >= size + pads[i]:  # a window may not begin behind the data
            outputs -= 1
        needed = (outputs - 1) * strides[i] + extent - size - pads[i]
        result.append(_Pads(size, pads[i], max(min(pads[n + i], needed), 0), needed > pads[n + i]))
    return result


def _pad_explicitly(graph: ir.Graph, pool: ir.Node, pads: list[_Pads]) -> None:
    x = pool.inputs[0]
    assert x is not None
    assert x.shape is not None
    amounts = np.array([0, 0, *(p.before for p in pads), 0, 0, *(p.behind for p in pads)], np.int64)
    pad = ir.node("Pad", [x, add_constant(graph, f"{pool.name}/pads", amounts)], name=f"{pool.name}/pad")
    sizes = [p.size + p.before + p.behind for p in pads]
    pad.outputs[0].name = f"{pool.name}/padded"
    pad.outputs[0].shape, pad.outputs[0].type = ir.Shape([*x.shape[:2], *sizes]), x.type
    graph.insert_before(pool, pad)
    pool.replace_input_with(0, pad.outputs[0])
