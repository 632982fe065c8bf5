"""The dialects say the same in other words: equal integers, and what each runtime asks for."""

from __future__ import annotations

import typing
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import numpy_helper

from ptq_core.config import QuantizeConfig
from ptq_core.errors import InputError
from ptq_core.optimize.pipeline import optimize
from ptq_core.options.quantize import QuantizeOptions
from ptq_core.quantize.deploy import targets
from ptq_core.runtime import Program
from tests.models import Builder, mobile_block
from tests.quantize.harness import Array, Quantized, quantized, run, samples

SHAPE = (3, 16, 16)


def every_clamp() -> onnx.ModelProto:
    """Relu and Relu6 behind convolutions, a max pool and a Concat behind them, a negative branch, a constant that is added."""
    b = Builder(3)
    x = b.node("Relu", "relu", [b.conv("stem", "input", 3, 8)])
    x = b.node("MaxPool", "pool", [x], kernel_shape=[2, 2], strides=[2, 2])
    y = b.relu6("relu6", b.conv("depthwise", x, 8, 8, group=8))
    z = b.conv("linear", x, 8, 8, k=1)
    joined = b.node("Concat", "concat", [y, x], axis=1)
    z = b.node("Add", "constant", [z, b.weight("added", 1, 8, 8, 8)])
    w = b.node("Add", "add", [b.conv("expand", joined, 16, 8, k=1), z])
    w = b.node("Relu", "last_relu", [b.conv("project", w, 8, 12, k=1)])
    w = b.node("Flatten", "flatten", [b.node("GlobalAveragePool", "mean", [w])])
    inputs = [w, b.weight("logits/weight", 12, 5), b.weight("logits/bias", 5)]
    return b.model(b.node("Gemm", "logits", inputs), shape=("N", *SHAPE))


MODELS = {"mobile": mobile_block, "every clamp": every_clamp}

KEYS: dict[str, dict[str, Any]] = {
    "default": {},
    "all operators": {"is_full_quantize": True},
    "asymmetric": {"activation_symmetric": False},
    "all operators, asymmetric": {"is_full_quantize": True, "activation_symmetric": False},
    "6 bits": {"activation_bits": 6, "weight_bits": 6, "is_full_quantize": True},
    "per tensor": {"weight_quantize_type": "abs_max", "is_full_quantize": True},
}


def in_dialect(folder: Path, model: str, keys: str, deploy: str) -> Quantized:
    made = folder / deploy
    made.mkdir()
    return quantized(MODELS[model](), made, deploy=deploy, check=False, **KEYS[keys])


def each_node_alone(model: onnx.ModelProto, x: Array) -> Array:
    return run(model, x, optimized=False)[0]


DIALECTS = [
    (deploy, keys)
    for deploy, target in targets.TARGETS.items()
    for keys, given in KEYS.items()
    if deploy != "ptq" and (given.get("activation_symmetric", True) or not target.symmetric)
]


