"""Give float operators float constants where an int8 one was not used."""

from __future__ import annotations

import dataclasses

import numpy as np

from ptq_core.flatfile.program import Op, Program
from ptq_core.flatfile.tensors import DType
from ptq_core.numerics import reference
from ptq_core.optimize.rewrite import Rewriter


def dequantize_constants(program: Program) -> list[str]:
    """Quantized constants that a float operator reads ⇒ f32 constants of the same real value.

    Requires that all int8 operators have been recognised. Ensures that float operators read f32 only.
    """
    rewriter = Rewriter(program)
    for op in rewriter.ops():
        if _runs_on_int8(rewriter, op):
            continue
        inputs = tuple(_real(rewriter, index) for index in op.inputs)
        if inputs != op.inputs:
            rewriter.replace(op, [dataclasses.replace(op, inputs=inputs)])
    return rewriter.changes


def _runs_on_int8(rewriter: Rewriter, op: Op) -> bool:
    """An operator works in the type of the first input that is computed; dequantize reads int8 always."""
    computed = next((i for i in op.reads if not rewriter.tensor(i).is_constant), None)
    if computed is None:
        return rewriter.tensor(op.outputs[0]).dtype == DType.I8
    return rewriter.tensor(computed).dtype == DType.I8


def _real(rewriter: Rewriter, index: int | None) -> int | None:
    if index is None:
        return None
    tensor = rewriter.tensor(index)
    qparams = tensor.qparams
    if tensor.data is None or qparams is None:
        return index
    real = reference.dequantize(tensor.data, qparams.spread(len(tensor.dims)), qparams.zero_point)
    return rewriter.constant(tensor.name, np.asarray(real, np.float32))
