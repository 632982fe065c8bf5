"""Operators that are lowered by a formula or a rearrangement of elements: they agree with onnxruntime."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx_ir as ir
import pytest
from onnx import TensorProto
from onnx.reference import ReferenceEvaluator

from ptq_core.errors import InputError
from ptq_core.flatfile.interpreter import run
from ptq_core.flatfile.tensors import Array
from ptq_core.optimize.pipeline import lower_to_program
from tests.optimize.graphs import Graph, Qdq, build
from tests.optimize.lowered import PICTURE, assert_agrees, behind, node

MATRIX, SIGNAL, VOLUME = (5, 7), (2, 6, 9), (2, 3, 4, 5, 6)


def computed(b: Qdq, name: str, shift: float = 0.0) -> str:
    """Six numbers, one per channel of a convolution's output, that depend on the input."""
    x = b.node("GlobalAveragePool", f"{name}/pool", [b.conv(f"{name}/conv", "input", 8, 6)])
    x = b.node("Tanh", f"{name}/tanh", [b.node("Reshape", f"{name}/flat", [x, b.ints(f"{name}/n", 6)])])
    return b.node("Add", name, [x, b.constant(f"{name}/shift", np.float32(shift))])


def batch_norm(*constant: int) -> Graph:
    """Parameters in order are scale, bias, mean, variance; those of the indices ``constant`` are constants."""

    def graph(b: Qdq) -> str:
        given = [
            b.constant(f"c{i}", np.linspace(0.5, 2, 6).astype(np.float32))
            if i in constant
            else computed(b, f"p{i}", 2.0)
            for i in range(4)
        ]
        x = b.node("BatchNormalization", "bn", [b.conv("conv", "input", 8, 6), *given], epsilon=0.01)
        return b.node("Neg", "neg", [x])

    return graph


def instance_norm(b: Qdq) -> str:
    given = [computed(b, "scale", 1.0), computed(b, "bias")]
    return b.node("InstanceNormalization", "norm", [b.conv("conv", "input", 8, 6), *given])


def layer_norm(b: Qdq) -> str:
    scale = b.node("Tanh", "scale", [b.node("ReduceMax", "most", ["input"], axes=[0, 1], keepdims=0)])
    return b.node("LayerNormalization", "norm", ["input", scale, scale], axis=-2)


def clip(low: bool, high: bool) -> Graph:
    def graph(b: Qdq) -> str:
        x = b.conv("conv", "input", 8, 6)
        largest = b.node("Sqrt", "half", [b.node("ReduceMax", "most", [x], keepdims=0)])
        bounds = [b.node("Neg", "low", [largest]) if low else b.constant("lo", np.float32(-0.3))]
        bounds += [largest if high else ""]
        return b.node("Clip", "clip", [x, *bounds])

    return graph


def sized(b: Qdq) -> str:
    count = b.node("Cast", "cast", [b.node("Size", "size", ["input"])], to=TensorProto.FLOAT)
    return b.node("Div", "share", ["input", count])


def eyed(b: Qdq) -> str:
    return b.node("Add", "sum", ["input", b.node("EyeLike", "eye", ["input"], k=-1)])


def scattered(op_type: str, *indices: object, **attributes: object) -> Graph:
    """Updates from the input itself."""

    def graph(b: Qdq) -> str:
        places = b.constant("places", np.array(indices, np.int64))
        count = len(indices)
        updates = b.node("Slice", "updates", ["input", b.ints("s", 0), b.ints("e", count), b.ints("a", 0)])
        return b.node(op_type, "op", ["input", places, b.node("Neg", "neg", [updates])], **attributes)

    return graph


def of(inner: str, op_type: str, **attributes: object) -> Graph:
    """``op_type`` of a function whose results are its arguments."""
    return lambda b: b.node(op_type, "op", [b.node(inner, "inner", ["input"])], **attributes)


def of_large(op_type: str) -> Graph:
    return lambda b: b.node(
        op_type, "op", [b.node("Mul", "scale", ["input", b.constant("s", np.float32(20))])]
    )


def gemm(beta: float) -> Graph:
    """A computed addend, one row for all."""

    def graph(b: Qdq) -> str:
        row = b.node("ReduceMean", "mean", ["input"], axes=[0])
        return b.node("Gemm", "op", ["input", b.weight("w", 7, 7), row], beta=beta)

    return graph


def masked(b: Qdq) -> str:
    """Attention's mask: what lies ahead is out of reach."""
    mask = b.constant("mask", np.tri(9, dtype=bool)[None, 3:])
    return b.node(
        "Softmax", "soft", [b.node("Where", "op", [mask, "input", b.constant("far", np.float32(-1e9))])]
    )


def masked_channels(b: Qdq) -> str:
    x = b.conv("conv", "input", 8, 6)
    mask = b.constant("mask", np.array([1, 0, 1, 1, 0, 0], bool).reshape(6, 1, 1))
    return b.node("Where", "op", [mask, x, b.node("Neg", "neg", [x])])


