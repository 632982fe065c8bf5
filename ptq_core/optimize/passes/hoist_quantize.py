"""Quantize before data movement instead of after it, so that the operator before it can give int8."""

from __future__ import annotations

import dataclasses

from ptq_core.flatfile.operators.attributes import Filled
from ptq_core.flatfile.operators.quantize import QUANTIZE
from ptq_core.flatfile.program import Op, Program
from ptq_core.flatfile.tensors import DType
from ptq_core.numerics.requantize import quantize_bound
from ptq_core.optimize.rewrite import NOTHING, Rewriter, only_selects, with_attributes


def hoist_quantize(program: Program) -> list[str]:
    """an operator that only moves or selects values → quantize ⇒ quantize of each input → the same in int8.

    Requires an operator without clamp and constants that only the quantize reads. Ensures bit-identical values:
    quantization is element-wise and monotone.
    """
    rewriter = Rewriter(program)
    for quantize in rewriter.ops(QUANTIZE):
        op = rewriter.producer(quantize.inputs[0])
        if op is None or not only_selects(op) or rewriter.sole_consumer(op.outputs[0]) is not quantize:
            continue
        data = op.kind.data(op.inputs)
        if any(rewriter.tensor(index).is_constant for index in data):
            continue
        qparams = rewriter.tensor(quantize.outputs[0]).qparams
        assert qparams is not None
        early, inputs = [], []
        for index in data:
            x = rewriter.tensor(index)
            inputs.append(rewriter.like(f"{x.name}:int8", x.dims, DType.I8, qparams))
            early.append(Op(QUANTIZE, quantize.name, (index,), (inputs[-1],), NOTHING))
        moved = dataclasses.replace(op, inputs=(*inputs, *op.inputs[len(data) :]), outputs=quantize.outputs)
        if isinstance(op.attributes, Filled):
            filler = quantize_bound(op.attributes.value, qparams.scale, qparams.zero_point)
            moved = with_attributes(moved, value=0.0, q_value=filler)
        rewriter.replace(quantize, [moved])
        rewriter.replace(op, early)
    return rewriter.changes
