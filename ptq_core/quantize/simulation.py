"""The plan's quantized model in float arithmetic, for every bit width, with any tensor observable: what refinements measure on.

x̂ = clip(rne(x / scale), q_min − z, q_max − z) · scale is what QuantizeLinear → DequantizeLinear computes (docs/numerics.md);
weights and biases are the dequantized integers. The simulation differs from the integer model only by float32 rounding in
the sums, which may move a value that lies within that of a tie by one step.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from ptq_core.calibration.collect import Runner
from ptq_core.graph import io
from ptq_core.quantize.activations import ActivationParams
from ptq_core.quantize.plan import QuantizationPlan, Samples
from ptq_core.quantize.weights import QuantizedWeights

FloatArray = NDArray[np.float32]


def float_bias(weights: QuantizedWeights) -> FloatArray | None:
    """The bias that the integers stand for, float32 [channels]; None where the layer has none or keeps it in float."""
    if weights.bias is None or weights.bias_scales is None:
        return None
    return (weights.bias.astype(np.float64) * weights.bias_scales).astype(np.float32)


def simulated_model(plan: QuantizationPlan) -> onnx.ModelProto:
    """The quantized model in float: same tensor names as ``plan.model``; `NAME/simulated` is tensor NAME after quantization."""
    proto = onnx.ModelProto.FromString(io.to_bytes(plan.model))
    graph = proto.graph
    replaced = {str(name): weights for name, weights in plan.weights.items()}
    readers = {str(unit.node.name): len(unit.inputs) for unit in plan.selection.units}
    made_by_unit = {str(unit.output.name) for unit in plan.selection.units}
    for node in graph.node:
        if node.name in replaced:
            _replace_weights(graph, node, replaced[node.name])
    for value, param in plan.params.items():
        name = str(value.name)
        nodes = _quantize_nodes(graph, name, param)
        for node in graph.node:
            for index, source in enumerate(node.input):
                if source == name and (name in made_by_unit or index < readers.get(node.name, 0)):
                    node.input[index] = f"{name}/simulated"
        position = next((i + 1 for i, node in enumerate(graph.node) if name in node.output), 0)
        for node in reversed(nodes):
            graph.node.insert(position, node)
    return proto


def observe(
    proto: onnx.ModelProto, names: Sequence[str], input_name: str, samples: Samples
) -> Iterator[dict[str, FloatArray]]:
    """Run ``proto`` on ``samples`` and yield the tensors ``names`` micro-batch by micro-batch, [samples, …] each.

    Samples are batched as in calibration: one by one if the model turns out to run no other way. Raises InputError if
    it does not run on a single one.
    """
    names = list(dict.fromkeys(names))
    runner = Runner(proto.SerializeToString(), names, [input_name])
    waiting = iter(samples)
    while batch := [{input_name: sample} for sample in islice(waiting, runner.batch)]:
        for arrays, _ in runner.run(batch):
            yield arrays


def _replace_weights(graph: onnx.GraphProto, node: onnx.NodeProto, weights: QuantizedWeights) -> None:
    for index, array in ((1, weights.dequantized()), (2, float_bias(weights))):
        if array is None:
            continue
        name = f"{node.name}/simulated_{index}"
        graph.initializer.append(numpy_helper.from_array(array, name))
        node.input[index] = name


def _quantize_nodes(graph: onnx.GraphProto, name: str, param: ActivationParams) -> list[onnx.NodeProto]:
    low, high = param.q_min - param.zero_point, param.q_max - param.zero_point
    for kind, number in (("scale", param.scale), ("low", low), ("high", high)):
        tensor = numpy_helper.from_array(np.asarray(number, np.float32), f"{name}/simulated_{kind}")
        graph.initializer.append(tensor)
    steps = [
        ("Div", [name, f"{name}/simulated_scale"]),
        ("Round", []),
        ("Clip", [f"{name}/simulated_low", f"{name}/simulated_high"]),
        ("Mul", [f"{name}/simulated_scale"]),
    ]
    nodes, source = [], ""
    for op_type, inputs in steps:
        output = f"{name}/simulated" if op_type == "Mul" else f"{name}/simulated_{op_type}"
        nodes.append(
            helper.make_node(op_type, [source, *inputs] if source else inputs, [output], name=output)
        )
        source = output
    return nodes
