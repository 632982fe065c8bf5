"""What quantization costs is measured, said and written: outputs, best classes, operators, and a warning where much is lost."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import TensorProto, helper

from ptq_core.calibration import CalibrationResult
from ptq_core.config import QuantizeConfig, load_config
from ptq_core.graph import io
from ptq_core.graph.session import open_session
from ptq_core.numerics.metrics import sqnr_db
from ptq_core.post_training_quantization import PostTrainingQuantization
from ptq_core.quantize import advice, loss
from ptq_core.quantize.pipeline import QuantizedModel, quantize, quantize_model
from ptq_core.quantize.samples import KeepFirst
from ptq_core.reports import LossReport, OperatorLoss, OutputLoss
from tests.models import Builder, mobile_block, save
from tests.quantize.harness import Array, samples

SHAPE = (3, 16, 16)


def run(proto: onnx.ModelProto, folder: Path, given: Any = None, **keys: Any) -> QuantizedModel:
    config = QuantizeConfig(model_dir=folder, save_model_path=folder / "out", **keys)
    return quantize_model(
        io.load_model(save(proto, folder)), config, samples=samples(SHAPE, 16) if given is None else given
    )


def measured(result: QuantizedModel) -> LossReport:
    assert result.loss is not None
    return result.loss


def outputs(model: onnx.ModelProto, x: Array) -> Array:
    result: Array = open_session(model.SerializeToString()).run(None, {"input": x})[0]
    return result


@pytest.mark.parametrize(
    "keys",
    [
        {},
        {"algo": "abs_max", "is_full_quantize": True},
        {"activation_symmetric": False},
        {"algo": "weight_only"},
        {"weight_bits": 16, "activation_bits": 16},
        {"weight_bits": 4, "store_int4": True},
        {"equalize": True, "weight_quantize_type": "abs_max"},
        {"bias_correction": True},
    ],
    ids=str,
)
def test_the_figure_is_that_of_the_pictures(tmp_path: Path, keys: dict[str, Any]) -> None:
    proto = mobile_block()
    result = run(proto, tmp_path, **keys)
    x = np.stack(samples(SHAPE, 16)[: measured(result).pictures])
    wanted, got = outputs(proto, x), outputs(ir.to_proto(result.model), x)
    (output,) = measured(result).outputs
    assert measured(result).pictures == 2
    assert output.name == "head/softmax/out"
    assert output.sqnr_db == pytest.approx(sqnr_db(wanted, got), abs=0.1)
    assert output.best_class_equal == int((wanted.argmax(axis=1) == got.argmax(axis=1)).sum())
    assert output.equal_share is None
    assert output.probabilities


@pytest.mark.parametrize(
    ("batch", "given", "compared"),
    [(3, 16, 3), (6, 16, 6), (6, 2, 2), ("N", 100, 6), ("N", 200, 8), ("N", 50, 3), ("N", 16, 2), (1, 1, 1)],
)
def test_how_many_are_compared(tmp_path: Path, batch: int | str, given: int, compared: int) -> None:
    b = Builder()
    proto = b.model(b.conv("second", b.conv("first", "input", 3, 4), 4, 4), shape=(batch, *SHAPE))
    assert measured(run(proto, tmp_path, samples(SHAPE, given))).pictures == compared


def test_a_heavy_model_is_compared_on_fewer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loss, "LIGHT_VALUES", 100)
    for given, compared in ((7, 1), (16, 1), (40, 2), (100, 6)):
        assert measured(run(mobile_block(), tmp_path, samples(SHAPE, given))).pictures == compared


def test_a_heavy_model_without_calibration_is_compared_on_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loss, "LIGHT_VALUES", 100)
    assert measured(run(mobile_block(), tmp_path, samples(SHAPE, 100), algo="weight_only")).pictures == 1


@pytest.mark.parametrize("batch", [3, 32])
def test_a_batch_that_is_not_full_weighs_no_picture_twice(tmp_path: Path, batch: int) -> None:
    """The model of a fixed batch has the figures of the one with an open batch, on the same pictures."""
    given = [*samples(SHAPE, 3), np.full(SHAPE, 0.01, np.float32)]
    found = []
    for size in ("N", batch):
        b = Builder()
        proto = b.model(b.conv("second", b.conv("first", "input", 3, 4), 4, 4), shape=(size, *SHAPE))
        int8 = io.to_bytes(run(proto, tmp_path / str(size), given, algo="abs_max").model)
        watched = [loss.WatchedOperator("first", "Conv", False, (), ("first/out", "first/out"))]
        pictures = [{"input": x} for x in given]
        found.append(loss.measure_loss(proto.SerializeToString(), int8, watched, pictures))
    opened, fixed = found
    assert fixed.outputs[0].sqnr_db == pytest.approx(opened.outputs[0].sqnr_db, abs=0.01)
    assert fixed.operators[0].output_sqnr_db == pytest.approx(opened.operators[0].output_sqnr_db, abs=0.01)


@pytest.mark.parametrize("batch", [1, 5, "N"])
@pytest.mark.parametrize(("most", "light"), [(2 * 4 * 4, True), (2 * 4 * 4 - 1, False)])
def test_values_of_one_sample_tell_what_is_light(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, batch: int | str, most: int, light: bool
) -> None:
    """What floats compute counts as well as what is quantized."""
    monkeypatch.setattr(loss, "LIGHT_VALUES", most)
    b = Builder()
    proto = b.model(b.node("Sin", "sin", [b.node("Abs", "abs", ["input"])]), shape=(batch, 1, 4, 4))
    model = io.load_model(save(proto, tmp_path))
    assert loss.is_light(model) == light


def test_an_open_shape_is_not_light(tmp_path: Path) -> None:
    b = Builder()
    found = b.node("Cast", "cast", [b.node("NonZero", "found", ["input"])], to=TensorProto.FLOAT)
    proto = b.model(found, shape=(1, 1, 4, 4))
    assert not loss.is_light(io.load_model(save(proto, tmp_path)))


@pytest.mark.parametrize("algo", ["KL", "weight_only"])
def test_a_running_generator_suffices(tmp_path: Path, algo: str) -> None:
    running = iter(samples(SHAPE, 16))
    of_running = measured(run(mobile_block(), tmp_path, running, algo=algo))
    assert of_running == measured(run(mobile_block(), tmp_path, samples(SHAPE, 16), algo=algo))
    assert of_running.pictures == 2


def test_samples_are_kept_though_their_buffer_is_used_again() -> None:
    buffer = np.zeros(SHAPE, np.float32)

    def one_buffer() -> Iterator[Array]:
        for value in range(5):
            buffer[:] = value
            yield buffer

    kept = KeepFirst(one_buffer(), 3)
    assert len(list(kept)) == 5
    first, passed = kept.first()
    assert [float(np.asarray(sample).max()) for sample in first] == [0, 1, 2]
    assert passed == 5


def one_bad_layer() -> onnx.ModelProto:
    """`bad` has weights of 1000 for a channel that is nearly 0: beside them the others are rounded to 0."""
    b = Builder()
    sizes = np.ones((8, 1, 1, 1), np.float32)
    sizes[0] = 1e-4
    quiet = b.constant("quiet", sizes * b.random.standard_normal((8, 3, 3, 3)).astype(np.float32))
    x = b.node("Relu", "relu", [b.node("Conv", "first", ["input", quiet], pads=[1] * 4)])
    loud = b.constant(
        "loud", b.random.standard_normal((8, 8, 3, 3)).astype(np.float32) / sizes.reshape(1, 8, 1, 1) / 10
    )
    x = b.node("Relu", "relu2", [b.node("Conv", "bad", [x, loud], pads=[1] * 4)])
    return b.model(b.conv("last", x, 8, 4))


def test_the_operator_that_costs_most_is_first(tmp_path: Path) -> None:
    report = measured(run(one_bad_layer(), tmp_path))
    assert len(report.operators) <= loss.LISTED
    worst = report.operators[0]
    assert (worst.name, worst.op_type) == ("bad", "Conv")
    assert worst.output_sqnr_db < worst.input_sqnr_db - 20
    before = report.outputs[0].sqnr_db
    after = measured(run(one_bad_layer(), tmp_path, skip_nodes=("bad",))).outputs[0].sqnr_db
    assert before is not None
    assert after is not None
    assert after > before + 20


def found_places() -> onnx.ModelProto:
    """A Gemm over as many rows as a convolution has values above 0.3, then as many as the input has."""
    b = Builder()
    x = b.conv("conv", "input", 3, 1)
    places = b.node(
        "NonZero", "places", [b.node("Greater", "above", [x, b.constant("least", np.float32(0.3))])]
    )
    taken = b.node("GatherND", "taken", [x, b.node("Transpose", "rows", [places], perm=[1, 0])])
    rows = b.node("Reshape", "column", [taken, b.constant("shape", np.array([-1, 1]))])
    y = b.node("Gemm", "last", [rows, b.weight("last/weight", 1, 4)])
    return b.model(y, shape=(1, *SHAPE))


@pytest.mark.parametrize("round_type", ["round", "adaround"])
def test_values_of_another_size_are_not_compared(tmp_path: Path, round_type: str) -> None:
    loss = measured(run(found_places(), tmp_path, round_type=round_type))
    assert [(output.name, output.sqnr_db) for output in loss.outputs] == [("last/out", None)]
    assert {operator.name for operator in loss.operators} <= {"conv"}


def several_outputs() -> onnx.ModelProto:
    """A float map, the class of every pixel, and coordinates whose number depends on the values."""
    b = Builder()
    scores = b.conv("scores", b.node("Relu", "relu", [b.conv("first", "input", 3, 8)]), 8, 4)
    best = b.node("ArgMax", "best", [scores], axis=1)
    above = b.node("Greater", "above", [scores, b.constant("limit", np.float32(0.5))])
    proto = b.model(scores)
    proto.graph.output.append(helper.make_tensor_value_info(best, TensorProto.INT64, ["N", 1, 16, 16]))
    found = b.node("NonZero", "found", [above])
    proto.graph.node.extend(b.nodes[-1:])
    proto.graph.output.append(helper.make_tensor_value_info(found, TensorProto.INT64, [4, "found"]))
    return proto


def test_outputs_that_are_no_scores(tmp_path: Path) -> None:
    scores, best, found = measured(run(several_outputs(), tmp_path, weight_bits=3)).outputs
    assert scores.sqnr_db is not None
    assert scores.best_class_equal is None, "[N, C, H, W] are no class scores"
    assert best.sqnr_db is None
    assert best.equal_share is not None
    assert 0.3 < best.equal_share < 1
    assert found == OutputLoss("found/out", None), "its size differs"


def test_several_inputs(tmp_path: Path) -> None:
    b = Builder()
    total = b.node("Add", "sum", [b.conv("first", "input", 3, 4), b.conv("second", "other", 3, 4)])
    proto = b.model(b.conv("last", total, 4, 4))
    del proto.graph.output[0].type.tensor_type.shape.dim[:]
    proto.graph.output[0].CopyFrom(
        helper.make_tensor_value_info("last/out", TensorProto.FLOAT, ["N", 4, 16, 16])
    )
    proto.graph.input.append(helper.make_tensor_value_info("other", TensorProto.FLOAT, ["N", *SHAPE]))
    given = [
        {"input": x, "other": y} for x, y in zip(samples(SHAPE, 8), samples(SHAPE, 8, seed=3), strict=True)
    ]
    (output,) = measured(run(proto, tmp_path, given)).outputs
    assert output.sqnr_db is not None
    assert output.sqnr_db > 25


@pytest.mark.parametrize("keys", [{"check": False}, {"algo": "weight_only"}])
def test_where_nothing_is_measured(tmp_path: Path, keys: dict[str, Any]) -> None:
    """Not asked for; or there are no pictures, which is said."""
    save(mobile_block(), tmp_path)
    given = samples(SHAPE) if "check" in keys else None
    config = QuantizeConfig(model_dir=tmp_path, save_model_path=tmp_path / "out", **keys)
    result = quantize_model(io.load_model(tmp_path / "model.onnx"), config, samples=given)
    assert result.loss is None
    assert ("not measured: there are no pictures" in " ".join(result.notes)) == (given is None)


def folder_of_samples(folder: Path, count: int = 16) -> Path:
    folder.mkdir()
    for index, sample in enumerate(samples(SHAPE, count)):
        np.save(folder / f"{index:03}.npy", sample)
    return folder


def test_the_cache_changes_nothing(tmp_path: Path) -> None:
    save(mobile_block(), tmp_path)
    pictures = folder_of_samples(tmp_path / "pictures")
    written = []
    for name in ("first", "second"):
        config = QuantizeConfig(
            model_dir=tmp_path, save_model_path=tmp_path / name, image_dir=pictures, is_use_cache_file=True,
            cache_dir=tmp_path / "cache",
        )  # fmt: skip
        assert quantize(config).loss is not None
        written.append((tmp_path / name / "quantization.json").read_text())
    assert written[0] == written[1]


def test_the_report_holds_it(tmp_path: Path) -> None:
    """JSON has no infinities: an output that is equal has null and `equal`."""
    b = Builder()
    scores = b.conv("scores", b.conv("first", "input", 3, 8), 8, 4)
    proto = b.model(scores)
    proto.graph.node.append(helper.make_node("Abs", ["input"], ["same"], name="same"))
    proto.graph.output.append(helper.make_tensor_value_info("same", TensorProto.FLOAT, ["N", *SHAPE]))
    save(proto, tmp_path)
    config = QuantizeConfig(
        model_dir=tmp_path, save_model_path=tmp_path / "out", image_dir=folder_of_samples(tmp_path / "p")
    )
    report = quantize(config)
    assert report.loss is not None

    def no_constant(name: str) -> None:
        raise AssertionError(name)

    text = (tmp_path / "out" / "quantization.json").read_text()
    details = json.loads(text, parse_constant=no_constant)
    lossy, same = details["outputs"]
    assert details["compared_pictures"] == report.loss.pictures
    assert lossy["sqnr_db"] == report.loss.outputs[0].sqnr_db
    assert (lossy["equal"], same["equal"], same["sqnr_db"]) == (False, True, None)
    assert [row["name"] for row in details["costly_ops"]] == [each.name for each in report.loss.operators]
    assert details["costly_ops"]


def test_python_tells_it_too(tmp_path: Path) -> None:
    save(mobile_block(), tmp_path)
    ptq = PostTrainingQuantization("cpu", tmp_path, sample_generator=lambda: samples(SHAPE, 16))
    before = ptq.loss
    ptq.quantize()
    assert before is None
    assert ptq.loss is not None
    assert ptq.loss.outputs[0].sqnr_db is not None


@pytest.mark.parametrize(
    ("shape", "batch", "wanted"),
    [
        ((2, 5), 2, (2, 5)),
        ((2, 5, 1, 1), 2, (2, 5)),
        ((2, 1, 1, 5), 2, (2, 5)),
        ((2, 5, 1), 2, None),  # a detector's anchors
        ((845, 85), 1, None),
        ((2, 1), 2, None),
        ((2, 5, 2, 1), 2, None),
        ((5,), 1, None),
    ],
)
def test_what_looks_like_class_scores(
    shape: tuple[int, ...], batch: int, wanted: tuple[int, ...] | None
) -> None:
    found = loss._class_scores(np.zeros(shape, np.float32), batch)
    assert (None if found is None else found.shape) == wanted


def said(report: LossReport, **keys: Any) -> str:
    config = load_config(None, {"model_dir": "m", "save_model_path": "q", "image_dir": "p", **keys})
    seen = advice.Observed(config, config.preprocess, CalibrationResult({}, 100), None, report)
    return "\n".join(advice.warnings(seen))


def report(
    db: float | None, equal: int | None = None, pictures: int = 8, *, probabilities: bool = True
) -> LossReport:
    operators = tuple(OperatorLoss(f"op{i}", "Conv", 30.0, 10.0 + i) for i in range(5))
    return LossReport(
        pictures,
        (OutputLoss("fine", 40.0), OutputLoss("y", db, equal, probabilities=probabilities)),
        operators,
    )


ACCURATE = {"round_type": "adaround", "bias_correction": True}


@pytest.mark.parametrize(
    ("found", "keys", "words"),
    [
        (report(14.9), {}, "output y has 14.9 dB against FP32, below 15"),
        (report(14.9), {}, "the recipe `-c accurate`, then skip_nodes of the operators that cost most (op0, op1, op2)"),
        (report(-3.0), ACCURATE, "try another algo"),
        (report(-np.inf), {}, "output y has -inf dB"),
        (report(10.0), {"algo": "weight_only"}, "try more weight_bits"),
        (report(30.0, 4), {}, "output y has another best class than FP32's in 4 of 8 pictures"),
    ],
)  # fmt: skip
def test_a_loss_is_warned_of(found: LossReport, keys: dict[str, Any], words: str) -> None:
    assert words in said(found, **keys)


@pytest.mark.parametrize(
    "found",
    [
        report(15.1),
        report(np.inf),
        report(None),
        report(30.0, 5),
        report(30.0, 0, pictures=3),
        report(30.0, 0, probabilities=False),
    ],
    ids=str,
)
def test_no_loss_is_not_warned_of(found: LossReport) -> None:
    assert said(found) == ""


def test_a_lost_model_is_warned_of_and_a_good_one_not(tmp_path: Path) -> None:
    assert not [words for words in run(mobile_block(), tmp_path).warnings if "dB" in words]
    (warning,) = [words for words in run(mobile_block(), tmp_path, weight_bits=2).warnings if "dB" in words]
    assert "skip_nodes" in warning
