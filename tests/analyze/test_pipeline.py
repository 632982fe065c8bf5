"""Whole analyses of small models: figures that are right, models of every kind, what is kept between runs."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import TensorProto, helper

from ptq_core.analyze import pipeline
from ptq_core.analyze.budgets import Candidate, Trial
from ptq_core.analyze.export.files import COLUMNS, to_csv, to_json
from ptq_core.analyze.export.html import page
from ptq_core.analyze.pipeline import analyze
from ptq_core.analyze.report import Analysis, Operator
from ptq_core.calibration import pipeline as calibration
from ptq_core.config import AnalyzeConfig, QuantizeConfig
from ptq_core.graph.session import open_session
from ptq_core.numerics.metrics import sqnr_db
from ptq_core.quantize.objections import objection
from ptq_core.quantize.pipeline import quantize
from tests.models import Builder, mobile_block, save
from tests.quantize.harness import samples

SHAPE = (3, 16, 16)


def config(proto: onnx.ModelProto, folder: Path, count: int = 12, **keys: Any) -> AnalyzeConfig:
    """With samples as array files, so that no picture is decoded."""
    save(proto, folder / "fp32")
    (folder / "arrays").mkdir(parents=True, exist_ok=True)
    shape = [d.dim_value for d in proto.graph.input[0].type.tensor_type.shape.dim][1:]
    for index, array in enumerate(samples(shape, count)):
        np.save(folder / "arrays" / f"{index:03}.npy", array)
    return AnalyzeConfig(model_dir=folder / "fp32", image_dir=folder / "arrays", **keys)


def spoiled() -> onnx.ModelProto:
    """Three convolutions; the input of the second is ruined by one channel that is 300 times the others."""
    b = Builder()
    x = b.conv("first", "input", 3, 8, bias=False)
    weight = b.constants[0]
    array = onnx.numpy_helper.to_array(weight).copy()
    array[0] *= 300
    weight.CopyFrom(onnx.numpy_helper.from_array(array, weight.name))
    y = b.conv("second", x, 8, 8, bias=False)
    weight = b.constants[-1]
    array = onnx.numpy_helper.to_array(weight).copy()
    array[:, 0] /= 300
    weight.CopyFrom(onnx.numpy_helper.from_array(array, weight.name))
    y = b.node("Relu", "relu", [y])
    return b.model(b.conv("third", y, 8, 64, k=3), shape=("N", *SHAPE))


def by_name(report: Analysis) -> dict[str, Operator]:
    return {each.name: each for each in report.operators}


def test_the_culprit_is_found_and_the_list_gives_what_it_promises(tmp_path: Path) -> None:
    settings = config(spoiled(), tmp_path, algo="abs_max")
    report = analyze(settings, samples=6)
    assert report.samples == 6
    assert report.ranked[0].name == "second"
    second = by_name(report)["second"]
    assert second.alone_db is not None
    assert second.gain_db is not None
    assert second.gain_db > 3
    assert second.alone_db == min(each.alone_db or 0.0 for each in report.operators)
    assert second.macs_share == pytest.approx(8 * 8 / (3 * 8 + 8 * 8 + 8 * 64))
    assert second.inputs[0].name == "first/out"
    # 11.6 % of the MACs are beyond all budgets: the promise is held for the list itself
    pipelines = pytest.MonkeyPatch()
    pipelines.setattr(pipeline, "SHARES", (0.2,))
    pipelines.setattr("ptq_core.analyze.budgets.SHARES", (0.2,))
    (budget,) = analyze(settings, samples=6).budgets
    pipelines.undo()
    assert "second" in budget.skip_nodes
    plain = QuantizeConfig(
        settings.model_dir,
        tmp_path / "int8",
        image_dir=settings.image_dir,
        algo="abs_max",
        skip_nodes=budget.skip_nodes,
    )
    written = open_session(quantize(plain).model_path)
    x = np.stack(samples(SHAPE, 12)[::2])
    (wanted,) = open_session(tmp_path / "fp32" / "model.onnx").run(None, {"input": x})
    (got,) = written.run(None, {"input": x})
    assert budget.sqnr_db == pytest.approx(sqnr_db(wanted, got), abs=0.05)
    assert budget.sqnr_db is not None
    assert report.sqnr_db is not None
    assert budget.sqnr_db > report.sqnr_db + 3


@pytest.mark.parametrize("batch", [None, "N", 1, 2])
def test_shares_of_macs_are_those_of_one_picture(tmp_path: Path, batch: str | int | None) -> None:
    b = Builder()
    x = b.node("Transpose", "rows", [b.conv("conv", "input", 3, 8)], perm=[0, 2, 3, 1])
    x = b.node("Reshape", "windows", [x, b.constant("sizes", np.array([-1, 16, 8]))])
    x = b.node("MatMul", "linear", [x, b.weight("linear/weight", 8, 32)])
    b.constant("back", np.array([-1, 16, 16, 32]))
    proto = b.model(b.node("Reshape", "picture", [x, "back"]), shape=(batch, *SHAPE))
    rows = by_name(analyze(config(proto, tmp_path), samples=2))
    assert rows["conv"].macs_share == pytest.approx(27 / (27 + 32))
    assert rows["linear"].macs_share == pytest.approx(32 / (27 + 32))


@pytest.mark.parametrize(
    "keys",
    [
        {"is_full_quantize": True},
        {"algo": "weight_only"},
        {"activation_symmetric": False, "bias_correction": True},
        {"round_type": "adaround", "skip_nodes": ("body/*",)},
        {"equalize": True},
        {"weight_bits": 4, "store_int4": True},
        {"activation_bits": 12},
        {"batch_size": 4, "batch_nums": 2},
    ],
    ids=str,
)
def test_configurations(tmp_path: Path, keys: dict[str, Any]) -> None:
    proto = mobile_block()
    report = analyze(config(proto, tmp_path, **keys), samples=3)
    assert [each.index for each in report.operators] == list(range(len(report.operators)))
    assert sorted(each.rank for each in report.operators) == list(range(1, len(report.operators) + 1))
    assert report.sqnr_db is not None
    assert report.sqnr_db > 5
    assert all(each.alone_db is not None for each in report.operators)
    assert sum(each.macs_share or 0 for each in report.operators) <= 1 + 1e-9
    assert all(set(keys.get("skip_nodes", ())) <= set(budget.skip_nodes) for budget in report.budgets)
    assert json.loads(to_json(report))["operators"][0]["name"] == report.operators[0].name
    assert page(report).startswith("<!doctype html>")


def test_rounds_bounded_by_memory_give_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = config(mobile_block(), tmp_path)
    whole = analyze(settings, samples=5)
    monkeypatch.setattr("ptq_core.analyze.sensitivity.MEMORY_BYTES", 1)
    assert analyze(settings, samples=5).operators == whole.operators


def test_a_second_run_has_its_statistics_from_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = config(mobile_block(), tmp_path, is_use_cache_file=True, cache_dir=tmp_path / "cache")
    first = analyze(settings, samples=2)

    def never(*_: Any, **__: Any) -> None:
        raise AssertionError("calibrated again")

    monkeypatch.setattr(calibration, "collect_statistics", never)
    assert analyze(settings, samples=2).operators == first.operators
    plain = QuantizeConfig(
        settings.model_dir,
        tmp_path / "int8",
        image_dir=settings.image_dir,
        is_use_cache_file=True,
        cache_dir=tmp_path / "cache",
    )
    assert quantize(plain).pictures == first.pictures  # `ptq quantize` uses it too


def test_outputs_of_every_kind(tmp_path: Path) -> None:
    """The worst counts; one that FP32 leaves 0 does not, of whole numbers the share that differs does; NaN is no crash."""
    b = Builder()
    x = b.node("Relu", "relu", [b.conv("first", "input", 3, 4)])
    y = b.conv("second", x, 4, 4)
    zero = b.node("Sub", "nothing", [x, x])
    best = b.node("ArgMax", "best", [y], axis=1)
    nan = b.node("Log", "log", [y])
    proto = b.model(y, shape=("N", *SHAPE))
    for name, kind, channels in (
        (zero, TensorProto.FLOAT, 4),
        (best, TensorProto.INT64, 1),
        (nan, TensorProto.FLOAT, 4),
    ):
        proto.graph.output.append(helper.make_tensor_value_info(name, kind, ["N", channels, 16, 16]))
    report = analyze(config(proto, tmp_path), samples=3)
    figures = {output.name: output.sqnr_db for output in report.outputs}
    assert figures[zero] is None
    assert 5 < (figures[best] or 0) < 60
    assert (figures[nan] or 99) < 30
    assert report.sqnr_db == min(db for db in figures.values() if db is not None)
    assert "NaN" not in to_json(report)
    page(report)


def test_boxes_of_another_number(tmp_path: Path) -> None:
    """An output whose size depends on its values: where INT8 finds another number, all of it is noise."""
    b = Builder()
    x = b.conv("second", b.conv("first", "input", 3, 4), 4, 4)
    found = b.node("NonZero", "found", [b.node("Relu", "relu", [x])])
    proto = b.model(x, shape=(1, *SHAPE))
    proto.graph.output[0].CopyFrom(helper.make_tensor_value_info(found, TensorProto.INT64, [4, "found"]))
    report = analyze(config(proto, tmp_path), samples=3)
    assert report.sqnr_db == pytest.approx(0, abs=3)
    assert all(each.alone_db is not None for each in report.operators)


def test_an_operator_on_boxes_of_another_number_is_not_exact(tmp_path: Path) -> None:
    """Where int8 finds another number of rows than FP32, what an operator makes of them is lost."""
    b = Builder()
    x = b.conv("second", b.conv("first", "input", 3, 1), 1, 64)
    found = b.node(
        "NonZero", "found", [b.node("Greater", "above", [x, b.constant("least", np.float32(0.3))])]
    )
    rows = b.node("GatherND", "rows", [x, b.node("Transpose", "places", [found], perm=[1, 0])])
    rows = b.node("Reshape", "column", [rows, b.constant("sizes", np.array([-1, 1]))])
    x = b.node("Gemm", "gemm", [rows, b.weight("gemm/weight", 1, 4)])
    x = b.node("ReduceMean", "mean", [x], axes=[0], keepdims=1)
    report = analyze(config(b.model(x, shape=(1, *SHAPE)), tmp_path), samples=3)
    assert by_name(report)["gemm"].output_db == pytest.approx(0, abs=3)


def test_an_operator_whose_output_is_constant(tmp_path: Path) -> None:
    b = Builder()
    b.constant("zeros", np.zeros((4, 3, 1, 1), np.float32))
    dead = b.node("Conv", "dead", ["input", "zeros"])
    x = b.node("Add", "add", [dead, b.conv("alive", "input", 3, 4)])
    y = b.conv("after", dead, 4, 4)
    report = analyze(config(b.model(b.node("Add", "sum", [x, y]), shape=(1, *SHAPE)), tmp_path), samples=3)
    rows = by_name(report)
    assert rows["dead"].alone_db == math.inf
    assert rows["dead"].rank > rows["alive"].rank
    assert rows["after"].inputs[0].total_db is None  # nothing but zeros
    assert '"alone_db": "exact"' in to_json(report)
    assert page(report)


def test_two_inputs(tmp_path: Path) -> None:
    b = Builder()
    left, right = b.conv("left", "input", 3, 4), b.conv("right", "other", 3, 4)
    proto = b.model(b.node("Add", "add", [left, right]), shape=(1, *SHAPE))
    proto.graph.output[0].CopyFrom(
        helper.make_tensor_value_info("add/out", TensorProto.FLOAT, [1, 4, 16, 16])
    )
    proto.graph.input.append(helper.make_tensor_value_info("other", TensorProto.FLOAT, [1, *SHAPE]))
    save(proto, tmp_path / "fp32")
    (tmp_path / "arrays").mkdir()
    for index, array in enumerate(samples(SHAPE, 4)):
        np.savez(tmp_path / "arrays" / f"{index}.npz", input=array, other=100 * array)
    report = analyze(AnalyzeConfig(model_dir=tmp_path / "fp32", image_dir=tmp_path / "arrays"), samples=4)
    assert report.ranked[0].name == "right"


def test_a_fixed_batch(tmp_path: Path) -> None:
    b = Builder()
    proto = b.model(b.conv("second", b.conv("first", "input", 3, 4), 4, 4), shape=(3, *SHAPE))
    assert analyze(config(proto, tmp_path), samples=4).samples == 4


@pytest.mark.parametrize("batch", [3, 32])
def test_a_batch_that_is_not_full_weighs_no_picture_twice(tmp_path: Path, batch: int) -> None:
    """The model of a fixed batch has the figures of the one with an open batch, on the same pictures."""
    reports = []
    for size in ("N", batch):
        b = Builder()
        proto = b.model(b.conv("second", b.conv("first", "input", 3, 4), 4, 4), shape=(size, *SHAPE))
        settings = config(proto, tmp_path / str(size), 4)
        np.save(tmp_path / str(size) / "arrays" / "003.npy", np.full(SHAPE, 0.01, np.float32))
        reports.append(analyze(settings, samples=4))
    opened, fixed = reports
    assert fixed.sqnr_db == pytest.approx(opened.sqnr_db, abs=0.01)
    for wanted, got in zip(opened.operators, fixed.operators, strict=True):
        for figure in ("output_db", "alone_db", "without_db"):
            assert getattr(got, figure) == pytest.approx(getattr(wanted, figure), abs=0.01)


def test_a_sequence_is_made_and_read_in_one_piece(tmp_path: Path) -> None:
    """Operators lie between what makes a sequence and what reads it: the model is not cut there."""
    b = Builder()
    x = b.conv("first", "input", 3, 8)
    parts = b.node("SplitToSequence", "parts", [x], axis=1, keepdims=1)
    y = b.conv("third", b.conv("second", x, 8, 8), 8, 8)
    part = b.node("SequenceAt", "part", [parts, b.constant("place", np.array(3))])
    y = b.conv("fourth", b.node("Mul", "mul", [part, y]), 8, 8)
    report = analyze(config(b.model(b.conv("last", y, 8, 4), shape=("N", *SHAPE)), tmp_path), samples=3)
    assert [each.name for each in report.operators] == ["first", "second", "third", "fourth", "last"]
    assert all(5 < (each.alone_db or 0) < 99 for each in report.operators)


def test_a_name_that_is_a_pattern_of_others_is_in_no_list(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """skip_nodes would take all that the name fits, and the list was measured without these."""
    asked: list[str] = []

    def lists(candidates: Sequence[Candidate], *_: Any) -> list[Trial]:
        asked.extend(each.name for each in candidates)
        return [Trial((), 0.0, 0.0)] * 4

    monkeypatch.setattr(pipeline, "best_lists", lists)
    b = Builder()
    x = b.conv("c*", b.conv("c[0]", b.conv("d*", "input", 3, 4), 4, 4), 4, 4)
    analyze(config(b.model(x, shape=("N", *SHAPE)), tmp_path), samples=2)
    assert asked == ["d*", "c[0]"]


def test_each_node_is_judged_once_not_once_for_each_operator(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    judged: Counter[str] = Counter()

    def counting(node: ir.Node) -> str | None:
        judged[str(node.name)] += 1
        return objection(node)

    monkeypatch.setattr("ptq_core.quantize.selection.objection", counting)
    b = Builder()
    x = b.conv("conv", "input", 3, 4)
    for number in range(8):
        x = b.conv(f"conv{number}", x, 4, 4)
    analyze(config(b.model(x, shape=("N", *SHAPE)), tmp_path, count=2), samples=1)
    assert max(judged.values()) <= 2  # to prepare the model, and for all lists of the analysis


def test_the_table_as_csv(tmp_path: Path) -> None:
    report = analyze(config(mobile_block(), tmp_path), samples=2)
    lines = to_csv(report).splitlines()
    assert lines[0] == ",".join(COLUMNS)
    assert [line.split(",")[2] for line in lines[1:]] == [each.name for each in report.operators]
