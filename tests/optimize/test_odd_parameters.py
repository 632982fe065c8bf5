"""Parameters that few models have: right, refused in words, or verified without an alarm."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from ptq_core.errors import InputError
from ptq_core.flatfile.operators.attributes import NoAttributes
from ptq_core.flatfile.operators.quantize import QUANTIZE
from ptq_core.flatfile.tensors import DType, QuantParams, Tensor
from ptq_core.graph.io import load_model
from ptq_core.optimize.pipeline import optimize
from ptq_core.runtime import Program
from tests.models import save
from tests.optimize.graphs import Graph, build
from tests.optimize.lowered import node

needs_runtime = pytest.mark.needs("runtime")

REFUSED: dict[str, tuple[Graph, str]] = {
    "a Celu that is no Elu": (node("Celu", alpha=-0.5), "alpha"),
    "a Shrink whose branches overlap": (node("Shrink", lambd=-0.5), "lambd"),
    "an empty constant": (node("Concat", np.zeros((2, 0), np.float32), axis=1), "is empty"),
    "an empty result": (node("Add", np.zeros((2, 0), np.float32)), "is empty"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_computed_is_refused(name: str, tmp_path: Path) -> None:
    graph, said = REFUSED[name]
    with pytest.raises(InputError) as caught:
        optimize(build(graph, (2, 1), 17), tmp_path / "m.nb", targets=("host",), verify=True)
    assert said in " ".join(caught.value.details)


@needs_runtime
@pytest.mark.parametrize("axis", [0, 1, 2, 3])
def test_an_old_hardmax_takes_dimensions_together(axis: int, tmp_path: Path) -> None:
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [2, 3, 4, 5]) for name in ("x", "y")]
    nodes = [helper.make_node("Hardmax", ["x"], ["y"], axis=axis)]
    graph = helper.make_graph(nodes, "g", values[:1], values[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 11)], ir_version=7)
    flat, x = tmp_path / "m.nb", np.random.default_rng(axis).standard_normal((2, 3, 4, 5)).astype(np.float32)
    optimize(load_model(save(model, tmp_path)), flat, targets=("host",), verify=True)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    with Program(flat) as program:
        np.testing.assert_array_equal(program.run(x)[0], session.run(None, {"x": x})[0])


SIZES = np.array([1, 3, 17, 10], np.int64)

VERIFIED: dict[str, tuple[Graph, tuple[int, ...]]] = {
    "a response over many channels": (node("LRN", size=5), (1, 96, 14, 14)),
    "half_pixel_symmetric": (
        node("Resize", None, None, SIZES, mode="linear", coordinate_transformation_mode="half_pixel_symmetric"),
        (1, 3, 10, 6),
    ),
    "cubic with antialias, larger": (
        node("Resize", None, None, SIZES, mode="cubic", antialias=1, exclude_outside=0), (1, 3, 10, 6),
    ),
}  # fmt: skip


@needs_runtime
@pytest.mark.parametrize("name", VERIFIED)
def test_what_is_right_raises_no_alarm(name: str, tmp_path: Path) -> None:
    graph, shape = VERIFIED[name]
    report = optimize(build(graph, shape, 19), tmp_path / "m.nb", targets=("host",), verify=True)
    assert report.verified is not None
    assert not report.verified.reason


@needs_runtime
def test_indices_into_a_small_table_are_verified(tmp_path: Path) -> None:
    table = numpy_helper.from_array(np.arange(12, dtype=np.float32).reshape(4, 3), "table")
    given = helper.make_tensor_value_info("i", TensorProto.INT64, [2])
    made = helper.make_tensor_value_info("y", TensorProto.FLOAT, [2, 3])
    nodes = [helper.make_node("Gather", ["table", "i"], ["y"])]
    model = helper.make_model(
        helper.make_graph(nodes, "g", [given], [made], [table]),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=8,
    )
    onnx.checker.check_model(model)
    report = optimize(load_model(save(model, tmp_path)), tmp_path / "m.nb", targets=("host",), verify=True)
    assert report.verified is not None
    assert (report.verified.reason, report.verified.operators > 0) == ("", True)


def test_a_wrong_integer_widens_no_bound() -> None:
    """A quantized value far from a tie has one right integer, whatever was computed."""
    qparams = QuantParams(np.array([0.5], np.float32), zero_point=3)
    x, out = Tensor("x", DType.F32, (3,)), Tensor("y", DType.I8, (3,), qparams)
    values, inexact = np.array([1.0, 0.76, 0.75], np.float32), np.full(3, 1e-3)
    for wrong in (0, 40):
        y = np.array([5, 5, 4], np.int8) + np.int8(wrong)
        steps = QUANTIZE.steps(NoAttributes(), [x], out, [values], [inexact], y)  # type: ignore[misc]
        assert np.asarray(steps).tolist() == [0, 0, 1]  # 0.75 / 0.5 lies at a tie
