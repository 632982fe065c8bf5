"""Move an explicit zero padding into the convolution that reads it."""

from __future__ import annotations

import dataclasses

from ptq_core.flatfile.operators.conv2d import CONV2D
from ptq_core.flatfile.operators.pad import PAD
from ptq_core.flatfile.program import Op, Program
from ptq_core.optimize.rewrite import Rewriter, conv_of, pad_of, with_attributes


def fold_pad(program: Program) -> list[str]:
    """pad of height and width → conv2d ⇒ the convolution's own pads.

    Requires that the pad's value is zero (int8: the zero point), which is what a convolution pads with.
    Ensures bit-identical values. The pad stays if it has other readers.
    """
    rewriter = Rewriter(program)
    for conv in rewriter.ops(CONV2D):
        pad = rewriter.producer(conv.inputs[0], PAD)
        if pad is None or not _pads_with_zero(rewriter, pad):
            continue
        a, before, after = conv_of(conv), pad_of(pad).before, pad_of(pad).after
        fused = with_attributes(
            conv,
            pad_top=a.pad_top + before[1],
            pad_left=a.pad_left + before[2],
            pad_bottom=a.pad_bottom + after[1],
            pad_right=a.pad_right + after[2],
        )
        fused = dataclasses.replace(fused, inputs=(pad.inputs[0], *conv.inputs[1:]))
        if rewriter.sole_consumer(pad.outputs[0]) is conv:
            rewriter.fuse(pad, conv, fused)
        else:
            rewriter.replace(conv, [fused])
    return rewriter.changes


def _pads_with_zero(rewriter: Rewriter, pad: Op) -> bool:
    a, qparams = pad_of(pad), rewriter.tensor(pad.inputs[0]).qparams
    zero = a.value == 0.0 if qparams is None else a.q_value == qparams.zero_point
    outside = (a.before[0], a.after[0], a.before[-1], a.after[-1])
    return zero and len(a.before) == 4 and not any(outside)
