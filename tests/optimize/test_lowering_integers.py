"""Integer and bool values of a model: each graph gives onnxruntime's values in onnxruntime's types, and is verified."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from ptq_core.errors import InputError
from ptq_core.flatfile.interpreter import run
from ptq_core.flatfile.reader import read_program
from ptq_core.graph.session import open_session
from ptq_core.optimize.pipeline import optimize
from ptq_core.runtime import Program
from tests.agreement import RUNTIME_IS_BUILT

Array = NDArray[Any]
FLOAT, INT32, INT64 = np.float32, np.int32, np.int64
UINT8, BOOL = np.uint8, np.bool_
TYPES = [FLOAT, INT32, INT64, UINT8, BOOL]
INTEGERS = [INT32, INT64, UINT8]
DIMS = (2, 3, 4, 5)


def values(dtype: type, dims: Sequence[int] = DIMS, seed: int = 0) -> Array:
    """Small numbers, among them 0 and of both signs, and some halves of floats."""
    random = np.random.default_rng(seed)
    if dtype is BOOL:
        return random.integers(0, 2, dims).astype(BOOL)
    low = 0 if dtype is UINT8 else -6
    integers = random.integers(low, 7, dims)
    return (integers / 2 if dtype is FLOAT else integers).astype(dtype)


def model(nodes: Sequence[onnx.NodeProto], inputs: Sequence[Array], *constants: Array) -> onnx.ModelProto:
    """``nodes`` on inputs x0, x1 … and constants c0, c1 …; the output is y."""
    feeds = {f"x{i}": x for i, x in enumerate(inputs)}
    graph = helper.make_graph(
        nodes,
        "integers",
        [
            helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(x.dtype), x.shape)
            for n, x in feeds.items()
        ],
        [onnx.ValueInfoProto(name="y")],
        [numpy_helper.from_array(c, f"c{i}") for i, c in enumerate(constants)],
    )
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    (known,) = onnx.shape_inference.infer_shapes(proto).graph.output
    proto.graph.output[0].CopyFrom(known)
    return proto


def assert_same(
    proto: onnx.ModelProto, inputs: Sequence[Array], folder: Path, verify: bool = RUNTIME_IS_BUILT
) -> None:
    """The reference, and the runtime where there is one, give onnxruntime's values, and the file passes verification."""
    source, out = folder / "m.onnx", folder / "m.nb"
    onnx.save(proto, str(source))
    report = optimize(source, out, targets=("host",), verify=verify)
    feeds = {value.name: x for value, x in zip(proto.graph.input, inputs, strict=True)}
    try:
        (wanted,) = open_session(proto.SerializeToString(), optimized=False).run(None, feeds)
        assert report.verified is None or report.verified.reason == ""
    except InputError:  # it has not every type
        (wanted,) = ReferenceEvaluator(proto).run(None, feeds)
    results = [run(read_program(out.read_bytes()), inputs)]
    if RUNTIME_IS_BUILT:
        with Program(out) as program:
            results.append(program.run(*inputs))
    for (got,) in results:
        assert got.dtype == wanted.dtype
        np.testing.assert_array_equal(got, wanted)


def node(op_type: str, *inputs: str, output: str = "y", **attributes: Any) -> onnx.NodeProto:
    return helper.make_node(op_type, list(inputs), [output], name=f"{op_type}_{output}", **attributes)


def of_type(dtype: type) -> int:
    return helper.np_dtype_to_tensor_dtype(np.dtype(dtype))


@pytest.mark.parametrize("to", TYPES)
@pytest.mark.parametrize("of", TYPES)
def test_cast(of: type, to: type, tmp_path: Path) -> None:
    x = values(of)
    x = np.abs(x) if (of, to) == (FLOAT, UINT8) else x  # onnxruntime has nothing to say of others
    assert_same(model([node("Cast", "x0", to=of_type(to))], [x]), [x], tmp_path)


OPERATORS: dict[str, list[Any]] = {
    "Equal": TYPES,
    "Less": [FLOAT, *INTEGERS],
    "LessOrEqual": [FLOAT, *INTEGERS],
    "Greater": [FLOAT, *INTEGERS],
    "GreaterOrEqual": [FLOAT, *INTEGERS],
    "And": [BOOL],
    "Or": [BOOL],
    "Xor": [BOOL],
    "Mod": INTEGERS,
    "Add": INTEGERS,
    "Sub": [INT32, INT64],
    "Mul": [INT32, INT64],
    "Div": INTEGERS,
    "Max": [INT32, INT64],
    "Min": [INT32, INT64],
}
OF_TWO = [(op, dtype) for op, types in OPERATORS.items() for dtype in types]