CASES: dict[str, tuple[Graph, tuple[int, ...]]] = {
    "celu": (node("Celu", alpha=0.7), MATRIX),
    "selu": (node("Selu"), MATRIX),
    "softsign": (behind("Softsign"), PICTURE),
    "sign": (behind("Sign"), PICTURE),
    "sin": (node("Sin"), VOLUME),
    "sin_of_large": (of_large("Sin"), VOLUME),
    "cos": (node("Cos"), VOLUME),
    "cos_of_large": (of_large("Cos"), VOLUME),
    "tan": (of("Tanh", "Tan"), VOLUME),
    "asin": (of("Tanh", "Asin"), VOLUME),
    "acos": (of("Tanh", "Acos"), VOLUME),
    "atan": (node("Atan"), VOLUME),
    "atan_of_large": (of_large("Atan"), VOLUME),
    "sinh": (node("Sinh"), VOLUME),
    "sinh_of_large": (of_large("Sinh"), VOLUME),
    "cosh": (node("Cosh"), VOLUME),
    "cosh_of_large": (of_large("Cosh"), VOLUME),
    "asinh": (node("Asinh"), VOLUME),
    "asinh_of_large": (of_large("Asinh"), VOLUME),
    "acosh": (lambda b: b.node("Acosh", "op", [b.node("Cosh", "inner", ["input"])]), VOLUME),
    "atanh": (of("Tanh", "Atanh"), VOLUME),
    "thresholded_relu": (behind("ThresholdedRelu", alpha=0.4), PICTURE),
    "thresholded_relu_below": (node("ThresholdedRelu", alpha=-0.4), MATRIX),
    "shrink": (node("Shrink", lambd=0.4, bias=0.3), MATRIX),
    "hardmax": (of("Relu", "Hardmax", axis=1), SIGNAL),
    "hardmax_of_channels": (behind("Hardmax", axis=1), PICTURE),
    "batch_norm": (batch_norm(), PICTURE),
    "batch_norm_of_constant_variance": (batch_norm(1, 3), PICTURE),
    "instance_norm": (instance_norm, PICTURE),
    "layer_norm": (layer_norm, SIGNAL),
    "mean_variance": (behind("MeanVarianceNormalization", axes=[0, 2, 3]), PICTURE),
    "mean_variance_of_channels": (node("MeanVarianceNormalization", axes=[1, -1]), SIGNAL),
    "lrn": (behind("LRN", size=3, alpha=0.2, beta=0.6, bias=1.3), PICTURE),
    "lrn_wide": (node("LRN", size=5), (2, 7, 5, 4)),
    "lp_normalization": (behind("LpNormalization", axis=1), PICTURE),
    "lp_normalization_1": (node("LpNormalization", p=1, axis=0), MATRIX),
    "global_lp": (behind("GlobalLpPool"), PICTURE),
    "global_lp_3": (node("GlobalLpPool", p=3), SIGNAL),
    "gemm_addend": (gemm(1.0), MATRIX),
    "gemm_scaled_addend": (gemm(0.3), MATRIX),
    "clip_low": (clip(True, False), PICTURE),
    "clip_both": (clip(True, True), PICTURE),
    "clip_high": (clip(False, True), PICTURE),
    "l1": (behind("ReduceL1", axes=[1], keepdims=0), PICTURE),
    "sum_of_squares": (node("ReduceSumSquare", axes=[0, -1]), SIGNAL),
    "log_sum": (lambda b: b.node("ReduceLogSum", "l", [b.node("Exp", "e", ["input"])], axes=[1]), SIGNAL),
    "log_sum_exp": (node("ReduceLogSumExp", axes=[1, 2], keepdims=0), SIGNAL),
    "log_sum_exp_of_all": (behind("ReduceLogSumExp"), PICTURE),
    "expand": (node("Expand", [3, 2, 1, 9]), (2, 6, 1)),
    "expand_channels": (behind("Expand", [2, 1, 1, 1]), PICTURE),
    "tile": (behind("Tile", [1, 2, 3, 1]), PICTURE),
    "cum_sum": (behind("CumSum", np.array(1)), PICTURE),
    "cum_sum_reversed": (node("CumSum", np.array([-1]), reverse=1, exclusive=1), SIGNAL),
    "cum_sum_exclusive": (node("CumSum", np.array(0), exclusive=1), MATRIX),
    "cum_sum_long": (node("CumSum", np.array(0)), (5000,)),
    "trilu": (node("Trilu", np.array(-1), upper=0), MATRIX),
    "trilu_upper": (node("Trilu"), SIGNAL),
    "gather_elements": (node("GatherElements", [[4, 0], [-1, 2], [1, 1]], axis=1), MATRIX),
    "gather_nd": (node("GatherND", [[0, 3], [1, -2]]), SIGNAL),
    "gather_nd_batch": (node("GatherND", [[3], [0]], batch_dims=1), SIGNAL),
    "scatter_elements": (scattered("ScatterElements", [1, 2, 3, 0, 4, 1, 2], axis=0), MATRIX),
    "scatter_nd": (scattered("ScatterND", [3], [0]), MATRIX),
    "reverse_sequence": (node("ReverseSequence", [4, 1], time_axis=1, batch_axis=0), SIGNAL),
    "masked": (masked, SIGNAL),
    "masked_channels": (masked_channels, PICTURE),
    "size": (sized, MATRIX),
    "eye_like": (eyed, MATRIX),
}


