"""dequantize → operator that rescales → quantize ⇒ the int8 operator."""

from __future__ import annotations

import dataclasses

from ptq_core.flatfile.operators.dequantize import DEQUANTIZE
from ptq_core.flatfile.operators.quantize import QUANTIZE
from ptq_core.flatfile.program import Program
from ptq_core.flatfile.tensors import DType
from ptq_core.optimize.passes.lower_weighted_to_int8 import with_int8_bounds
from ptq_core.optimize.rewrite import Rewriter


def lower_others_to_int8(program: Program) -> list[str]:
    """Run arithmetic, products of matrices, averages, linear resizes, concatenations and clamps on int8.

    Requires that all inputs come from dequantize operators (or are int8 constants) and that a quantize is the only reader;
    where it is not, a product of matrices writes float. Ensures the values of docs/numerics.md, "Other int8 operators".
    """
    rewriter = Rewriter(program)
    for op in rewriter.ops():
        if not op.kind.rescales(op.attributes):
            continue
        inputs = [_quantized(rewriter, index) for index in op.inputs]
        quantize = rewriter.sole_consumer(op.outputs[0], QUANTIZE)
        if any(index is None for index in inputs):
            continue
        if quantize is None:
            if DType.F32 in op.kind.types_of(op.kind.output, DType.I8):
                rewriter.replace(op, [dataclasses.replace(op, inputs=tuple(inputs))])
            continue
        out = rewriter.tensor(quantize.outputs[0]).qparams
        assert out is not None
        int8 = dataclasses.replace(with_int8_bounds(op, out), inputs=tuple(inputs), outputs=quantize.outputs)
        rewriter.fuse(op, quantize, int8)
    return rewriter.changes


def _quantized(rewriter: Rewriter, index: int | None) -> int | None:
    """The int8 tensor behind a float one, None if there is none."""
    tensor = rewriter.tensor(index)
    if tensor.is_constant:
        fits = tensor.dtype == DType.I8 and tensor.qparams is not None and tensor.qparams.per_tensor
        return index if fits else None
    dequantize = rewriter.producer(index, DEQUANTIZE)
    return None if dequantize is None else dequantize.inputs[0]