@pytest.mark.parametrize(("op_type", "dtype"), OF_TWO)
def test_of_two(op_type: str, dtype: type, tmp_path: Path) -> None:
    """Of two computed values and of a constant, with broadcasting."""
    a: Array = values(dtype)
    b: Array = values(dtype, (3, 1, 5), seed=1)
    if op_type in ("Mod", "Div"):
        b[b == 0] = 2
        a = a + np.array(3, dtype)
    divides = op_type in ("Mod", "Div")  # by 0, for inputs of the verification
    both = model([node(op_type, "x0", "x1")], [a, b])
    assert_same(both, [a, b], tmp_path, verify=RUNTIME_IS_BUILT and not divides)
    assert_same(model([node(op_type, "x0", "c0")], [a], b), [a], tmp_path)
    if not divides:
        assert_same(model([node(op_type, "c0", "x0")], [a], b), [a], tmp_path)


@pytest.mark.parametrize("dtype", [FLOAT, INT32])
def test_fmod(dtype: type, tmp_path: Path) -> None:
    a: Array = values(dtype) * np.array(3, dtype)
    b: Array = np.asarray([2, -2, 3, -3, 1]).astype(dtype)
    assert_same(model([node("Mod", "x0", "c0", fmod=1)], [a], b), [a], tmp_path)


@pytest.mark.parametrize("dtype", TYPES)
def test_where(dtype: type, tmp_path: Path) -> None:
    condition, a, b = values(BOOL, (2, 1, 4, 1)), values(dtype, (3, 1, 5)), values(dtype, (), seed=1)
    assert_same(model([node("Where", "x0", "x1", "c0")], [condition, a], b), [condition, a], tmp_path)
    assert_same(model([node("Where", "x0", "c0", "c1")], [condition], a, b), [condition], tmp_path)


MOVES: dict[str, tuple[Callable[[str], onnx.NodeProto], tuple[Array, ...]]] = {
    "transpose": (lambda x: node("Transpose", x, perm=[0, 2, 3, 1]), ()),
    "reshape": (lambda x: node("Reshape", x, "c0"), (np.array([6, 20]),)),
    "flip": (
        lambda x: node("Slice", x, "c0", "c1", "c2", "c3"),
        tuple(map(np.array, ([3, 4], [-9, 0], [2, 3], [-1, -2]))),
    ),
    "gather": (lambda x: node("Gather", x, "c0", axis=1), (np.array([2, 0, 0]),)),
    "concat": (lambda x: node("Concat", x, x, axis=1), ()),
    "pad": (lambda x: node("Pad", x, "c0"), (np.array([0, 0, 1, 2, 0, 1, 0, 1]),)),
    "tile": (lambda x: node("Tile", x, "c0"), (np.array([1, 2, 1, 3]),)),
    "expand": (lambda x: node("Expand", x, "c0"), (np.array([2, 2, 3, 4, 5]),)),
    "squeeze": (lambda x: node("Unsqueeze", x, "c0"), (np.array([0, 3]),)),
    "space": (lambda x: node("Pad", x, "c0", mode="reflect"), (np.array([0, 0, 1, 2, 0, 0, 0, 1]),)),
}


@pytest.mark.parametrize("dtype", [INT32, INT64, BOOL])
@pytest.mark.parametrize("name", MOVES)
def test_movement(name: str, dtype: type, tmp_path: Path) -> None:
    make, constants = MOVES[name]
    x = values(dtype)
    assert_same(model([make("x0")], [x], *constants), [x], tmp_path)


@pytest.mark.parametrize("dtype", [FLOAT, INT32])
@pytest.mark.parametrize("op_type", ["ArgMax", "ArgMin"])
@pytest.mark.parametrize("last", [0, 1])
def test_arg_max(op_type: str, dtype: type, last: int, tmp_path: Path) -> None:
    x = values(dtype)
    x.reshape(-1)[:2] = np.iinfo(INT32).min if dtype is INT32 else -3e38
    for axis in range(4):
        for keep in (0, 1):
            arg = node(op_type, "x0", axis=axis, keepdims=keep, select_last_index=last)
            assert_same(model([arg], [x]), [x], tmp_path)


