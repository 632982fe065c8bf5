"""One row per algorithm, bit width and weight type: a small model quantized, run in onnxruntime, held to an error bound."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args, get_type_hints

import numpy as np
import onnx
import pytest
from onnx import TensorProto, numpy_helper

from ptq_core.config import QuantizeConfig
from ptq_core.errors import InputError
from ptq_core.graph import io
from ptq_core.numerics.metrics import sqnr_db
from tests.models import Builder, mobile_block
from tests.quantize.harness import output_sqnr_db, quantized, run, samples

SHAPE = (3, 16, 16)


def network() -> onnx.ModelProto:
    """mobile_block without the Softmax, behind which errors hide."""
    proto = mobile_block()
    proto.graph.output[0].name = "head/logits/out"
    del proto.graph.node[-1]
    return proto


def values_of(key: str) -> tuple[Any, ...]:
    return get_args(get_type_hints(QuantizeConfig)[key])


ALGORITHMS = {"KL": 40, "abs_max": 40, "direct": 40, "min_max": 40, "avg": 40, "hist": 40, "mse": 42, "emd": 40,
              "weight_only": 44}  # fmt: skip
"""Algorithm → SQNR of the logits in dB that 8 bits keep (measured, minus a little)."""


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("algo", ALGORITHMS)
def test_algorithms(tmp_path: Path, algo: str, symmetric: bool, full: bool) -> None:
    result = quantized(network(), tmp_path, algo=algo, activation_symmetric=symmetric, is_full_quantize=full)
    assert output_sqnr_db(result, SHAPE) > ALGORITHMS[algo]


def test_every_algorithm_has_a_row() -> None:
    assert set(ALGORITHMS) == set(values_of("algo"))


ACTIVATION_BITS = {1: -4, 2: -4, 3: 9, 4: 21, 5: 23, 6: 33, 7: 37, 8: 40, 9: 43} | dict.fromkeys(
    range(10, 17), 44
)
"""Bits of the activations, weights in 8 → SQNR in dB; from 10 on the weights are all that is lost."""


@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("bits", ACTIVATION_BITS)
def test_activation_bits(tmp_path: Path, bits: int, symmetric: bool) -> None:
    result = quantized(
        network(), tmp_path, algo="abs_max", activation_bits=bits, activation_symmetric=symmetric
    )
    integer = TensorProto.INT8 if bits <= 8 else TensorProto.INT16
    names = [node.output[0] for node in result.model.graph.node if node.op_type == "QuantizeLinear"]
    last = [name for name in names if "/inner/" not in name]
    proto = onnx.ModelProto.FromString(result.model.SerializeToString())
    proto.graph.output.extend(onnx.helper.make_tensor_value_info(name, integer, None) for name in last)
    wild = np.random.default_rng(3).uniform(-20, 20, (2, *SHAPE)).astype(np.float32)
    integers = run(proto, wild)[1:]
    low = -(2 ** (bits - 1))
    high = max(1, 2 ** (bits - 1) - 1) if symmetric else 2 ** (bits - 1) - 1
    assert min(int(q.min()) for q in integers) >= low
    assert max(int(q.max()) for q in integers) == high, "saturates, and no further"
    assert output_sqnr_db(result, SHAPE) > ACTIVATION_BITS[bits]


WEIGHT_BITS = {1: -1, 2: -2, 3: 9, 4: 13, 5: 27, 6: 27, 7: 35, 8: 40, 9: 40, 12: 40, 15: 40, 16: 40}
"""Bits of the weights, activations in 8 → SQNR in dB with per-channel scales; 10 less for one scale per tensor."""


@pytest.mark.parametrize("kind", values_of("weight_quantize_type"))
@pytest.mark.parametrize("bits", WEIGHT_BITS)
def test_weight_bits(tmp_path: Path, bits: int, kind: str) -> None:
    result = quantized(network(), tmp_path, algo="abs_max", weight_bits=bits, weight_quantize_type=kind)
    weight = arrays(result.model)["stem/conv/weight_quantized"]
    assert weight.dtype == (np.int8 if bits <= 8 else np.int16)
    assert np.abs(weight.astype(int)).max() == max(1, 2 ** (bits - 1) - 1)
    scale = arrays(result.model)["stem/conv/weight_scale"]
    assert scale.shape == ((8,) if kind.startswith("channel_wise") else ())
    assert output_sqnr_db(result, SHAPE) > WEIGHT_BITS[bits] - (0 if kind.startswith("channel_wise") else 10)


@pytest.mark.parametrize("algo", ["abs_max", "weight_only"])
@pytest.mark.parametrize("bits", [1, 2, 3, 4])
def test_int4(tmp_path: Path, bits: int, algo: str) -> None:
    """INT4 holds the same integers, so the same numbers come out, from a smaller file."""
    plain = quantized(network(), tmp_path / "plain", algo=algo, weight_bits=bits)
    small = quantized(network(), tmp_path / "small", algo=algo, weight_bits=bits, store_int4=True)
    stored = {t.data_type for t in small.model.graph.initializer if t.name.endswith("weight_quantized")}
    assert stored == {TensorProto.INT4}
    x = np.stack(samples(SHAPE, 4, seed=2))
    assert sqnr_db(run(plain.model, x)[0], run(small.model, x)[0]) > 100
    assert {(o.domain, o.version) for o in small.model.opset_import} == {("", 21)}


@pytest.mark.parametrize(("bits", "least", "shrinks"), [(8, 33, 2.5), (16, 75, 1.6)])
def test_weight_only_needs_no_pictures_and_shrinks(
    tmp_path: Path, bits: int, least: float, shrinks: float
) -> None:
    b = Builder()
    x = b.node("Relu", "relu", [b.conv("conv", "input", 3, 32)])
    proto = b.model(b.conv("last", x, 32, 32), shape=("N", *SHAPE))
    result = quantized(proto, tmp_path, algo="weight_only", weight_bits=bits)
    assert not [node for node in result.model.graph.node if node.op_type == "QuantizeLinear"]
    assert {t["kind"] for t in result.details["tensors"]} == {"weight"}
    assert result.details["pictures"] == 0
    assert "conv/bias" in arrays(result.model), "the bias stays float"
    assert output_sqnr_db(result, SHAPE) > least
    assert proto.ByteSize() / result.model.ByteSize() > shrinks


def test_least_squares_beats_the_maximum(tmp_path: Path) -> None:
    """With outliers in the weights and few bits; never worse with any."""
    proto = network()
    for tensor in proto.graph.initializer:
        if tensor.name == "head/weight":
            weight = numpy_helper.to_array(tensor).copy()
            weight[:, 0] *= 3
            tensor.CopyFrom(numpy_helper.from_array(weight, tensor.name))
    want = arrays(proto)["head/weight"]
    for bits in (2, 3, 4, 8):
        errors = {}
        for kind in values_of("weight_quantize_type"):
            result = quantized(
                proto, tmp_path / f"{kind}_{bits}", weight_bits=bits, weight_quantize_type=kind
            )
            found = arrays(result.model)
            scale = found["head/logits/weight_scale"].reshape(-1, 1)
            errors[kind] = float(((want - found["head/logits/weight_quantized"] * scale) ** 2).sum())
        assert errors["channel_wise_mse"] <= errors["channel_wise_abs_max"]
        assert errors["mse"] <= errors["abs_max"]
        assert bits == 8 or errors["channel_wise_mse"] < errors["channel_wise_abs_max"]


def test_one_bit_weights_are_signs(tmp_path: Path) -> None:
    result = quantized(network(), tmp_path, algo="weight_only", weight_bits=1)
    weight, scale = (arrays(result.model)[f"head/logits/weight_{kind}"] for kind in ("quantized", "scale"))
    want = arrays(network())["head/weight"]
    np.testing.assert_array_equal(weight, np.sign(want))
    np.testing.assert_allclose(scale, np.abs(want).mean(axis=1), rtol=1e-6)


SKIPS: list[tuple[dict[str, Any], set[str]]] = [
    ({"skip_nodes": ("body/*",)}, {"body/depthwise", "body/project"}),
    ({"skip_nodes": ("*conv", "head/logits")}, {"stem/conv", "head/logits"}),
    ({"skip_tensor_list": ("input",)}, {"stem/conv"}),
    ({"skip_tensor_list": ("body/relu6/out",)}, {"body/project"}),
    ({"skip_quant": ("body",), "skip_nodes": ("head/*",)}, {"body/depthwise", "body/project", "head/logits"}),
]


@pytest.mark.parametrize(("keys", "left_float"), SKIPS)
def test_skipping(tmp_path: Path, keys: dict[str, Any], left_float: set[str]) -> None:
    result = quantized(network(), tmp_path, **keys)
    everything = {"stem/conv", "body/depthwise", "body/project", "head/logits"}
    assert {name for name in everything if result.status[name] == "float"} == left_float
    reasons = {op["name"]: op.get("reason", "") for op in result.details["ops"]}
    assert all("skip_" in reasons[name] for name in left_float)


def test_a_skipped_activation_is_not_fused(tmp_path: Path) -> None:
    result = quantized(network(), tmp_path, skip_nodes=("stem/relu6",))
    assert result.status["stem/conv"] == "quantized"
    assert result.status["stem/relu6"] == "float"


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"skip_nodes": ("bdy/project",)}, "did you mean `body/project`"),
        ({"skip_nodes": ("BODY/*",)}, "fits no node"),
        ({"skip_tensor_list": ("inptu",)}, "did you mean `input`"),
        ({"skip_tensor_list": ("head/softmax/out",)}, "which no operator reads"),
    ],
)
def test_a_skip_that_matches_nothing_is_an_error(tmp_path: Path, keys: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        quantized(network(), tmp_path, **keys)


@pytest.mark.parametrize("opset", [13, 15, 18])
def test_older_opsets_become_wide(tmp_path: Path, opset: int) -> None:
    proto = network()
    proto.opset_import[0].version = opset
    result = quantized(proto, tmp_path, activation_bits=16, algo="abs_max")
    assert output_sqnr_db(result, SHAPE) > 34
    assert result.status.keys() == {node.name for node in proto.graph.node}


def test_opset_21_stays(tmp_path: Path) -> None:
    proto = network()
    proto.opset_import[0].version = 21
    proto.ir_version = 10
    result = quantized(proto, tmp_path, weight_bits=16)
    assert result.model.opset_import[0].version == 21
    assert io.load_model(result.path).opset_imports[""] == 21


def arrays(model: onnx.ModelProto) -> dict[str, np.ndarray[Any, Any]]:
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}


@pytest.mark.parametrize(
    ("flags", "gain_db"),
    [({"bias_correction": True}, 5), ({"round_type": "adaround"}, 5), ({"equalize": True}, 0.5)],
    ids=["bias_correction", "adaround", "equalize"],
)
def test_each_accuracy_method_helps_where_it_should(
    tmp_path: Path, flags: dict[str, Any], gain_db: float
) -> None:
    """4-bit weights with one scale per tensor leave room for all three."""
    keys: dict[str, Any] = {
        "weight_bits": 4,
        "weight_quantize_type": "abs_max",
        "activation_symmetric": False,
    }
    plain = quantized(network(), tmp_path / "plain", **keys)
    helped = quantized(network(), tmp_path / "helped", **keys, **flags)
    assert output_sqnr_db(helped, SHAPE) > output_sqnr_db(plain, SHAPE) + gain_db
