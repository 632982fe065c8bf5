"""One row per operator: its Paddle name quantizes it between two convolutions, and the result stays close to float."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest

from ptq_core.graph.op_types import BY_ONNX_TYPE, KNOWN_NAMES, QUANTIZABLE_OPS, Kind
from ptq_core.quantize.selection import FUSED_ACTIVATIONS
from tests.models import Builder
from tests.quantize.harness import Quantized, output_sqnr_db, quantized, run, samples

SHAPE = (3, 8, 8)
Build = Callable[[Builder, str], str]


def unary(op_type: str, **attributes: object) -> Build:
    return lambda b, x: b.node(op_type, "op", [x], **attributes)


def binary(op_type: str) -> Build:
    return lambda b, x: b.node(op_type, "op", [x, b.conv("other", "input", 3, 4)])


def with_constants(op_type: str, *arrays: object, **attributes: object) -> Build:
    def build(b: Builder, x: str) -> str:
        names = [
            b.constant(f"op/{i}", np.asarray(array)) if array is not None else ""
            for i, array in enumerate(arrays)
        ]
        return b.node(op_type, "op", [x, *names], **attributes)

    return build


def resize(mode: str) -> Build:
    return with_constants("Resize", None, np.array([1, 1, 2, 2], np.float32), mode=mode)


def gated(gate: str) -> Build:
    return lambda b, x: b.node("Mul", "op", [x, b.node(gate, "gate", [x])])


def matmul_of_activations(b: Builder, x: str) -> str:
    return b.node("MatMul", "op", [x, b.conv("other", "input", 3, 4)])


def deconvolution(group: int) -> Build:
    def build(b: Builder, x: str) -> str:
        inputs = [x, b.weight("op/weight", 4, 4 // group, 2, 2), b.weight("op/bias", 4)]
        return b.node("ConvTranspose", "op", inputs, kernel_shape=[2, 2], strides=[2, 2], group=group)

    return build


def fully_connected(op_type: str) -> Build:
    def build(b: Builder, x: str) -> str:
        flat = b.node("Flatten", "flat", [x])
        y = b.node(op_type, "op", [flat, b.weight("op/weight", 256, 64, scale=0.1)])
        return b.node("Reshape", "back", [y, b.constant("back/shape", [0, 4, 4, 4])])

    return build


def split(b: Builder, x: str) -> str:
    b.nodes.append(onnx.helper.make_node("Split", [x], ["op/out", "op/second"], name="op", axis=1))
    return b.node("Concat", "joined", ["op/out", "op/second"], axis=1)


def squeeze(b: Builder, x: str) -> str:
    axes = b.constant("axes", [2])
    return b.node("Squeeze", "op", [b.node("Unsqueeze", "lift", [x, axes]), axes])


def unsqueeze(b: Builder, x: str) -> str:
    axes = b.constant("axes", [2])
    return b.node("Squeeze", "flat", [b.node("Unsqueeze", "op", [x, axes]), axes])


def flatten(b: Builder, x: str) -> str:
    shape = b.constant("shape", [0, 4, 8, 8])
    return b.node("Reshape", "back", [b.node("Flatten", "op", [x]), shape])


def trilinear(b: Builder, x: str) -> str:
    axes = b.constant("axes", [2])
    scales = b.constant("scales", np.array([1, 1, 1, 2, 2], np.float32))
    y = b.node("Resize", "op", [b.node("Unsqueeze", "lift", [x, axes]), "", scales], mode="linear")
    return b.node("Squeeze", "flat", [y, axes])


ROWS: list[tuple[str, str, Build]] = [
    ("conv2d", "Conv", lambda b, x: b.conv("op", x, 4, 4)),
    ("depthwise_conv2d", "Conv", lambda b, x: b.conv("op", x, 4, 4, group=4)),
    ("conv2d_transpose", "ConvTranspose", deconvolution(1)),
    ("conv2d_transpose", "ConvTranspose", deconvolution(2)),
    ("depthwise_conv2d_transpose", "ConvTranspose", deconvolution(4)),
    ("mul", "Gemm", fully_connected("Gemm")),
    ("mul", "MatMul", fully_connected("MatMul")),
    ("matmul", "MatMul", matmul_of_activations),
    ("pool2d", "MaxPool", unary("MaxPool", kernel_shape=[2, 2], strides=[2, 2])),
    ("pool2d", "AveragePool", unary("AveragePool", kernel_shape=[2, 2], strides=[2, 2])),
    ("pool2d", "GlobalAveragePool", unary("GlobalAveragePool")),
    ("pool2d", "GlobalMaxPool", unary("GlobalMaxPool")),
    ("elementwise_add", "Add", binary("Add")),
    ("elementwise_sub", "Sub", binary("Sub")),
    ("elementwise_mul", "Mul", binary("Mul")),
    ("elementwise_mul", "Mul", with_constants("Mul", np.array([0.5, -1, 2, 0.1], np.float32).reshape(4, 1, 1))),
    ("elementwise_sub", "Sub", with_constants("Sub", np.float32(1.5))),
    ("greater_than", "Greater", with_constants("Greater", np.float32(0.5))),
    ("concat", "Concat", lambda b, x: b.conv("narrow", b.node("Concat", "op", [x, "input"], axis=1), 7, 4)),
    ("softmax", "Softmax", unary("Softmax", axis=1)),
    ("argmax", "ArgMax", unary("ArgMax", axis=1)),
    ("transpose", "Transpose", unary("Transpose", perm=[0, 1, 3, 2])),
    ("transpose2", "Transpose", unary("Transpose", perm=[0, 1, 3, 2])),
    ("equal", "Equal", binary("Equal")),
    ("not_equal", "Equal", lambda b, x: b.node("Not", "not", [binary("Equal")(b, x)])),
    ("greater_equal", "GreaterOrEqual", binary("GreaterOrEqual")),
    ("greater_than", "Greater", binary("Greater")),
    ("less_equal", "LessOrEqual", binary("LessOrEqual")),
    ("less_than", "Less", binary("Less")),
    ("gather", "Gather", with_constants("Gather", [3, 1, 1, 0], axis=1)),
    ("mean", "ReduceMean", unary("ReduceMean", axes=[2, 3])),
    ("reshape", "Reshape", with_constants("Reshape", [0, 4, 4, 16])),
    ("reshape2", "Reshape", with_constants("Reshape", [0, 4, 4, 16])),
    ("bilinear_interp", "Resize", resize("linear")),
    ("nearest_interp", "Resize", resize("nearest")),
    ("trilinear_interp", "Resize", trilinear),
    ("slice", "Slice", with_constants("Slice", [1, 2], [7, 8], [2, 3])),
    ("squeeze", "Squeeze", squeeze),
    ("unsqueeze", "Unsqueeze", unsqueeze),
    ("relu", "Relu", lambda b, x: b.node("Relu", "op", [b.node("Sigmoid", "odd", [x])])),
    ("relu6", "Clip", lambda b, x: b.node("Clip", "op", [b.node("Abs", "odd", [x]), b.constant("z", np.float32(0)),
                                                          b.constant("s", np.float32(6))])),
    ("leaky_relu", "LeakyRelu", unary("LeakyRelu", alpha=0.1)),
    ("prelu", "PRelu", with_constants("PRelu", np.array([0.1, 0.2, 0.3, 0.4], np.float32).reshape(4, 1, 1))),
    ("sigmoid", "Sigmoid", unary("Sigmoid")),
    ("tanh", "Tanh", unary("Tanh")),
    ("hard_sigmoid", "HardSigmoid", unary("HardSigmoid")),
    ("hard_swish", "HardSwish", unary("HardSwish")),
    ("hard_swish", "Mul", gated("HardSigmoid")),
    ("swish", "Mul", gated("Sigmoid")),
    ("pad", "Pad", with_constants("Pad", [0, 0, 1, 1, 0, 0, 1, 1], np.float32(0))),
    ("pad", "Pad", with_constants("Pad", [0, 0, 1, 1, 0, 0, 1, 1], np.float32(-6))),
    ("pad", "Pad", with_constants("Pad", [0, 0, 1, 1, 0, 0, 1, 1], mode="reflect")),
    ("split", "Split", split),
    ("flatten", "Flatten", flatten),
]  # fmt: skip

HELPERS = {
    "split": ("concat",),
    "squeeze": ("unsqueeze",),
    "unsqueeze": ("squeeze",),
    "flatten": ("reshape",),
    "trilinear_interp": ("squeeze", "unsqueeze"),
}
"""Names that the model of a row needs beside its own."""

ALIASES = {"matmul_v2", "reduce_mean", "arg_max", "flatten2", "flatten_contiguous_range", "squeeze2", "unsqueeze2",
           "strided_slice", "pad2d", "pad3d", "clip"}  # fmt: skip
"""Newer Paddle names of rows above."""


def build_model(op_type: str, build: Build) -> onnx.ModelProto:
    b = Builder()
    y = build(b, b.conv("first", "input", 3, 4))
    if BY_ONNX_TYPE[op_type].kind is Kind.COMPARES:
        return b.model(b.node("Cast", "cast", [y], to=onnx.TensorProto.FLOAT), shape=("N", *SHAPE))
    return b.model(b.conv("last", y, 4, 4), shape=("N", *SHAPE))


def helpers(result: Quantized) -> set[str]:
    return {name for name, status in result.status.items() if status in ("quantized", "fused")}


@pytest.mark.parametrize("symmetric", [True, False], ids=["symmetric", "asymmetric"])
@pytest.mark.parametrize(("name", "op_type", "build"), ROWS, ids=[f"{i}-{r[0]}" for i, r in enumerate(ROWS)])
def test_between_two_convolutions(
    tmp_path: Path, name: str, op_type: str, build: Build, symmetric: bool
) -> None:
    proto = build_model(op_type, build)
    wanted = ("conv2d", name, *HELPERS.get(name, ()))
    result = quantized(
        proto, tmp_path, algo="abs_max", quantizable_op_type=wanted, activation_symmetric=symmetric
    )
    assert "op" in helpers(result), result.details["ops"]
    if BY_ONNX_TYPE[op_type].kind is Kind.COMPARES:
        x = np.stack(samples(SHAPE, 4, seed=2))
        want, got = run(proto, x)[0], run(result.model, x)[0]
        assert (want != got).mean() < 0.03, "only near ties may turn"
    else:
        assert output_sqnr_db(result, SHAPE) > 28


def test_every_name_has_a_row() -> None:
    assert {name for name, _, _ in ROWS} | {op_type for _, op_type, _ in ROWS} | ALIASES == set(KNOWN_NAMES)
    assert {op_type for _, op_type, _ in ROWS} == {op.onnx_type for op in QUANTIZABLE_OPS}


@pytest.mark.parametrize("op", QUANTIZABLE_OPS, ids=lambda op: op.onnx_type)
@pytest.mark.parametrize("opset", range(13, 22))
def test_the_table_is_what_onnx_says(op: object, opset: int) -> None:
    from ptq_core.graph.op_types import QuantizableOp

    assert isinstance(op, QuantizableOp)
    if opset < op.since:
        with pytest.raises(onnx.defs.SchemaError):
            onnx.defs.get_schema(op.onnx_type, opset)
        return
    schema = onnx.defs.get_schema(op.onnx_type, opset)
    for index in op.data if op.data is not None else range(len(schema.inputs)):
        assert "tensor(float)" in schema.inputs[index].types
    assert ("tensor(float)" in schema.outputs[0].types) == (op.kind is not Kind.COMPARES)
    assert (op.output_range is not None) == (op.kind is Kind.FIXED_RANGE)


def test_fused_activations_are_in_the_table() -> None:
    assert set(FUSED_ACTIVATIONS) <= set(BY_ONNX_TYPE)
