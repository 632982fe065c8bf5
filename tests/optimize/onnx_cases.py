"""The node test cases of the onnx package whose one node is an operator that we claim, as models that `opt` can take."""

from __future__ import annotations

import functools
import itertools
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from ptq_core.graph.inline_functions import DEFINED_BY_OTHERS
from ptq_core.optimize.lowering.operators import OPERATORS

Array = NDArray[Any]

CLAIMED = {*OPERATORS, *itertools.chain(*DEFINED_BY_OTHERS)}
"""Operators that lower, or that are inlined before."""

CONSTANT_INPUTS = {
    "Conv": (1, 2),
    "ConvTranspose": (1, 2),
    "DequantizeLinear": (1, 2),
    "GRU": (1, 2, 3),
    "LSTM": (1, 2, 3, 7),
    "MaxUnpool": (2,),
    "Pad": (2,),
    "QuantizeLinear": (1, 2),
    "RNN": (1, 2, 3),
    "OneHot": (1, 2),
    "Resize": (1, 2),
    "TopK": (1,),
    "Upsample": (1,),
}
"""Op type → float inputs that are constants by the stated limits. Scalars, and inputs of another type than input 0, are
constants always (but input 0, and operands of COMPUTED)."""

COMPUTED = ("Where", "Gather", "GatherElements", "GatherND", "ScatterElements", "ScatterND", "MaxUnpool")
"""Op types whose operands are of several types."""

CONSTANT_TOO = {"Gemm": (1, 2), "MatMul": (1,)}
"""Op type → float inputs that may be constants as well as computed: there is a second case, NAME_constant."""


@dataclass(frozen=True)
class Case:
    """A model whose parameters are initializers, its remaining inputs and the outputs that they give."""

    name: str
    op_type: str
    model: onnx.ModelProto
    inputs: tuple[Array, ...]
    outputs: tuple[Array, ...]
    rtol: float
    atol: float


@functools.cache
def cases() -> dict[str, Case]:
    """Name → case, for every node case with exactly one node, that of a claimed type, but triu_zero: its batch of 0 becomes 1."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the cases divide by zero on purpose
        from onnx.backend.test.loader import load_model_tests

        found = load_model_tests(kind="node")
    chosen = {}
    for case in found:
        assert case.model is not None
        graph = case.model.graph
        nodes, tensors = graph.node, all(value.type.HasField("tensor_type") for value in graph.input)
        if (
            len(nodes) == 1
            and nodes[0].op_type in CLAIMED
            and nodes[0].domain in ("", "ai.onnx")
            and tensors
            and case.name != "test_triu_zero"
        ):
            name = case.name.removeprefix("test_")
            chosen[name] = _case(case, name, CONSTANT_INPUTS.get(nodes[0].op_type, ()))
            if nodes[0].op_type in CONSTANT_TOO:
                name = f"{name}_constant"
                chosen[name] = _case(case, name, CONSTANT_TOO[nodes[0].op_type])
    return chosen


def _case(case: Any, label: str, constants: tuple[int, ...]) -> Case:
    model = onnx.ModelProto.FromString(case.model.SerializeToString())
    (node,) = model.graph.node
    inputs, outputs = case.data_sets[0]
    constant = {
        name
        for position, name in enumerate(node.input)
        if position and (position in constants or not _is_operand(model, node, name))
    }
    kept, arrays = [], []
    for value, array in zip(model.graph.input, inputs, strict=True):
        if value.name not in node.input:  # the model of a CastLike written out still has what it was like
            continue
        if value.name in constant:
            model.graph.initializer.append(_tensor(array, value.name))
        else:
            kept.append(value)
            arrays.append(array)
    del model.graph.input[:]
    model.graph.input.extend(kept)
    fed, given = ([_array(each) for each in values] for values in (arrays, outputs))
    return Case(label, node.op_type, model, tuple(fed), tuple(given), case.rtol, case.atol)


def _is_operand(model: onnx.ModelProto, node: onnx.NodeProto, name: str) -> bool:
    types = {value.name: value.type.tensor_type for value in model.graph.input}
    found, first = types.get(name), types.get(node.input[0])
    if found is None or first is None or not found.shape.dim:
        return False
    return found.elem_type == first.elem_type or node.op_type in COMPUTED


def _array(value: Any) -> Any:
    """The cases of some types have tensors."""
    return numpy_helper.to_array(value) if isinstance(value, onnx.TensorProto) else value


def _tensor(array: Any, name: str) -> onnx.TensorProto:
    if isinstance(array, onnx.TensorProto):
        renamed = onnx.TensorProto()
        renamed.CopyFrom(array)
        renamed.name = name
        return renamed
    return numpy_helper.from_array(np.asarray(array), name)
