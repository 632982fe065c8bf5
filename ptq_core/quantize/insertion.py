"""Insert QuantizeLinear/DequantizeLinear around the selected operators.

The pattern, in which every integer of docs/numerics.md is visible to onnxruntime:

    x → Q → DQ → Conv(DQ(weight), DQ(bias)) → Q → DQ → Clip → Q → DQ        fused activation, the two Q/DQ pairs are equal
    x → Q → DQ → Conv(DQ(weight), DQ(bias)) → Clip                          no int8 operator reads the result

The inner pair lets onnxruntime run the convolution in integers; Clip on its steps is then exactly the requantizer's clamp.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx_ir as ir

from ptq_core.graph.constants import add_constant
from ptq_core.numerics import qparams
from ptq_core.quantize.activations import ActivationParams
from ptq_core.quantize.selection import Selection, Unit
from ptq_core.quantize.weights import QuantizedWeights


def int8_values(selection: Selection) -> list[ir.Value]:
    """The activations that become int8, in graph order: what int8 operators read, and what arithmetic ones write."""
    values: dict[ir.Value, None] = {}
    for unit in selection.units:
        values.update(dict.fromkeys(unit.inputs))
        if not unit.has_weights:
            values[unit.output] = None
    return list(values)


def shared_scales(selection: Selection) -> dict[ir.Value, ir.Value]:
    """Outputs of operators that only move values → the value whose scale they keep."""
    source: dict[ir.Value, ir.Value] = {}
    for unit in selection.units:
        if unit.shares_scale:
            source[unit.output] = source.get(unit.inputs[0], unit.inputs[0])
    return source


def insert_qdq(
    model: ir.Model,
    selection: Selection,
    params: Mapping[ir.Value, ActivationParams],
    weights: Mapping[str, QuantizedWeights],
) -> None:
    """Rewrite ``model`` in place. ``params`` has every value of int8_values(); ``weights`` every unit with weights."""
    graph = model.graph
    units_by_output = {unit.output: unit for unit in selection.units}
    readers = {unit.node: unit for unit in selection.units}
    for value, param in params.items():
        unit = units_by_output.get(value)
        if unit is None:
            _quantize_for_readers(graph, value, param, readers)
        else:
            _quantize_output(graph, unit, value, param)
    for unit in selection.units:
        if unit.has_weights:
            _insert_weights(graph, unit.node, weights[str(unit.node.name)])


def _quantize_for_readers(
    graph: ir.Graph, value: ir.Value, param: ActivationParams, readers: Mapping[ir.Node, Unit]
) -> None:
    """``value`` is made in float: only the int8 operators read it quantized, the others keep the float."""
    uses = [
        (node, index)
        for node, index in value.uses()
        if node in readers and _is_activation(readers[node], index)
    ]
    nodes, result = _qdq_chain(graph, value, param, str(value.name), clip=_narrow_range(param))
    producer = value.producer()
    if producer is not None:
        graph.insert_after(producer, nodes)
    elif len(graph) > 0:
        graph.insert_before(graph[0], nodes)
    for node, index in uses:
        node.replace_input_with(index, result)


def _quantize_output(graph: ir.Graph, unit: Unit, value: ir.Value, param: ActivationParams) -> None:
    """``value`` is made by an int8 operator: everybody reads it through Q → DQ."""
    name = str(value.name)
    last = unit.activation or unit.node
    if unit.activation is not None:
        inner = unit.node.outputs[0]
        nodes, result = _qdq_chain(graph, inner, param, f"{name}/inner", scale_name=name)
        graph.insert_after(unit.node, nodes)
        unit.activation.replace_input_with(0, result)
    uses, is_output = list(value.uses()), value.is_graph_output()
    nodes, result = _qdq_chain(
        graph, value, param, name, clip=None if unit.activation is not None else _narrow_range(param)
    )
    graph.insert_after(last, nodes)
    for node, index in uses:
        node.replace_input_with(index, result)
    if is_output:
        result.shape, result.type = value.shape, value.type
        for index, output in enumerate(graph.outputs):
            if output is value:
                graph.outputs[index] = result
        value.name, result.name = f"{name}/float", name


def _qdq_chain(
    graph: ir.Graph,
    value: ir.Value,
    param: ActivationParams,
    name: str,
    *,
    scale_name: str | None = None,
    clip: tuple[np.float32, np.float32] | None = None,
) -> tuple[list[ir.Node], ir.Value]:
    """Nodes [Clip →] Q → DQ on ``value`` and the dequantized value. Equal scales are stored once, under ``scale_name``."""
    scale, zero = _scale_constants(graph, scale_name or name, param.scale)
    nodes, source = [], value
    if clip is not None:
        bounds = [
            add_constant(graph, f"{name}/{kind}", np.asarray(v, np.float32))
            for kind, v in zip(("min", "max"), clip, strict=True)
        ]
        nodes.append(_node("Clip", [source, *bounds], f"{name}/clip", ir.DataType.FLOAT, value.shape))
        source = nodes[-1].outputs[0]
    nodes.append(
        _node("QuantizeLinear", [source, scale, zero], f"{name}/quantize", ir.DataType.INT8, value.shape)
    )
    quantized = nodes[-1].outputs[0]
    nodes.append(
        _node(
            "DequantizeLinear", [quantized, scale, zero], f"{name}/dequantize", ir.DataType.FLOAT, value.shape
        )
    )
    return nodes, nodes[-1].outputs[0]


def _node(
    op_type: str, inputs: list[ir.Value], name: str, dtype: ir.DataType, shape: ir.Shape | None
) -> ir.Node:
    output = ir.Value(name=f"{name}/out", shape=shape, type=ir.TensorType(dtype))
    return ir.node(op_type, inputs, outputs=[output], name=name)


def _scale_constants(graph: ir.Graph, name: str, scale: np.float32) -> tuple[ir.Value, ir.Value]:
    scale_value = graph.initializers.get(f"{name}/scale")
    zero_value = graph.initializers.get(f"{name}/zero_point")
    if scale_value is None or zero_value is None:
        scale_value = add_constant(graph, f"{name}/scale", np.asarray(scale, np.float32))
        zero_value = add_constant(graph, f"{name}/zero_point", np.asarray(0, np.int8))
    return scale_value, zero_value


def _narrow_range(param: ActivationParams) -> tuple[np.float32, np.float32] | None:
    """Bounds in real units that keep fewer than 8 bits inside their range; int8 saturates by itself."""
    if param.bits == 8:
        return None
    limit = np.float32(qparams.levels(param.bits)) * param.scale
    return np.float32(-limit - param.scale), limit


def _is_activation(unit: Unit, index: int) -> bool:
    return index < len(unit.inputs)


def _insert_weights(graph: ir.Graph, node: ir.Node, weights: QuantizedWeights) -> None:
    tensors: list[
        tuple[int, str, np.ndarray[tuple[int, ...], np.dtype[np.generic]], qparams.FloatArray, int | None]
    ]
    tensors = [(1, "weight", weights.weight, weights.scales, weights.axis)]
    if weights.bias is not None and weights.bias_scales is not None:
        tensors.append((2, "bias", weights.bias, weights.bias_scales, None if weights.axis is None else 0))
    for index, kind, integers, scales, axis in tensors:
        name = f"{node.name}/{kind}"
        scale = scales if axis is not None else scales.reshape(())
        inputs = [
            add_constant(graph, f"{name}_quantized", integers),
            add_constant(graph, f"{name}_scale", scale),
            add_constant(graph, f"{name}_zero_point", np.zeros(scale.shape, integers.dtype)),
        ]
        result = ir.Value(
            name=f"{name}_dequantized", shape=ir.Shape(integers.shape), type=ir.TensorType(ir.DataType.FLOAT)
        )
        attributes = {} if axis is None else {"axis": axis}
        dequantize = ir.node(
            "DequantizeLinear", inputs, attributes, outputs=[result], name=f"{name}_dequantize"
        )
        graph.insert_before(node, dequantize)
        node.replace_input_with(index, result)
