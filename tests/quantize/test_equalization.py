"""Cross-layer equalization: the function stays, the ranges become equal, and what must not be touched is not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import numpy_helper

from ptq_core.config import QuantizeConfig
from ptq_core.errors import InputError
from ptq_core.evaluate.accuracy import evaluate
from ptq_core.graph import io
from ptq_core.graph.edits import constant_array
from ptq_core.options.preprocess import PreprocessOptions
from ptq_core.quantize.channel_links import ScaledWeights, find_links
from ptq_core.quantize.equalization import equalize_layers
from ptq_core.quantize.pipeline import quantize
from tests.models import Builder, mobile_block
from tests.quantize.refinement_plans import Array, config, loaded, run, samples

PER_TENSOR = config(weight_quantize_type="abs_max")


def uneven(proto: onnx.ModelProto, name: str, seed: int = 1, power: float = 2) -> onnx.ModelProto:
    """Spread the ranges of the output channels of weight and bias over ``power`` decades either way."""
    for tensor in proto.graph.initializer:
        if tensor.name in (f"{name}/weight", f"{name}/bias"):
            array = numpy_helper.to_array(tensor)
            factors = np.power(10, np.random.default_rng(seed).uniform(-power, power, array.shape[0]))
            scaled = array * factors.reshape(-1, *[1] * (array.ndim - 1))
            tensor.CopyFrom(numpy_helper.from_array(scaled.astype(np.float32), tensor.name))
    return proto


def triplet(activation: str | None) -> onnx.ModelProto:
    """conv, depthwise, pointwise with ``activation`` between them; the depthwise layer has uneven channels."""
    b = Builder()
    x = "input"
    layers: tuple[tuple[str, int, int, dict[str, Any]], ...] = (
        ("first", 3, 8, {}),
        ("depthwise", 8, 8, {"group": 8}),
        ("last", 8, 5, {"k": 1}),
    )
    for name, cin, cout, keys in layers:
        x = b.conv(name, x, cin, cout, **keys)
        if name != "last" and activation == "Relu6":
            x = b.relu6(f"{name}/relu6", x)
        elif name != "last" and activation is not None:
            x = b.node(activation, f"{name}/activation", [x])
    return uneven(b.model(x), "depthwise")


def assert_same_function(before: Array, after: Array, layers: int) -> None:
    """Each layer rounds its weights once more and sums in another scale: a few steps of float32 per layer."""
    bound = layers * 64 * np.finfo(np.float32).eps * np.abs(before).max()
    assert float(np.abs(before - after).max()) <= bound


@pytest.mark.parametrize("activation", [None, "Relu", "LeakyRelu"])
def test_homogeneous_activations(tmp_path: Path, activation: str | None) -> None:
    model, inputs = loaded(triplet(activation), tmp_path), samples()
    before = run(model, inputs)
    done = equalize_layers(model, PER_TENSOR)
    assert_same_function(before, run(model, inputs), 3)
    assert [(d.first, d.second, d.fixed) for d in done] == [
        ("first", "depthwise", 0),
        ("depthwise", "last", 0),
    ]
    links = find_links(model.graph)
    weights = ScaledWeights(links)
    for link in links:
        np.testing.assert_allclose(
            weights.output_ranges(link.first), weights.input_ranges(link.second), rtol=0.01
        )


def depthwise_spread(model: ir.Model) -> float:
    """log of the largest range of a channel of the depthwise layer over the smallest."""
    link = find_links(model.graph)[1]
    return float(np.ptp(np.log(ScaledWeights([link]).output_ranges(link.first))))


def test_without_samples_relu6_is_left_alone(tmp_path: Path) -> None:
    model = loaded(triplet("Relu6"), tmp_path)
    assert equalize_layers(model, PER_TENSOR) == []


def test_relu6_keeps_its_bound_and_its_function(tmp_path: Path) -> None:
    model, inputs = loaded(triplet("Relu6"), tmp_path), samples()
    before = run(model, inputs)
    spread = [
        np.ptp(np.log(ScaledWeights(find_links(model.graph)).output_ranges(n)))
        for n in model.graph
        if n.op_type == "Conv"
    ][1]
    done = equalize_layers(model, PER_TENSOR, inputs)
    assert_same_function(before, run(model, inputs), 3)
    assert all(constant_array(n.inputs[2]) == 6 for n in model.graph if n.op_type == "Clip")
    # The depthwise layer has channels that reach 6 (they stay) and others that do not.
    assert 0 < done[1].fixed < 8
    assert (done[1].factors != 1).sum() == 8 - done[1].fixed
    assert depthwise_spread(model) < 0.9 * spread


def test_scaling_a_channel_that_reaches_the_bound_would_change_the_function(tmp_path: Path) -> None:
    """The control: the comparison above notices it."""
    model, inputs = loaded(triplet("Relu6"), tmp_path), samples()
    before = run(model, inputs)
    link = find_links(model.graph)[1]
    weights = ScaledWeights([link])
    weights.scale(link, np.full(8, 1.5))
    weights.write(model.graph)
    with pytest.raises(AssertionError):
        assert_same_function(before, run(model, inputs), 3)


def lopsided(activation: str | None, pool: str | None) -> onnx.ModelProto:
    """Two layers; channel 0 of the first has small weights and bias −5, channel 1 is the same with bias 5."""
    b = Builder()
    x = b.conv("first", "input", 3, 8)
    if activation == "Relu6":
        x = b.relu6("activation", x)
    elif activation is not None:
        x = b.node(activation, "activation", [x])
    if pool is not None:
        x = b.node(pool, "pool", [x], **({} if pool.startswith("Global") else {"kernel_shape": [4, 4]}))
    proto = b.model(b.conv("second", x, 8, 5, k=1))
    for tensor in proto.graph.initializer:
        array = numpy_helper.to_array(tensor).copy()
        if tensor.name == "first/weight":
            array[:2] *= 1e-3
        elif tensor.name == "first/bias":
            array[:2] = [-5, 5]
        tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))
    return proto


def tensor_range(model: ir.Model, name: str, inputs: list[Array]) -> tuple[float, float]:
    """Of tensor ``name``, straight from onnxruntime, with 0 inside."""
    proto = onnx.ModelProto.FromString(io.to_bytes(model))
    del proto.graph.output[:]
    proto.graph.output.append(onnx.ValueInfoProto(name=name))
    array = run(proto, inputs)
    return min(float(array.min()), 0), max(float(array.max()), 0)


@pytest.mark.parametrize("pool", [None, "MaxPool", "GlobalAveragePool"])
@pytest.mark.parametrize("activation", [None, "Relu", "LeakyRelu", "Relu6"])
@pytest.mark.parametrize("scale", [1, 0.1])
def test_the_range_of_an_activation_does_not_grow(
    tmp_path: Path, activation: str | None, pool: str | None, scale: float
) -> None:
    """Of every tensor that is quantized, on both sides; with inputs that reach the bound of Relu6 and others that do not."""
    model, inputs = loaded(lopsided(activation, pool), tmp_path), [x * np.float32(scale) for x in samples()]
    (link,) = find_links(model.graph)
    names = [str(node.outputs[0].name) for node in (link.first, *link.between)]
    if activation in ("Relu", "Relu6"):
        names = names[1:]
    before, output = [tensor_range(model, name, inputs) for name in names], run(model, inputs)
    (done,) = equalize_layers(model, PER_TENSOR, inputs)
    assert (done.factors != 1).any()
    assert_same_function(output, run(model, inputs), 2)
    for name, (low, high) in zip(names, before, strict=True):
        new_low, new_high = tensor_range(model, name, inputs)
        assert new_low >= low * (1 + 1e-5)
        assert new_high <= high * (1 + 1e-5)
        assert max(-new_low, new_high) <= max(-low, high) * (1 + 1e-5)


def test_a_value_with_two_readers_is_not_touched(tmp_path: Path) -> None:
    b = Builder()
    x = b.node("Relu", "relu", [b.conv("first", "input", 3, 4)])
    y = b.conv("second", x, 4, 4)
    model = loaded(b.model(b.node("Add", "add", [x, y])), tmp_path)
    assert find_links(model.graph) == []
    assert equalize_layers(model, PER_TENSOR) == []


def between(op_type: str) -> onnx.ModelProto:
    b = Builder()
    x = b.conv("first", "input", 3, 4)
    if op_type == "graph output":
        model = b.model(b.conv("second", x, 4, 4))
        model.graph.output.append(
            onnx.helper.make_tensor_value_info(x, onnx.TensorProto.FLOAT, ["N", 4, 16, 16])
        )
        return model
    if op_type == "Clip from -1":
        low, high = b.constant("low", np.float32(-1)), b.constant("high", np.float32(1))
        x = b.node("Clip", "clip", [x, low, high])
    elif op_type == "Concat":
        x = b.node("Concat", "concat", [x], axis=2)
    else:
        x = b.node(op_type, "between", [x])
    return b.model(b.conv("second", x, 4, 4))


@pytest.mark.parametrize(
    "op_type", ["Sigmoid", "HardSwish", "Clip from -1", "Concat", "graph output", "Tanh"]
)
def test_what_is_not_homogeneous_ends_a_link(tmp_path: Path, op_type: str) -> None:
    assert find_links(loaded(between(op_type), tmp_path).graph) == []


def test_links_see_through_pooling_and_reach_gemm(tmp_path: Path) -> None:
    b = Builder()
    x = b.node("Relu", "relu", [b.conv("first", "input", 3, 8)])
    x = b.node("MaxPool", "pool", [x], kernel_shape=[2, 2], strides=[2, 2])
    x = b.node("Flatten", "flatten", [b.node("GlobalAveragePool", "mean", [x])])
    x = b.node("Gemm", "gemm", [x, b.weight("gemm/weight", 8, 5), b.weight("gemm/bias", 5)])
    model, inputs = loaded(uneven(b.model(x), "first"), tmp_path), samples()
    before = run(model, inputs)
    (done,) = equalize_layers(model, PER_TENSOR, inputs)
    assert (done.first, done.second) == ("first", "gemm")
    assert_same_function(before, run(model, inputs), 2)


@pytest.mark.parametrize(
    ("shape", "per_channel"), [((4, 5), 0), ((4, 1), 0), ((5,), 1), ((1, 5), 1), ((1,), 1), ((), 1)]
)
@pytest.mark.parametrize("layer", ["one", "two"])
def test_what_is_added_per_sample_is_not_scaled(
    tmp_path: Path, shape: tuple[int, ...], per_channel: int, layer: str
) -> None:
    """It is a sum of its own: behind the first Gemm it parts the two, behind the second it is in nobody's way."""
    b = Builder()
    x = "input"
    for name, rows in (("one", 6), ("two", 5)):
        bias = b.weight(f"{name}/bias", *(shape if name == layer else (5,)))
        x = b.node("Gemm", name, [x, b.weight(f"{name}/weight", rows, 5), bias])
    model = loaded(b.model(x, shape=(4, 6)), tmp_path)
    assert len(find_links(model.graph)) == (per_channel if layer == "one" else 1)
    equalize_layers(model, PER_TENSOR, samples(8, (6,)))


