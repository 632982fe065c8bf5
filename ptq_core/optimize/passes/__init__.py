"""Rewrites of programs, one per file, and their order."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ptq_core.flatfile.program import Program
from ptq_core.optimize.passes.cancel_quantize import cancel_quantize
from ptq_core.optimize.passes.collapse_movement import collapse_movement
from ptq_core.optimize.passes.dequantize_constants import dequantize_constants
from ptq_core.optimize.passes.drop_dead import drop_dead
from ptq_core.optimize.passes.drop_trivial import drop_trivial
from ptq_core.optimize.passes.fold_affine import fold_affine
from ptq_core.optimize.passes.fold_input_scale import fold_input_scale
from ptq_core.optimize.passes.fold_pad import fold_pad
from ptq_core.optimize.passes.fold_transpose import fold_transpose
from ptq_core.optimize.passes.fuse_activation import fuse_activation
from ptq_core.optimize.passes.fuse_clamp import fuse_clamp
from ptq_core.optimize.passes.fuse_lookup import fuse_lookup
from ptq_core.optimize.passes.fuse_residual import fuse_residual
from ptq_core.optimize.passes.hoist_quantize import hoist_quantize
from ptq_core.optimize.passes.hoist_transpose import hoist_transpose
from ptq_core.optimize.passes.lower_others_to_int8 import lower_others_to_int8
from ptq_core.optimize.passes.lower_to_fp16 import lower_to_fp16
from ptq_core.optimize.passes.lower_weighted_to_int8 import lower_weighted_to_int8
from ptq_core.optimize.passes.merge_reshapes import merge_reshapes
from ptq_core.optimize.passes.share_common import share_common
from ptq_core.optimize.passes.sink_dequantize import sink_dequantize
from ptq_core.optimize.passes.sink_movement import sink_movement
from ptq_core.reports import PassReport

Rewrite = Callable[[Program], list[str]]
"""Changes a program in place; returns a few words per change, nothing when there is nothing left to do."""


@dataclass(frozen=True)
class Pass:
    """A rewrite; ``int8`` ones recognise int8 operators and run only if int8 kernels are preferred, ``fp16`` ones on request."""

    rewrite: Rewrite
    int8: bool = False
    fp16: bool = False


PASSES: tuple[Pass, ...] = (
    Pass(drop_trivial),
    Pass(share_common),
    Pass(sink_movement),
    Pass(merge_reshapes),
    Pass(drop_dead),
    Pass(fold_affine),
    Pass(fold_pad),
    Pass(fuse_clamp),
    Pass(fuse_lookup, int8=True),
    Pass(fuse_activation),
    Pass(fold_input_scale),
    Pass(sink_dequantize, int8=True),
    Pass(hoist_quantize, int8=True),
    Pass(cancel_quantize, int8=True),
    Pass(lower_weighted_to_int8, int8=True),
    Pass(lower_others_to_int8, int8=True),
    Pass(dequantize_constants),
    Pass(drop_dead),
    Pass(fold_pad),
    Pass(fuse_clamp),
    Pass(hoist_transpose),
    Pass(collapse_movement),
    Pass(fold_transpose),
    Pass(merge_reshapes),
    Pass(drop_trivial),
    Pass(share_common),
    Pass(fuse_residual),
    Pass(lower_to_fp16, fp16=True),
    Pass(drop_dead),
)
"""The order of the passes. Float rewrites first, so that a batch norm or Relu does not hide a pattern, and scales of inputs
behind the activations, whose last division they would take; int8 next; the second round cleans up what int8 made equal or
adjacent. Residuals late: no other rewrite looks for a conv2d_add, or at half precision."""


def run_passes(
    program: Program, *, prefer_int8_kernel: bool = True, enable_fp16: bool = False
) -> tuple[PassReport, ...]:
    """Apply PASSES in order, each until it finds nothing more to change; returns a report per pass."""
    reports = []
    for entry in PASSES:
        if (entry.int8 and not prefer_int8_kernel) or (entry.fp16 and not enable_fp16):
            continue
        before, changes = len(program.ops), []
        while found := entry.rewrite(program):
            changes += found
        reports.append(PassReport(entry.rewrite.__name__, before, len(program.ops), tuple(changes)))
    return tuple(reports)
