"""QDQ graphs: the int8 program in the reference interpreter equals onnxruntime, bit for bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ptq_core.flatfile.interpreter import run
from ptq_core.flatfile.operators.clamp import CLAMP
from ptq_core.flatfile.operators.conv2d import CONV2D
from ptq_core.flatfile.operators.dequantize import DEQUANTIZE
from ptq_core.flatfile.operators.matmul import MATMUL
from ptq_core.flatfile.operators.quantize import QUANTIZE
from ptq_core.flatfile.operators.transpose import TRANSPOSE
from ptq_core.flatfile.tensors import DType
from ptq_core.graph.io import to_bytes
from ptq_core.graph.session import open_session
from ptq_core.optimize.pipeline import lower_to_program, runs_on_int8
from tests.optimize.graphs import Graph, Qdq, build
from tests.optimize.test_lowering_float import stored

S_IN, Z_IN = 0.03, 5
S_OUT, Z_OUT = 0.11, -9


def qinput(b: Qdq, zero_point: int = Z_IN) -> str:
    return b.quantize("in", "input", S_IN, zero_point)


def conv(bias: str = "int32", z_in: int = Z_IN, cout: int = 12, **attributes: Any) -> Graph:
    def graph(b: Qdq) -> str:
        y = b.qconv("conv", qinput(b, z_in), 8, cout, S_IN, bias=bias, **attributes)
        return b.quantize("out", y, S_OUT, Z_OUT)

    return graph


def conv_clip_fused(lo: float, hi: float, zero_point: int = 0) -> Graph:
    """Our own quantizer's way: Q → DQ → Clip → Q → DQ with equal parameters."""

    def graph(b: Qdq) -> str:
        y = b.quantize("inner", b.qconv("conv", qinput(b), 8, 8, S_IN), S_OUT, zero_point)
        return b.quantize("out", b.clip("clip", y, lo, hi), S_OUT, zero_point)

    return graph


def conv_relu(b: Qdq) -> str:
    y = b.node("Relu", "relu", [b.qconv("conv", qinput(b), 8, 8, S_IN)])
    return b.quantize("out", y, S_OUT, -128)


def gemm(trans_b: int, per_channel: bool = True) -> Graph:
    def graph(b: Qdq) -> str:
        axis = (0 if trans_b else 1) if per_channel else None
        w, scales = b.int8_weight("w", *((6, 20) if trans_b else (20, 6)), axis=axis)
        inputs = [qinput(b), w, b.int32_bias("b", 6, S_IN, scales)]
        return b.quantize("out", b.node("Gemm", "fc", inputs, transB=trans_b), S_OUT, Z_OUT)

    return graph


def matmul(b: Qdq) -> str:
    w, _ = b.int8_weight("w", 20, 6, axis=1)
    return b.quantize("out", b.node("MatMul", "fc", [qinput(b), w]), S_OUT, Z_OUT)


def heads(z_k: int) -> Graph:
    """As an attention of two heads without its Softmax: [N, tokens, heads, K], whose keys are turned, then the values mixed."""

    def graph(b: Qdq) -> str:
        def head(name: str, scale: float, zero_point: int, *perm: int) -> str:
            x = b.quantize(name, "input", scale, zero_point)
            return b.quantize(f"{name}h", b.node("Transpose", f"{name}t", [x], perm=perm), scale, zero_point)

        q, k = head("q", S_IN, Z_IN, 0, 2, 1, 3), head("k", 0.024, z_k, 0, 2, 3, 1)
        scores = b.quantize("s", b.node("MatMul", "scores", [q, k]), S_OUT, Z_OUT)
        values = head("v", 0.027, z_k, 0, 2, 1, 3)
        return b.quantize("out", b.node("MatMul", "mixed", [scores, values]), 0.2, Z_OUT)

    return graph


def attention(b: Qdq) -> str:
    """The scores are read by a Softmax in float, as the quantizer leaves them."""
    q, k = (b.quantize(name, "input", scale, 3) for name, scale in (("q", S_IN), ("k", 0.024)))
    turned = b.node("Transpose", "turned", [k], perm=[0, 2, 1])
    scores = b.node("MatMul", "scores", [q, turned])
    weights = b.quantize("w", b.node("Softmax", "softmax", [scores], axis=-1), 1 / 127, 0)
    return b.quantize("out", b.node("MatMul", "mixed", [weights, q]), 0.02, Z_OUT)