def test_an_open_batch_that_the_model_reshapes_to_one(tmp_path: Path) -> None:
    """As exporters write it: declared open, but only single samples run."""
    b = Builder()
    x = b.node("Relu", "relu", [b.conv("first", "input", 3, 8)])
    x = b.conv("second", x, 8, 4)
    x = b.node("Reshape", "flatten", [x, b.constant("shape", [1, -1])])
    x = b.node("Gemm", "gemm", [x, b.weight("gemm/weight", 4 * 16 * 16, 6), b.weight("gemm/bias", 6)])
    x = b.node("Gemm", "last", [b.node("Relu", "gemm/relu", [x]), b.weight("last/weight", 6, 5)])
    model, inputs = loaded(uneven(b.model(x), "first"), tmp_path), samples()
    before = run(model, inputs)
    done = equalize_layers(model, PER_TENSOR, inputs)
    assert [(d.first, d.second) for d in done] == [("first", "second"), ("gemm", "last")]
    assert_same_function(before, run(model, inputs), 4)


def test_a_model_that_does_not_run(tmp_path: Path) -> None:
    b = Builder()
    x = b.conv("second", b.node("Relu", "relu", [b.conv("first", "input", 3, 8)]), 8, 4)
    model = loaded(b.model(x), tmp_path)
    with pytest.raises(InputError, match="does not run"):
        equalize_layers(model, PER_TENSOR, samples(3, (4, 16, 16)))


