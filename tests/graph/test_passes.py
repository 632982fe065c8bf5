"""Each simplification alone: the result computes the same, and what must stay stays."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from ptq_core.graph import io, passes
from ptq_core.graph.edits import constant_array
from ptq_core.graph.passes.count_no_overhang import count_no_overhang
from ptq_core.graph.passes.fold_batch_norm import fold_batch_norm
from ptq_core.graph.passes.fold_bias_add import fold_bias_add
from ptq_core.graph.passes.fuse_matmul_add import fuse_matmul_add
from ptq_core.graph.passes.lift_constants import lift_constants
from ptq_core.graph.passes.remove_identity import remove_identity
from ptq_core.graph.session import open_session
from ptq_core.optimize.pipeline import lower_to_program
from tests.models import Builder, mobile_block, save


def op_types(model: ir.Model) -> list[str]:
    return [node.op_type for node in model.graph]


def load(model: onnx.ModelProto, folder: Path) -> ir.Model:
    return io.load_model(save(model, folder))


def assert_same(before: onnx.ModelProto, after: ir.Model, tolerance: float = 1e-5) -> None:
    shape = [d.dim_value or 2 for d in before.graph.input[0].type.tensor_type.shape.dim]
    x = np.random.default_rng(1).standard_normal(shape).astype(np.float32)
    expected = open_session(before.SerializeToString()).run(None, {"input": x})
    actual = open_session(io.to_bytes(after)).run(None, {"input": x})
    assert [o.name for o in before.graph.output] == [o.name for o in after.graph.outputs]
    for want, got in zip(expected, actual, strict=True):
        np.testing.assert_allclose(got, want, rtol=tolerance, atol=tolerance * np.abs(want).max())


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("group", [1, 4])
def test_batch_norm_folds_into_conv(tmp_path: Path, bias: bool, group: int) -> None:
    b = Builder()
    conv = b.conv("conv", b.conv("first", "input", 3, 4), 4, 8, bias=bias, group=group)
    proto = b.model(b.node("Relu", "relu", [b.batch_norm("bn", conv, 8)]))
    model = load(proto, tmp_path)
    assert fold_batch_norm(model) == {"bn": "conv"}
    assert op_types(model) == ["Conv", "Conv", "Relu"]
    assert model.graph.node("conv").outputs[0].name == "bn/out"
    assert_same(proto, model)


def test_batch_norm_as_the_output(tmp_path: Path) -> None:
    b = Builder()
    proto = b.model(b.batch_norm("bn", b.conv("conv", "input", 3, 4), 4))
    model = load(proto, tmp_path)
    assert fold_batch_norm(model) == {"bn": "conv"}
    assert_same(proto, model)


def test_batch_norm_stays_when_the_conv_is_read_twice(tmp_path: Path) -> None:
    b = Builder()
    conv = b.conv("conv", "input", 3, 4)
    proto = b.model(b.node("Add", "add", [conv, b.batch_norm("bn", conv, 4)]))
    model = load(proto, tmp_path)
    assert fold_batch_norm(model) == {}
    assert "BatchNormalization" in op_types(model)


def test_batch_norm_stays_after_another_op(tmp_path: Path) -> None:
    b = Builder()
    relu = b.node("Relu", "relu", [b.conv("conv", "input", 3, 4)])
    model = load(b.model(b.batch_norm("bn", relu, 4)), tmp_path)
    assert fold_batch_norm(model) == {}


def normalized(kind: str, bias: bool, b: Builder) -> str:
    """A layer of the ``kind`` with 6 outputs, and the BatchNormalization `bn`, over 4 channels of 5 × 5 (Gemm: 4 × 5)."""
    op_type, *more = kind.split()
    groups = 2 if "groups" in more else 1
    shape: tuple[int, ...]
    attributes: dict[str, float]
    x = b.conv("first", "input", 3, 4)
    if op_type == "Gemm":
        x = b.node("Reshape", "rows", [x, b.constant("shape", [-1, 5])])
        shape = (6, 5) if "transB" in more else (5, 6)
        attributes = {"transB": 1} if "transB" in more else {"alpha": 0.5} if "alpha" in more else {}
    else:
        shape = (6, 4 // groups, 3, 3) if op_type == "Conv" else (4, 6 // groups, 3, 3)
        attributes = {"group": groups}
    offset = [b.weight("bias", *([1, 6] if "row" in more else [6]))] if bias else []
    y = b.node(op_type, "layer", [x, b.weight("weight", *shape), *offset], **attributes)
    if "added" in more:
        y = b.node("Add", "added", [y, b.weight("added", 6, 1, 1)])
    return b.batch_norm("bn", y, 6)


KINDS = (
    "Conv",
    "Conv groups",
    "ConvTranspose",
    "ConvTranspose groups",
    "Gemm",
    "Gemm transB",
    "Gemm alpha",
    "Gemm row",
    "Conv added",
)


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_batch_norm_folds_once_for_quantize_and_opt(tmp_path: Path, kind: str, bias: bool) -> None:
    b = Builder()
    proto = b.model(b.node("Relu", "relu", [normalized(kind, bias, b)]), shape=(2, 3, 5, 5))
    model = load(proto, tmp_path)
    assert passes.simplify(model)["bn"] == "layer"
    assert "BatchNormalization" not in op_types(model)
    assert_same(proto, model)
    folded = {np.sort(array(value), None).tobytes() for value in model.graph.node("layer").inputs[1:3]}
    program = lower_to_program(load(proto, tmp_path))
    stored = {np.sort(t.data, None).tobytes() for t in program.tensors if t.data is not None}
    scale = np.float32(0.5) if kind == "Gemm alpha" else None  # opt multiplies it into the weights, exactly
    assert folded <= stored or (scale is not None and len(folded - stored) == 1)


def array(value: ir.Value | None) -> np.ndarray:
    found = constant_array(value)
    assert found is not None
    return found


def test_folding_frees_what_it_replaces(tmp_path: Path) -> None:
    b = Builder()
    model = load(b.model(normalized("Conv", True, b), shape=(2, 3, 5, 5)), tmp_path)
    fold_batch_norm(model)
    assert {"weight", "bias"}.isdisjoint(model.graph.initializers)


def test_constants_are_lifted(tmp_path: Path) -> None:
    b = Builder()
    value = onnx.numpy_helper.from_array(np.full((4, 3, 1, 1), 0.5, np.float32))
    b.node("Constant", "weight", [], value=value)
    proto = b.model(b.node("Conv", "conv", ["input", "weight/out"]))
    model = load(proto, tmp_path)
    assert lift_constants(model) == {"weight": "an initializer"}
    assert op_types(model) == ["Conv"]
    assert_same(proto, model)


def test_identities_and_dropout_vanish(tmp_path: Path) -> None:
    b = Builder()
    x = b.node("Identity", "copy", ["input"])
    x = b.node("Dropout", "dropout", [b.conv("conv", x, 3, 4)])
    proto = b.model(b.node("Relu", "relu", [x]))
    model = load(proto, tmp_path)
    assert set(remove_identity(model)) == {"copy", "dropout"}
    assert op_types(model) == ["Conv", "Relu"]
    assert_same(proto, model)


def test_an_identity_that_makes_the_output_stays(tmp_path: Path) -> None:
    b = Builder()
    proto = b.model(b.node("Identity", "copy", [b.conv("conv", "input", 3, 4)]))
    model = load(proto, tmp_path)
    assert remove_identity(model) == {}
    assert_same(proto, model)


@pytest.mark.parametrize("bias_first", [False, True])
def test_matmul_and_add_become_gemm(tmp_path: Path, bias_first: bool) -> None:
    b = Builder()
    product = b.node("MatMul", "matmul", ["input", b.weight("weight", 6, 5)])
    operands = [product, b.weight("bias", 5)]
    proto = b.model(b.node("Add", "add", operands[::-1] if bias_first else operands), shape=("N", 6))
    model = load(proto, tmp_path)
    assert fuse_matmul_add(model) == {"add": "matmul"}
    assert op_types(model) == ["Gemm"]
    assert_same(proto, model)


def test_matmul_of_rank_3_stays(tmp_path: Path) -> None:
    b = Builder()
    product = b.node("MatMul", "matmul", ["input", b.weight("weight", 6, 5)])
    model = load(b.model(b.node("Add", "add", [product, b.weight("bias", 5)]), shape=("N", 4, 6)), tmp_path)
    assert fuse_matmul_add(model) == {}


def test_all_passes_together(tmp_path: Path) -> None:
    proto = mobile_block()
    model = load(proto, tmp_path)
    removed = passes.simplify(model)
    assert set(removed) == {"stem/bn", "body/bn", "body/project_bn"}
    used = {value.name for node in model.graph for value in node.inputs if value is not None}
    assert set(model.graph.initializers) <= used
    assert_same(proto, model)


@pytest.mark.parametrize("shape", [(), (1,), (4, 1, 1), (1, 4, 1, 1)])
@pytest.mark.parametrize("bias", [False, True])
def test_a_constant_behind_a_conv_becomes_its_bias(
    tmp_path: Path, bias: bool, shape: tuple[int, ...]
) -> None:
    b = Builder()
    constant = b.constant("c", b.random.standard_normal(shape).astype(np.float32))
    proto = b.model(b.node("Add", "add", [constant, b.conv("conv", "input", 3, 4, bias=bias)]))
    model = load(proto, tmp_path)
    assert fold_bias_add(model) == {"add": "conv"}
    assert op_types(model) == ["Conv"]
    assert_same(proto, model)


@pytest.mark.parametrize("shape", [(16,), (1, 16, 16), (4, 16, 1), (1, 1, 4, 1, 1)])
def test_other_constants_stay(tmp_path: Path, shape: tuple[int, ...]) -> None:
    b = Builder()
    constant = b.constant("c", b.random.standard_normal(shape).astype(np.float32))
    model = load(b.model(b.node("Add", "add", [b.conv("conv", "input", 3, 4), constant])), tmp_path)
    assert fold_bias_add(model) == {}


OVERHANGS = {
    "no pads": ({"kernel_shape": [3, 3], "strides": [2, 2]}, ["AveragePool"]),
    "pads": ({"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]}, ["Pad", "AveragePool"]),
    "one side": ({"kernel_shape": [3, 2], "strides": [2, 3], "pads": [0, 1, 0, 0]}, ["Pad", "AveragePool"]),
    "one dimension": (
        {"kernel_shape": [2, 3], "strides": [2, 2], "pads": [0, 1, 0, 1]},
        ["Pad", "AveragePool"],
    ),
    "a window behind the data": (
        {"kernel_shape": [2, 3], "strides": [3, 2], "pads": [1, 1, 1, 1]},
        ["Pad", "AveragePool"],
    ),
    "none": ({"kernel_shape": [2, 2], "strides": [2, 2], "pads": [1, 1, 1, 1]}, ["AveragePool"]),
}
"""Of a pool over 8 x 8: its attributes, and what is left."""


@pytest.mark.parametrize("size", [7, 8, 9, 10])
@pytest.mark.parametrize("name", OVERHANGS)
def test_what_hangs_over_the_padding_is_not_counted(tmp_path: Path, name: str, size: int) -> None:
    attributes, left = OVERHANGS[name]
    b = Builder()
    y = b.node("AveragePool", "pool", ["input"], ceil_mode=1, count_include_pad=1, **attributes)
    proto = b.model(y, shape=(1, 3, size, size))
    model = load(proto, tmp_path)
    assert count_no_overhang(model) == {}
    if size == 8:
        assert op_types(model) == left
    onnx.checker.check_model(onnx.load_from_string(io.to_bytes(model)))
    want, got = (
        open_session(data, optimized=False).run(None, {"input": np.ones((1, 3, size, size), np.float32)})[0]
        for data in (proto.SerializeToString(), io.to_bytes(model))
    )
    np.testing.assert_array_equal(got, want)
