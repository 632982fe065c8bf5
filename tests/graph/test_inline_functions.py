"""Local functions: the loaded model has their nodes, and computes what onnxruntime computes with the functions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import FunctionProto, TensorProto, helper, numpy_helper

from ptq_core.errors import InputError
from ptq_core.graph import io
from ptq_core.graph.session import open_session

SHAPE = (1, 4, 6, 6)


def call(name: str, inputs: str, outputs: str, **attributes: Any) -> onnx.NodeProto:
    return helper.make_node(
        name, inputs.split(), outputs.split(), name=f"{outputs}_call", domain="pkg", **attributes
    )


def node(op_type: str, inputs: str, outputs: str, **attributes: Any) -> onnx.NodeProto:
    return helper.make_node(op_type, inputs.split(), outputs.split(), **attributes)


def function(
    name: str, inputs: str, outputs: str, *nodes: onnx.NodeProto, opset: int = 17, **more: Any
) -> FunctionProto:
    opsets = [helper.make_opsetid("", opset), helper.make_opsetid("pkg", 1)]
    return helper.make_function("pkg", name, inputs.split(), outputs.split(), nodes, opsets, **more)


CONV_RELU = function("ConvRelu", "a k", "o", node("Conv", "a k", "t", pads=[1] * 4), node("Relu", "t", "o"))
TWICE = function("Twice", "a k", "o", call("ConvRelu", "a k", "t"), call("ConvRelu", "t k", "o"))
LEAKY = function("Leaky", "a", "o", node("LeakyRelu", "a", "o"), attributes=["alpha"])
LEAKY.node[0].attribute.append(
    onnx.AttributeProto(name="alpha", ref_attr_name="alpha", type=onnx.AttributeProto.FLOAT)
)
_CHOICE = [
    helper.make_graph(
        [node(op, "a", "b")], "b", [], [helper.make_tensor_value_info("b", TensorProto.FLOAT, None)]
    )
    for op in ("Abs", "Neg")
]
CHOOSE = function(
    "Choose", "a", "o",
    node("Constant", "", "c", value=numpy_helper.from_array(np.array(True))),
    node("If", "c", "o", then_branch=_CHOICE[0], else_branch=_CHOICE[1]),
)  # fmt: skip

CASES: dict[str, tuple[list[FunctionProto], list[onnx.NodeProto], list[str]]] = {
    "twice": (
        [CONV_RELU],
        [call("ConvRelu", "x k", "t"), call("ConvRelu", "t k", "y")],
        ["Conv", "Relu"] * 2,
    ),
    "in a function": ([CONV_RELU, TWICE], [call("Twice", "x k", "y")], ["Conv", "Relu"] * 2),
    "with an attribute": ([LEAKY], [call("Leaky", "x", "y", alpha=0.25)], ["LeakyRelu"]),
    "with an If": ([CHOOSE], [call("Choose", "x", "y")], ["Constant", "Abs"]),
    "of another opset": (
        [function("F", "a", "o", node("Relu", "a", "o"), opset=14)],
        [call("F", "x", "y")],
        ["Relu"],
    ),
    "a name that the graph has too": (
        [CONV_RELU],
        [node("Neg", "x", "n"), call("ConvRelu", "n k", "u"), node("Exp", "u", "t"), node("Add", "t u", "y")],
        ["Neg", "Conv", "Relu", "Exp", "Add"],
    ),
}


def model_of(functions: list[FunctionProto], nodes: list[onnx.NodeProto]) -> onnx.ModelProto:
    weight = np.random.default_rng(1).standard_normal((4, 4, 3, 3)).astype(np.float32)
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, SHAPE)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, SHAPE)],
        [numpy_helper.from_array(weight, "k")],
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("pkg", 1)]
    return helper.make_model(graph, functions=functions, opset_imports=opsets, ir_version=8)


@pytest.mark.parametrize(("functions", "nodes", "op_types"), CASES.values(), ids=CASES)
def test_the_body_takes_the_place_of_the_call(
    tmp_path: Path, functions: list[FunctionProto], nodes: list[onnx.NodeProto], op_types: list[str]
) -> None:
    path = tmp_path / "m.onnx"
    onnx.save(model_of(functions, nodes), path)
    loaded = io.load_model(path)
    assert [n.op_type for n in loaded.graph if n.op_type != "Constant"] == [
        op_type for op_type in op_types if op_type != "Constant"
    ]
    assert len({n.name for n in loaded.graph}) == len(loaded.graph)
    assert not loaded.functions
    assert list(loaded.graph.opset_imports) == [""]
    x = np.random.default_rng(0).standard_normal(SHAPE).astype(np.float32)
    (wanted,), (got,) = (open_session(source).run(None, {"x": x}) for source in (path, io.to_bytes(loaded)))
    np.testing.assert_array_equal(got, wanted)


def chain(levels: int) -> list[FunctionProto]:
    """Each calls the next one twice."""
    functions = [
        function(f"F{i}", "a", "o", call(f"F{i + 1}", "a", "t"), call(f"F{i + 1}", "t", "o"))
        for i in range(levels)
    ]
    return [*functions, function(f"F{levels}", "a", "o", node("Relu", "a", "o"))]


@pytest.mark.parametrize(
    ("functions", "said"),
    [
        ([function("F0", "a", "o", call("F0", "a", "o"))], "must not be recursive"),
        (chain(40), f"stand for {2**40} nodes"),
        ([function("F0", "a", "o", node("NoOperator", "a", "o"))], "NoOperator"),
    ],
    ids=["recursive", "doubling", "unknown operator"],
)
def test_refused(tmp_path: Path, functions: list[FunctionProto], said: str) -> None:
    path = tmp_path / "m.onnx"
    onnx.save(model_of(functions, [call("F0", "x", "y")]), path)
    with pytest.raises(InputError, match=said):
        io.load_model(path)


def test_external_data_of_a_function_may_not_leave_the_folder(tmp_path: Path) -> None:
    body = node("Constant", "", "t", value=numpy_helper.from_array(np.ones(4, np.float32)))
    functions = [function("F", "a", "o", body, node("Add", "a t", "o"))]
    model = model_of(functions, [call("F", "x", "y")])
    tensor = model.functions[0].node[0].attribute[0].t
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../secret")
    (tmp_path / "secret").write_bytes(bytes(16))
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "m.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(InputError, match="outside its folder"):
        io.load_model(tmp_path / "model" / "m.onnx")