def test_not_and_unusual_numbers(tmp_path: Path) -> None:
    x = values(FLOAT)
    x.reshape(-1)[:3] = np.inf, -np.inf, np.nan
    for nodes in (
        [node("IsNaN", "x0")],
        [node("IsInf", "x0")],
        [node("IsInf", "x0", detect_positive=0)],
        [node("IsNaN", "x0", output="n"), node("Not", "n")],
    ):
        assert_same(model(nodes, [x]), [x], tmp_path)


def test_a_picture_of_bytes(tmp_path: Path) -> None:
    """uint8 in NHWC → float NCHW → conv → the class of each pixel, and where it is sure."""
    random = np.random.default_rng(3)
    weights = random.standard_normal((4, 3, 3, 3)).astype(FLOAT)
    x = random.integers(0, 256, (1, 8, 9, 3)).astype(UINT8)
    nodes = [
        node("Transpose", "x0", output="nchw", perm=[0, 3, 1, 2]),
        node("Cast", "nchw", output="real", to=TensorProto.FLOAT),
        node("Conv", "real", "c0", output="scores", pads=[1, 1, 1, 1]),
        node("ArgMax", "scores", output="class", axis=1),
        node("Greater", "scores", "c1", output="sure"),
        node("Cast", "sure", output="sures", to=TensorProto.INT64),
        node("Mul", "class", "sures"),
    ]
    assert_same(model(nodes, [x], weights, np.array(20, FLOAT)), [x], tmp_path)


DIGITS = np.array([[[2, -1, 0, 1, 2]], [[0, 0, -3, 1, -2]]])
"""Places of 3 rows, for x of DIMS cut to [2, 3, 5]."""

LOOKUPS: dict[str, tuple[onnx.NodeProto, tuple[Any, ...]]] = {
    "gather_first": (node("Gather", "x0", "x1", axis=0), (np.array([[1, 0], [-1, -2]]),)),
    "gather_middle": (node("Gather", "x0", "x1", axis=1), (np.array([[2, 0, -1, 1]]),)),
    "gather_last": (node("Gather", "x0", "x1", axis=-1), (np.array(3),)),
    "gather_elements": (node("GatherElements", "x0", "x1", axis=1), (DIGITS,)),
    "gather_nd": (node("GatherND", "x0", "x1"), (np.array([[[0, 2], [-1, -3]]]),)),
    "gather_nd_batch": (node("GatherND", "x0", "x1", batch_dims=1), (np.array([[[2]], [[-1]]]),)),
    "scatter_elements": (
        node("ScatterElements", "x0", "x1", "x2", axis=1),
        (DIGITS, np.arange(10).reshape(2, 1, 5)),
    ),
    "scatter_add": (
        node("ScatterElements", "x0", "x1", "x2", axis=2, reduction="add"),
        (np.zeros((2, 3, 5), np.int64), np.arange(30).reshape(2, 3, 5)),
    ),
    "scatter_nd": (
        node("ScatterND", "x0", "x1", "x2"),
        (np.array([[0, 1], [1, -1]]), np.arange(10).reshape(2, 5)),
    ),
    "scatter_nd_max": (
        node("ScatterND", "x0", "x1", "x2", reduction="max"),
        (np.array([[0, 1], [0, 1]]), np.arange(10).reshape(2, 5)),
    ),
}


@pytest.mark.parametrize("dtype", [FLOAT, INT32, INT64])
@pytest.mark.parametrize("name", LOOKUPS)
def test_computed_places(name: str, dtype: type, tmp_path: Path) -> None:
    """As inputs, whose random values may be no places: such a file is not verified; as values of the model it is."""
    lookup, (indices, *updates) = LOOKUPS[name]
    x = values(dtype, (2, 3, 5))
    inputs = [x, indices, *(u.astype(dtype) for u in updates)]
    assert_same(model([lookup], inputs), inputs, tmp_path, verify=False)
    computed = onnx.NodeProto()
    computed.CopyFrom(lookup)
    computed.input[1] = "i"
    which = node("Add", "x1", "c0", output="i")
    zero = [x, np.zeros(indices.shape, np.int64), *inputs[2:]]
    if np.unique(indices).size > 1 and not name.startswith("scatter"):
        proto = model(
            [node("Min", "x1", "c1", output="m"), _by("m", which), computed], zero, indices, np.array(0)
        )
        assert_same(proto, zero, tmp_path)