def residual(b: Qdq) -> str:
    x = b.quantize("q1", b.node("Relu", "r1", [b.qconv("c1", qinput(b), 8, 8, S_IN)]), 0.07, -128)
    y = b.quantize("q2", b.qconv("c2", x, 8, 8, 0.07, bias="none"), S_OUT, 3)
    y = b.quantize("q3", b.node("Add", "add", [y, x]), 0.13, 1)
    return b.quantize("q4", b.clip("relu", y, 0, np.inf), 0.13, 1)


def fire(b: Qdq) -> str:
    s = b.quantize("qs", b.node("Relu", "rs", [b.qconv("s", qinput(b), 8, 4, S_IN, k=1)]), 0.05, -128)
    left = b.quantize("ql", b.node("Relu", "rl", [b.qconv("l", s, 4, 6, 0.05, k=1)]), 0.04, -128)
    right = b.quantize("qr", b.node("Relu", "rr", [b.qconv("r", s, 4, 6, 0.05)]), 0.09, -128)
    return b.quantize("out", b.node("Concat", "fire", [left, right], axis=1), 0.09, -128)


def max_pool(b: Qdq) -> str:
    y = b.node("MaxPool", "pool", [qinput(b)], kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    return b.quantize("out", y, S_IN, Z_IN)


def average_pool(op_type: str, s_out: float, **attributes: object) -> Graph:
    def graph(b: Qdq) -> str:
        return b.quantize("out", b.node(op_type, "pool", [qinput(b)], **attributes), s_out, Z_OUT)

    return graph


def relu_alone(b: Qdq) -> str:
    return b.quantize("out", b.node("Relu", "relu", [qinput(b)]), S_IN, Z_IN)


def flatten_gemm(b: Qdq) -> str:
    x = b.node("GlobalAveragePool", "pool", [qinput(b)])
    x = b.node("Flatten", "flatten", [b.quantize("qp", x, 0.02, 0)], axis=1)
    w, scales = b.int8_weight("w", 6, 8)
    y = b.node("Gemm", "fc", [x, w, b.int32_bias("b", 6, 0.02, scales)], transB=1)
    return b.quantize("out", y, 0.05, 0)


def movement(b: Qdq) -> str:
    x = b.node("Transpose", "t", [qinput(b)], perm=[0, 1, 3, 2])
    x = b.quantize("qt", x, S_IN, Z_IN)
    x = b.node("Pad", "pad", [x, b.ints("pads", 0, 0, 1, 0, 0, 0, 0, 1), b.constant("v", np.float32(0))])
    x = b.quantize("qx", x, S_IN, Z_IN)
    return b.quantize("out", b.qconv("conv", x, 8, 4, S_IN, pads=[0, 0, 0, 0]), S_OUT, Z_OUT)


def weights_quantized_in_the_graph(b: Qdq) -> str:
    """Training-time exports keep float weights: w → Q → DQ → Conv."""
    w = b.quantize("w", b.weight("wf", 6, 8, 3, 3), 0.013)
    return b.quantize("out", b.node("Conv", "conv", [qinput(b), w]), S_OUT, Z_OUT)


def weights_transposed_in_the_graph(b: Qdq) -> str:
    w, _ = b.int8_weight("w", 6, 20, axis=0)
    w = b.node("Transpose", "t", [w], perm=[1, 0])
    return b.quantize("out", b.node("MatMul", "fc", [qinput(b), w]), S_OUT, Z_OUT)


def mobile(b: Qdq) -> str:
    x = b.quantize("i0", b.qconv("stem", qinput(b), 8, 16, S_IN, strides=[2, 2]), 0.1)
    x = b.quantize("q0", b.clip("r0", x, 0, 6), 0.1)
    x = b.quantize("i1", b.qconv("dw", x, 16, 16, 0.1, group=16), 0.05)
    x = b.quantize("q1", b.clip("r1", x, 0, 6), 0.05)
    return b.quantize("q2", b.qconv("pw", x, 16, 24, 0.05, k=1), 0.2)


PICTURE, FLAT = (1, 8, 13, 11), (1, 20)
CASES: dict[str, tuple[Graph, tuple[int, ...]]] = {
    "conv": (conv(), PICTURE),
    "conv_symmetric": (conv(z_in=0), PICTURE),
    "conv_per_tensor": (conv(weight_axis=None), PICTURE),
    "heads": (heads(4), (1, 7, 2, 10)),
    "heads_symmetric": (heads(0), (1, 7, 2, 10)),
    "conv_float_bias": (conv("float"), PICTURE),
    "conv_no_bias": (conv("none"), PICTURE),
    "conv_stride_pads": (conv(strides=[2, 1], pads=[0, 1, 2, 0]), PICTURE),
    "conv_dilation": (conv(dilations=[2, 2], pads=[2, 2, 2, 2]), PICTURE),
    "conv_groups": (conv(group=2), PICTURE),
    "conv_depthwise": (conv(group=8, cout=8), PICTURE),
    "conv_depth_multiplier": (conv(group=8, cout=16), PICTURE),
    "conv_same_lower": (conv(auto_pad="SAME_LOWER", strides=[2, 2]), PICTURE),
    "conv_relu": (conv_relu, PICTURE),
    "conv_relu6": (conv_clip_fused(0, 6), PICTURE),
    "conv_clip_asymmetric": (conv_clip_fused(-1, 2.5, 17), PICTURE),
    "gemm": (gemm(1), FLAT),
    "gemm_plain": (gemm(0), FLAT),
    "gemm_per_tensor": (gemm(0, False), FLAT),
    "matmul": (matmul, FLAT),
    "residual": (residual, PICTURE),
    "fire": (fire, PICTURE),
    "max_pool": (max_pool, PICTURE),
    "global_average_pool": (average_pool("GlobalAveragePool", 0.013), PICTURE),
    "reduce_mean": (average_pool("ReduceMean", 0.013, axes=[2, 3], keepdims=0), PICTURE),
    "relu_alone": (relu_alone, PICTURE),
    "flatten_gemm": (flatten_gemm, PICTURE),
    "movement": (movement, PICTURE),
    "weights_quantized_in_the_graph": (weights_quantized_in_the_graph, PICTURE),
    "weights_transposed_in_the_graph": (weights_transposed_in_the_graph, FLAT),
    "mobile": (mobile, PICTURE),
}


@pytest.mark.parametrize("name", CASES)
def test_equals_onnxruntime(name: str) -> None:
    graph, shape = CASES[name]
    model = build(graph, shape)
    program = stored(lower_to_program(model))
    between = [op for op in program.ops if op.kind not in (QUANTIZE, DEQUANTIZE)]
    assert between
    assert all(runs_on_int8(program, op) for op in between), "everything between the edges is int8"
    session = open_session(to_bytes(model), int8="kept")
    for seed in range(4):
        x = np.random.default_rng(seed).uniform(-4, 4, shape).astype(np.float32)
        expected = session.run(None, {"input": x})[0]
        (got,) = run(program, [x])
        np.testing.assert_array_equal(got, expected)


def test_windowed_average_differs_at_ties_only() -> None:
    """onnxruntime sums dequantized floats there (docs/numerics.md): one step where the exact quotient is at a tie."""
    attributes = {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]}
    model = build(average_pool("AveragePool", 0.017, **attributes))
    program = stored(lower_to_program(model))
    assert [op.kind.name for op in program.ops][1:3] == ["transpose", "average_pool2d"]
    x = np.random.default_rng(0).uniform(-4, 4, PICTURE).astype(np.float32)
    got, expected = (
        run(program, [x])[0],
        open_session(to_bytes(model), int8="kept").run(None, {"input": x})[0],
    )
    exact = build(lambda b: b.node("AveragePool", "pool", [qinput(b)], **attributes))
    quotient = open_session(to_bytes(exact)).run(None, {"input": x})[0].astype(np.float64) / 0.017
    at_tie = np.abs(np.abs(quotient - np.floor(quotient)) - 0.5) < 1e-4
    np.testing.assert_array_equal(got[~at_tie], expected[~at_tie])
    assert np.abs(got - expected).max() <= 1.01 * 0.017


