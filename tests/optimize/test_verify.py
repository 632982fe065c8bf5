"""The comparison behind every `ptq opt`: it passes what is right, names what it could not do, and fails on a wrong program."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ptq_core.errors import PtqError
from ptq_core.flatfile.program import Program
from ptq_core.optimize import passes, pipeline
from ptq_core.optimize.passes import Pass
from ptq_core.optimize.verify import MOVED, moved, random_inputs
from ptq_core.reports import VerifyReport
from ptq_core.runtime import RUNTIME_DIR_VARIABLE
from tests.agreement import RUNTIME_IS_BUILT
from tests.models import mobile_block, save
from tests.optimize.graphs import Qdq, build
from tests.optimize.wrong_passes import other_bound, other_padding, other_weight

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
    assert (report.reason, report.outputs) == ("", 1)
    assert report.worst_share < 0.5


@needs_runtime
def test_an_int8_model_has_the_same_bits(tmp_path: Path) -> None:
    report = pipeline.optimize(build(int8_graph), tmp_path / "x.nb", verify=True)
    assert report.int8_op_count > 0
    assert report.verified == VerifyReport(outputs=1, identical=1)


def padded_pool(b: Qdq) -> str:
    return b.node("AveragePool", "pool", ["input"], kernel_shape=[3, 3], pads=[1, 1, 1, 1])


@needs_runtime
@pytest.mark.parametrize(
    ("bug", "graph"),
    [(other_bound, float_graph), (other_weight, float_graph), (other_padding, padded_pool)],
    ids=lambda v: getattr(v, "__name__", None),
)
def test_a_wrong_pass_is_noticed(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    bug: Callable[[Program], list[str]],
    graph: Callable[[Qdq], str],
) -> None:
    pipeline.optimize(build(graph), tmp_path / "right.nb", verify=True)
    monkeypatch.setattr(passes, "PASSES", (*passes.PASSES, Pass(bug)))
    out = tmp_path / "folder" / "wrong.nb"
    with pytest.raises(PtqError, match="away from onnxruntime's") as caught:
        pipeline.optimize(build(graph), out, verify=True)
    assert caught.value.exit_code == 1
    assert not list(out.parent.iterdir()), "the file is not left behind"
    pipeline.optimize(build(graph), out)
    assert out.exists(), "unverified it is written"


def test_without_a_runtime_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(RUNTIME_DIR_VARIABLE, str(tmp_path / "none"))
    report = pipeline.optimize(build(float_graph), tmp_path / "x.nb", verify=True).verified
    assert report is not None
    assert report.reason.startswith("no libptq.so for host")
    assert (tmp_path / "x.nb").exists()
    assert pipeline.optimize(build(float_graph), tmp_path / "x.nb").verified is None


def test_inputs_fill_the_range_of_the_integers() -> None:
    (x,) = random_inputs(pipeline.lower_to_program(build(int8_graph)))
    assert -2.56 <= x.min() < -2.5
    assert 2.5 < x.max() <= 2.54
    (y,) = random_inputs(pipeline.lower_to_program(build(float_graph)))
    assert np.abs(y).max() <= 1
    (z,) = moved([x])
    np.testing.assert_allclose(np.abs(z - x), np.abs(x).max() * MOVED, rtol=1e-2)
