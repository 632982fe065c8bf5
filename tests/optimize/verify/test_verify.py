"""The comparison behind every `ptq opt`: what it says of right files, on which inputs, and of what it could not compare."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ptq_core.optimize import pipeline
from ptq_core.optimize.verify.bands import bands
from ptq_core.optimize.verify.inputs import described, random_inputs
from ptq_core.runtime import RUNTIME_DIR_VARIABLE
from tests.agreement import RUNTIME_IS_BUILT
from tests.models import mobile_block, save
from tests.optimize.graphs import Qdq, build

needs_runtime = pytest.mark.skipif(not RUNTIME_IS_BUILT, reason="run `make runtime` first")


def float_graph(b: Qdq) -> str:
    x = b.node("Relu", "relu", [b.conv("conv", "input", 8, 8)])
    return b.node("AveragePool", "pool", [x], kernel_shape=[2, 2], strides=[2, 2])


def int8_graph(b: Qdq) -> str:
    return b.quantize("y", b.qconv("conv", b.quantize("x", "input", 0.02), 8, 8, 0.02), 0.05)


@needs_runtime
def test_a_float_model(tmp_path: Path) -> None:
    report = pipeline.optimize(save(mobile_block(), tmp_path), tmp_path / "x.nb", verify=True).verified
    assert report is not None
    assert report.reason == ""
    assert report.operators > report.pieces > 5
    assert 0 < report.worst_share < 0.9
    assert report.output_sqnr_db is not None
    assert report.output_sqnr_db > 100


@needs_runtime
def test_an_int8_model_has_the_same_bits(tmp_path: Path) -> None:
    report = pipeline.optimize(build(int8_graph), tmp_path / "x.nb", verify=True)
    assert report.int8_op_count > 0
    assert report.verified is not None
    assert report.verified.output_sqnr_db == np.inf
    assert report.verified.steps_at_ties == 0


def test_without_a_runtime_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(RUNTIME_DIR_VARIABLE, str(tmp_path / "none"))
    report = pipeline.optimize(build(float_graph), tmp_path / "x.nb", verify=True).verified
    assert report is not None
    assert report.reason.startswith("no libptq.so for host")
    assert (report.operators, report.output_sqnr_db) == (0, None)
    assert report.pieces > 0, "the program is compared with the model all the same"
    assert (tmp_path / "x.nb").exists()
    assert pipeline.optimize(build(float_graph), tmp_path / "x.nb").verified is None


def test_inputs_fill_the_range_of_the_integers() -> None:
    program = pipeline.lower_to_program(build(int8_graph))
    (x,) = random_inputs(program)
    assert -2.56 <= x.min() < -2.5
    assert 2.5 < x.max() <= 2.54
    assert described(program, 2) == "2 random inputs over [-2.56, 2.54]"


def test_inputs_of_which_nothing_is_known() -> None:
    program = pipeline.lower_to_program(build(float_graph))
    (x,), (pixels,) = random_inputs(program, 0), random_inputs(program, 1)
    assert np.abs(x).max() <= 1
    assert 200 < pixels.max() <= 255
    assert described(program, 2).endswith("over [-1, 1] and [0, 255], as nothing says what the model is fed")


def test_bands_hold_the_edges_and_something_between() -> None:
    assert bands(100, cost=10, budget=10, seed=0) == [None]
    assert bands(100, cost=1000, budget=100, seed=0) == [(0, 4), (96, 100)]
    ((first, last),) = (rows for rows in bands(100, cost=1000, budget=100, seed=3) if rows is not None)
    assert first % 2 == 0
    assert last - first == 8
