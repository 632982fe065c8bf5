"""Add a residual to a convolution's output while it is in the cache, instead of writing and reading it once more."""

from __future__ import annotations

import dataclasses

from ptq_core.flatfile.operators.binary import ADD
from ptq_core.flatfile.operators.conv2d import CONV2D
from ptq_core.flatfile.operators.conv2d_add import CONV2D_ADD, Conv2dAdd
from ptq_core.flatfile.program import Op, Program
from ptq_core.optimize.rewrite import Rewriter, clamp_of, conv_of


def fuse_residual(program: Program) -> list[str]:
    """conv2d → add(·, r) ⇒ conv2d_add(x, w, r, b).

    Requires that nothing else reads the convolution's output, that both are of one dtype, and that r has the sum's shape
    and is computed. Of two convolutions that are added, the later one takes the sum: the other must be there by then.
    Ensures bit-identical values.
    """
    rewriter = Rewriter(program)
    order = {id(op): i for i, op in enumerate(program.ops)}
    for add in rewriter.ops(ADD):
        convs = [c for c in (rewriter.producer(i, CONV2D) for i in add.inputs) if c is not None]
        convs = [c for c in convs if rewriter.sole_consumer(c.outputs[0]) is add]
        for conv in sorted(convs, key=lambda c: -order[id(c)])[:1]:
            residual = next((i for i in add.reads if i != conv.outputs[0]), None)
            if residual is not None and _fits(rewriter, conv, residual, add):
                rewriter.fuse(conv, add, _fused(rewriter, conv, residual, add))
    return rewriter.changes


def _fits(rewriter: Rewriter, conv: Op, residual: int, add: Op) -> bool:
    x, own, r, y = (rewriter.tensor(i) for i in (conv.inputs[0], conv.outputs[0], residual, add.outputs[0]))
    one_type = x.dtype == own.dtype == r.dtype == y.dtype  # an int8 convolution may write float
    return own.dims == r.dims == y.dims and one_type and not r.is_constant


def _fused(rewriter: Rewriter, conv: Op, residual: int, add: Op) -> Op:
    a, bounds = conv_of(conv), clamp_of(add)
    own = rewriter.tensor(conv.outputs[0]).qparams
    fields = {f.name: getattr(a, f.name) for f in dataclasses.fields(a)}
    fields |= {f.name: getattr(bounds, f.name) for f in dataclasses.fields(bounds)}
    attributes = Conv2dAdd(
        **fields,
        conv_lo=a.lo,
        conv_hi=a.hi,
        conv_q_min=a.q_min,
        conv_q_max=a.q_max,
        scale=1.0 if own is None else float(own.scale),
        zero_point=0 if own is None else own.zero_point,
    )
    x, w, *bias = conv.inputs
    return Op(CONV2D_ADD, add.name, (x, w, residual, *bias), add.outputs, attributes)
