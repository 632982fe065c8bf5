"""Operators behind a convolution, so that they meet NHWC tensors: the program agrees with onnxruntime and the C++ runtime."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir
import pytest
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

from ptq_core.errors import InputError
from ptq_core.flatfile.interpreter import run
from ptq_core.flatfile.operators.conv2d import CONV2D
from ptq_core.flatfile.operators.transpose import TRANSPOSE
from ptq_core.flatfile.writer import write_program
from ptq_core.graph.io import to_bytes
from ptq_core.graph.session import open_session
from ptq_core.optimize.pipeline import lower_to_program
from tests.agreement import RUNTIME_IS_BUILT, assert_runtime_agrees
from tests.optimize.graphs import Graph, Qdq, build
from tests.optimize.lowered import PICTURE, assert_agrees, behind, node


def resize(
    mode: str, scales: list[float] | None, sizes: list[int] | None = None, **attributes: object
) -> Graph:
    given: list[object] = [None, None if scales is None else np.array(scales, np.float32)]
    if sizes is not None:
        given.append(sizes)
    return behind("Resize", *given, mode=mode, **attributes)


def crop(mode: str, roi: list[float], **attributes: object) -> Graph:
    given = np.array(roi, np.float32), None, [1, 6, 9, 14]
    return behind(
        "Resize", *given, mode=mode, coordinate_transformation_mode="tf_crop_and_resize", **attributes
    )


def deconvolution(*shape: int, bias: bool = True, **attributes: Any) -> Graph:
    """ConvTranspose of 6 channels; ``shape`` is that of the weights."""

    def graph(b: Qdq) -> str:
        inputs = [b.conv("conv", "input", 8, 6), b.weight("w", *shape)]
        if bias:
            inputs.append(b.weight("b", shape[1] * int(attributes.get("group", 1))))
        return b.node("ConvTranspose", "up", inputs, **attributes)

    return graph


def several(op_type: str) -> Graph:
    """Three operands: NHWC, a constant per channel, a scalar."""

    def graph(b: Qdq) -> str:
        inputs = [b.conv("conv", "input", 8, 6), b.weight("c", 6, 1, 1), b.constant("s", np.float32(0.3))]
        return b.node(op_type, "op", inputs)

    return graph


def splits(b: Qdq) -> str:
    b.nodes.append(
        helper.make_node(
            "Split", [b.conv("conv", "input", 8, 6), b.ints("sizes", 1, 3, 2)], ["a", "b", "c"], axis=1
        )
    )
    return b.node("Concat", "join", ["c", "a", "b"], axis=1)


def gathered_rows(b: Qdq) -> str:
    """A scalar index drops the dimension; a matrix of indices adds one."""
    x = b.node("Gather", "row", [b.conv("conv", "input", 8, 6), b.constant("i", np.int64(-2))], axis=2)
    return b.node("Gather", "cells", [x, b.constant("j", [[0, 3, 3], [5, 1, -1]])], axis=1)


def normalized(b: Qdq) -> str:
    inputs = [b.conv("conv", "input", 8, 6), b.weight("scale", 6), b.weight("bias", 6)]
    return b.node("InstanceNormalization", "norm", inputs, epsilon=1e-3)


def layer_normalized(b: Qdq) -> str:
    x = b.node("Transpose", "nhwc", [b.conv("conv", "input", 8, 6)], perm=[0, 2, 3, 1])
    return b.node("LayerNormalization", "norm", [x, b.weight("scale", 6)], axis=-1)


def power(exponent: float) -> Graph:
    def graph(b: Qdq) -> str:
        x = b.node("Abs", "abs", [b.conv("conv", "input", 8, 6)])
        return b.node("Pow", "pow", [x, b.constant("e", np.float32(exponent))])

    return graph


def prelu(low: float, high: float) -> Graph:
    def graph(b: Qdq) -> str:
        slopes = b.constant("slopes", np.linspace(low, high, 6, dtype=np.float32).reshape(6, 1, 1))
        return b.node("PRelu", "prelu", [b.conv("conv", "input", 8, 6), slopes])

    return graph


def hard_swish_of_rank_5(b: Qdq) -> str:
    """x · clip(x + 3, 0, 6) / 6 whose constants add a dimension: not a function of one value with its shape."""
    x = b.conv("conv", "input", 8, 6)
    three, six = (b.constant(f"c{value}", np.full((1,) * 5, value, np.float32)) for value in (3, 6))
    gate = b.relu6("gate", b.node("Add", "plus", [x, three]))
    return b.node("Div", "div", [b.node("Mul", "mul", [x, gate]), six])


def shape_arithmetic(b: Qdq) -> str:
    """Resize to the size of another value, as PyTorch writes F.interpolate(x, size=y.shape[2:])."""
    x = b.conv("conv", "input", 8, 6, strides=[2, 2])
    space = b.node("Slice", "hw", [b.node("Shape", "shape", ["input"]), b.ints("s0", 2), b.ints("s1", 4)])
    front = b.node("Slice", "nc", [b.node("Shape", "shape2", [x]), b.ints("s2", 0), b.ints("s3", 2)])
    sizes = b.node("Concat", "sizes", [front, b.node("Cast", "long", [space], to=7)], axis=0)
    keys = {"mode": "linear", "coordinate_transformation_mode": "pytorch_half_pixel"}
    return b.node("Resize", "up", [x, "", "", sizes], **keys)


def ranges(b: Qdq) -> str:
    """A grid by Range, ConstantOfShape and Expand, as detection heads build it; all of it is folded."""
    limits = [b.constant(n, np.float32(v)) for n, v in (("r0", 0), ("r1", 11), ("r2", 1))]
    grid = b.node("Expand", "grid", [b.node("Range", "range", limits), b.ints("wide", 1, 1, 13, 11)])
    ones = b.node("ConstantOfShape", "ones", [b.ints("dims", 13, 1)])
    offset = b.node("Add", "offset", [grid, ones])
    return b.node("Add", "placed", [b.conv("conv", "input", 8, 6), offset])


CASES: dict[str, Graph] = {
    "resize_nearest": resize("nearest", [1, 1, 2, 3], coordinate_transformation_mode="asymmetric"),
    "resize_nearest_down": resize("nearest", [1, 1, 0.6, 0.35], nearest_mode="ceil"),
    "resize_prefer_ceil": resize("nearest", None, [1, 6, 20, 7], nearest_mode="round_prefer_ceil"),
    "resize_linear": resize("linear", [1, 1, 2, 1.7]),
    "resize_align_corners": resize(
        "linear", None, [1, 6, 25, 5], coordinate_transformation_mode="align_corners"
    ),
    "resize_to_one": resize(
        "linear", None, [1, 6, 1, 1], coordinate_transformation_mode="pytorch_half_pixel"
    ),
    "resize_channels": resize("nearest", [1, 2, 1, 1]),
    "resize_apart": resize("nearest", [1, 2, 1, 2]),
    "resize_corners_between": resize("linear", [1, 1, 0.6, 1.7], coordinate_transformation_mode="align_corners"),
    "resize_corners_nearest": resize("nearest", [1, 1, 1.3, 0.7], coordinate_transformation_mode="align_corners"),
    "resize_cubic": resize("cubic", [1, 1, 1.5, 0.7]),
    "resize_cubic_asymmetric": resize("cubic", None, [1, 6, 20, 7], coordinate_transformation_mode="asymmetric"),
    "resize_cubic_corners": resize("cubic", [1, 1, 1.3, 2], coordinate_transformation_mode="align_corners"),
    "resize_cubic_inside": resize("cubic", [1, 1, 1.5, 0.7], exclude_outside=1, cubic_coeff_a=-0.5),
    "resize_crop": crop("linear", [0, 0, 0.1, 0.2, 1, 1, 0.7, 0.9]),
    "resize_crop_filled": crop("linear", [0, 0, -0.2, 0.2, 1, 1, 0.7, 1.3], extrapolation_value=2.5),
    "resize_crop_nearest": crop("nearest", [0, 0, -0.2, 0.2, 1, 1, 0.7, 1.3], extrapolation_value=2.5),
    "resize_nothing": resize("linear", [1, 1, 1, 1]),
    "pad_reflect": behind("Pad", [0, 2, 3, 0, 0, 0, 1, 4], mode="reflect"),
    "pad_edge": behind("Pad", [0, 0, 1, 0, 2, 1, 20, 4], mode="edge"),
    "pad_cut": behind("Pad", [0, -1, 3, -2, 0, 0, -1, 4], np.float32(-1.5)),
    "pad_reflect_cut": behind("Pad", [0, -1, -3, 0, 0, 0, 2, 3], mode="reflect"),
    "pad_crop": behind("Pad", [0, -1, -3, 0, 0, 0, 0, -2], mode="edge"),
    "slice_backwards": behind("Slice", [-1, 9], [-99, 2], [1, 3], [-2, -3]),
    "slice_from_before": behind("Slice", [-99], [-99], [2], [-1]),
    "slice_channels": behind("Slice", [1], [5], [1]),
    "gather_channels": behind("Gather", [5, 0, 0, 3], axis=1),
    "gather_evenly": behind("Gather", [5, 3, 1], axis=1),
    "gathered_rows": gathered_rows,
    "splits": splits,
    "reduce_channels": behind("ReduceMean", axes=[1]),
    "reduce_sum_rows": behind("ReduceSum", [2], keepdims=0),
    "reduce_all": behind("ReduceMax", keepdims=1),
    "reduce_l2": behind("ReduceL2", axes=[1, 3], keepdims=0),
    "reduce_min": behind("ReduceMin", axes=[-1]),
    "reduce_prod": behind("ReduceProd", axes=[1]),
    "log_softmax": behind("LogSoftmax", axis=1),
    "max": several("Max"),
    "min": several("Min"),
    "add_rank_5": behind("Add", np.full((1, 1, 6, 1, 1), 0.5, np.float32)),
    "hard_swish_rank_5": hard_swish_of_rank_5,
    "sum": several("Sum"),
    "mean": several("Mean"),
    "pow": power(1.7),
    "square": power(2),
    "root": power(0.5),
    "first_power": power(1),
    "prelu": prelu(-0.5, 1),
    "prelu_steep": prelu(0.5, 2),
    "elu": lambda b: b.node("Elu", "elu", [b.conv("conv", "input", 8, 6)], alpha=0.7),
    "depth_to_space": lambda b: b.node("DepthToSpace", "d", [b.conv("conv", "input", 8, 12)], blocksize=2, mode="CRD"),
    "space_to_depth": lambda b: b.node("SpaceToDepth", "s", [b.conv("c", "input", 8, 3, pads=[0, 0, 1, 1])], blocksize=2),
    "deconvolution": deconvolution(6, 4, 3, 3, strides=[2, 2]),
    "deconvolution_groups": deconvolution(6, 2, 3, 2, strides=[2, 3], group=3, pads=[1, 0, 1, 1], output_padding=[1, 2]),
    "deconvolution_depthwise": deconvolution(6, 1, 4, 4, strides=[2, 2], group=6, pads=[1, 1, 1, 1], bias=False),
    "deconvolution_dilated": deconvolution(6, 4, 3, 3, dilations=[2, 1], pads=[1, 2, 0, 1]),
    "deconvolution_cut": deconvolution(6, 4, 1, 2, strides=[2, 2], pads=[1, 2, 1, 0]),
    "deconvolution_same": deconvolution(6, 4, 3, 3, strides=[2, 2], auto_pad="SAME_LOWER"),
    "deconvolution_same_gap": deconvolution(6, 4, 2, 2, strides=[3, 3], auto_pad="SAME_UPPER"),
    "deconvolution_same_lower_gap": deconvolution(6, 4, 1, 2, strides=[2, 4], auto_pad="SAME_LOWER", output_padding=[1, 1]),
    "deconvolution_same_dilated": deconvolution(6, 4, 2, 2, strides=[3, 2], dilations=[2, 1], auto_pad="SAME_LOWER"),
    "deconvolution_shape": deconvolution(6, 4, 3, 3, strides=[2, 2], output_shape=[26, 21], auto_pad="SAME_UPPER"),
    "instance_normalization": normalized,
    "layer_normalization": layer_normalized,
    "shape_arithmetic": shape_arithmetic,
    "ranges": ranges,
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_agrees(name: str) -> None:
    assert_agrees(CASES[name], PICTURE)


def test_pad_wraps() -> None:
    pads = behind("Pad", [1, 12, 2, 3], None, [1, -1], mode="wrap")
    assert_agrees(pads, PICTURE, opset=19)


NEWER_RESIZES: dict[str, dict[str, object]] = {
    "symmetric": {"mode": "linear", "coordinate_transformation_mode": "half_pixel_symmetric"},
    "linear_antialias": {"mode": "linear", "antialias": 1},
    "cubic_antialias": {"mode": "cubic", "antialias": 1},
}


@pytest.mark.parametrize("name", NEWER_RESIZES)
@pytest.mark.parametrize("scales", [(0.4, 0.73), (1.7, 0.35)])
def test_newer_resizes(name: str, scales: tuple[float, float]) -> None:
    resized = behind("Resize", None, np.array([1, 1, *scales], np.float32), **NEWER_RESIZES[name])
    assert_agrees(resized, PICTURE, opset=19)


@pytest.mark.parametrize("policy", ["not_larger", "not_smaller"])
@pytest.mark.parametrize("mode", ["nearest", "linear", "cubic"])
def test_kept_aspect_ratio(mode: str, policy: str) -> None:
    resized = behind("Resize", None, None, [20, 9], mode=mode, keep_aspect_ratio_policy=policy, axes=[2, 3])
    assert_agrees(resized, PICTURE, opset=19)


def test_resize_of_a_volume() -> None:
    assert_agrees(
        node("Resize", None, np.array([1, 1, 2, 0.7, 1.5], np.float32), mode="linear"), (1, 3, 4, 7, 6)
    )


@pytest.mark.parametrize("scales", [[1, 2, 0.5, 1.5], [1, 2, 1, 2]])
def test_resizes_that_onnxruntime_has_not(scales: list[float]) -> None:
    """Three dimensions, or two that are no neighbours: onnx's own evaluator is the judge."""
    model = build(node("Resize", None, np.array(scales, np.float32), mode="linear"), PICTURE)
    x = np.random.default_rng(3).standard_normal(PICTURE).astype(np.float32)
    (wanted,) = ReferenceEvaluator(ir.to_proto(model)).run(None, {"input": x})
    (got,) = run(lower_to_program(model), [x])
    np.testing.assert_allclose(got, np.asarray(wanted), atol=1e-5)