def test_groups(tmp_path: Path) -> None:
    b = Builder()
    x = b.node("Relu", "relu", [b.conv("first", "input", 3, 8)])
    model = loaded(uneven(b.model(b.conv("grouped", x, 8, 6, group=2)), "first"), tmp_path)
    inputs = samples()
    before = run(model, inputs)
    equalize_layers(model, PER_TENSOR)
    assert_same_function(before, run(model, inputs), 2)


def test_dead_channels_and_shared_weights(tmp_path: Path) -> None:
    """A channel of zeros stays finite; two nodes that share one weight are scaled apart."""
    b = Builder()
    shared = b.weight("shared", 3, 3, 3, 3)
    x = "input"
    for name in ("one", "two", "three"):
        x = b.node("Conv", name, [x, shared], kernel_shape=[3, 3], pads=[1] * 4)
        x = b.node("Relu", f"{name}/relu", [x])
    proto = b.model(x)
    array = numpy_helper.to_array(proto.graph.initializer[0]).copy()
    array[1], array[0] = 0, array[0] * 30
    proto.graph.initializer[0].CopyFrom(numpy_helper.from_array(array, "shared"))
    model, inputs = loaded(proto, tmp_path), samples()
    before = run(model, inputs)
    equalize_layers(model, PER_TENSOR, inputs)
    after = run(model, inputs)
    assert np.isfinite(after).all()
    assert_same_function(before, after, 3)


