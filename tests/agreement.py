"""Three executions of one quantized model side by side: onnxruntime, the NumPy reference, the C++ runtime."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper

from ptq_core.flatfile.error_bound import error_bounds
from ptq_core.flatfile.interpreter import interpret, run
from ptq_core.flatfile.program import Program
from ptq_core.flatfile.reader import read_program
from ptq_core.flatfile.tensors import DType
from ptq_core.graph.io import load_model
from ptq_core.graph.session import open_session
from ptq_core.optimize.pipeline import optimize
from ptq_core.runtime import Program as RuntimeProgram
from tests.needs import NEEDS

RUNTIME_IS_BUILT = NEEDS["runtime"].there()
Array = NDArray[Any]


@dataclass(frozen=True)
class Compared:
    """Integers of the tensors that two executions share, and how many of their elements differ."""

    tensors: int
    elements: int
    different: dict[str, int]


def flat_file(model: Path, out: Path, **keys: Any) -> Program:
    """`ptq opt` of ``model`` into ``out``, read back."""
    optimize(load_model(model), out, targets=("host", "arm"), **keys)
    return read_program(out.read_bytes())


def onnxruntime_integers(model: Path, x: Array) -> dict[str, Array]:
    """Every QuantizeLinear output of the QDQ ``model``, by name, as onnxruntime's integer kernels compute it."""
    proto = onnx.load(str(model))
    names = [node.output[0] for node in proto.graph.node if node.op_type == "QuantizeLinear"]
    proto.graph.output.extend(helper.make_tensor_value_info(name, TensorProto.INT8, None) for name in names)
    session = open_session(proto.SerializeToString(), int8="kept")
    return dict(zip(names, session.run(names, {session.get_inputs()[0].name: x}), strict=True))


def reference_integers(program: Program, x: Array) -> dict[str, Array]:
    """Every int8 activation of ``program``, by tensor name, by the NumPy reference."""
    values = interpret(program, [x])
    return {
        tensor.name: value
        for tensor, value in zip(program.tensors, values, strict=True)
        if value is not None and tensor.dtype is DType.I8 and not tensor.is_constant
    }


def compare(onnx_layout: dict[str, Array], ours: dict[str, Array]) -> Compared:
    """Compare by name; 4-D values of ours may be NHWC where the others are NCHW (equal sizes: whichever agrees better)."""
    shared = sorted(set(onnx_layout) & set(ours))
    different = {}
    for name in shared:
        want, got = onnx_layout[name], ours[name]
        if got.shape != want.shape and got.ndim == 4:
            got = got.transpose(0, 3, 1, 2)
        assert got.shape == want.shape, name
        assert got.dtype == want.dtype == np.int8, name
        count = int((got != want).sum())
        if count and ours[name].ndim == 4 and ours[name].transpose(0, 3, 1, 2).shape == want.shape:
            count = min(count, int((ours[name].transpose(0, 3, 1, 2) != want).sum()))
        if count:
            different[name] = count
    return Compared(len(shared), sum(onnx_layout[name].size for name in shared), different)


def exceeds(got: Array, wanted: Array, allowed: Array) -> float:
    """The most by which |got − wanted| exceeds ``allowed``; ≤ 0 where they agree. Equal infinities and NaNs agree."""
    assert got.shape == wanted.shape
    same = (got == wanted) | (np.isnan(got) & np.isnan(wanted))
    with np.errstate(invalid="ignore"):
        excess = np.abs(got.astype(np.float64) - wanted) - allowed
    return float(np.max(np.where(same, -np.inf, excess), initial=-np.inf))


def assert_runtime_agrees(program: Program, data: bytes, inputs: Sequence[Array]) -> None:
    """The C++ runtime on the file ``data`` of ``program``: integers ==, a float program within twice the bound of numerics.md."""
    with RuntimeProgram(data) as opened:
        got = opened.run(*inputs)
    wanted = run(program, inputs)
    floats = all(t.dtype is not DType.I8 for t in program.tensors)
    integers = any(program.tensors[i].dtype is not DType.F32 for i in program.outputs)
    bounds = error_bounds(program, inputs) if floats and not integers else [np.zeros(())] * len(wanted)
    for mine, reference, bound in zip(got, wanted, bounds, strict=True):
        assert mine.dtype == reference.dtype
        assert exceeds(mine, reference, 2 * bound) <= 0
