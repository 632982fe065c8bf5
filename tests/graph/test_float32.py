"""Models of other floats become float32: they compute what onnxruntime computes with the model as it was, and say so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from ptq_cli import main
from ptq_core.errors import InputError
from ptq_core.flatfile.reader import load_program
from ptq_core.graph import io
from ptq_core.graph.float32 import conversion_note
from ptq_core.graph.session import open_session
from tests.models import Builder, mobile_block, save

HALF, BRAIN, DOUBLE, FLOAT = TensorProto.FLOAT16, TensorProto.BFLOAT16, TensorProto.DOUBLE, TensorProto.FLOAT
NAMES: dict[int, str] = {HALF: "float16", BRAIN: "bfloat16", DOUBLE: "float64"}


def in_type(model: onnx.ModelProto, dtype: int, *, ends: bool = True) -> onnx.ModelProto:
    """``model`` of float32 with all its floats of ``dtype``; without ``ends`` its input and output stay, behind Casts."""
    inferred = onnx.shape_inference.infer_shapes(model)
    graph = inferred.graph
    for tensor in graph.initializer:
        if tensor.data_type == FLOAT:
            array = numpy_helper.to_array(tensor).astype(helper.tensor_dtype_to_np_dtype(dtype))
            tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))
    fed, given = graph.input[0].name, graph.output[0].name
    for value in (*graph.value_info, *(graph.input if ends else ()), *(graph.output if ends else ())):
        if value.type.tensor_type.elem_type == FLOAT:
            value.type.tensor_type.elem_type = dtype
    if not ends:
        for node in graph.node:
            node.input[:] = ["inside/fed" if name == fed else name for name in node.input]
            node.output[:] = ["inside/given" if name == given else name for name in node.output]
        graph.node.insert(0, helper.make_node("Cast", [fed], ["inside/fed"], name="in", to=dtype))
        graph.node.append(helper.make_node("Cast", ["inside/given"], [given], name="out", to=FLOAT))
    onnx.checker.check_model(inferred)
    return inferred


def products() -> onnx.ModelProto:
    """Operators that onnxruntime computes in float64 too, with weights large enough to lie apart (wire.MIN_BYTES)."""
    b = Builder()
    x = b.node("MatMul", "product", ["input", b.weight("w", 64, 40, scale=0.2)])
    x = b.node("Relu", "relu", [b.node("Add", "sum", [x, b.weight("bias", 40)])])
    return b.model(b.node("Softmax", "softmax", [x], axis=-1), shape=(2, 5, 64))


def run(model: onnx.ModelProto | bytes, *feeds: Any) -> list[Any]:
    session = open_session(model if isinstance(model, bytes) else model.SerializeToString())
    return list(session.run(None, {i.name: x for i, x in zip(session.get_inputs(), feeds, strict=True)}))


@pytest.mark.parametrize("ends", [True, False])
@pytest.mark.parametrize(
    ("network", "dtype", "error"),
    [(mobile_block, HALF, 3e-3), (products, HALF, 3e-3), (products, DOUBLE, 1e-6)],
)
def test_it_computes_what_it_computed(
    tmp_path: Path, network: Any, dtype: int, error: float, ends: bool
) -> None:
    model = in_type(network(), dtype, ends=ends)
    loaded = io.load_model(save(model, tmp_path))
    assert NAMES[dtype] in conversion_note(loaded)
    assert {v.dtype.name for v in (*loaded.graph.inputs, *loaded.graph.initializers.values()) if v.dtype} <= {
        "FLOAT",
        "INT64",
    }
    fed = helper.tensor_dtype_to_np_dtype(model.graph.input[0].type.tensor_type.elem_type)
    shape = [d.dim_value or 2 for d in model.graph.input[0].type.tensor_type.shape.dim]
    x = np.random.default_rng(1).uniform(-1, 1, shape).astype(fed)
    (wanted,), (got,) = run(model, x), run(io.to_bytes(loaded), x.astype(np.float32))
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, wanted.astype(np.float32), atol=error)


def test_bfloat16_is_exact(tmp_path: Path) -> None:
    """onnxruntime has no kernels for it: weights of few bits are the same in both."""
    model, narrow = mobile_block(), mobile_block()
    for tensor in narrow.graph.initializer:
        brain = numpy_helper.to_array(tensor).astype(helper.tensor_dtype_to_np_dtype(BRAIN))
        tensor.CopyFrom(numpy_helper.from_array(brain.astype(np.float32), tensor.name))
    loaded = io.load_model(save(in_type(model, BRAIN), tmp_path))
    x = np.random.default_rng(1).uniform(-1, 1, (1, 3, 16, 16)).astype(np.float32)
    np.testing.assert_array_equal(run(io.to_bytes(loaded), x)[0], run(narrow, x)[0])


def test_a_float32_model_has_no_note(tmp_path: Path) -> None:
    assert conversion_note(io.load_model(save(mobile_block(), tmp_path))) == ""


def test_values_beyond_the_range(tmp_path: Path) -> None:
    """A mask of -1e300 stays finite, an epsilon of 1e-60 stays no 0."""
    b = Builder()
    x = b.node("Add", "mask", ["input", b.constant("m", np.array([0, -1e300, 1e300, -np.inf]))])
    x = b.node("Div", "divide", [x, b.constant("e", np.array([1, 1, 1e-60, 1]))])
    model = b.model(x, shape=(1, 4))
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.elem_type = DOUBLE
    loaded = io.load_model(save(model, tmp_path))
    largest, smallest = np.finfo(np.float32).max, np.finfo(np.float32).smallest_normal
    constants = {n: v.const_value.numpy() for n, v in loaded.graph.initializers.items() if v.const_value}
    assert constants["m"].tolist() == [0, -largest, largest, -np.inf]
    assert constants["e"].tolist() == [1, 1, smallest, 1]
    assert "2 constants have values beyond its range" in conversion_note(loaded)


def test_sizes_are_computed_before(tmp_path: Path) -> None:
    """floor(20 · 1.05) is 21 in float64, and 20 in float32."""
    b = Builder()
    size = b.node(
        "Slice", "hw", [b.node("Shape", "shape", ["input"]), *_ints(b, "from", [2]), *_ints(b, "to", [4])]
    )
    wide = b.node("Cast", "wide", [size], to=DOUBLE)
    scaled = b.node("Floor", "floor", [b.node("Mul", "mul", [wide, b.constant("s", np.array([1.05, 1.05]))])])
    sizes = b.node(
        "Concat",
        "sizes",
        [*_ints(b, "nc", [1, 3]), b.node("Cast", "whole", [scaled], to=TensorProto.INT64)],
        axis=0,
    )
    y = b.node("Resize", "resize", ["input", "", "", sizes], mode="nearest")
    model = b.model(y, shape=(1, 3, 20, 20))
    loaded = io.load_model(save(model, tmp_path))
    assert run(io.to_bytes(loaded), np.zeros((1, 3, 20, 20), np.float32))[0].shape == (1, 3, 21, 21)


def _ints(b: Builder, name: str, values: list[int]) -> list[str]:
    return [b.constant(name, np.array(values, np.int64))]


NODES = {
    "constant node": [
        helper.make_node("Constant", [], ["c"], value=helper.make_tensor("c", HALF, [2], [0.5, 2.0])),
        helper.make_node("Mul", ["x", "c"], ["y"]),
    ],
    "constant of shape": [
        helper.make_node("Shape", ["x"], ["s"]),
        helper.make_node("ConstantOfShape", ["s"], ["c"], value=helper.make_tensor("c", HALF, [1], [3])),
        helper.make_node("Add", ["x", "c"], ["y"]),
    ],
    "cast like": [
        helper.make_node("Cast", ["x"], ["i"], to=TensorProto.INT32),
        helper.make_node("CastLike", ["i", "x"], ["f"]),
        helper.make_node("Add", ["x", "f"], ["y"]),
    ],
    "eye like": [
        helper.make_node("EyeLike", ["x"], ["c"], dtype=HALF),
        helper.make_node("Add", ["x", "c"], ["y"]),
    ],
    "if": [
        helper.make_node("ReduceSum", ["x"], ["sum"], keepdims=0),
        helper.make_node("Cast", ["sum"], ["b"], to=TensorProto.BOOL),
        helper.make_node(
            "If",
            ["b"],
            ["y"],
            **{  # type: ignore[arg-type]
                branch: helper.make_graph(
                    [helper.make_node("Mul", ["x", f"k{value}"], [f"y{value}"])],
                    "branch",
                    [],
                    [helper.make_tensor_value_info(f"y{value}", HALF, None)],
                    [helper.make_tensor(f"k{value}", HALF, [1], [value])],
                )
                for branch, value in (("then_branch", 2), ("else_branch", 3))
            },
        ),
    ],
    "quantized": [
        helper.make_node("Constant", [], ["s"], value=helper.make_tensor("s", HALF, [], [0.25])),
        helper.make_node("Constant", [], ["z"], value=helper.make_tensor("z", TensorProto.INT8, [], [0])),
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["y"]),
    ],
    "function": [helper.make_node("Twice", ["x"], ["y"], domain="own")],
}
TWICE = helper.make_function(
    "own",
    "Twice",
    ["a"],
    ["b"],
    [
        helper.make_node("Constant", [], ["two"], value=helper.make_tensor("two", HALF, [], [2])),
        helper.make_node("Mul", ["a", "two"], ["b"]),
    ],
    [helper.make_opsetid("", 21)],
)


@pytest.mark.parametrize("name", NODES)
def test_every_place_of_a_type(tmp_path: Path, name: str) -> None:
    ends = [helper.make_tensor_value_info(each, HALF, [2, 2]) for each in "xy"]
    graph = helper.make_graph(NODES[name], "g", ends[:1], ends[1:])
    opsets = [helper.make_opsetid("", 21), helper.make_opsetid("own", 1)]
    functions = [TWICE] if name == "function" else []
    model = helper.make_model(graph, opset_imports=opsets, functions=functions, ir_version=10)
    loaded = io.load_model(save(model, tmp_path))
    assert "float16" in conversion_note(loaded)
    x = np.array([[0.5, -1.25], [2, 3]], np.float16)
    (wanted,), (got,) = run(model, x), run(io.to_bytes(loaded), x.astype(np.float32))
    np.testing.assert_array_equal(got, wanted.astype(np.float32))
    assert got.dtype == np.float32


@pytest.mark.parametrize("dtype", NAMES)
@pytest.mark.parametrize("ends", [True, False])
def test_commands_say_so(tmp_path: Path, capsys: pytest.CaptureFixture[str], dtype: int, ends: bool) -> None:
    source = save(in_type(products(), dtype, ends=ends), tmp_path)
    words = f"the model's {NAMES[dtype]} is computed as float32"
    for arguments in (
        ["opt", "--model-file", str(source), "--optimize-out", str(tmp_path / "out")],
        [
            "opt",
            "--model-file",
            str(source),
            "--optimize-out",
            str(tmp_path / "out"),
            "--optimize-out-type",
            "protobuf",
        ],
        ["show", str(source)],
    ):
        assert main.run(arguments) == 0
        assert words in capsys.readouterr().out
    x = np.zeros((2, 5, 64), np.float32)
    assert run(onnx.load(tmp_path / "out.onnx"), x)[0].dtype == np.float32
    assert [load_program(tmp_path / "out.nb").tensors[i].dims for i in (0,)] == [(2, 5, 64)]


def test_bits_are_not_those_of_another_type(tmp_path: Path) -> None:
    node = helper.make_node("BitCast", ["x"], ["y"], name="bits", to=TensorProto.INT16)
    graph = helper.make_graph(
        [node],
        "g",
        [helper.make_tensor_value_info("x", HALF, [2])],
        [helper.make_tensor_value_info("y", TensorProto.INT16, [2])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 26)])
    with pytest.raises(InputError, match="`bits` is a BitCast"):
        io.load_model(save(model, tmp_path))
