"""Float graphs: the program in the reference interpreter agrees with onnxruntime within the bound of docs/numerics.md."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ptq_core.flatfile.error_bound import error_bounds
from ptq_core.flatfile.interpreter import run
from ptq_core.flatfile.operators.conv2d_add import CONV2D_ADD
from ptq_core.flatfile.program import Program
from ptq_core.flatfile.reader import read_program
from ptq_core.flatfile.writer import write_program
from ptq_core.graph.io import to_bytes
from ptq_core.graph.session import open_session
from ptq_core.optimize.pipeline import lower_to_program
from tests.optimize.graphs import Graph, Qdq, build


def conv(cin: int = 8, cout: int = 12, **attributes: Any) -> Graph:
    return lambda b: b.conv("conv", "input", cin, cout, **attributes)


def auto_conv(auto_pad: str, **attributes: object) -> Graph:
    return lambda b: b.node(
        "Conv", "conv", ["input", b.weight("w", 12, 8, 3, 3)], auto_pad=auto_pad, **attributes
    )


def pool(op_type: str, **attributes: object) -> Graph:
    return lambda b: b.node(op_type, "pool", ["input"], **attributes)


def gemm(
    trans_a: int, trans_b: int, alpha: float = 1.0, beta: float = 1.0, bias: tuple[int, ...] = (6,)
) -> Graph:
    def graph(b: Qdq) -> str:
        w = b.weight("w", *((6, 20) if trans_b else (20, 6)))
        inputs = ["input", w, b.weight("c", *bias)]
        return b.node("Gemm", "fc", inputs, transA=trans_a, transB=trans_b, alpha=alpha, beta=beta)

    return graph


def fire(b: Qdq) -> str:
    squeeze = b.node("Relu", "squeeze/relu", [b.conv("squeeze", "input", 8, 4, k=1)])
    left = b.node("Relu", "left/relu", [b.conv("left", squeeze, 4, 6, k=1)])
    right = b.node("Relu", "right/relu", [b.conv("right", squeeze, 4, 6)])
    return b.node("Concat", "fire", [left, right], axis=1)


def residual(b: Qdq) -> str:
    x = b.node("Relu", "relu1", [b.conv("conv1", "input", 8, 8)])
    y = b.conv("conv2", x, 8, 8)
    return b.node("Relu", "relu2", [b.node("Add", "add", [y, x])])


def shape_chain(b: Qdq) -> str:
    """x.view(x.shape[0], -1) as PyTorch exports it, then a linear layer."""
    x = b.conv("conv", "input", 8, 4)
    shape = b.node("Shape", "shape", [x])
    batch = b.node("Gather", "batch", [shape, b.constant("zero", np.int64(0))], axis=0)
    rows = b.node("Unsqueeze", "rows", [batch, b.ints("axes", 0)])
    wanted = b.node("Concat", "wanted", [rows, b.ints("minus_one", -1)], axis=0)
    flat = b.node("Reshape", "view", [x, wanted])
    return b.node("Gemm", "fc", [flat, b.weight("w", 5, 4 * 13 * 11), b.weight("c", 5)], transB=1)


def channel_shuffle(b: Qdq) -> str:
    x = b.node("Reshape", "split", ["input", b.ints("s1", 1, 2, 4, 13, 11)])
    x = b.node("Transpose", "swap", [x], perm=[0, 2, 1, 3, 4])
    x = b.node("Reshape", "join", [x, b.ints("s2", 1, 8, 13, 11)])
    return b.conv("conv", x, 8, 4)


def nhwc_model(b: Qdq) -> str:
    """A model between two transposes, as converters from NHWC frameworks write it."""
    x = b.node("Transpose", "enter", ["input"], perm=[0, 3, 1, 2])
    x = b.node("Relu", "relu", [b.conv("conv", x, 8, 6)])
    return b.node("Transpose", "leave", [x], perm=[0, 2, 3, 1])


def normalize_then_conv(b: Qdq) -> str:
    x = b.node("Sub", "sub", ["input", b.weight("mean", 1, 8, 1, 1)])
    x = b.node("Div", "div", [x, b.constant("std", np.full((8, 1, 1), 3, np.float32))])
    return b.conv("conv", x, 8, 4)


def tail(b: Qdq) -> str:
    x = b.node("GlobalAveragePool", "pool", ["input"])
    x = b.node("Flatten", "flatten", [x])
    x = b.node("Dropout", "dropout", [x])
    x = b.node("MatMul", "fc", [x, b.weight("w", 8, 5)])
    x = b.node("Add", "bias", [x, b.weight("c", 5)])
    return b.node("Softmax", "softmax", [x], axis=-1)


def pad_conv(b: Qdq) -> str:
    x = b.node(
        "Pad", "pad", ["input", b.ints("pads", 0, 0, 1, 0, 0, 0, 2, 1), b.constant("v", np.float32(0))]
    )
    return b.conv("conv", x, 8, 4, pads=[0, 1, 0, 1])


def pad_value(b: Qdq) -> str:
    x = b.node(
        "Pad", "pad", ["input", b.ints("pads", 0, 1, 1, 0, 0, 0, 2, 1), b.constant("v", np.float32(1.5))]
    )
    return b.conv("conv", x, 9, 4)


def mul_channels(b: Qdq) -> str:
    x = b.conv("conv", "input", 8, 6)
    gate = b.conv("gate", b.node("GlobalAveragePool", "pool", [x]), 6, 6, k=1)
    return b.node("Mul", "scale", [x, gate])


def squeeze_mean(b: Qdq) -> str:
    x = b.node("ReduceMean", "mean", [b.conv("conv", "input", 8, 6)], axes=[2, 3], keepdims=0)
    x = b.node("Unsqueeze", "unsqueeze", [x, b.ints("a", 2, 3)])
    return b.node("Squeeze", "squeeze", [b.conv("conv2", x, 6, 5, k=1), b.ints("a2", 2, 3)])


def newer_opset(b: Qdq) -> str:
    """Opset 18: the axes of ReduceMean and Pad are inputs; Squeeze without axes."""
    pads = [b.ints("p", 1, 0, 1, 2), b.constant("v", np.float32(0)), b.ints("pa", 2, 3)]
    x = b.conv("conv", b.node("Pad", "pad", ["input", *pads]), 8, 6)
    x = b.node("ReduceMean", "mean", [x, b.ints("ma", 2, 3)])
    return b.node("Squeeze", "squeeze", [x])


def constant_nodes(b: Qdq) -> str:
    """Weights behind Constant, Identity and arithmetic nodes are folded."""
    w = b.node(
        "Mul",
        "twice",
        [b.node("Identity", "same", [b.weight("w", 6, 8, 1, 1)]), b.constant("c", np.float32(2))],
    )
    return b.node("Conv", "conv", ["input", w])


FLAT = (3, 20)
OPSETS = {"newer_opset": 18}
CASES: dict[str, tuple[Graph, tuple[int | str, ...]]] = {
    name: (graph, (1, 8, 13, 11))
    for name, graph in {
        "conv": conv(),
        "conv_no_bias": conv(bias=False),
        "conv_1x1": conv(k=1),
        "conv_stride": conv(strides=[2, 3]),
        "conv_dilation": conv(dilations=[2, 3], pads=[2, 3, 2, 3]),
        "conv_asymmetric_pads": conv(pads=[0, 1, 2, 0], strides=[2, 2]),
        "conv_groups": conv(group=4),
        "conv_depthwise": conv(cout=8, group=8),
        "conv_depth_multiplier": conv(cout=24, group=8),
        "conv_same_upper": auto_conv("SAME_UPPER", strides=[2, 2]),
        "conv_same_lower": auto_conv("SAME_LOWER", strides=[2, 2]),
        "conv_valid": auto_conv("VALID"),
        "conv_bn_relu6": lambda b: b.relu6("relu", b.batch_norm("bn", b.conv("conv", "input", 8, 6), 6)),
        "bn_alone": lambda b: b.batch_norm("bn", "input", 8),
        "relu_bn": lambda b: b.batch_norm("bn", b.node("Relu", "relu", [b.conv("conv", "input", 8, 6)]), 6),
        "clip_open": lambda b: b.node("Clip", "clip", ["input", "", b.constant("hi", np.float32(0.25))]),
        "max_pool": pool("MaxPool", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1]),
        "max_pool_ceil": pool("MaxPool", kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1),
        "max_pool_ceil_pads": pool(
            "MaxPool", kernel_shape=[2, 2], strides=[3, 3], ceil_mode=1, pads=[1, 1, 1, 1]
        ),
        "max_pool_dilated": pool("MaxPool", kernel_shape=[3, 3], dilations=[2, 2], pads=[1, 1, 1, 1]),
        "max_pool_same": pool("MaxPool", kernel_shape=[3, 2], strides=[2, 2], auto_pad="SAME_LOWER"),
        "average_pool": pool("AveragePool", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1]),
        "average_pool_counted": pool(
            "AveragePool", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 0, 1, 1], count_include_pad=1
        ),
        "average_pool_counted_ceil": pool(
            "AveragePool",
            kernel_shape=[3, 3],
            strides=[2, 3],
            pads=[0, 1, 0, 1],
            count_include_pad=1,
            ceil_mode=1,
        ),
        "average_pool_ceil": pool("AveragePool", kernel_shape=[3, 3], strides=[3, 3], ceil_mode=1),
        "average_pool_same": pool("AveragePool", kernel_shape=[3, 3], strides=[2, 2], auto_pad="SAME_UPPER"),
        "global_average_pool": pool("GlobalAveragePool"),
        "global_max_pool": pool("GlobalMaxPool"),
        "reduce_mean": lambda b: b.node("ReduceMean", "mean", ["input"], axes=[-1, -2], keepdims=1),
        "reduce_mean_nhwc": lambda b: b.node("ReduceMean", "mean", ["input"], axes=[1, 2], keepdims=0),
        "squeeze_mean": squeeze_mean,
        "newer_opset": newer_opset,
        "constant_nodes": constant_nodes,
        "fire": fire,
        "concat_input": lambda b: b.node("Concat", "cat", ["input", b.conv("conv", "input", 8, 4)], axis=1),
        "concat_height": lambda b: b.node("Concat", "cat", ["input", b.conv("conv", "input", 8, 8)], axis=2),
        "residual": residual,
        "add_scalar": lambda b: b.node(
            "Add", "add", [b.node("Relu", "r", ["input"]), b.constant("c", np.float32(2))]
        ),
        "mul_channels": mul_channels,
        "normalize_then_conv": normalize_then_conv,
        "shape_chain": shape_chain,
        "channel_shuffle": channel_shuffle,
        "softmax_channels": lambda b: b.node("Softmax", "s", [b.conv("conv", "input", 8, 4)], axis=1),
        "pad_conv": pad_conv,
        "pad_value": pad_value,
        "tail": tail,
        "identity": lambda b: b.node("Identity", "i", [b.conv("conv", "input", 8, 4)]),
        "flatten_axis_2": lambda b: b.node("Flatten", "f", [b.conv("conv", "input", 8, 4)], axis=2),
        "transpose_hw": lambda b: b.node(
            "Transpose", "t", [b.conv("conv", "input", 8, 4)], perm=[0, 1, 3, 2]
        ),
    }.items()
} | {
    "gemm": (gemm(0, 1), FLAT),
    "gemm_plain": (gemm(0, 0), FLAT),
    "gemm_trans_a": (gemm(1, 0), (20, 3)),
    "gemm_alpha_beta": (gemm(0, 1, 0.5, 2.0, (1, 6)), FLAT),
    "gemm_scalar_c": (gemm(0, 0, bias=(1,)), FLAT),
    "matmul_3d": (lambda b: b.node("MatMul", "fc", ["input", b.weight("w", 20, 6)]), (1, 5, 20)),
    "nhwc_model": (nhwc_model, (1, 13, 11, 8)),
    "open_batch": (residual, ("N", 8, 9, 9)),
}


@pytest.mark.parametrize("name", CASES)
def test_agrees_with_onnxruntime(name: str) -> None:
    graph, shape = CASES[name]
    model = build(graph, shape, OPSETS.get(name, 17))
    program = stored(lower_to_program(model))
    x = np.random.default_rng(3).standard_normal(program.tensors[program.inputs[0]].dims).astype(np.float32)
    expected = open_session(to_bytes(model)).run(None, {"input": x})[0]
    (got,) = run(program, [x])
    (bound,) = error_bounds(program, [x])
    assert got.shape == expected.shape
    assert program.tensors[program.outputs[0]].name == model.graph.outputs[0].name
    worst = np.max(np.abs(got.astype(np.float64) - expected) - 2 * bound)
    assert worst <= 0, f"exceeds the bound by {worst}"


def stored(program: Program) -> Program:
    """``program`` after writing and reading."""
    program.targets = ("arm64",)
    return read_program(write_program(program))


# case → the operators that must remain, in order: the passes did their work
KINDS = {
    "conv_bn_relu6": ["transpose", "conv2d", "transpose"],
    "pad_conv": ["transpose", "conv2d", "transpose"],
    "nhwc_model": ["conv2d"],
    "residual": ["transpose", "conv2d", "conv2d_add", "transpose"],
    "fire": ["transpose", "conv2d", "conv2d", "conv2d", "concat", "transpose"],
    "tail": ["transpose", "average_pool2d", "reshape", "fully_connected", "softmax"],
    "shape_chain": ["transpose", "conv2d", "transpose", "reshape", "fully_connected"],
    "gemm": ["fully_connected"],
    "relu_bn": ["transpose", "conv2d", "mul", "add", "transpose"],
}


@pytest.mark.parametrize("name", KINDS)
def test_what_remains(name: str) -> None:
    graph, shape = CASES[name]
    assert [op.kind.name for op in lower_to_program(build(graph, shape)).ops] == KINDS[name]


def test_the_bound_notices_a_wrong_result() -> None:
    graph, _ = CASES["residual"]
    program = lower_to_program(build(graph, (1, 8, 9, 9)))
    x = np.random.default_rng(3).standard_normal((1, 8, 9, 9)).astype(np.float32)
    (got,), (bound,) = run(program, [x]), error_bounds(program, [x])
    assert not np.all(np.abs(got * 1.001 - got) <= 2 * bound)
    assert CONV2D_ADD in {op.kind for op in program.ops}
