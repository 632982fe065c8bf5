"""Every planted fault is caught, whoever made it: a pass, the lowering, or the runtime; and right programs pass."""

from __future__ import annotations

from pathlib import Path

import onnx_ir as ir
import pytest
from onnx import TensorProto

from ptq_core.errors import PtqError
from ptq_core.flatfile.program import Program
from ptq_core.optimize import passes, pipeline
from ptq_core.optimize.lowering.lower import lower_graph
from ptq_core.optimize.passes import Pass
from ptq_core.optimize.verify.comparison import MismatchError
from ptq_core.optimize.verify.inputs import random_inputs
from ptq_core.optimize.verify.runtime_check import check_runtime
from ptq_core.optimize.verify.verify import TURNS
from ptq_core.reports import PassReport
from tests.optimize.graphs import Graph, build
from tests.optimize.verify.faults import FAULTS, Fault, fits, plant

needs_runtime = pytest.mark.needs("runtime")

GRAPHS = {fault.graph.__name__: fault.graph for fault in FAULTS}
SHAPE = (1, 8, 12, 12)


def model(graph: Graph) -> ir.Model:
    gives_places = graph.__name__ == "places"
    opset = 20 if graph.__name__ == "arithmetic" else 17
    return build(graph, SHAPE, opset, TensorProto.INT64 if gives_places else TensorProto.FLOAT)


def test_there_are_enough_faults() -> None:
    assert len({fault.name for fault in FAULTS}) == len(FAULTS) >= 40


@needs_runtime
@pytest.mark.parametrize("graph", GRAPHS.values(), ids=list(GRAPHS))
def test_a_right_program_passes(tmp_path: Path, graph: Graph) -> None:
    report = pipeline.optimize(model(graph), tmp_path / "x.nb", verify=True).verified
    assert report is not None
    assert report.reason == ""
    assert report.operators > 0
    assert report.pieces > 0
    assert not report.judged


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_of_a_pass(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: Fault) -> None:
    monkeypatch.setattr(passes, "PASSES", (*passes.PASSES, Pass(lambda program: plant(fault, program))))
    with pytest.raises(
        PtqError, match=r"of the program computes `.*not .*(in onnxruntime|operators)"
    ) as caught:
        pipeline.optimize(model(fault.graph), tmp_path / "wrong.nb", verify=True)
    assert caught.value.exit_code == 1
    assert not list(tmp_path.iterdir()), "no file is left behind"


BEFORE_PASSES = [fault for fault in FAULTS if fits(fault, lower_graph(model(fault.graph))[0])]


def test_most_faults_fit_a_lowering() -> None:
    assert len(BEFORE_PASSES) >= 40


@pytest.mark.parametrize("fault", BEFORE_PASSES, ids=lambda fault: fault.name)
def test_of_the_lowering(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: Fault) -> None:
    def wrong(source: ir.Model) -> tuple[Program, tuple[PassReport, ...]]:
        program, reports = lower_graph(source)
        plant(fault, program)
        return program, reports

    monkeypatch.setattr(pipeline, "lower_graph", wrong)
    with pytest.raises(PtqError, match="in onnxruntime"):
        pipeline.optimize(model(fault.graph), tmp_path / "wrong.nb", verify=True)


@needs_runtime
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_of_the_runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: Fault) -> None:
    """A runtime that computes something else is one that is given another file."""
    right = pipeline.lower_to_program(model(fault.graph))
    monkeypatch.setattr(passes, "PASSES", (*passes.PASSES, Pass(lambda program: plant(fault, program))))
    pipeline.optimize(model(fault.graph), tmp_path / "wrong.nb", targets=("host",))
    message = r"operator `.*` \(.*, kernel .*\) of the flat file computes .*, not"
    with pytest.raises(MismatchError, match=message):
        _check_all(tmp_path / "wrong.nb", right)


def _check_all(flat: Path, program: Program) -> None:
    check_runtime(flat, program, [random_inputs(program, turn) for turn in range(TURNS)])