def test_products_of_an_attention_are_int8() -> None:
    program = stored(lower_to_program(build(attention, (1, 7, 20))))
    products = [op for op in program.ops if op.kind == MATMUL]
    assert [program.tensors[op.outputs[0]].dtype for op in products] == [DType.F32, DType.I8]
    assert all(runs_on_int8(program, op) for op in products)
    assert not [op for op in program.ops if op.kind == TRANSPOSE], "the keys are read as they lie"


FUSED = {
    "conv_relu": {"q_min": -128, "q_max": 127},
    "conv_relu6": {"q_min": 0, "q_max": 55},
    "conv_clip_asymmetric": {"q_min": 8, "q_max": 40},
}


@pytest.mark.parametrize("name", FUSED)
def test_activation_becomes_bounds(name: str) -> None:
    program = lower_to_program(build(*CASES[name]))
    (op,) = [op for op in program.ops if op.kind == CONV2D]
    assert {key: getattr(op.attributes, key) for key in FUSED[name]} == FUSED[name]
    assert not [op for op in program.ops if op.kind == CLAMP]


def float_tail(b: Qdq) -> str:
    y = b.node("Relu", "relu", [b.qconv("conv", qinput(b), 8, 4, S_IN)])
    return b.node("Softmax", "softmax", [y], axis=1)


