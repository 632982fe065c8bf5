"""What `ptq quantize` wrote is run before it is kept; faults of ours are planted to see that they are found."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import TensorProto, helper

from ptq_core.config import QuantizeConfig
from ptq_core.errors import InputError, PtqError
from ptq_core.graph import passes
from ptq_core.graph.passes.spread_axes import spread_axes
from ptq_core.graph.session import Int8, open_session
from ptq_core.optimize.lowering import movement
from ptq_core.optimize.lowering.context import Lowering
from ptq_core.post_training_quantization import PostTrainingQuantization
from ptq_core.quantize import check, objections, pipeline
from ptq_core.reports import QuantizeReport
from tests.models import Builder, save

SHAPE = (1, 3, 16, 16)


def between_convolutions(
    make: Callable[[Builder, str], str], channels: int = 8, opset: int = 17, batch: int | str = 1
) -> onnx.ModelProto:
    """Conv to 8 channels, what ``make`` adds behind it, Conv of so many ``channels``, global average, Gemm."""
    b = Builder()
    middle = make(b, b.conv("first", "input", 3, 8))
    pooled = b.node("GlobalAveragePool", "head/pool", [b.conv("last", middle, channels, 4)])
    flat = b.node("Flatten", "head/flatten", [pooled])
    head = b.node("Gemm", "head/gemm", [flat, b.weight("gemm/weight", 4, 5)])
    return b.model(head, shape=(batch, *SHAPE[1:]), opset=opset)


def dilated_average(b: Builder, x: str) -> str:
    return b.node("AveragePool", "pool", [x], kernel_shape=[3, 3], dilations=[2, 2])


def padded_by_axes(b: Builder, x: str) -> str:
    pads, axes = b.constant("pads", [1, 1, 1, 1]), b.constant("axes", [2, 3])
    return b.node("Pad", "pad", [x, pads, "", axes])


def resized_by_axes(b: Builder, x: str) -> str:
    scales = b.constant("scales", np.array([2, 2], np.float32))
    return b.node("Resize", "resize", [x, "", scales], mode="nearest", axes=[2, 3])


def resized_by_axes_to_sizes(b: Builder, x: str) -> str:
    sizes = b.constant("sizes", [24, 30])
    return b.node("Resize", "resize", [x, "", "", sizes], mode="linear", axes=[-2, 3])


def joined_with_a_constant(b: Builder, x: str) -> str:
    return b.node("Concat", "concat", [b.weight("constant", 1, 2, 16, 16), x], axis=1)


def of_regions(b: Builder, x: str) -> str:
    """An operator that onnxruntime has, and our runtime not."""
    regions = b.constant("regions", np.array([[0, 0, 0, 15, 15]], np.float32))
    return b.node("MaxRoiPool", "regions_of", [x, regions], pooled_shape=[16, 16])


def run(proto: onnx.ModelProto, folder: Path, **keys: Any) -> QuantizeReport:
    (folder / "samples").mkdir()
    random = np.random.default_rng(1)
    for index in range(4):
        sample = random.uniform(-1, 1, SHAPE[1:]).astype(np.float32)
        np.save(folder / "samples" / f"{index}.npy", sample)
    return pipeline.quantize(
        QuantizeConfig(
            model_dir=save(proto, folder / "fp32"),
            save_model_path=folder / "int8",
            image_dir=folder / "samples",
            is_full_quantize=True,
            **keys,
        )
    )


RIGHT: dict[str, tuple[Callable[[Builder, str], str], int, int, str]] = {
    # what stands between, channels of its result, opset, its type if it is quantized
    "average with dilations": (dilated_average, 8, 19, ""),
    "pad with axes": (padded_by_axes, 8, 18, "Pad"),
    "resize with axes": (resized_by_axes, 8, 18, "Resize"),
    "linear resize with axes, sizes": (resized_by_axes_to_sizes, 8, 18, "Resize"),
    "concat with a constant": (joined_with_a_constant, 10, 17, "Concat"),
}


@pytest.mark.parametrize("batch", [1, "N"])
@pytest.mark.parametrize(("make", "channels", "opset", "quantized"), RIGHT.values(), ids=RIGHT)
def test_what_is_written_runs(
    tmp_path: Path,
    make: Callable[[Builder, str], str],
    channels: int,
    opset: int,
    quantized: str,
    batch: int | str,
) -> None:
    proto = between_convolutions(make, channels, opset, 1 if make is joined_with_a_constant else batch)
    report = run(proto, tmp_path, algo="abs_max")
    assert not report.notes
    x = np.random.default_rng(0).uniform(-1, 1, SHAPE).astype(np.float32)
    wanted = open_session(proto.SerializeToString(), optimized=False).run(None, {"input": x})[0]
    sessions: tuple[tuple[bool, Int8, int], ...] = (
        (False, "plain", 30),
        (True, "exact", 30),
        (True, "kept", 30),
        (True, "plain", 10),  # x86 may saturate
    )
    for optimized, int8, decibels in sessions:
        session = open_session(report.model_path, optimized=optimized, int8=int8)
        (got,) = session.run(None, {"input": x})
        assert 10 * np.log10((wanted**2).sum() / ((wanted - got) ** 2).sum()) > decibels
    written = onnx.load(report.model_path)
    producers = {node.output[0]: node.op_type for node in written.graph.node}
    integers = {
        node.op_type
        for node in written.graph.node
        if node.op_type in ("Pad", "Resize", "Concat", "AveragePool")
        and producers.get(node.input[0]) == "DequantizeLinear"
        and any(
            reader.op_type == "QuantizeLinear" and node.output[0] in reader.input
            for reader in written.graph.node
        )
    }
    assert integers == ({quantized} - {""})


def break_average(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(objections._CHECKS, "AveragePool")


def break_axes(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = tuple(one for one in passes.SIMPLIFY_PASSES if one is not spread_axes)
    monkeypatch.setattr(passes, "SIMPLIFY_PASSES", kept)
    monkeypatch.delitem(objections._CHECKS, "Resize")


def break_concat(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(context: Lowering, node: Any, position: int) -> Any:
        return context.real_input(node, position)

    monkeypatch.setattr(movement, "_concat_input", refused)


@pytest.mark.parametrize(
    ("plant", "case", "who", "node"),
    [
        (break_average, "average with dilations", "onnxruntime", "pool"),
        (break_axes, "resize with axes", "onnxruntime", ""),
        (break_concat, "concat with a constant", "`ptq opt`", "concat"),
    ],
)
def test_a_fault_of_ours_is_found(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    plant: Callable[[pytest.MonkeyPatch], None],
    case: str,
    who: str,
    node: str,
) -> None:
    make, channels, opset, _ = RIGHT[case]
    plant(monkeypatch)
    with pytest.raises(PtqError, match=f"{who} refuses the quantized model, though") as caught:
        run(between_convolutions(make, channels, opset), tmp_path)
    assert caught.value.exit_code == 1
    assert node in caught.value.problem
    assert "skip_nodes" in caught.value.fix
    assert not list((tmp_path / "int8").iterdir())


def test_without_check_it_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    break_average(monkeypatch)
    make, channels, opset, _ = RIGHT["average with dilations"]
    assert run(between_convolutions(make, channels, opset), tmp_path, check=False).model_path.exists()


def test_the_python_api_checks_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make, channels, opset, _ = RIGHT["average with dilations"]
    folder = save(between_convolutions(make, channels, opset), tmp_path / "fp32").parent
    break_average(monkeypatch)

    def generator() -> Any:
        yield from np.random.default_rng(0).uniform(-1, 1, (4, *SHAPE[1:])).astype(np.float32)

    choices: tuple[dict[str, Any], ...] = ({}, {"check": False})
    for keys in choices:
        ptq = PostTrainingQuantization(
            model_dir=folder, sample_generator=generator, is_full_quantize=True, **keys
        )
        ptq.quantize()
        if keys:
            assert ptq.save_quantized_model(tmp_path / "int8").exists()
        else:
            with pytest.raises(PtqError, match="onnxruntime refuses the quantized model"):
                ptq.save_quantized_model(tmp_path / "int8")


@pytest.mark.needs("runtime")
def test_a_model_of_operators_that_we_lack_is_a_note(tmp_path: Path) -> None:
    report = run(between_convolutions(of_regions), tmp_path)
    assert report.notes == (
        "our runtime does not run this model, quantized or not: `ptq opt` says which operators",
    )


def test_a_float_model_that_onnxruntime_refuses_is_the_reason(tmp_path: Path) -> None:
    """weight_only calibrates nothing, so that nothing has run the model before."""
    proto = between_convolutions(of_regions)
    unknown = next(node for node in proto.graph.node if node.op_type == "MaxRoiPool")
    unknown.domain, unknown.op_type = "com.example", "Unknown"
    proto.opset_import.append(helper.make_opsetid("com.example", 1))
    with pytest.raises(InputError, match="onnxruntime cannot load"):
        run(proto, tmp_path, algo="weight_only")


@pytest.mark.parametrize(
    "keys", [{"activation_bits": 16}, {"weight_bits": 4, "store_int4": True}, {"algo": "weight_only"}]
)
def test_what_the_runtime_does_not_load_runs_in_onnxruntime_only(
    tmp_path: Path, keys: dict[str, Any]
) -> None:
    assert not run(between_convolutions(lambda b, x: b.relu6("relu6", x)), tmp_path, **keys).notes


def test_example_inputs() -> None:
    nodes = [helper.make_node("Identity", [name], [f"{name}_y"]) for name in "xin"]
    types: dict[str, tuple[int, Sequence[str | int]]] = {
        "x": (TensorProto.FLOAT, ["N", 3]),
        "i": (TensorProto.INT64, [2, 5]),
        "n": (TensorProto.BOOL, []),
    }
    infos = [helper.make_tensor_value_info(name, *found) for name, found in types.items()]
    outputs = [helper.make_tensor_value_info(f"{name}_y", *found) for name, found in types.items()]
    model = ir.from_proto(helper.make_model(helper.make_graph(nodes, "g", infos, outputs)))
    feeds = check.example_inputs(model)
    assert {name: (array.dtype.name, array.shape) for name, array in feeds.items()} == {
        "x": ("float32", (1, 3)),
        "i": ("int64", (2, 5)),
        "n": ("bool", ()),
    }
