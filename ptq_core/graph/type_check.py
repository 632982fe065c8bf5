"""Constants are of types that their operators take: onnx's checker and shape inference let others pass."""

from __future__ import annotations

from collections.abc import Container

import onnx
import onnx_ir as ir

from ptq_core.errors import InputError, cut
from ptq_core.graph.opsets import opset_of

_ONNX = ("", "ai.onnx")


def check_constant_types(model: ir.Model, detached: Container[str] = ()) -> None:
    """Raise InputError for a constant of a type that ONNX's operator in that opset does not take there.

    Inputs of one type parameter (T of Conv's data, weights and bias) are of one type. Unknown types and operators pass.
    Inputs of the model called ``detached`` are constants too.
    """
    opset = opset_of(model)
    for node in model.graph:
        if node.domain in _ONNX and onnx.defs.has(node.op_type, ""):
            try:
                schema = onnx.defs.get_schema(node.op_type, opset, "")
            except onnx.defs.SchemaError:  # newer than the model's opset
                continue
            _check_node(node, schema, detached)


def _check_node(node: ir.Node, schema: onnx.defs.OpSchema, detached: Container[str]) -> None:
    def is_constant(value: ir.Value) -> bool:
        return value.const_value is not None or value.name in detached

    bound: dict[str, ir.Value] = {}  # type parameter → the input that is no constant, which says what it is
    for formal, value in zip(schema.inputs, node.inputs, strict=False):
        if value is not None and not is_constant(value) and value.dtype is not None:
            bound.setdefault(formal.type_str, value)
    for formal, value in zip(schema.inputs, node.inputs, strict=False):
        if value is None or not is_constant(value) or value.dtype is None:
            continue
        leader = bound.get(formal.type_str)
        # A float of another width, with the rest of the model, is one that float32 stands for.
        name = (
            "float"
            if value.dtype.is_floating_point() and value.dtype.itemsize > 1
            else value.dtype.name.lower()
        )
        if f"tensor({name})" not in formal.types:
            takes = ", ".join(sorted(formal.types))
        elif leader is not None and leader.dtype != value.dtype:
            takes = f"the type of `{leader.name}`, {leader.dtype.name}" if leader.dtype else ""
        else:
            continue
        raise InputError(
            f"constant `{cut(str(value.name))}` is {value.dtype.name},"
            f" an input `{formal.name}` of the {node.op_type} `{node.name}`",
            rule=f"this input takes {takes}",
            fix="export the model again; for `ptq`, as float32",
        )
