"""Ifs of a known condition: the loaded model has the branch instead, and computes what onnxruntime computes with the If."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import GraphProto, TensorProto, helper, numpy_helper

from ptq_core.graph import io
from ptq_core.graph.session import open_session

SHAPE = (1, 3, 4, 5)


def value(name: str, shape: Any = SHAPE) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)


def branch(*nodes: onnx.NodeProto, outputs: str, constants: dict[str, Any] | None = None) -> GraphProto:
    tensors = [numpy_helper.from_array(np.asarray(array), name) for name, array in (constants or {}).items()]
    return helper.make_graph(nodes, "branch", [], [value(name, None) for name in outputs.split()], tensors)


def node(op_type: str, inputs: str, outputs: str, **attributes: Any) -> onnx.NodeProto:
    return helper.make_node(
        op_type, inputs.split(), outputs.split(), name=f"{outputs.split()[0]}_node", **attributes
    )


def choose(
    condition: str, then: GraphProto, other: GraphProto | None = None, outputs: str = "i"
) -> onnx.NodeProto:
    other = other or branch(
        *(node("Neg", "a", f"other_{name}") for name in outputs.split()),
        outputs=" ".join(f"other_{name}" for name in outputs.split()),
    )
    return node("If", condition, outputs, then_branch=then, else_branch=other)


ABS = branch(node("Abs", "a", "t"), outputs="t")
NEG = branch(node("Neg", "a", "e"), outputs="e")
SQUEEZE = (
    node("Shape", "x", "shape"),
    node("Gather", "shape axis", "size", axis=0),
    node("Equal", "size three", "condition"),
)

CASES: dict[str, tuple[list[onnx.NodeProto], dict[str, Any], list[str]]] = {
    # nodes behind `a = Relu(x)`, constants, op types of the loaded model
    "true": ([choose("c", ABS, NEG)], {"c": True}, ["Relu", "Abs"]),
    "false": ([choose("c", ABS, NEG)], {"c": np.array([False])}, ["Relu", "Neg"]),
    "constant node": (
        [
            node("Constant", "", "c", value=numpy_helper.from_array(np.array(False))),
            node("Not", "c", "d"),
            choose("d", ABS),
        ],
        {},
        ["Relu", "Abs"],
    ),
    "of a dimension": ([*SQUEEZE, choose("condition", ABS)], {"axis": 1, "three": 3}, ["Relu", "Abs"]),
    "of a slice of the shape": (
        [
            node("Shape", "a", "shape"),
            node("Slice", "shape one two", "part"),
            node("Squeeze", "part", "size"),
            node("Greater", "size three", "condition"),
            choose("condition", ABS),
        ],
        {"one": [2], "two": [3], "three": 3},
        ["Relu", "Abs"],
    ),
    "of the size": (
        [
            node("Size", "a", "size"),
            node("Cast", "size", "cast", to=TensorProto.BOOL),
            choose("cast", ABS),
        ],
        {},
        ["Relu", "Abs"],
    ),
    "nested": (
        [
            choose(
                "c",
                branch(node("Abs", "a", "b"), choose("c", branch(node("Exp", "b", "t"), outputs="t"), NEG, "j"), outputs="j"),
            )
        ],
        {"c": True},
        ["Relu", "Abs", "Exp"],
    ),
    "one after another, the same names inside": (
        [choose("c", ABS, ABS), node("Sqrt", "i", "r"), choose("c", branch(node("Exp", "r", "t"), outputs="t"), NEG, "j")],
        {"c": True},
        ["Relu", "Abs", "Sqrt", "Exp"],
    ),
    "the second depends on the first": (
        [
            choose(
                "c",
                branch(node("Squeeze", "a axes", "t"), outputs="t"),
                branch(node("Identity", "a", "e"), outputs="e"),
            ),
            node("Shape", "i", "shape"),
            node("Gather", "shape zero", "size", axis=0),
            node("Equal", "size three", "condition"),
            choose("condition", branch(node("Abs", "i", "u"), outputs="u"), branch(node("Neg", "i", "v"), outputs="v"), "j"),
            node("Unsqueeze", "j axes", "k"),
        ],
        {"c": True, "zero": 0, "three": 3, "axes": [0]},
        ["Relu", "Squeeze", "Abs", "Unsqueeze"],
    ),
    "two outputs": (
        [
            choose("c", branch(node("Abs", "a", "t"), node("Exp", "t", "u"), outputs="u t"), outputs="i j"),
            node("Sub", "i j", "z"),
        ],
        {"c": True},
        ["Relu", "Abs", "Exp", "Sub"],
    ),
    "a constant is the result": (
        [choose("c", branch(outputs="k", constants={"k": np.ones(SHAPE, np.float32)})), node("Sub", "a i", "j")],
        {"c": True},
        ["Relu", "Identity", "Sub"],
    ),
    "constants of the branch": (
        [
            choose("c", branch(node("Mul", "a k", "t"), outputs="t", constants={"k": np.float32(3)})),
            choose("c", branch(node("Add", "i k", "t"), outputs="t", constants={"k": np.float32(5)}), outputs="j"),
        ],
        {"c": True},
        ["Relu", "Mul", "Add"],
    ),
    "not known": (
        [node("ReduceMax", "a", "max", keepdims=0), node("Cast", "max", "d", to=TensorProto.BOOL), choose("d", ABS)],
        {},
        ["Relu", "ReduceMax", "Cast", "If"],
    ),
}  # fmt: skip


def model_of(
    nodes: list[onnx.NodeProto],
    constants: dict[str, Any],
    batch: int | str = 1,
    opset: int = 13,
    rank: int = 4,
) -> onnx.ModelProto:
    shape = [batch, *SHAPE[1:]]
    graph = helper.make_graph(
        [node("Relu", "x", "a"), *nodes],
        "graph",
        [value("x", shape)],
        [value(nodes[-1].output[0], ["n", "c", "h", "w"][-rank:])],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


@pytest.mark.parametrize("batch", [1, "N"])
@pytest.mark.parametrize(("nodes", "constants", "op_types"), CASES.values(), ids=CASES)
def test_the_branch_takes_the_place_of_the_if(
    tmp_path: Path,
    nodes: list[onnx.NodeProto],
    constants: dict[str, Any],
    op_types: list[str],
    batch: int | str,
) -> None:
    path = tmp_path / "m.onnx"
    onnx.save(model_of(nodes, constants, batch), path)
    x = np.random.default_rng(0).standard_normal(SHAPE).astype(np.float32)
    loaded = io.load_model(path)
    known = not (batch == "N" and any(n.op_type == "Size" for n in nodes))  # its value depends on the batch
    assert [n.op_type for n in loaded.graph] == (op_types if known else ["Relu", "Size", "Cast", "If"])
    assert loaded.graph.outputs[0].name == nodes[-1].output[0]
    proto = onnx.ModelProto.FromString(io.to_bytes(loaded))
    onnx.checker.check_model(proto, full_check=True)
    (wanted,), (got,) = (open_session(source).run(None, {"x": x}) for source in (path, io.to_bytes(loaded)))
    np.testing.assert_array_equal(got, wanted)


def test_the_values_of_the_if_keep_their_names(tmp_path: Path) -> None:
    """`t` is inside both; outside it is another value, which keeps the name."""
    nodes = [choose("c", ABS), node("Exp", "i", "t"), node("Add", "t i", "y")]
    path = tmp_path / "m.onnx"
    onnx.save(model_of(nodes, {"c": True}), path)
    made = {str(n.outputs[0].name): n.op_type for n in io.load_model(path).graph}
    assert made == {"a": "Relu", "i": "Abs", "t": "Exp", "y": "Add"}


def test_a_branch_of_an_old_opset_is_converted(tmp_path: Path) -> None:
    """onnx's version converter leaves graphs inside nodes as they are."""
    taken = branch(node("Squeeze", "a", "s", axes=[0]), outputs="s")
    path = tmp_path / "m.onnx"
    onnx.save(model_of([choose("c", taken)], {"c": True}, opset=11, rank=3), path)
    x = np.random.default_rng(0).standard_normal(SHAPE).astype(np.float32)
    loaded = io.load_model(path)
    assert [n.op_type for n in loaded.graph] == ["Relu", "Constant", "Squeeze"]
    np.testing.assert_array_equal(open_session(io.to_bytes(loaded)).run(None, {"x": x})[0], x.clip(0)[0])


def test_input_shape_decides_too(tmp_path: Path) -> None:
    nodes, constants, _ = CASES["of the size"]
    path = tmp_path / "m.onnx"
    onnx.save(model_of(nodes, constants, "N"), path)
    assert [n.op_type for n in io.load_model(path, input_shape=SHAPE).graph] == ["Relu", "Abs"]
