"""MaxPool with indices and MaxUnpool: onnxruntime's integers and floats, and verified files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper

from ptq_core.flatfile.interpreter import run
from ptq_core.flatfile.operators.window_arg_max import WINDOW_ARG_MAX, WindowArgMax
from ptq_core.flatfile.program import Op, Program
from ptq_core.flatfile.reader import read_program
from ptq_core.flatfile.tensors import DType, Tensor
from ptq_core.graph.session import open_session
from ptq_core.optimize.memory_plan import plan_memory
from ptq_core.optimize.pipeline import optimize
from ptq_core.runtime import Program as RuntimeProgram
from tests.agreement import RUNTIME_IS_BUILT
from tests.optimize.test_lowering_integers import assert_same, model, node

WINDOWS: dict[str, tuple[tuple[int, ...], dict[str, Any]]] = {
    "signal": ((2, 3, 11), {"kernel_shape": [3], "strides": [2], "pads": [1, 1]}),
    "signal_dilated": ((1, 2, 14), {"kernel_shape": [3], "dilations": [3], "pads": [2, 4]}),
    "picture": ((2, 3, 7, 8), {"kernel_shape": [2, 2], "strides": [2, 2]}),
    "picture_padded": ((2, 3, 7, 6), {"kernel_shape": [3, 2], "strides": [2, 1], "pads": [1, 1, 2, 0]}),
    "picture_ceil": ((1, 2, 7, 6), {"kernel_shape": [3, 3], "strides": [3, 2], "ceil_mode": 1}),
    "picture_same": ((1, 2, 6, 5), {"kernel_shape": [3, 2], "strides": [2, 2], "auto_pad": "SAME_UPPER"}),
    "by_columns": ((2, 3, 5, 6), {"kernel_shape": [2, 3], "strides": [2, 2], "storage_order": 1}),
    "volume": ((2, 2, 4, 5, 6), {"kernel_shape": [2, 3, 2], "pads": [1, 0, 1, 0, 1, 0]}),
    "volume_by_columns": ((1, 2, 3, 4, 5), {"kernel_shape": [2, 2, 2], "storage_order": 1}),
}


@pytest.mark.parametrize("output", ["values", "indices"])
@pytest.mark.parametrize("name", WINDOWS)
def test_both_outputs(name: str, output: str, tmp_path: Path) -> None:
    """Among values of which many are equal the first counts."""
    dims, attributes = WINDOWS[name]
    x = np.random.default_rng(1).integers(-3, 3, dims).astype(np.float32)
    pool = helper.make_node("MaxPool", ["x0"], ["values", "indices"], name="pool", **attributes)
    assert_same(model([pool, node("Identity", output)], [x]), [x], tmp_path)


@pytest.mark.parametrize("asked", [None, [1, 2, 7, 9]])
def test_there_and_back(asked: list[int] | None, tmp_path: Path) -> None:
    """A convolution, its maxima, and these at their old places; the indices are model values, so the file is verified."""
    random = np.random.default_rng(2)
    x = random.standard_normal((1, 3, 6, 8) if asked is None else (1, 3, 7, 9)).astype(np.float32)
    nodes = [
        node("Conv", "x0", "c0", output="c", pads=[1, 1, 1, 1]),
        helper.make_node("MaxPool", ["c"], ["p", "i"], name="pool", kernel_shape=[2, 2], strides=[2, 2]),
        node("Relu", "p", output="r"),
        node("MaxUnpool", "r", "i", *(["c1"] if asked else []), kernel_shape=[2, 2], strides=[2, 2]),
    ]
    weight = random.standard_normal((2, 3, 3, 3)).astype(np.float32)
    proto = model(nodes, [x], weight, *([np.array(asked)] if asked else []))
    shape = asked or [1, 2, *x.shape[2:]]  # of an asked one ONNX infers nothing
    proto.graph.output[0].CopyFrom(helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, shape))
    source, out = tmp_path / "m.onnx", tmp_path / "m.nb"
    onnx.save(proto, str(source))
    report = optimize(source, out, targets=("host",), verify=RUNTIME_IS_BUILT).verified
    assert report is None or report.reason == ""
    (wanted,) = open_session(proto.SerializeToString()).run(None, {"x0": x})
    results = [run(read_program(out.read_bytes()), [x])]
    if RUNTIME_IS_BUILT:
        with RuntimeProgram(out) as program:
            results.append(program.run(x))
    for (got,) in results:
        np.testing.assert_array_equal(got != 0, wanted != 0)
        np.testing.assert_allclose(got, wanted, rtol=1e-5)


def test_steps_count_how_far_another_maximum_may_lie() -> None:
    x = np.array([[1.0, 2.0, 1.95, 0.0, 5.0, 5.0]], np.float32)
    program = Program(targets=("x86_64",))
    program.add(Tensor("x", DType.F32, x.shape))
    program.add(Tensor("y", DType.I64, (1, 2)))
    a = WindowArgMax(kernel=(1, 3), stride=(1, 3), dilation=(1, 1), before=(0, 0))
    program.ops = [Op(WINDOW_ARG_MAX, "op", (0,), (1,), a)]
    program.inputs, program.outputs = [0], [1]
    plan_memory(program)
    (y,) = run(program, [x])
    assert y.tolist() == [[1, 4]]
    assert WINDOW_ARG_MAX.steps is not None
    for error, steps in (
        (0.0, [[0, 0]]),
        (0.01, [[0, 1]]),
        (0.03, [[1, 1]]),
        (0.6, [[1, 1]]),
        (3.0, [[1, 1]]),
    ):
        found = WINDOW_ARG_MAX.steps(
            a, program.tensors[:1], program.tensors[1], [x], [np.full(x.shape, error)], y
        )
        assert found.tolist() == steps


def test_of_integers_they_are_found_among_integers(tmp_path: Path) -> None:
    """A dequantized picture has its largest element where its integers have it."""
    x = np.random.default_rng(3).standard_normal((1, 3, 6, 8)).astype(np.float32)
    scale, zero = np.array(0.1, np.float32), np.array(5, np.int8)
    nodes = [
        node("QuantizeLinear", "x0", "c0", "c1", output="q"),
        node("DequantizeLinear", "q", "c0", "c1", output="d"),
        helper.make_node("MaxPool", ["d"], ["p", "i"], name="pool", kernel_shape=[2, 2], strides=[2, 2]),
        node("Identity", "i"),
    ]
    assert_same(model(nodes, [x], scale, zero), [x], tmp_path)
    program = read_program((tmp_path / "m.nb").read_bytes())
    (op,) = (op for op in program.ops if op.kind == WINDOW_ARG_MAX)
    assert program.tensors[op.reads[0]].dtype == DType.I8
