"""`quantize` from a configuration to files: the graph it writes, what onnxruntime makes of it, and bad input."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from ptq_core.config import QuantizeConfig
from ptq_core.errors import InputError
from ptq_core.graph.session import open_session
from ptq_core.options.preprocess import PreprocessOptions
from ptq_core.quantize.pipeline import quantize
from tests.models import Builder, mobile_block, save
from tests.pictures import save_pictures

PREPROCESS = PreprocessOptions(mean=(127.5,), std=(60.0,))


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    save_pictures(folder, 8)
    return folder


def run(proto: onnx.ModelProto, pictures: Path, **keys: Any) -> tuple[onnx.ModelProto, dict[str, Any]]:
    root = pictures.parent
    save(proto, root / "fp32")
    config = QuantizeConfig(
        model_dir=root / "fp32",
        save_model_path=root / "int8",
        image_dir=pictures,
        preprocess=keys.pop("preprocess", PREPROCESS),
        **keys,
    )
    quantize(config)
    model = onnx.load(str(root / "int8" / "model.onnx"))
    onnx.checker.check_model(model, full_check=True)
    return model, json.loads((root / "int8" / "quantization.json").read_text())


def constants(model: onnx.ModelProto) -> dict[str, np.ndarray[Any, Any]]:
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}


def sqnr_db(reference: np.ndarray[Any, Any], actual: np.ndarray[Any, Any]) -> float:
    return float(10 * np.log10((reference**2).sum() / ((reference - actual) ** 2).sum()))


def outputs(
    model: onnx.ModelProto, x: np.ndarray[Any, Any], *, optimized: bool = True
) -> list[np.ndarray[Any, Any]]:
    session = open_session(model.SerializeToString(), optimized=optimized)
    return list(session.run(None, {session.get_inputs()[0].name: x}))


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("algo", ["KL", "abs_max", "direct"])
def test_the_quantized_model_computes_about_the_same(pictures: Path, algo: str, full: bool) -> None:
    proto = mobile_block()
    proto.graph.output[0].name = "head/logits/out"  # before Softmax, where an error shows
    del proto.graph.node[-1]
    model, _ = run(proto, pictures, algo=algo, is_full_quantize=full)
    x = np.random.default_rng(3).uniform(-2, 2, (2, 3, 16, 16)).astype(np.float32)
    want, got = outputs(proto, x)[0], outputs(model, x)[0]
    assert [o.name for o in model.graph.output] == ["head/logits/out"]
    assert sqnr_db(want, got) > 20


def test_report_has_every_tensor_and_every_operator(pictures: Path) -> None:
    proto = mobile_block()
    _, report = run(proto, pictures)
    assert [op["name"] for op in report["ops"]] == [node.name for node in proto.graph.node]
    by_name = {op["name"]: op for op in report["ops"]}
    assert by_name["stem/conv"]["status"] == "quantized"
    assert by_name["stem/bn"] == {
        "name": "stem/bn", "op_type": "BatchNormalization", "status": "folded", "reason": "into stem/conv"
    }  # fmt: skip
    assert by_name["stem/relu6"]["reason"] == "clamp bounds of stem/conv"
    assert all(op.get("reason") for op in report["ops"] if op["status"] != "quantized")
    tensors = {tensor["name"]: tensor for tensor in report["tensors"]}
    assert set(tensors) >= {"input", "stem/relu6/out", "stem/conv/weight", "stem/conv/bias"}
    assert len(tensors["stem/conv/weight"]["scale"]) == 8
    activation = tensors["stem/relu6/out"]
    assert activation["scale"] == pytest.approx(activation["threshold"] / 127, rel=1e-6)
    assert report["pictures"] == 8


def test_integers_and_scales(pictures: Path) -> None:
    model, _ = run(mobile_block(), pictures, algo="abs_max")
    arrays = constants(model)
    weight, scale = arrays["stem/conv/weight_quantized"], arrays["stem/conv/weight_scale"]
    assert weight.dtype == np.int8
    assert weight.shape == (8, 3, 3, 3)
    assert np.abs(weight.astype(int)).reshape(8, -1).max(axis=1).tolist() == [127] * 8
    bias_scale = arrays["stem/conv/bias_scale"]
    np.testing.assert_array_equal(bias_scale, np.float32(arrays["input/scale"]) * scale)
    assert arrays["stem/conv/bias_quantized"].dtype == np.int32
    assert arrays["head/logits/weight_quantized"].shape == (10, 8)


def test_fused_activation_sits_between_two_equal_pairs(pictures: Path) -> None:
    model, _ = run(mobile_block(), pictures)
    made = {output: node for node in model.graph.node for output in node.output}
    last = made["stem/relu6/out/quantize/out"]
    clip = made[last.input[0]]
    inner = made[made[clip.input[0]].input[0]]
    assert (last.op_type, clip.op_type, inner.op_type) == ("QuantizeLinear", "Clip", "QuantizeLinear")
    assert list(last.input[1:]) == list(inner.input[1:])


def test_float_readers_of_float_values_keep_the_float(pictures: Path) -> None:
    """The residual Add is float by default; its output goes to a convolution (int8) and to the next Add (float)."""
    b = Builder()
    first = b.conv("first", "input", 3, 4)
    add = b.node("Add", "add", [first, b.conv("second", first, 4, 4)])
    last = b.node("Add", "last", [add, b.conv("third", add, 4, 4)])
    model, _ = run(b.model(last), pictures)
    reads = {node.name: list(node.input) for node in model.graph.node}
    assert reads["last"][0] == "add/out"
    assert reads["third"][0] == "add/out/dequantize/out"
    assert reads["add"][0] == "first/out/dequantize/out"


def test_a_quantized_output_keeps_its_name(pictures: Path) -> None:
    b = Builder()
    x = b.conv("conv", "input", 3, 4)
    proto = b.model(b.node("Add", "add", [x, b.conv("other", x, 4, 4)]))
    model, _ = run(proto, pictures, quantizable_op_type=("conv2d", "elementwise_add"))
    assert [o.name for o in model.graph.output] == ["add/out"]
    assert {node.op_type for node in model.graph.node if "add/out" in node.output} == {"DequantizeLinear"}


def test_moving_operators_share_their_scale(pictures: Path) -> None:
    b = Builder()
    x = b.node("Relu", "relu", [b.conv("conv", "input", 3, 4)])
    x = b.node("MaxPool", "pool", [x], kernel_shape=[2, 2], strides=[2, 2])
    _, report = run(b.model(b.conv("last", x, 4, 4)), pictures, is_full_quantize=True)
    tensors = {tensor["name"]: tensor for tensor in report["tensors"]}
    assert tensors["pool/out"]["scale"] == tensors["relu/out"]["scale"]
    assert tensors["pool/out"]["algo"] == "shared with its input"


@pytest.mark.parametrize(("bits", "limit"), [(2, 1), (4, 7), (7, 63), (8, 127)])
def test_weight_bits(pictures: Path, bits: int, limit: int) -> None:
    model, _ = run(mobile_block(), pictures, weight_bits=bits)
    assert np.abs(constants(model)["stem/conv/weight_quantized"].astype(int)).max() == limit


@pytest.mark.parametrize("bits", [2, 4, 6, 8])
def test_activation_bits_bound_the_integers(pictures: Path, bits: int) -> None:
    model, _ = run(mobile_block(), pictures, activation_bits=bits)
    names = [n.output[0] for n in model.graph.node if n.op_type == "QuantizeLinear" and "inner" not in n.name]
    for name in names:
        model.graph.output.append(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.INT8, None))
    x = np.random.default_rng(3).uniform(-20, 20, (1, 3, 16, 16)).astype(np.float32)
    integers = outputs(model, x, optimized=False)[1:]
    assert max(int(q.max()) for q in integers) <= 2 ** (bits - 1) - 1
    assert min(int(q.min()) for q in integers) >= -(2 ** (bits - 1))


def test_per_tensor_weights(pictures: Path) -> None:
    model, report = run(mobile_block(), pictures, weight_quantize_type="abs_max")
    assert constants(model)["stem/conv/weight_scale"].shape == ()
    tensors = {tensor["name"]: tensor for tensor in report["tensors"]}
    assert tensors["stem/conv/weight"]["axis"] is None


def test_a_dead_channel_keeps_its_bias(pictures: Path) -> None:
    proto = mobile_block()
    for tensor in proto.graph.initializer:
        if tensor.name == "head/weight":
            weight = numpy_helper.to_array(tensor).copy()
            weight[2], weight[3] = 0, 1e-20
            tensor.CopyFrom(numpy_helper.from_array(weight, "head/weight"))
    model, _ = run(proto, pictures)
    arrays = constants(model)
    bias = arrays["head/logits/bias_quantized"] * arrays["head/logits/bias_scale"]
    want = next(numpy_helper.to_array(t) for t in proto.graph.initializer if t.name == "head/bias")
    np.testing.assert_allclose(bias, want, atol=1e-3)


@pytest.mark.parametrize("name", ["conv/out/dequantize/out", "conv/weight_quantized", "conv/out/scale"])
def test_made_up_names_do_not_collide(pictures: Path, name: str) -> None:
    b = Builder()
    x = b.conv("conv", "input", 3, 4)
    b.nodes[-1].output[0] = "conv/out"
    b.nodes.append(onnx.helper.make_node("Relu", ["conv/out"], [name], name="relu"))
    y = b.node("Add", "add", [name, b.conv("other", x, 4, 4)])
    model, _ = run(b.model(y), pictures, is_full_quantize=True)
    picture = np.random.default_rng(3).uniform(-2, 2, (1, 3, 16, 16)).astype(np.float32)
    assert sqnr_db(outputs(b.model(y), picture)[0], outputs(model, picture)[0]) > 15


def test_another_exclude_list_needs_no_inference(pictures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cached = {"is_use_cache_file": True, "cache_dir": pictures.parent / "cache"}
    run(mobile_block(), pictures, skip_quant=("body",), **cached)

    def no_inference(*_: Any, **__: Any) -> None:
        raise AssertionError("the cache should have had everything")

    monkeypatch.setattr("ptq_core.calibration.pipeline.collect_statistics", no_inference)
    for keys in (
        {},
        {"algo": "mse"},
        {"weight_bits": 4},
        {"activation_bits": 16},
        {"skip_nodes": ("stem/*",)},
        {"activation_symmetric": False},
    ):
        _, report = run(mobile_block(), pictures, **keys, **cached)
        assert report["pictures"] == 8


def test_the_same_input_gives_the_same_bytes(pictures: Path) -> None:
    first, _ = run(mobile_block(), pictures)
    second, _ = run(mobile_block(), pictures)
    assert first.SerializeToString() == second.SerializeToString()


def replace_constant(proto: onnx.ModelProto, name: str, value: float) -> onnx.ModelProto:
    for tensor in proto.graph.initializer:
        if tensor.name == name:
            array = numpy_helper.to_array(tensor).copy()
            array.flat[0] = value
            tensor.CopyFrom(numpy_helper.from_array(array, name))
    return proto


def open_size() -> onnx.ModelProto:
    b = Builder()
    return b.model(b.conv("conv", "input", 3, 4), shape=("N", 3, "H", "W"))


def half_precision() -> onnx.ModelProto:
    """Of float32 at its ends only."""
    b = Builder()
    x = b.node("Cast", "in", ["input"], to=onnx.TensorProto.FLOAT16)
    x = b.node("Conv", "conv", [x, b.constant("w", np.ones((4, 3, 3, 3), np.float16))])
    return b.model(b.node("Cast", "out", [b.node("Relu", "relu", [x])], to=onnx.TensorProto.FLOAT))


@pytest.mark.parametrize("full", [False, True])
def test_half_precision_inside_becomes_float32(pictures: Path, full: bool) -> None:
    model, report = run(half_precision(), pictures, is_full_quantize=full)
    assert report["notes"] == ["the model's float16 is computed as float32, at its inputs and outputs too"]
    assert [op["status"] for op in report["ops"] if op["name"] == "conv"] == ["quantized"]
    x = np.random.default_rng(3).uniform(-2, 2, (2, 3, 16, 16)).astype(np.float32)
    assert sqnr_db(outputs(half_precision(), x)[0], outputs(model, x)[0]) > 30


def of_integers() -> onnx.ModelProto:
    b = Builder()
    x = b.node("Cast", "in", ["input"], to=onnx.TensorProto.UINT8)
    x = b.node("ConvInteger", "conv", [x, b.constant("w", np.ones((4, 3, 3, 3), np.uint8))])
    return b.model(b.node("Cast", "out", [x], to=onnx.TensorProto.FLOAT))


def already_quantized() -> onnx.ModelProto:
    b = Builder()
    scale, zero = b.constant("s", np.float32(1)), b.constant("z", np.int8(0))
    q = b.node("QuantizeLinear", "q", ["input", scale, zero])
    return b.model(b.conv("conv", b.node("DequantizeLinear", "dq", [q, scale, zero]), 3, 4))


@pytest.mark.parametrize(
    ("proto", "keys", "words"),
    [
        (mobile_block(), {"skip_quant": ("stemm",)}, "matches no node"),
        (mobile_block(), {"quantizable_op_type": ("conf2d",)}, "did you mean `conv2d`"),
        (
            mobile_block(),
            {"skip_quant": ("stem", "body", "head")},
            "no operator of the model would be quantized",
        ),
        (mobile_block(), {"preprocess": PreprocessOptions(resize=(8, 8))}, "8"),
        (open_size(), {}, "set input_shape"),
        (already_quantized(), {}, "quantized already"),
        (of_integers(), {}, "quantized already: node `conv` is a ConvInteger"),
        (replace_constant(mobile_block(), "stem/conv/weight", np.nan), {}, "NaN"),
        (replace_constant(mobile_block(), "head/weight", np.inf), {}, "NaN"),
    ],
)
def test_bad_input_leaves_nothing(
    pictures: Path, proto: onnx.ModelProto, keys: dict[str, Any], words: str
) -> None:
    with pytest.raises(InputError, match=words):
        run(proto, pictures, **keys)
    assert not (pictures.parent / "int8").exists()


def test_corrupt_pictures(pictures: Path) -> None:
    (pictures / "3.png").write_bytes(b"\x89PNG\r\n\x1a\n broken")
    with pytest.raises(InputError, match=r"3\.png"):
        run(mobile_block(), pictures)
    assert not (pictures.parent / "int8").exists()
    _, report = run(mobile_block(), pictures, skip_bad_images=True)
    assert report["pictures"] == 7
    assert [Path(p["path"]).name for p in report["skipped_pictures"]] == ["3.png"]


def test_missing_and_empty_folders(pictures: Path) -> None:
    with pytest.raises(InputError, match="nowhere"):
        run(mobile_block(), pictures.parent / "nowhere")
    (pictures.parent / "empty").mkdir()
    with pytest.raises(InputError, match="empty"):
        run(mobile_block(), pictures.parent / "empty")