@pytest.mark.parametrize("name", CASES)
def test_agrees(name: str) -> None:
    graph, shape = CASES[name]
    assert_agrees(graph, shape)


def test_crops_and_pads() -> None:
    """A function of opset 18 that onnxruntime has by its body."""
    assert_agrees(node("CenterCropPad", [9, 4], axes=[1, 0]), MATRIX, opset=18)


@pytest.mark.parametrize("op_type", ["ReduceL1", "ReduceLogSum", "ReduceLogSumExp", "ReduceSumSquare"])
def test_a_reduction_of_nothing(op_type: str) -> None:
    assert_agrees(
        lambda b: b.node(op_type, "op", [b.node("Exp", "e", ["input"])], noop_with_empty_axes=1),
        SIGNAL,
        opset=18,
    )


FAR = np.array([-np.inf, -1e30, -89, -1e-30, 0, 1e-30, 1e-4, 1, 89, 1e30, np.inf], np.float32)
EXACT: dict[str, Callable[[Array], Array]] = {
    "Sign": np.sign,
    "Asin": np.arcsin,
    "Acos": np.arccos,
    "Atan": np.arctan,
    "Sinh": np.sinh,
    "Cosh": np.cosh,
    "Asinh": np.arcsinh,
    "Acosh": np.arccosh,
    "Atanh": np.arctanh,
    "Celu": lambda x: np.where(x > 0, x, np.expm1(x)),
    "ThresholdedRelu": lambda x: np.where(x > 1, x, 0),
    "Shrink": lambda x: np.where(np.abs(x) > 0.5, x, 0),
}


@pytest.mark.parametrize("op_type", EXACT)
def test_at_the_ends(op_type: str) -> None:
    """Nothing cancels, and nothing overflows before the result does."""
    with np.errstate(all="ignore"):
        wanted = EXACT[op_type](FAR.astype(np.float64)).astype(np.float32)
    (got,) = run(lower_to_program(build(node(op_type), FAR.shape)), [FAR])
    np.testing.assert_allclose(got, wanted, rtol=1e-5)


def test_log_sum_exp_of_far_values() -> None:
    program = lower_to_program(build(node("ReduceLogSumExp", axes=[1]), (3, 2)))
    x = np.array([[200, 199], [-np.inf, -np.inf], [np.inf, 0]], np.float32)
    (got,) = run(program, [x])
    np.testing.assert_allclose(got.ravel(), [200.313262, -np.inf, np.inf])


def test_norm_of_zeros() -> None:
    """ONNX leaves 0 / 0 open; it stays 0, as in onnxruntime."""
    program = lower_to_program(build(node("LpNormalization"), (1, 3)))
    np.testing.assert_array_equal(run(program, [np.zeros((1, 3), np.float32)])[0], 0)


@pytest.mark.parametrize("keepdims", [0, 1])
@pytest.mark.parametrize("last", [0, 1])
def test_arg_min(keepdims: int, last: int) -> None:
    graph = node("ArgMin", axis=1, keepdims=keepdims, select_last_index=last)
    model = build(graph, MATRIX, output_type=TensorProto.INT64)
    x = np.random.default_rng(3).integers(0, 4, MATRIX).astype(np.float32)
    (wanted,) = ReferenceEvaluator(ir.to_proto(model)).run(None, {"input": x})
    (got,) = run(lower_to_program(model), [x])
    np.testing.assert_array_equal(got, np.asarray(wanted))


REFUSED: dict[str, tuple[Graph, tuple[int, ...], str]] = {
    "long_list": (node("Trilu"), (64, 512, 513), "its list of elements would have 16809984 numbers"),
    "long_result": (node("CenterCropPad", [1 << 13, 1 << 13]), MATRIX, "would have"),
    "long_tile": (node("Tile", [1 << 25]), (3,), "its list of places would have"),
    "long_expand": (node("Expand", [1 << 25]), (1,), "its list of places would have"),
    "long_edge": (node("Pad", [0, 1 << 25], mode="edge"), (3,), "its list of places would have"),
    "large_hardmax": (node("Hardmax"), (5000,), "its matrix would have 25000000 numbers"),
    "large_resize": (
        node("Resize", None, np.array([1, 1, 1 << 14], np.float32), mode="cubic"),
        (1, 1, 40),
        "its matrix would have",
    ),
    "large_window": (
        node("AveragePool", kernel_shape=[4097, 4097], dilations=[2, 2], pads=[4096] * 4),
        (1, 2, 9, 9),
        "its window would have",
    ),
    "outside": (node("GatherND", [[0, 30]]), SIGNAL, "cannot be computed"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name: str) -> None:
    graph, shape, said = REFUSED[name]
    with pytest.raises(InputError) as caught:
        lower_to_program(build(graph, shape, 19))
    assert said in str(caught.value)