def shared_input(b: Qdq) -> str:
    """One dequantized value is read by an int8 convolution and twice by float operators."""
    x = qinput(b)
    y = b.quantize("out", b.qconv("conv", x, 8, 8, S_IN), S_OUT, Z_OUT)
    return b.node("Mul", "m2", [b.node("Mul", "mul", [y, x]), x])


def pool_before_quantize(b: Qdq) -> str:
    """The quantizer left MaxPool alone: conv → relu → pool → Q."""
    y = b.node("Relu", "relu", [b.qconv("conv", qinput(b), 8, 4, S_IN)])
    y = b.node("MaxPool", "pool", [y], kernel_shape=[2, 2], strides=[2, 2])
    return b.quantize("out", y, S_OUT, Z_OUT)


def test_an_int8_operator_without_quantized_readers_gives_float() -> None:
    model = build(float_tail)
    program = stored(lower_to_program(model))
    assert [op.kind.name for op in program.ops] == [
        "quantize",
        "transpose",
        "conv2d",
        "softmax",
        "transpose",
    ]
    conv_op = program.ops[2]
    assert program.tensors[conv_op.outputs[0]].dtype == DType.F32
    assert getattr(conv_op.attributes, "lo") == 0.0  # noqa: B009 - the attribute union has no common field
    x = np.random.default_rng(0).uniform(-4, 4, PICTURE).astype(np.float32)
    expected = open_session(to_bytes(model), int8="kept").run(None, {"input": x})[0]
    # The integer sum is exact; onnxruntime's float convolution of k = 72 products errs by (k + 8) · 2^-24 of their sizes.
    np.testing.assert_allclose(run(program, [x])[0], expected, atol=80 * 2**-24 * 72 * 4 * 0.02 * 127)


def test_one_dequantize_serves_all_float_readers() -> None:
    model = build(shared_input)
    program = stored(lower_to_program(model))
    kinds = [op.kind for op in program.ops]
    assert kinds.count(DEQUANTIZE) == 2  # of the input and of the convolution's output
    assert kinds.count(TRANSPOSE) == 2
    x = np.random.default_rng(0).uniform(-4, 4, PICTURE).astype(np.float32)
    np.testing.assert_array_equal(
        run(program, [x])[0], open_session(to_bytes(model), int8="kept").run(None, {"input": x})[0]
    )


def test_quantize_moves_before_a_max_pool() -> None:
    program = lower_to_program(build(pool_before_quantize))
    kinds = [op.kind.name for op in program.ops]
    assert kinds == ["quantize", "transpose", "conv2d", "max_pool2d", "transpose", "dequantize"]
    assert program.tensors[program.ops[3].outputs[0]].dtype == DType.I8


def concat_before_quantize(b: Qdq) -> str:
    """Fire modules whose Concat the quantizer left alone: two convolutions → relu → concat → Q."""
    left = b.node("Relu", "rl", [b.qconv("l", qinput(b), 8, 6, S_IN, k=1)])
    right = b.node("Relu", "rr", [b.qconv("r", "in/dq/out", 8, 6, S_IN)])
    return b.quantize("out", b.node("Concat", "fire", [left, right], axis=1), S_OUT, -128)


def test_quantize_moves_before_a_concat() -> None:
    program = lower_to_program(build(concat_before_quantize))
    kinds = [op.kind.name for op in program.ops]
    assert kinds == ["quantize", "transpose", "conv2d", "conv2d", "concat", "transpose", "dequantize"]
    assert all(program.tensors[op.outputs[0]].dtype == DType.I8 for op in program.ops[2:5])


@pytest.mark.parametrize("name", ["conv", "residual", "mobile", "fire", "gemm"])
def test_float_kernels_on_request(name: str) -> None:
    model = build(*CASES[name])
    program = stored(lower_to_program(model, prefer_int8_kernel=False))
    assert not any(runs_on_int8(program, op) and op.kind != TRANSPOSE for op in program.ops)
    x = np.random.default_rng(0).uniform(-4, 4, CASES[name][1]).astype(np.float32)
    expected = open_session(to_bytes(model), int8="kept").run(None, {"input": x})[0]
    scale = max(float(t.qparams.scale) for t in program.tensors if t.qparams is not None)
    # Float sums may round the other way where the exact sum is near a tie: one step of the output, seldom.
    difference = np.abs(run(program, [x])[0] - expected)
    assert difference.max() <= 1.01 * scale
    assert np.mean(difference > 0) < 0.01
