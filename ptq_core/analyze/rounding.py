"""What a plan rounds, by names: the values, where they are read rounded, and the weights; and the nodes that do so."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from ptq_core.numerics import qparams
from ptq_core.quantize.activations import ActivationParams
from ptq_core.quantize.plan import QuantizationPlan
from ptq_core.quantize.simulation import float_bias
from ptq_core.quantize.weights import QuantizedWeights

Place = tuple[str, int]
"""A node's name, and the index of one of its inputs."""


@dataclass(frozen=True)
class Rounding:
    """A plan as a simulation in float needs it; empty is the float model.

    ``everywhere``: values that int8 operators make, so that everybody reads them rounded. ``places``: where int8 operators read
    a value of the float graph; others read that as it is. ``weights``: by node.
    """

    everywhere: Mapping[str, ActivationParams] = field(default_factory=dict)
    places: Mapping[Place, ActivationParams] = field(default_factory=dict)
    weights: Mapping[str, QuantizedWeights] = field(default_factory=dict)


def rounding_of(plan: QuantizationPlan) -> Rounding:
    """All that ``plan`` rounds, where ``insertion.insert_qdq`` would put it."""
    made = {value for unit in plan.selection.units for value in unit.outputs}
    places = {}
    for unit in plan.selection.units:
        for index in unit.data:
            value = unit.node.inputs[index] if index < len(unit.node.inputs) else None
            if value is not None and value in plan.params and value not in made:
                places[str(unit.node.name), index] = plan.params[value]
    everywhere = {str(value.name): param for value, param in plan.params.items() if value in made}
    return Rounding(everywhere, places, plan.weights)


def rounded(values: NDArray[np.float32], param: ActivationParams) -> NDArray[np.float32]:
    """What ``values`` are after QuantizeLinear and DequantizeLinear, float32 of their shape."""
    integers = qparams.quantize_affine(values, param.scale, param.zero_point, param.q_min, param.q_max)
    result: NDArray[np.float32] = (integers.astype(np.float32) - np.float32(param.zero_point)) * param.scale
    return result


def rounding_nodes(
    source: str, target: str, param: ActivationParams
) -> tuple[list[onnx.NodeProto], list[onnx.TensorProto]]:
    """Nodes that write ``target``, which is ``source`` rounded, and their constants.

    QuantizeLinear and DequantizeLinear where the integers are all those of int8; else the same in float arithmetic, which
    needs no opset beyond 13.
    """
    if param.storage == np.int8 and param.bounds is None:
        constants = [
            _tensor(f"{target}/~scale", param.scale),
            _tensor(f"{target}/~zero", np.int8(param.zero_point)),
        ]
        names = [constant.name for constant in constants]
        steps = [("QuantizeLinear", names), ("DequantizeLinear", names)]
    else:
        low, high = param.q_min - param.zero_point, param.q_max - param.zero_point
        constants = [
            _tensor(f"{target}/~{kind}", np.float32(number))
            for kind, number in (("scale", param.scale), ("low", low), ("high", high))
        ]
        scale, *bounds = [constant.name for constant in constants]
        steps = [("Div", [scale]), ("Round", []), ("Clip", bounds), ("Mul", [scale])]
    nodes = []
    for number, (op_type, operands) in enumerate(steps):
        result = target if number == len(steps) - 1 else f"{target}/~{number}"
        nodes.append(
            helper.make_node(op_type, [source, *operands], [result], name=f"{target}/~node_{number}")
        )
        source = result
    return nodes, constants


def weight_constants(node: str, weights: QuantizedWeights) -> Iterable[tuple[int, onnx.TensorProto]]:
    """The rounded weights of ``node``, and its bias, each with the index of its input."""
    for index, array in ((1, weights.dequantized()), (2, float_bias(weights))):
        if array is not None:
            yield index, numpy_helper.from_array(array, f"{node}/~rounded_{index}")


def _tensor(name: str, number: np.generic) -> onnx.TensorProto:
    return numpy_helper.from_array(np.asarray(number), name)