@pytest.mark.parametrize(("deploy", "keys"), DIALECTS)
@pytest.mark.parametrize("model", MODELS)
def test_the_integers_are_the_same(
    deploy: str, model: str, keys: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(targets, "limit_pairs", lambda *_: None)  # changes weights; its tests are below
    x = np.stack(samples(SHAPE, 4, seed=5))
    wanted = each_node_alone(in_dialect(tmp_path, model, keys, "ptq").model, x)
    np.testing.assert_array_equal(each_node_alone(in_dialect(tmp_path, model, keys, deploy).model, x), wanted)


@pytest.mark.needs("runtime")
@pytest.mark.parametrize("deploy", [name for name in targets.TARGETS if name != "ptq"])
def test_our_runtime_computes_the_same_from_every_dialect(
    deploy: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(targets, "limit_pairs", lambda *_: None)
    x = np.stack(samples(SHAPE, 1, seed=6))
    outputs = []
    for name in ("ptq", deploy):
        flat = tmp_path / f"{name}.nb"
        optimize(in_dialect(tmp_path, "every clamp", "all operators", name).path, flat, targets=("host",))
        with Program(flat) as program:
            outputs.append(program.run(x)[0])
    np.testing.assert_array_equal(outputs[0], outputs[1])


def clamps(model: onnx.ModelProto) -> list[onnx.NodeProto]:
    return [node for node in model.graph.node if node.op_type in ("Clip", "Relu")]


@pytest.mark.parametrize("deploy", ["onnxruntime-x86", "onnxruntime-arm"])
def test_onnxruntime_finds_quantize_behind_every_convolution(deploy: str, tmp_path: Path) -> None:
    model = in_dialect(tmp_path, "every clamp", "all operators", deploy).model
    readers = {name: node.op_type for node in model.graph.node for name in node.input}
    for node in model.graph.node:
        if node.op_type == "Conv":
            assert readers[node.output[0]] == "QuantizeLinear"
    makers = {name: node.op_type for node in model.graph.node for name in node.output}
    assert {makers[node.input[0]] for node in clamps(model)} == {"QuantizeLinear"}


def test_an_asymmetric_relu_needs_no_clamp(tmp_path: Path) -> None:
    """Its zero point is the least integer: the type clamps."""
    for deploy in ("onnxruntime-x86", "openvino"):
        model = in_dialect(tmp_path, "every clamp", "all operators, asymmetric", deploy).model
        assert "Relu" not in {node.op_type for node in clamps(model)}
        assert len(clamps(model)) <= 1  # the Relu6, if its range ends above 6


def integers_of(model: onnx.ModelProto) -> Counter[str]:
    """Element types of what QuantizeLinear writes, and of constants that DequantizeLinear reads."""
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    types = Counter[str]()
    for node in model.graph.node:
        if node.op_type == "QuantizeLinear":
            types[f"activation {numpy_helper.to_array(constants[node.input[2]]).dtype}"] += 1
        elif node.op_type == "DequantizeLinear" and node.input[0] in constants:
            types[f"constant {numpy_helper.to_array(constants[node.input[0]]).dtype}"] += 1
    return types


@pytest.mark.parametrize("deploy", ["onnxruntime-x86", "openvino"])
def test_activations_are_unsigned(deploy: str, tmp_path: Path) -> None:
    types = integers_of(in_dialect(tmp_path, "every clamp", "all operators", deploy).model)
    assert set(types) == {"activation uint8", "constant uint8", "constant int8", "constant int32"}
    assert types["constant uint8"] == 1  # the one that is added


@pytest.mark.parametrize("keys", ["default", "all operators", "all operators, asymmetric", "per tensor"])
@pytest.mark.parametrize("model", MODELS)
def test_no_pair_of_products_saturates(model: str, keys: str, tmp_path: Path) -> None:
    """On x86 without VNNI a plain session has the bits of an exact one; on others both are exact."""
    made = in_dialect(tmp_path, model, keys, "onnxruntime-x86").model.SerializeToString()
    x = 3 * np.stack(samples(SHAPE, 8, seed=7))  # beyond the range: the largest integers
    results = []
    for value in ("0", "1"):
        options = onnxruntime.SessionOptions()
        options.add_session_config_entry("session.x64quantprecision", value)
        session = onnxruntime.InferenceSession(made, options, providers=["CPUExecutionProvider"])
        results.append(session.run(None, {"input": x})[0])
    np.testing.assert_array_equal(*results)


def test_weights_behind_small_integers_keep_their_bits(tmp_path: Path) -> None:
    """Of a symmetric Relu: 0 … 127. Only what reads negative values has coarser weights."""

    def largest(deploy: str) -> dict[str, int]:
        model = in_dialect(tmp_path, "every clamp", "all operators", deploy).model
        constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
        makers = {name: node for node in model.graph.node for name in node.output}
        return {
            node.name: int(np.abs(constants[makers[node.input[1]].input[0]].astype(int)).max())
            for node in model.graph.node
            if node.op_type in ("Conv", "Gemm")
        }

    few, all_bits = largest("onnxruntime-x86"), largest("ptq")
    assert {name for name in few if few[name] != all_bits[name]} <= {"stem", "project", "logits"}
    assert few["stem"] < all_bits["stem"]
    assert few["project"] < all_bits["project"]


def test_what_tensorrt_reads(tmp_path: Path) -> None:
    """Its documented rules: int8 only, zero points 0, constant scales, floats for biases, a pair for each reader."""
    model = in_dialect(tmp_path, "every clamp", "all operators", "tensorrt").model
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    readers = Counter(name for node in model.graph.node for name in node.input)
    makers = {name: node for node in model.graph.node for name in node.output}
    for node in model.graph.node:
        if node.op_type in ("QuantizeLinear", "DequantizeLinear"):
            assert (constants[node.input[1]] > 0).all()
            assert constants[node.input[2]].dtype == np.int8
            assert not constants[node.input[2]].any()
            assert readers[node.output[0]] <= 1
        if node.op_type == "DequantizeLinear":
            maker = makers.get(node.input[0])
            assert maker.op_type == "QuantizeLinear" if maker else constants[node.input[0]].dtype == np.int8
        if node.op_type in ("Conv", "Gemm"):
            assert constants[node.input[2]].dtype == np.float32
            assert makers[node.input[0]].op_type == makers[node.input[1]].op_type == "DequantizeLinear"


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"deploy": "tensorrt", "activation_symmetric": False}, "zero points of 0"),
        ({"deploy": "openvino", "activation_bits": 16}, "more than 8 bits"),
        ({"deploy": "onnxruntime-x86", "weight_bits": 12}, "more than 8 bits"),
    ],
)
def test_what_a_target_cannot_do_is_refused(keys: dict[str, Any], said: str, tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        QuantizeConfig(model_dir=tmp_path, save_model_path=tmp_path, **keys)
    assert said in f"{caught.value.problem} {caught.value.rule}"


def test_every_target_that_may_be_named_has_its_row() -> None:
    assert set(typing.get_args(typing.get_type_hints(QuantizeOptions)["deploy"])) == set(targets.TARGETS)
