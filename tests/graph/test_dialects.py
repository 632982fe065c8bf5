"""Every dialect of other tools becomes float operators between DequantizeLinear and QuantizeLinear, with the same integers."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import TensorProto, helper

from ptq_core.errors import InputError, PtqError
from ptq_core.graph.dialects import one_dialect
from ptq_core.graph.dialects.qoperators import QOPERATORS
from ptq_core.graph.io import load_model
from ptq_core.graph.session import open_session
from ptq_core.graph.values import ModelValues
from ptq_core.optimize.lowering import quantization
from ptq_core.optimize.pipeline import lower_to_program, optimize
from tests.models import Builder
from tests.optimize.graphs import build
from tests.optimize.test_lowering_qdq import CASES

MICROSOFT = "com.microsoft"
SHAPE = (1, 4, 6, 6)


class Integers(Builder):
    """A graph on integers of one type; `x` is the quantized input, whose real values lie in [−3, 3]."""

    def __init__(self, dtype: type[np.integer]) -> None:
        super().__init__(seed=3)
        self.dtype = dtype
        self.x = self.node("QuantizeLinear", "x", ["input", *self.scale("in", 0.03, 4)])

    def scale(self, name: str, scale: float, zero_point: int = 0) -> list[str]:
        """The names of a scale and a zero point, which is 128 more for uint8."""
        zero = zero_point + (128 if self.dtype == np.uint8 else 0)
        return [
            self.constant(f"{name}/scale", np.float32(scale)),
            self.constant(f"{name}/zero", self.dtype(zero)),
        ]

    def integers(self, name: str, *shape: int) -> str:
        """Constant integers, none of which is the lowest."""
        values = self.random.integers(-127, 128, shape)
        return self.constant(name, (values + (128 if self.dtype == np.uint8 else 0)).astype(self.dtype))

    def microsoft(self, op_type: str, inputs: list[str], **attributes: object) -> str:
        return self.node(op_type, op_type, inputs, domain=MICROSOFT, **attributes)

    def flat(self) -> str:
        return self.node("Reshape", "rows", [self.x, self.constant("rows/shape", np.array([4, 36]))])

    def bias(self, count: int, scale: float) -> str:
        return self.constant("bias", (self.random.standard_normal(count) / scale / 0.03).astype(np.int32))


Graph = Callable[[Integers], str]


def conv(b: Integers) -> str:
    weights = [b.integers("w", 8, 4, 3, 3), *b.scale("w", 0.01)]
    inputs = [b.x, "in/scale", "in/zero", *weights, *b.scale("y", 0.2, -5), b.bias(8, 0.01)]
    return b.node("QLinearConv", "conv", inputs, pads=[1, 1, 1, 1], strides=[2, 1])


def conv_per_channel(b: Integers) -> str:
    scales = b.constant("ws", b.random.uniform(0.005, 0.02, 8).astype(np.float32))
    zeros = b.constant("wz", np.full(8, 128 if b.dtype == np.uint8 else 0, b.dtype))
    weights = [b.integers("w", 8, 1, 3, 3), scales, zeros]
    return b.node("QLinearConv", "conv", [b.x, "in/scale", "in/zero", *weights, *b.scale("y", 0.2)], group=4)


def matmul(b: Integers) -> str:
    weights = [b.integers("w", 36, 5), *b.scale("w", 0.01)]
    return b.node("QLinearMatMul", "mm", [b.flat(), "in/scale", "in/zero", *weights, *b.scale("y", 0.1, 7)])


def gemm(b: Integers) -> str:
    weights = [b.integers("w", 5, 36), *b.scale("w", 0.01)]
    inputs = [b.flat(), "in/scale", "in/zero", *weights, b.bias(5, 0.01), *b.scale("y", 0.1, 7)]
    return b.microsoft("QGemm", inputs, transB=1)


def gemm_to_float(b: Integers) -> str:
    weights = [b.integers("w", 36, 5), *b.scale("w", 0.01)]
    return b.microsoft("QGemm", [b.flat(), "in/scale", "in/zero", *weights, b.bias(5, 0.01)])


def two(op_type: str) -> Graph:
    def graph(b: Integers) -> str:
        other = [b.integers("c", 1, 4, 1, 1), *b.scale("c", 0.02, 3)]
        return b.microsoft(op_type, [b.x, "in/scale", "in/zero", *other, *b.scale("y", 0.05, 9)])

    return graph


def one(op_type: str, scale: float, **attributes: object) -> Graph:
    def graph(b: Integers) -> str:
        zero = -128 if op_type in ("QLinearSigmoid", "QLinearSoftmax") else 2
        inputs = [b.x, "in/scale", "in/zero", *b.scale("y", scale, zero)]
        return b.microsoft(op_type, inputs, **attributes)

    return graph


def softmax_of_unknown_rank(b: Integers) -> str:
    """What stands behind an operator of com.microsoft has no shape until that is rewritten."""
    x = two("QLinearAdd")(b)
    inputs = [x, "y/scale", "y/zero", *b.scale("z", 1 / 256, -128)]
    y = b.microsoft("QLinearSoftmax", inputs, axis=3, opset=11)
    return b.node("DequantizeLinear", "end", [y, "z/scale", "z/zero"])


def concat(b: Integers) -> str:
    other = b.microsoft("QLinearSigmoid", [b.x, "in/scale", "in/zero", *b.scale("s", 1 / 256, -128)])
    parts = [b.x, "in/scale", "in/zero", other, "s/scale", "s/zero"]
    return b.microsoft("QLinearConcat", [*b.scale("y", 0.03, 4), *parts], axis=1)


def moved(op_type: str, *more: object, **attributes: object) -> Graph:
    """An operator that reads the integers as they are; ``more`` are constants: None for one that is absent, ints are int64."""

    def graph(b: Integers) -> str:
        inputs = [b.x]
        for i, given in enumerate(more):
            array = np.array(given, None if isinstance(given, np.generic) else np.int64)
            inputs.append("" if given is None else b.constant(f"c{i}", array))
        return b.node(op_type, "moved", inputs, **attributes)

    return graph


def clip(b: Integers) -> str:
    bounds = [b.constant("low", b.dtype(100)), b.constant("high", b.dtype(120))]
    return b.node("Clip", "moved", [b.x, *bounds])


def pad_with_an_integer(b: Integers) -> str:
    value = b.constant("value", b.dtype(77))
    return b.node("Pad", "moved", [b.x, b.constant("pads", np.array([0, 0, 1, 1] * 2)), value])


def joined(b: Integers) -> str:
    left, right = (
        b.node("MaxPool", n, [b.x], kernel_shape=[k, k], pads=[k // 2] * 4) for n, k in (("l", 3), ("r", 5))
    )
    return b.node("Concat", "moved", [left, b.integers("c", 1, 2, 6, 6), right], axis=1)


def resized(b: Integers) -> str:
    scales = b.constant("scales", np.array([1, 1, 2, 2], np.float32))
    return b.node("Resize", "moved", [b.x, "", scales], mode="nearest", nearest_mode="floor")


def divided(b: Integers) -> str:
    b.nodes.append(helper.make_node("Split", [b.x], ["first", "second"], name="split", axis=1))
    return b.node("Concat", "moved", ["second", "first"], axis=1)


def chosen(b: Integers) -> str:
    mask = b.constant("mask", b.random.integers(0, 2, (4, 6, 6)).astype(bool))
    return b.node("Where", "moved", [mask, b.integers("c", 1, 4, 6, 6), b.x])


def largest(b: Integers) -> str:
    b.nodes.append(helper.make_node("TopK", [b.x, "k"], ["moved/out", "places"], name="moved", axis=3))
    b.constant("k", np.array([3]))
    return "moved/out"


def taken(b: Integers) -> str:
    places = b.constant("places", b.random.integers(0, 6, (1, 4, 3, 6)))
    return b.node("GatherElements", "moved", [b.x, places], axis=2)


def put(b: Integers) -> str:
    places = b.constant("places", np.tile(np.array([4, 1])[:, None], (1, 4, 1, 6)))
    updates = b.node(
        "Slice", "some", [b.x, *(b.constant(f"s{i}", np.array([v])) for i, v in enumerate((0, 2, 2)))]
    )
    return b.node("ScatterElements", "moved", [b.x, places, updates], axis=2)


def put_constants(b: Integers) -> str:
    places = b.constant("places", np.tile(np.array([4, 1])[:, None], (1, 4, 1, 6)))
    return b.node("ScatterElements", "moved", [b.x, places, b.integers("c", 1, 4, 2, 6)], axis=2)


def of_microsoft(b: Integers) -> str:
    x = b.microsoft("DequantizeLinear", [b.x, "in/scale", "in/zero"])
    return b.microsoft("QuantizeLinear", [x, *b.scale("y", 0.05, 2)])


QOPERATOR_GRAPHS: dict[str, Graph] = {
    "QLinearConv": conv,
    "QLinearConv per channel": conv_per_channel,
    "QLinearMatMul": matmul,
    "QGemm": gemm,
    "QGemm to float": gemm_to_float,
    "QLinearAdd": two("QLinearAdd"),
    "QLinearMul": two("QLinearMul"),
    "QLinearConcat": concat,
    "QLinearSigmoid": one("QLinearSigmoid", 1 / 256),
    "QLinearLeakyRelu": one("QLinearLeakyRelu", 0.02, alpha=0.1),
    "QLinearSoftmax": one("QLinearSoftmax", 1 / 256, axis=-1, opset=17),
    "QLinearSoftmax of unknown rank": softmax_of_unknown_rank,
    "QLinearSoftmax before 13": one("QLinearSoftmax", 1 / 256, axis=3, opset=12),
    "QLinearAveragePool": one("QLinearAveragePool", 0.0213, kernel_shape=[2, 2], strides=[2, 2]),
    "QLinearGlobalAveragePool": one("QLinearGlobalAveragePool", 0.007, channels_last=0),
    "QuantizeLinear": of_microsoft,
}
MOVEMENT_GRAPHS: dict[str, Graph] = {
    "MaxPool": moved("MaxPool", kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
    "Reshape": moved("Reshape", [1, 2, 2, 36]),
    "Transpose": moved("Transpose", perm=[0, 2, 3, 1]),
    "Slice": moved("Slice", [1, 1], [5, 6], [2, 3]),
    "Squeeze": moved("Squeeze", [0]),
    "Flatten": moved("Flatten", axis=1),
    "Gather": moved("Gather", [2, 0], axis=1),
    "DepthToSpace": moved("DepthToSpace", blocksize=2),
    "Resize": resized,
    "Pad without a value": moved("Pad", [0, 0, 1, 1, 0, 0, 1, 1]),
    "Pad with an integer": pad_with_an_integer,
    "Clip": clip,
    "Concat": joined,
    "Split": divided,
    "ReduceMax": moved("ReduceMax", axes=[2, 3]),
    "ReduceMin": moved("ReduceMin", axes=[1], keepdims=0),
    "Where": chosen,
    "TopK": largest,
    "GatherElements": taken,
    "GatherND": moved("GatherND", [[0, 2], [0, 1]]),
    "ScatterElements": put,
    "ScatterElements of constants": put_constants,
}


def model_of(graph: Graph, dtype: type[np.integer]) -> onnx.ModelProto:
    """The model of ``graph``, whose integers are dequantized at the end."""
    b = Integers(dtype)
    y = graph(b)
    if graph not in (gemm_to_float, softmax_of_unknown_rank):
        known = {tensor.name for tensor in b.constants}
        last = ("y/scale", "y/zero") if "y/scale" in known else ("in/scale", "in/zero")
        y = b.node("DequantizeLinear", "end", [y, *last])
    return model_with(b, y)


def model_with(b: Builder, y: str) -> onnx.ModelProto:
    """The model of ``b`` with the float output ``y``, whose shape onnxruntime knows."""
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid(MICROSOFT, 1)]
    ends = [helper.make_tensor_value_info("input", TensorProto.FLOAT, SHAPE)]

    def model(shape: Sequence[int] | None) -> onnx.ModelProto:
        out = [helper.make_tensor_value_info(y, TensorProto.FLOAT, shape)]
        graph = helper.make_graph(b.nodes, "integers", ends, out, b.constants)
        return helper.make_model(graph, opset_imports=opsets, ir_version=8)

    session = open_session(model(None).SerializeToString(), optimized=False)
    return model(session.run(None, {"input": np.zeros(SHAPE, np.float32)})[0].shape)


@pytest.fixture(params=[np.uint8, np.int8], ids=["uint8", "int8"])
def dtype(request: pytest.FixtureRequest) -> type[np.integer]:
    return request.param  # type: ignore[no-any-return]


def check(path: Path, proto: onnx.ModelProto) -> ir.Model:
    """The model in one dialect, after `ptq opt` has verified its file against the model as written."""
    onnx.save(proto, path)
    report = optimize(path, path.with_suffix(".nb"), targets=("host",), verify=True)
    assert report.verified is not None
    assert not report.verified.reason
    assert not report.verified.judged
    assert report.verified.steps_at_ties == 0
    model = load_model(path)
    assert one_dialect(model)
    return model


@pytest.mark.parametrize("name", QOPERATOR_GRAPHS)
def test_qoperator(tmp_path: Path, name: str, dtype: type[np.integer]) -> None:
    model = check(tmp_path / "m.onnx", model_of(QOPERATOR_GRAPHS[name], dtype))
    assert {node.domain for node in model.graph} == {""}
    assert not any(node.op_type.startswith(("QL", "QG")) for node in model.graph)


def test_a_softmax_of_integers_may_be_a_step_away(tmp_path: Path, dtype: type[np.integer]) -> None:
    graph = one("QLinearSoftmax", 1 / 255, axis=-1, opset=17)
    path = tmp_path / "m.onnx"
    onnx.save(model_of(graph, dtype), path)
    report = optimize(path, tmp_path / "m.nb", targets=("host",), verify=True)
    assert report.verified is not None
    assert report.verified.steps_at_ties > 0


def test_every_qoperator_has_a_case() -> None:
    named = {name.split(" ")[0] for name in QOPERATOR_GRAPHS} - {"QuantizeLinear"}
    assert {op_type for _, op_type in QOPERATORS} - named == set()


@pytest.mark.parametrize("name", MOVEMENT_GRAPHS)
def test_movement(tmp_path: Path, name: str, dtype: type[np.integer]) -> None:
    model = check(tmp_path / "m.onnx", model_of(MOVEMENT_GRAPHS[name], dtype))
    for node in model.graph:
        if node.op_type == "QuantizeLinear":
            assert {use.node.op_type for use in node.outputs[0].uses()} == {"DequantizeLinear"}


COMPUTING_GRAPHS: dict[str, Graph] = {
    "Resize": lambda b: b.node(
        "Resize", "named", [b.x, "", b.constant("scales", np.array([1, 1, 2, 2], np.float32))], mode="linear"
    ),
    "Add": lambda b: b.node("Add", "named", [b.x, b.x]),
    "Unique": lambda b: b.node("Unique", "named", [b.x]),
    "Softsign": lambda b: b.node("Softsign", "named", [b.x]),
}
"""What computes on integers: some onnxruntime knows, some nobody."""


@pytest.mark.parametrize("name", COMPUTING_GRAPHS)
def test_a_refusal_names_the_cause_alone(name: str, dtype: type[np.integer]) -> None:
    """Neither the QuantizeLinear before it nor the DequantizeLinear behind it, but what is wrong far behind it."""
    b = Integers(dtype)
    y = COMPUTING_GRAPHS[name](b)
    b.nodes.append(helper.make_node("DequantizeLinear", [y, "in/scale", "in/zero"], ["real"], name="real"))
    y = b.node("NonZero", "also", [b.node("QuantizeLinear", "q", ["real", "in/scale", "in/zero"])])
    ends = [helper.make_tensor_value_info("input", TensorProto.FLOAT, SHAPE)]
    out = [helper.make_tensor_value_info(y, TensorProto.INT64, ("rank", "count"))]
    graph = helper.make_graph(b.nodes, "computing", ends, out, b.constants)
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    with pytest.raises(InputError) as caught:
        lower_to_program(ir.from_proto(onnx.shape_inference.infer_shapes(proto)))
    named = [line.split(" ")[0] for line in caught.value.details]
    assert named == [name, "NonZero"]


@pytest.mark.parametrize("name", QOPERATOR_GRAPHS)
def test_an_operator_without_an_input_is_no_bug(tmp_path: Path, name: str) -> None:
    """com.microsoft's operators pass onnx's checker with any inputs."""
    path, whole = tmp_path / "m.onnx", model_of(QOPERATOR_GRAPHS[name], np.uint8)
    for node in range(len(whole.graph.node)):
        for place in range(len(whole.graph.node[node].input)):
            for cut in (False, True):
                proto = onnx.ModelProto.FromString(whole.SerializeToString())
                inputs = proto.graph.node[node].input
                if cut:
                    del inputs[place:]
                else:
                    inputs[place] = ""
                onnx.save(proto, path)
                with contextlib.suppress(InputError):
                    optimize(path, tmp_path / "m.nb", targets=("host",))


def test_a_model_in_the_dialect_stays_as_it_is() -> None:
    model = build(*CASES["mobile"])
    before = [(node.name, node.op_type) for node in model.graph]
    assert one_dialect(model) == []
    assert [(node.name, node.op_type) for node in model.graph] == before


def test_a_wrong_qoperator_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Inside a QLinearConv there are no floats to compare with: its integers alone must tell."""
    path = tmp_path / "m.onnx"
    onnx.save(model_of(conv, np.uint8), path)
    monkeypatch.setitem(quantization.SHIFTS, "uint8", 127)
    with pytest.raises(PtqError, match="computes"):
        optimize(path, tmp_path / "m.nb", targets=("host",), verify=True)


def test_sums_of_a_qoperator_are_exact_in_verification(tmp_path: Path) -> None:
    """uint8 · int8 saturates on x86 without VNNI; what the file is compared with does not."""
    b = Integers(np.uint8)
    weights = [b.constant("w", np.full((8, 4, 3, 3), 127, np.int8)), b.constant("ws", np.float32(0.01))]
    inputs = [b.x, "in/scale", "in/zero", *weights, b.constant("wz", np.int8(0)), *b.scale("y", 1.0)]
    y = b.node("DequantizeLinear", "end", [b.node("QLinearConv", "conv", inputs), "y/scale", "y/zero"])
    proto = model_with(b, y)
    x = np.full(SHAPE, 3.0, np.float32)
    (found,) = ModelValues(proto.SerializeToString(), [y]).walk({"input": x})
    steps = 36 * 100 * 127 * np.float32(0.03) * np.float32(0.01)  # 3.0 is 100 steps of 0.03
    np.testing.assert_array_equal(found[y], np.full((1, 8, 4, 4), min(np.rint(steps), 127.0), np.float32))
    assert open_session(proto.SerializeToString()).run(None, {"input": x})[0].max() == found[y].max()
