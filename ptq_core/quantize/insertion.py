"""Insert QuantizeLinear/DequantizeLinear around the selected operators.

The pattern, in which every integer of docs/numerics.md is visible to onnxruntime:

    x → Q → DQ → Conv(DQ(weight), DQ(bias)) → Q → DQ → Clip → Q → DQ        fused activation, the two Q/DQ pairs are equal
    x → Q → DQ → Conv(DQ(weight), DQ(bias)) → Clip                          no int8 operator reads the result

The inner pair lets onnxruntime run the convolution in integers; Clip on its steps is then exactly the requantizer's clamp.
Fewer bits than the integer type has are kept in their range by one more Clip in the same place.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray
from onnx_ir.passes.common import NameFixPass

from ptq_core.graph.edits import add_constant, constant_array
from ptq_core.numerics import qparams
from ptq_core.quantize.activations import ActivationParams
from ptq_core.quantize.objections import pad_value
from ptq_core.quantize.selection import Selection, Unit
from ptq_core.quantize.weights import QuantizedWeights

INT4_BITS = 4
"""Weights of at most so many bits may be stored as ONNX INT4."""


def insert_qdq(
    model: ir.Model,
    selection: Selection,
    params: Mapping[ir.Value, ActivationParams],
    weights: Mapping[str, QuantizedWeights],
    *,
    store_int4: bool = False,
) -> dict[ir.Value, ir.Value]:
    """Rewrite ``model`` in place; returns for values that int8 operators make what everybody now reads in their place.

    ``params`` has every activation that becomes an integer (none for weight_only), ``weights`` every unit with weights.
    int16 and INT4 need a model of opset 21.
    """
    graph = model.graph
    units_by_output = {output: unit for unit in selection.units for output in unit.outputs}
    readers = {unit.node: unit for unit in selection.units}
    read_instead = {}
    for value, param in params.items():
        unit = units_by_output.get(value)
        if unit is None:
            _quantize_for_readers(graph, value, param, readers)
        else:
            read_instead[value] = _quantize_output(graph, unit, value, param)
    for unit in selection.units:
        if unit.node.op_type == "Pad" and unit.output in params:
            _saturate_padding(graph, unit.node, params[unit.output])
        if unit.has_weights:
            _insert_weights(graph, unit.node, weights[str(unit.node.name)], store_int4)
    NameFixPass()(model)  # a model may have had a value of a name that was made up here
    return read_instead


def _quantize_for_readers(
    graph: ir.Graph, value: ir.Value, param: ActivationParams, readers: Mapping[ir.Node, Unit]
) -> None:
    """``value`` is made in float: only the int8 operators read it quantized, the others keep the float."""
    uses = [(node, index) for node, index in value.uses() if node in readers and index in readers[node].data]
    nodes: list[ir.Node] = []
    source = value
    constant = constant_array(value)
    if constant is not None:
        nodes = [_dequantized_constant(graph, constant, param, str(value.name))]
        graph.insert_before(graph[0], nodes)
        for node, index in uses:
            node.replace_input_with(index, nodes[0].outputs[0])
        return
    if param.bounds is not None:
        nodes.append(_clip(graph, value, param, str(value.name)))
        source = nodes[-1].outputs[0]
    nodes += _pair(graph, source, param, str(value.name))
    producer = value.producer()
    if producer is not None:
        graph.insert_after(producer, nodes)
    elif len(graph) > 0:
        graph.insert_before(graph[0], nodes)
    for node, index in uses:
        node.replace_input_with(index, nodes[-1].outputs[0])


def _dequantized_constant(
    graph: ir.Graph, array: NDArray[Any], param: ActivationParams, name: str
) -> ir.Node:
    """DQ of the integers of a constant that an operator reads as it reads activations."""
    integers = qparams.quantize_affine(array, param.scale, param.zero_point, param.q_min, param.q_max)
    stored = add_constant(graph, f"{name}/quantized", integers.astype(param.storage))
    constants = _scale_constants(graph, name, param)
    shape = ir.Shape(array.shape)
    return _node("DequantizeLinear", [stored, *constants], f"{name}/dequantize", ir.DataType.FLOAT, shape)


def _quantize_output(graph: ir.Graph, unit: Unit, value: ir.Value, param: ActivationParams) -> ir.Value:
    """``value`` is made by an int8 operator: everybody reads it through Q → DQ."""
    name = str(value.name)
    uses, is_output = list(value.uses()), value.is_graph_output()
    # An operator that moves integers of that range makes no others.
    bounded = param.bounds is not None and not unit.shares_scale
    last, source = unit.node, unit.node.outputs[0] if unit.activation else value
    if unit.activation is not None or bounded:
        inner = _pair(graph, source, param, f"{name}/inner", scale_name=name)
        graph.insert_after(unit.node, inner)
        last, source = inner[-1], inner[-1].outputs[0]
    if unit.activation is not None:
        unit.activation.replace_input_with(0, source)
        last, source = unit.activation, value
    nodes: list[ir.Node] = []
    if bounded:
        nodes.append(_clip(graph, source, param, name))
        source = nodes[-1].outputs[0]
    nodes += _pair(graph, source, param, name)
    graph.insert_after(last, nodes)
    result = nodes[-1].outputs[0]
    for node, index in uses:
        node.replace_input_with(index, result)
    if is_output:
        result.shape, result.type = value.shape, value.type
        for index, output in enumerate(graph.outputs):
            if output is value:
                graph.outputs[index] = result
        value.name, result.name = f"{name}/float", name
    return result


def _pair(
    graph: ir.Graph, value: ir.Value, param: ActivationParams, name: str, *, scale_name: str | None = None
) -> list[ir.Node]:
    """Nodes Q → DQ on ``value``. Equal scales are stored once, under ``scale_name``."""
    constants = _scale_constants(graph, scale_name or name, param)
    integer = ir.DataType.from_numpy(param.storage)
    quantize = _node("QuantizeLinear", [value, *constants], f"{name}/quantize", integer, value.shape)
    inputs = [quantize.outputs[0], *constants]
    return [
        quantize,
        _node("DequantizeLinear", inputs, f"{name}/dequantize", ir.DataType.FLOAT, value.shape),
    ]


def _saturate_padding(graph: ir.Graph, pad: ir.Node, param: ActivationParams) -> None:
    """A value below the range becomes the lowest: no operator of integers has infinity."""
    value, lowest = pad_value(pad), np.float32(param.q_min - param.zero_point) * param.scale
    if value is not None and value < lowest:
        pad.replace_input_with(2, add_constant(graph, f"{pad.name}/value", np.asarray(lowest, np.float32)))


def _clip(graph: ir.Graph, value: ir.Value, param: ActivationParams, name: str) -> ir.Node:
    """Clip to the real values of q_min and q_max."""
    assert param.bounds is not None
    bounds = [
        add_constant(graph, f"{name}/{kind}", np.asarray(bound, np.float32))
        for kind, bound in zip(("min", "max"), param.bounds, strict=True)
    ]
    return _node("Clip", [value, *bounds], f"{name}/clip", ir.DataType.FLOAT, value.shape)


def _node(
    op_type: str, inputs: list[ir.Value], name: str, dtype: ir.DataType, shape: ir.Shape | None
) -> ir.Node:
    output = ir.Value(name=f"{name}/out", shape=shape, type=ir.TensorType(dtype))
    return ir.node(op_type, inputs, outputs=[output], name=name)


def _scale_constants(graph: ir.Graph, name: str, param: ActivationParams) -> tuple[ir.Value, ir.Value]:
    scale_value = graph.initializers.get(f"{name}/scale")
    zero_value = graph.initializers.get(f"{name}/zero_point")
    if scale_value is None or zero_value is None:
        scale_value = add_constant(graph, f"{name}/scale", np.asarray(param.scale, np.float32))
        zero_value = add_constant(graph, f"{name}/zero_point", np.asarray(param.zero_point, param.storage))
    return scale_value, zero_value


def _insert_weights(graph: ir.Graph, node: ir.Node, weights: QuantizedWeights, store_int4: bool) -> None:
    integers = weights.weight
    if store_int4 and weights.bits <= INT4_BITS:
        integers = integers.astype(ir.DataType.INT4.numpy())
    tensors: list[tuple[int, str, qparams.IntArray, qparams.FloatArray, int | None]]
    tensors = [(1, "weight", integers, weights.scales, weights.axis)]
    if weights.bias is not None and weights.bias_scales is not None:
        bias_axis = None if weights.axis is None else 0
        tensors.append((2, "bias", weights.bias, weights.bias_scales, bias_axis))
    for index, kind, array, scales, axis in tensors:
        name = f"{node.name}/{kind}"
        scale = scales if axis is not None else scales.reshape(())
        inputs = [
            add_constant(graph, f"{name}_quantized", array),
            add_constant(graph, f"{name}_scale", scale),
            add_constant(graph, f"{name}_zero_point", np.zeros(scale.shape, array.dtype)),
        ]
        result = ir.Value(
            name=f"{name}_dequantized", shape=ir.Shape(array.shape), type=ir.TensorType(ir.DataType.FLOAT)
        )
        attributes = {} if axis is None else {"axis": axis}
        dequantize = ir.node(
            "DequantizeLinear", inputs, attributes, outputs=[result], name=f"{name}_dequantize"
        )
        graph.insert_before(node, dequantize)
        node.replace_input_with(index, result)