def test_the_residual_branch_of_a_mobile_block(tmp_path: Path) -> None:
    """Only depthwise → project may be scaled: the stem's output is also read by the Add, the project's by it alone."""
    model = loaded(mobile_block(), tmp_path)
    assert [(link.first.name, link.second.name, link.bound) for link in find_links(model.graph)] == [
        ("body/depthwise", "body/project", 6.0)
    ]


@pytest.mark.real
def test_per_tensor_weights_recover_on_mobilenet(shared_data: Path, tmp_path: Path) -> None:
    """1.5 % top-1 without equalization; FP32 has 174 of 200."""
    preprocess = PreprocessOptions(resize_short=256, center_crop=(224,), mean=(127.5,), std=(127.5,))
    keys = QuantizeConfig(
        model_dir=shared_data / "models" / "mobilenet_v1_075.onnx",
        save_model_path=tmp_path / "int8",
        image_dir=shared_data / "images" / "calib",
        preprocess=preprocess,
        batch_nums=4,
        weight_quantize_type="abs_max",
        equalize=True,
        bias_correction=True,
    )
    quantize(keys)
    images = shared_data / "images"
    report = evaluate(
        tmp_path / "int8" / "model.onnx", images / "dev.txt", preprocess, image_dir=images / "dev"
    )
    assert report.top1 * report.count >= 174 - 10