@pytest.mark.parametrize("op_type", ["ReduceL2", "ReduceMax"])
def test_a_reduction_of_nothing(op_type: str) -> None:
    assert_agrees(behind(op_type, noop_with_empty_axes=1), PICTURE, opset=18)


@pytest.mark.parametrize("keepdims", [0, 1])
@pytest.mark.parametrize("axis", [0, 1, 2, -1])
def test_arg_max(axis: int, keepdims: int) -> None:
    """Random values have no near ties, and the first or last of equal ones is what the node cases ask for."""
    graph: Graph = lambda b: b.node(  # noqa: E731
        "ArgMax", "best", [b.conv("conv", "input", 8, 6)], axis=axis, keepdims=keepdims
    )
    model = build(graph, PICTURE, output_type=TensorProto.INT64)
    program = lower_to_program(model)
    program.targets = ("x86_64",)
    x = np.random.default_rng(3).standard_normal(PICTURE).astype(np.float32)
    (wanted,) = open_session(to_bytes(model)).run(None, {"input": x})
    (got,) = run(program, [x])
    assert got.dtype == np.int64
    np.testing.assert_array_equal(got, wanted)
    if RUNTIME_IS_BUILT:
        assert_runtime_agrees(program, write_program(program), [x])


def test_no_layout_transpose_is_left_between() -> None:
    """What keeps the layout does not leave NHWC: only the input and the output are transposed."""
    for name in ("resize_linear", "slice_channels", "gather_channels", "reduce_channels", "max", "splits"):
        kinds = [op.kind for op in lower_to_program(build(CASES[name], PICTURE)).ops]
        assert kinds.count(TRANSPOSE) <= 2
        assert kinds[1] == CONV2D


REFUSED = {
    "empty_slice": (
        behind("Slice", [3], [3], [1]),
        "its result is empty",
    ),
    "gather_outside": (behind("Gather", [6], axis=1), "outside a dimension of 6"),
    "deconvolution_gone": (deconvolution(6, 4, 1, 1, pads=[9, 9, 9, 9]), "leave nothing"),
    "blocks": (lambda b: b.node("SpaceToDepth", "s", ["input"], blocksize=2), "no whole number of blocks"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name: str) -> None:
    graph, said = REFUSED[name]
    with pytest.raises(InputError) as caught:
        lower_to_program(build(graph, PICTURE))
    assert said in str(caught.value)
