"""Three executions of one quantized model side by side: onnxruntime, the NumPy reference, the C++ runtime."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper

from ptq_core.flatfile.interpreter import interpret
from ptq_core.flatfile.program import DType, Program
from ptq_core.flatfile.reader import read_program
from ptq_core.graph.io import load_model
from ptq_core.graph.session import open_session
from ptq_core.optimize.pipeline import optimize

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
    session = open_session(proto.SerializeToString())
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
