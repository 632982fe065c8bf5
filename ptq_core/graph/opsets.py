"""The versions of ONNX's operators: which are needed, and how older models are brought there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir

from ptq_core.errors import InputError
from ptq_core.graph.scopes import name_nodes

MIN_OPSET = 13
"""The first opset whose QuantizeLinear/DequantizeLinear take an axis (per-channel scales)."""

IR_VERSION_OF_OPSET_21 = 10
"""The ONNX file version that brought INT4, with opset 21."""

UPGRADE_OPSET = 17
"""What older models are converted to."""

PRELU_BROADCASTS = 7
"""The opset whose PRelu broadcasts its slopes as NumPy does; before, several are one per channel."""

RESIZE_WITH_COORDINATES = 11
"""The opset whose Resize says where its pixels lie; before, they lie at i / scale, rounded down."""


def upgrade_old_opset(proto: onnx.ModelProto, path: Path) -> onnx.ModelProto:
    """Convert an old opset; foreign opset imports that no node uses are dropped (exporters leave them behind)."""
    used = {node.domain or "" for node in proto.graph.node} | {""}
    kept = [o for o in proto.opset_import if (o.domain if o.domain != "ai.onnx" else "") in used]
    version = next((o.version for o in kept if o.domain in ("", "ai.onnx")), None)
    del proto.opset_import[:]
    proto.opset_import.extend(kept)
    if version is None or version >= MIN_OPSET:
        return proto
    try:
        converted: onnx.ModelProto = onnx.version_converter.convert_version(proto, UPGRADE_OPSET)
    except Exception as error:
        raise InputError(
            f"{path} is of opset {version} and cannot be converted: {str(error).strip().splitlines()[0]}",
            rule=f"quantization needs opset {MIN_OPSET} or newer",
            fix=f"export it again with opset {UPGRADE_OPSET}",
        ) from error
    if version < RESIZE_WITH_COORDINATES:
        _keep_old_coordinates(converted)
    _keep_old_hardmax(converted)
    if version < PRELU_BROADCASTS:
        _keep_old_prelu(converted, path)
    return converted


def _keep_old_coordinates(proto: onnx.ModelProto) -> None:
    """Write down where the pixels of an old Upsample or Resize lie: onnx's converter leaves the newer defaults."""
    old = {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
    for node in proto.graph.node:
        if node.op_type == "Resize" and node.domain in ("", "ai.onnx"):
            others = [attribute for attribute in node.attribute if attribute.name not in old]
            del node.attribute[:]
            node.attribute.extend(
                [*others, *(onnx.helper.make_attribute(name, value) for name, value in old.items())]
            )


def _keep_old_prelu(proto: onnx.ModelProto, path: Path) -> None:
    """Give the slopes of old PRelus the dimensions behind the channels: onnx's converter leaves them as they are.

    Raises InputError where it is not known how many dimensions there are.
    """
    graph = onnx.shape_inference.infer_shapes(proto).graph
    ranks = {
        value.name: len(value.type.tensor_type.shape.dim)
        for value in (*graph.input, *graph.value_info, *graph.output)
        if value.type.tensor_type.HasField("shape")
    }
    ranks |= {tensor.name: len(tensor.dims) for tensor in graph.initializer}
    single = {tensor.name for tensor in graph.initializer if np.prod(tensor.dims) == 1}
    nodes = list(proto.graph.node)
    del proto.graph.node[:]
    for number, node in enumerate(nodes):
        per_channel = node.op_type == "PRelu" and node.domain in ("", "ai.onnx")
        per_channel = per_channel and node.input[1] not in single
        if per_channel and not ranks.keys() >= set(node.input):
            raise InputError(
                f"{path}: the PRelu that writes `{node.output[0]}` reads a value of unknown rank",
                rule=f"before opset {PRELU_BROADCASTS} its slopes are one per channel, so the dimensions behind them count",
                fix=f"export the model again with opset {UPGRADE_OPSET}",
            )
        rank = ranks[node.input[0]] if per_channel else 0
        if rank > 2 and ranks[node.input[1]] == 1:
            slope, axes = f"{node.input[1]}/slope_{number}", f"{node.input[1]}/axes_{number}"
            behind = np.arange(1, rank - 1, dtype=np.int64)
            proto.graph.initializer.append(onnx.numpy_helper.from_array(behind, axes))
            proto.graph.node.append(onnx.helper.make_node("Unsqueeze", [node.input[1], axes], [slope], slope))
            node.input[1] = slope
        proto.graph.node.append(node)


def _keep_old_hardmax(proto: onnx.ModelProto) -> None:
    """Before opset 13 Hardmax takes all dimensions from its axis on as one: onnx's converter leaves it as it is."""
    nodes = list(proto.graph.node)
    del proto.graph.node[:]
    for node in nodes:
        if node.op_type == "Hardmax" and node.domain in ("", "ai.onnx"):
            axis = next((attribute.i for attribute in node.attribute if attribute.name == "axis"), 1)
            x, y, name = node.input[0], node.output[0], node.name or node.output[0]
            make = onnx.helper.make_node
            proto.graph.node.extend(
                [
                    make("Shape", [x], [f"{name}/shape"], f"{name}/shape"),
                    make("Flatten", [x], [f"{name}/flat"], f"{name}/flat", axis=axis),
                    make("Hardmax", [f"{name}/flat"], [f"{name}/largest"], name, axis=-1),
                    make("Reshape", [f"{name}/largest", f"{name}/shape"], [y], f"{name}/reshape"),
                ]
            )
        else:
            proto.graph.node.append(node)


def opset_of(model: ir.Model) -> int:
    """The version of ONNX's own operators that ``model`` uses."""
    return int(model.opset_imports.get("", 0) or model.opset_imports.get("ai.onnx", 0))


def upgrade_opset(model: ir.Model, opset: int) -> ir.Model:
    """``model`` in ``opset`` or, if it has that or a newer one already, as it is. Node and tensor names stay.

    Raises InputError where onnx cannot convert it.
    """
    found = opset_of(model)
    if found >= opset:
        return model
    proto = ir.to_proto(model)
    del proto.graph.value_info[:]
    try:
        converted = onnx.version_converter.convert_version(proto, opset)
        converted.ir_version = max(converted.ir_version, IR_VERSION_OF_OPSET_21)
        name_nodes(converted)
        return ir.from_proto(onnx.shape_inference.infer_shapes(converted, data_prop=True))
    except Exception as error:  # the converter raises unrelated classes
        raise InputError(
            f"the model is of opset {found} and cannot be converted to {opset}: {str(error).strip().splitlines()[0]}",
            rule=f"16-bit and 4-bit tensors need opset {opset}",
            fix=f"export it again with opset {opset}, or use 8 bits and no store_int4",
        ) from error
