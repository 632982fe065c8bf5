"""Who shares a scale with whom, and that the group's range is the union of its members'."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from ptq_core.config import QuantizeConfig
from ptq_core.errors import InputError
from ptq_core.graph import io
from ptq_core.quantize.pipeline import quantize, quantize_model
from tests.models import Builder, mobile_block, save
from tests.quantize.harness import Quantized, output_sqnr_db, quantized

SHAPE = (3, 8, 8)


def scales(result: Quantized) -> dict[str, float]:
    return {
        name: tensor["scale"] for name, tensor in result.tensors.items() if tensor["kind"] == "activation"
    }


def test_groups_that_meet_are_one(tmp_path: Path) -> None:
    """left and right meet in the Concat, right and third in the second one: one group of all five values."""
    b = Builder()
    left, right, third = (b.conv(name, "input", 3, 4) for name in ("left", "right", "third"))
    first = b.node("Concat", "first", [left, right], axis=1)
    second = b.node(
        "Concat", "second", [b.node("MaxPool", "pool", [right], kernel_shape=[1, 1]), third], axis=1
    )
    x = b.node("Add", "add", [b.conv("a", first, 8, 4), b.conv("b", second, 8, 4)])
    result = quantized(b.model(x, shape=("N", *SHAPE)), tmp_path, algo="abs_max", is_full_quantize=True)
    found = scales(result)
    group = ["left/out", "right/out", "third/out", "first/out", "pool/out", "second/out"]
    assert len({found[name] for name in group}) == 1
    widest = max(max(-t["min"], t["max"]) for n, t in result.tensors.items() if n in group and "max" in t)
    assert found["left/out"] == pytest.approx(widest / 127, rel=1e-6)
    assert found["input"] != found["left/out"]


def test_comparisons_share_and_arithmetic_does_not(tmp_path: Path) -> None:
    for op_type, name, shared in (("Less", "less_than", True), ("Sub", "elementwise_sub", False)):
        b = Builder()
        pair = [b.conv("left", "input", 3, 4), b.conv("right", "input", 3, 4)]
        y = b.node(op_type, "op", pair)
        y = b.node("Cast", "cast", [y], to=1) if shared else y
        proto = b.model(y, shape=("N", *SHAPE))
        result = quantized(proto, tmp_path / name, algo="abs_max", quantizable_op_type=("conv2d", name))
        found = scales(result)
        assert (found["left/out"] == found["right/out"]) is shared
        assert ("op/out" in found) is not shared


@pytest.mark.parametrize("symmetric", [True, False])
def test_a_pad_value_is_in_range(tmp_path: Path, symmetric: bool) -> None:
    b = Builder()
    pads, value = b.constant("pads", [0, 0, 1, 1, 0, 0, 1, 1]), b.constant("value", np.float32(-40))
    x = b.node("Pad", "pad", [b.node("Relu", "relu", [b.conv("first", "input", 3, 4)]), pads, value])
    proto = b.model(b.conv("last", x, 4, 4), shape=("N", *SHAPE))
    result = quantized(proto, tmp_path, algo="abs_max", is_full_quantize=True, activation_symmetric=symmetric)
    assert result.tensors["pad/out"]["low"] == -40
    assert scales(result)["pad/out"] == scales(result)["relu/out"]


@pytest.mark.parametrize(
    ("op_type", "symmetric", "scale", "zero_point"),
    [
        ("Sigmoid", True, 1 / 127, 0),
        ("Sigmoid", False, 1 / 255, -128),
        ("Softmax", False, 1 / 255, -128),
        ("Tanh", True, 1 / 127, 0),
        ("Tanh", False, 2 / 255, -1),
    ],
)
def test_fixed_ranges(tmp_path: Path, op_type: str, symmetric: bool, scale: float, zero_point: int) -> None:
    b = Builder()
    x = b.node(op_type, "op", [b.conv("first", "input", 3, 4)])
    proto = b.model(b.conv("last", x, 4, 4), shape=("N", *SHAPE))
    entry = quantized(proto, tmp_path, is_full_quantize=True, activation_symmetric=symmetric).tensors[
        "op/out"
    ]
    assert entry["scale"] == pytest.approx(scale, rel=1e-6)
    assert entry["zero_point"] == zero_point
    assert entry["algo"] == "the operator's own range"


def two_inputs() -> onnx.ModelProto:
    b = Builder()
    y = b.node("Add", "add", [b.conv("left", "input", 3, 4), b.conv("right", "other", 3, 4)])
    proto = b.model(b.conv("last", y, 4, 4), shape=("N", *SHAPE))
    proto.graph.input.append(proto.graph.input[0])
    proto.graph.input[1].name = "other"
    inferred = onnx.shape_inference.infer_shapes(proto)
    proto.graph.output[0].CopyFrom(inferred.graph.output[0])
    return proto


def test_models_of_two_inputs_take_samples_by_name(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    given = [
        {name: random.uniform(-1, 1, SHAPE).astype(np.float32) for name in ("input", "other")}
        for _ in range(4)
    ]
    config = QuantizeConfig(model_dir=tmp_path, save_model_path=tmp_path)
    path = save(two_inputs(), tmp_path)
    result = quantize_model(io.load_model(path), config, samples=given)
    assert result.pictures == 4
    assert result.quantized_ops == 3
    with pytest.raises(InputError, match="has 2 inputs"):
        quantize_model(
            io.load_model(path), QuantizeConfig(tmp_path, tmp_path, bias_correction=True), samples=given
        )


def test_refinements_want_samples_twice(tmp_path: Path) -> None:
    config = QuantizeConfig(tmp_path, tmp_path, bias_correction=True)
    model = io.load_model(save(mobile_block(), tmp_path))
    with pytest.raises(InputError, match="already running"):
        quantize_model(model, config, samples=(np.zeros((3, 16, 16), np.float32) for _ in range(2)))


@pytest.mark.parametrize("keys", [{"equalize": True}, {"bias_correction": True}, {"round_type": "adaround"}])
def test_refinements_are_called(tmp_path: Path, keys: dict[str, Any]) -> None:
    proto = mobile_block()
    proto.graph.output[0].name = "head/logits/out"
    del proto.graph.node[-1]
    plain, refined = quantized(proto, tmp_path / "plain"), quantized(proto, tmp_path / "refined", **keys)
    assert plain.model.SerializeToString() != refined.model.SerializeToString()
    assert output_sqnr_db(refined, (3, 16, 16)) > 35


def test_weight_only_asks_for_no_pictures(tmp_path: Path) -> None:
    save(mobile_block(), tmp_path / "fp32")
    report = quantize(QuantizeConfig(tmp_path / "fp32", tmp_path / "int8", algo="weight_only"))
    assert report.quantized_ops == 4
    assert report.pictures == 0