def _by(name: str, other: onnx.NodeProto) -> onnx.NodeProto:
    renamed = onnx.NodeProto()
    renamed.CopyFrom(other)
    renamed.input[0] = name
    return renamed


def test_no_such_place(tmp_path: Path) -> None:
    x, indices = values(FLOAT, (4, 3)), np.array([1, 4])
    proto = model([node("Gather", "x0", "x1")], [x, indices])
    source, out = tmp_path / "m.onnx", tmp_path / "m.nb"
    onnx.save(proto, str(source))
    optimize(source, out, targets=("host",))
    with pytest.raises(ValueError, match="an index does not exist"):
        run(read_program(out.read_bytes()), [x, indices])
    if RUNTIME_IS_BUILT:
        with Program(out) as program, pytest.raises(InputError, match="an index does not exist"):
            program.run(x, indices)


@pytest.mark.parametrize("dtype", [FLOAT, INT32, INT64])
@pytest.mark.parametrize("largest", [0, 1])
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_top_k(axis: int, largest: int, dtype: type, tmp_path: Path) -> None:
    x = values(dtype, (5, 6, 7))
    for k in (1, 3, 5):
        for output in ("values", "indices"):
            top = helper.make_node(
                "TopK", ["x0", "c0"], ["values", "indices"], name="top", axis=axis, largest=largest
            )
            proto = model([top, node("Identity", output)], [x], np.array([k]))
            assert_same(proto, [x], tmp_path)


@pytest.mark.parametrize("dtype", [INT32, INT64])
@pytest.mark.parametrize("reverse", [0, 1])
@pytest.mark.parametrize("exclusive", [0, 1])
def test_cum_sum(exclusive: int, reverse: int, dtype: type, tmp_path: Path) -> None:
    """Along every axis; a sum beyond the type wraps around."""
    x = values(dtype, (3, 4, 5))
    x[0, 0, :2] = np.iinfo(dtype).max
    for axis in (0, 1, -1):
        scan = node("CumSum", "x0", "c0", exclusive=exclusive, reverse=reverse)
        assert_same(model([scan], [x], np.array(axis)), [x], tmp_path)


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_one_hot(axis: int, tmp_path: Path) -> None:
    x = np.array([[1, -1, 4], [9, -6, 0]])
    proto = model([node("OneHot", "x0", "c0", "c1", axis=axis)], [x], np.array(5), np.array([2, 7], FLOAT))
    assert_same(proto, [x], tmp_path)


def test_what_has_no_size_is_refused_with_its_reason(tmp_path: Path) -> None:
    proto = model(
        [node("NonZero", "x0", output="z"), node("Cast", "z", to=TensorProto.FLOAT)], [values(FLOAT)]
    )
    onnx.save(proto, str(tmp_path / "m.onnx"))
    with pytest.raises(InputError, match="how much it gives depends on the values"):
        optimize(tmp_path / "m.onnx", tmp_path / "m.nb")


def test_a_divisor_of_0_is_the_inputs_fault(tmp_path: Path) -> None:
    a = np.arange(5)
    proto = model([node("Div", "x0", "x1")], [a, a])
    source, out = tmp_path / "m.onnx", tmp_path / "m.nb"
    onnx.save(proto, str(source))
    report = optimize(source, out, targets=("host",), verify=True).verified
    assert report is not None
    assert "a divisor is 0" in report.reason or not RUNTIME_IS_BUILT
    assert (report.operators, report.pieces) == (0, 0)
    with pytest.raises(ValueError, match="a divisor is 0"):
        run(read_program(out.read_bytes()), [a, a])
    if RUNTIME_IS_BUILT:
        with Program(out) as program, pytest.raises(InputError, match="a divisor is 0"):
            program.run(a, a)


@pytest.mark.parametrize(
    ("nodes", "said"),
    [
        ([node("Cast", "x0", to=TensorProto.INT16)], "it casts a computed value to int16"),
        ([node("Softplus", "x0", output="f"), node("Cast", "f", to=TensorProto.UINT32)], "to uint32"),
    ],
)
def test_refused(nodes: list[onnx.NodeProto], said: str, tmp_path: Path) -> None:
    onnx.save(model(nodes, [values(FLOAT)]), str(tmp_path / "m.onnx"))
    with pytest.raises(InputError) as caught:
        optimize(tmp_path / "m.onnx", tmp_path / "m.nb")
    assert said in str(caught.value)
    assert not (tmp_path / "m.nb").exists()
