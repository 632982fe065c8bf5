"""All passes together on what exporters write: the operators that are left, in float and in int8, and onnxruntime's values."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ptq_core.flatfile.error_bound import error_bounds
from ptq_core.flatfile.interpreter import run
from ptq_core.flatfile.operators.unary import Unary, UnaryFunction
from ptq_core.flatfile.program import Op
from ptq_core.flatfile.tensors import DType
from ptq_core.graph.session import open_session
from ptq_core.optimize.pipeline import lower_to_program, optimize, runs_on_int8
from tests.agreement import RUNTIME_IS_BUILT, exceeds
from tests.models import save
from tests.optimize.graphs import Graph, Qdq, build, build_proto

CONV, FC, T = "conv2d", "fully_connected", "transpose"


def number(b: Qdq, value: float) -> str:
    return b.constant(f"number{len(b.constants)}", np.float32(value))


def conv(b: Qdq, x: str = "input", cin: int = 8) -> str:
    return b.conv(f"conv{len(b.nodes)}", x, cin, 8)


def relu6_of_sum(b: Qdq, x: str) -> str:
    return b.clip("relu6", b.node("Add", "plus", [x, number(b, 3)]), 0, 6)


def swish(b: Qdq) -> str:
    x = conv(b)
    return b.node("Mul", "swish", [x, b.node("Sigmoid", "gate", [x])])


def hard_swish(b: Qdq) -> str:
    x = conv(b)
    return b.node("Div", "sixth", [b.node("Mul", "product", [x, relu6_of_sum(b, x)]), number(b, 6)])


def hard_swish_gate_first(b: Qdq) -> str:
    x = conv(b)
    return b.node("Mul", "product", [x, b.node("Div", "sixth", [relu6_of_sum(b, x), number(b, 6)])])


def hard_swish_of_hard_sigmoid(b: Qdq) -> str:
    x = conv(b)
    return b.node("Mul", "product", [b.node("HardSigmoid", "gate", [x], alpha=1 / 6, beta=0.5), x])


def gelu(b: Qdq) -> str:
    x = conv(b)
    erf = b.node("Erf", "erf", [b.node("Div", "scaled", [x, number(b, np.sqrt(2))])])
    product = b.node("Mul", "product", [x, b.node("Add", "plus", [erf, number(b, 1)])])
    return b.node("Mul", "half", [product, number(b, 0.5)])


def dropout(b: Qdq) -> str:
    x = b.node("Dropout", "dropout", [conv(b), number(b, 0.5)])
    return b.node("Relu", "relu", [b.node("Identity", "same", [x])])


def batch_norm(b: Qdq) -> str:
    return b.node("Relu", "relu", [b.batch_norm("norm", conv(b), 8)])


def channel_shuffle(b: Qdq) -> str:
    x = b.node("Reshape", "groups", [conv(b), b.ints("s1", 1, 2, 4, 13, 11)])
    x = b.node("Transpose", "swap", [x], perm=[0, 2, 1, 3, 4])
    return conv(b, b.node("Reshape", "joined", [x, b.ints("s2", 1, 8, 13, 11)]))


def squeeze_excite(b: Qdq) -> str:
    x = conv(b)
    y = b.node("GlobalAveragePool", "pool", [x])
    y = b.node("Relu", "relu", [b.node("Conv", "reduce", [y, b.weight("w1", 4, 8, 1, 1)])])
    y = b.node("Conv", "expand", [y, b.weight("w2", 8, 4, 1, 1)])
    return b.node("Mul", "scale", [x, b.node("HardSigmoid", "gate", [y], alpha=1 / 6, beta=0.5)])


def squeeze_excite_of_matrices(b: Qdq) -> str:
    """Mean without the dimensions, two Gemms, and the dimensions back."""
    x = conv(b)
    y = b.node("ReduceMean", "pool", [x], axes=[2, 3], keepdims=0)
    y = b.node("Relu", "relu", [b.node("Gemm", "reduce", [y, b.weight("w1", 8, 4), b.weight("b1", 4)])])
    y = b.node("Sigmoid", "gate", [b.node("Gemm", "expand", [y, b.weight("w2", 4, 8), b.weight("b2", 8)])])
    return b.node("Mul", "scale", [x, b.node("Reshape", "dims", [y, b.ints("s", 1, 8, 1, 1)])])


def matmul_add(b: Qdq) -> str:
    """Of three dimensions, with an activation behind the bias."""
    x = b.node("Reshape", "rows", ["input", b.ints("s", 1, 8, 143)])
    product = b.node("MatMul", "product", [x, b.weight("w", 143, 6)])
    return b.node("Relu", "relu", [b.node("Add", "bias", [b.weight("b", 6), product])])


def gemm(b: Qdq) -> str:
    x = b.node("Flatten", "flat", ["input"])
    inputs = [x, b.weight("w", 6, 8 * 143), b.weight("b", 1, 6)]
    return b.node("Gemm", "gemm", inputs, transB=1, alpha=0.5, beta=2.0)


def channels_last(b: Qdq) -> str:
    """As exported from NHWC: a transpose before and behind every convolution, the bias between."""
    x = conv(b, b.node("Transpose", "t0", ["input"], perm=[0, 3, 1, 2]), 11)
    x = b.node("Add", "bias", [b.node("Transpose", "t1", [x], perm=[0, 2, 3, 1]), b.weight("b", 8)])
    x = b.node("Transpose", "t2", [b.node("Relu", "relu", [x])], perm=[0, 3, 1, 2])
    return b.node("Transpose", "t3", [conv(b, x)], perm=[0, 2, 3, 1])


def transposed_and_back(b: Qdq) -> str:
    x = b.node("Transpose", "there", ["input"], perm=[0, 3, 2, 1])
    x = b.node("Mul", "product", [b.node("Relu", "relu", [x]), b.weight("factor", 11, 1, 1)])
    return b.node("Transpose", "back", [x], perm=[0, 3, 2, 1])


def flat_before_relu(b: Qdq) -> str:
    return b.node("Relu", "relu", [b.node("Flatten", "flat", [conv(b)])])


def picture_scale(b: Qdq) -> str:
    return conv(b, b.node("Div", "scaled", ["input", number(b, 255)]))


def residual(b: Qdq) -> str:
    x = conv(b)
    return b.node("Relu", "relu", [b.node("Add", "sum", [conv(b, x), x])])


def same_twice(b: Qdq) -> str:
    x = conv(b)
    left, right = (b.node("Sigmoid", f"gate{i}", [x]) for i in range(2))
    return b.node("Add", "sum", [left, right])


def padded(b: Qdq) -> str:
    x = b.node("Pad", "pad", ["input", b.ints("p", 0, 0, 1, 1, 0, 0, 2, 0)])
    return b.conv("conv", x, 8, 8, pads=[0] * 4)


# graph: the operators between the layout transposes of input and output
FLOAT: dict[Callable[[Qdq], str], list[str]] = {
    swish: [CONV, "silu"],
    hard_swish: [CONV, "hard_swish"],
    hard_swish_gate_first: [CONV, "hard_swish"],
    hard_swish_of_hard_sigmoid: [CONV, "hard_swish"],
    gelu: [CONV, "gelu"],
    dropout: [CONV],
    batch_norm: [CONV],
    channel_shuffle: [CONV, "gather", CONV],
    squeeze_excite: [CONV, "average_pool2d", CONV, CONV, "hard_sigmoid", "mul"],
    squeeze_excite_of_matrices: [CONV, "average_pool2d", "reshape", FC, FC, "sigmoid", "reshape", "mul"],
    matmul_add: ["reshape", FC, "reshape"],
    gemm: ["reshape", FC],
    channels_last: [CONV, CONV],
    transposed_and_back: ["clamp", "mul"],
    flat_before_relu: [CONV, T, "reshape"],
    picture_scale: [CONV],
    residual: [CONV, "conv2d_add"],
    same_twice: [CONV, "sigmoid", "add"],
    padded: [CONV],
}


def name_of(op: Op) -> str:
    a = op.attributes
    return UnaryFunction(a.function).name.lower() if isinstance(a, Unary) else op.kind.name


def without_edges(names: list[str]) -> list[str]:
    """Without one transpose at the beginning and at the end."""
    begin = names[:1] == [T]
    return names[begin : len(names) - (names[-1:] == [T])]


@pytest.mark.parametrize("graph", FLOAT, ids=lambda g: g.__name__)
def test_float(graph: Graph) -> None:
    program = lower_to_program(build(graph))
    assert without_edges([name_of(op) for op in program.ops]) == FLOAT[graph]
    x = np.random.default_rng(3).uniform(-2, 2, (1, 8, 13, 11)).astype(np.float32)
    (wanted,) = open_session(build_proto(graph).SerializeToString(), optimized=False).run(None, {"input": x})
    (got,), (bound,) = run(program, [x]), error_bounds(program, [x])
    assert exceeds(got, wanted, 2 * bound) <= 0


def int8_squeeze_excite(b: Qdq) -> str:
    x = b.quantize("y", b.qconv("conv", b.quantize("x", "input", 0.02), 8, 8, 0.02), 0.05)
    y = b.quantize("pooled", b.node("GlobalAveragePool", "pool", [x]), 0.02)
    y = b.node("Relu", "relu", [b.qconv("reduce", y, 8, 4, 0.02, k=1)])
    y = b.qconv("expand", b.quantize("few", y, 0.01), 4, 8, 0.01, k=1)
    y = b.node("HardSigmoid", "gate", [b.quantize("many", y, 0.03)], alpha=1 / 6, beta=0.5)
    return b.quantize("out", b.node("Mul", "scale", [x, b.quantize("open", y, 1 / 127)]), 0.05)


def int8_hard_swish(b: Qdq) -> str:
    x = b.quantize("y", b.qconv("conv", b.quantize("x", "input", 0.02), 8, 8, 0.02), 0.05)
    y = b.node("Div", "sixth", [b.node("Mul", "product", [x, relu6_of_sum(b, x)]), number(b, 6)])
    return b.quantize("out", b.qconv("last", b.quantize("z", y, 0.04), 8, 8, 0.04), 0.07)


def int8_shuffle(b: Qdq) -> str:
    x = b.quantize("y", b.qconv("conv", b.quantize("x", "input", 0.02), 8, 8, 0.02), 0.05)
    x = b.node("Reshape", "groups", [x, b.ints("s1", 1, 2, 4, 13, 11)])
    x = b.node("Transpose", "swap", [x], perm=[0, 2, 1, 3, 4])
    x = b.node("Reshape", "joined", [x, b.ints("s2", 1, 8, 13, 11)])
    return b.quantize("out", b.qconv("last", b.quantize("z", x, 0.05), 8, 8, 0.05), 0.07)


# graph: the operators in int8, between quantize and dequantize
INT8: dict[Callable[[Qdq], str], list[str]] = {
    int8_squeeze_excite: [CONV, "average_pool2d", CONV, CONV, "lookup", "mul"],
    int8_hard_swish: [CONV, "lookup", CONV],
    int8_shuffle: [CONV, "gather", CONV],
}


@pytest.mark.parametrize("graph", INT8, ids=lambda g: g.__name__)
def test_int8(graph: Graph, tmp_path: Path) -> None:
    program = lower_to_program(build(graph))
    names = [name_of(op) for op in program.ops if op.kind.name not in ("quantize", "dequantize")]
    assert without_edges(names) == INT8[graph]
    inside = [op for op in program.ops if op.kind.name not in ("quantize", "dequantize", T)]
    assert all(runs_on_int8(program, op) for op in inside)
    assert all(program.tensors[op.outputs[0]].dtype is DType.I8 for op in inside)
    assert sum(op.kind.name == "quantize" for op in program.ops) == 1
    if RUNTIME_IS_BUILT:
        report = optimize(save(build_proto(graph), tmp_path), tmp_path / "x.nb", verify=True).verified
        assert report is not None
        assert (report.reason, report.output_sqnr_db) == ("", float("inf"))
