"""Each pass alone: a small program before, the operators after, equal values, and the guards that must hold it back."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import pytest

from ptq_core.flatfile.interpreter import run
from ptq_core.flatfile.operators.conv2d import CONV2D
from ptq_core.flatfile.operators.matmul import Matmul
from ptq_core.flatfile.operators.transpose import Transpose
from ptq_core.flatfile.program import Program
from ptq_core.flatfile.refusal import FlatFileError
from ptq_core.flatfile.tensors import DType
from ptq_core.optimize.passes import PASSES, Rewrite, run_passes
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
from ptq_core.optimize.rewrite import with_attributes
from tests.optimize import pass_programs as programs
from tests.optimize.conftest import keeps_rules
from tests.optimize.pass_programs import Net

CONV, CLAMP, Q, DQ = "conv2d", "clamp", "quantize", "dequantize"

# pass, program, operators after; the values stay bit-identical unless the pass is in ROUNDS
ROWS: list[tuple[Rewrite, Callable[[Net], Program], list[str]]] = [
    (fuse_clamp, programs.clamp_after_conv, [CONV]),
    (fuse_clamp, programs.clamp_of_shared, [CONV, CLAMP]),
    (fold_affine, programs.batch_norm, [CONV]),
    (fold_affine, programs.spatial_add, [CONV, "add"]),
    (fold_affine, programs.broadcasting_add, [CONV, "add"]),
    (fold_affine, programs.division_behind_conv, [CONV, "div"]),
    (fold_input_scale, programs.picture_scaled, ["transpose", "transpose", CONV]),
    (fold_input_scale, programs.groups_scaled, [CONV]),
    (fold_input_scale, programs.scale_of_a_row, ["mul", "mul", CONV, CONV]),
    (sink_movement, programs.computed_between_transposes, [CLAMP, "mul", "sub", *["transpose"] * 2]),
    (sink_movement, programs.sum_of_moved, [CLAMP, "add", "transpose"]),
    (
        sink_movement,
        programs.rows_of_a_matrix,
        ["reshape", "fully_connected", "add", CLAMP, "reshape"],
    ),
    (sink_movement, programs.moved_apart, ["transpose", "transpose", "reshape", "add", "add", CLAMP]),
    (fold_pad, programs.pad_before_conv, [CONV]),
    (fold_pad, programs.pad_with_ones, ["pad", CONV]),
    (drop_trivial, programs.trivial, [CONV]),
    (merge_reshapes, programs.reshapes, ["reshape", "transpose", "reshape", "transpose"]),
    (sink_dequantize, programs.movement_after_dequantize, [Q, "transpose", "pad", DQ]),
    (sink_dequantize, programs.inexact_pad, [Q, DQ, "pad"]),
    (hoist_quantize, programs.pool_before_quantize, [Q, "max_pool2d"]),
    (hoist_quantize, programs.maximum_before_quantize, [Q, "reduce"]),
    (hoist_quantize, programs.mean_before_quantize, ["reduce", Q]),
    (hoist_quantize, programs.concat_before_quantize, [CONV, Q, Q, "concat", "reshape"]),
    (cancel_quantize, programs.chain_of_pairs, [Q, CLAMP, DQ]),
    (lower_weighted_to_int8, programs.int8_conv, [Q, CONV]),
    (lower_weighted_to_int8, programs.int8_weight_float_input, [CONV]),
    (lower_others_to_int8, programs.int8_add, [Q, Q, "add"]),
    (lower_others_to_int8, programs.half_int8_add, [Q, DQ, "add", Q]),
    (dequantize_constants, programs.int8_weight_float_input, [CONV]),
    (fuse_activation, programs.silu, ["unary"]),
    (fuse_activation, programs.gate_with_two_readers, ["unary", "mul"]),
    (fuse_activation, programs.bounded_gate, ["unary", "mul"]),
    (fuse_activation, programs.gate_of_another, [CLAMP, "unary", "mul"]),
    (fuse_activation, programs.hard_swish_by_gate, ["unary"]),
    (fuse_activation, programs.another_hard_sigmoid, ["unary", "mul"]),
    (fuse_activation, programs.hard_swish_divided, ["unary"]),
    (fuse_activation, programs.hard_swish_scaled, ["unary"]),
    (fuse_activation, programs.six_divided, ["add", "div"]),
    (fuse_activation, programs.hard_sigmoid_divided, ["unary"]),
    (fuse_activation, programs.mish, ["unary"]),
    (fuse_activation, programs.sixth_first, ["unary"]),
    (fuse_activation, programs.gelu, ["unary"]),
    (fuse_activation, programs.gelu_halved_first, ["unary"]),
    (fuse_activation, programs.another_gelu, ["mul", "unary", "add", "mul", "mul"]),
    (fuse_activation, programs.divided_by_gate, ["unary", "div"]),
    (fuse_lookup, programs.int8_island, [Q, DQ, "add", "lookup"]),
    (fuse_lookup, programs.island_of_two, [Q, DQ, Q, DQ, "unary", "mul", Q]),
    (fuse_lookup, programs.island_with_a_vector, [Q, DQ, "unary", "mul", Q]),
    (fuse_lookup, programs.island_of_a_clamp, [Q, DQ, CLAMP, Q]),
    (fuse_lookup, programs.gate_quantized_between, [Q, "lookup"]),
    (collapse_movement, programs.quantized_shuffle, [Q, "gather"]),
    (hoist_quantize, programs.pad_before_quantize, [Q, "pad"]),
    (collapse_movement, programs.shuffle, ["gather"]),
    (collapse_movement, programs.shuffled_halves, ["slice"]),
    (collapse_movement, programs.head, ["reshape"]),
    (collapse_movement, programs.constant_moved, ["transpose", "transpose", "transpose", "mul"]),
    (collapse_movement, programs.rows_mirrored, ["transpose", "slice"]),
    (
        hoist_transpose,
        programs.two_heads,
        ["transpose", "reshape", "transpose", "reshape", "transpose", "transpose", "concat"],
    ),
    (hoist_transpose, programs.sum_and_head, ["concat", "transpose"]),
    (fold_transpose, programs.keys_turned, ["transpose", "matmul"] * 2),
    (fold_transpose, programs.keys_read_twice, ["transpose", "matmul", "matmul"]),
    (
        sink_dequantize,
        programs.selection_after_dequantize,
        [Q, "slice", "resize", "reduce", "dilate", DQ],
    ),
    (sink_dequantize, programs.linear_resize_after_dequantize, [Q, DQ, "resize"]),
    (lower_others_to_int8, programs.int8_arithmetic, [Q, Q, "sub", "mul", "reduce"]),
    (share_common, programs.two_dequantizes, [Q, DQ, "mul"]),
    (fuse_residual, programs.residual, [CONV, "conv2d_add"]),
    (fuse_residual, programs.int8_residual, [Q, CONV, "conv2d_add"]),
    (fuse_residual, programs.residual_of_shared, [CONV, "add"]),
    (fuse_residual, programs.broadcasting_residual, [CONV, "add"]),
    (lower_to_fp16, programs.clamp_of_shared, ["convert", CONV, CLAMP, "convert", "convert"]),
    (lower_to_fp16, programs.head, ["transpose", "reshape", "transpose"]),
    (drop_dead, programs.dead_branch, [CLAMP]),
]
ROUNDS = {
    fold_affine,
    fold_input_scale,
    fuse_activation,
    lower_weighted_to_int8,
    lower_others_to_int8,
}
"""Passes that replace float arithmetic: folded constants are rounded, integers round once where floats rounded often."""


@pytest.mark.parametrize(("rewrite", "make", "expected"), ROWS, ids=lambda v: getattr(v, "__name__", None))
def test_pass(rewrite: Rewrite, make: Callable[[Net], Program], expected: list[str]) -> None:
    before, after = make(Net()), make(Net())
    while keeps_rules(rewrite)(after):
        pass
    removed_readers = Program(after.tensors, list(after.ops), after.inputs, after.outputs)
    drop_dead(removed_readers)
    assert [op.kind.name for op in removed_readers.ops] == expected
    if any(before.tensors[i].dtype == DType.I8 for op in before.ops for i in op.reads if op.kind == CONV2D):
        dequantize_constants(before)
    if rewrite is lower_weighted_to_int8:
        dequantize_constants(removed_readers)
    x = np.random.default_rng(9).uniform(-3, 3, (1, 5, 5, 4)).astype(np.float32)
    for got, wanted in zip(run(removed_readers, [x]), run(before, [x]), strict=True):
        if (
            rewrite is lower_to_fp16
        ):  # x, w, y and b rounded: 4 · 2^−11 of what is summed, 4 products of |x| ≤ 3
            np.testing.assert_allclose(got, wanted, rtol=2**-9, atol=2**-9 * 12)
        elif rewrite in ROUNDS:
            step = 1 if got.dtype == np.int8 else 1e-5
            np.testing.assert_allclose(got.astype(float), wanted.astype(float), rtol=1e-5, atol=step)
        else:
            np.testing.assert_array_equal(got, wanted)


def test_matrices_are_read_as_they_lie() -> None:
    program = programs.keys_turned(Net())
    fold_transpose(program)
    drop_dead(program)
    assert [op.attributes.transpose_b for op in program.ops if isinstance(op.attributes, Matmul)] == [1, 0]
    assert [op.attributes.perm for op in program.ops if isinstance(op.attributes, Transpose)] == [
        (0, 2, 1, 3),
        (0, 1, 2, 3),
    ]


def test_every_pass_is_tested_and_documented() -> None:
    tested = {rewrite for rewrite, _, _ in ROWS}
    assert tested == {entry.rewrite for entry in PASSES}
    for rewrite in tested:
        assert "Requires" in (rewrite.__doc__ or "")
        assert "Ensures" in (rewrite.__doc__ or "")


def test_a_pass_that_leaves_no_program_is_seen() -> None:
    def without_bounds(program: Program) -> list[str]:
        program.ops[0] = with_attributes(program.ops[0], lo=1.0, hi=0.0)
        return ["conv2d ⇒ conv2d"]

    with pytest.raises(FlatFileError, match="lo ≤ hi"):
        keeps_rules(without_bounds)(programs.clamp_after_conv(Net()))


def test_a_report_per_pass() -> None:
    program = programs.clamp_after_conv(Net())
    reports = run_passes(program)
    assert [report.name for report in reports] == [
        entry.rewrite.__name__ for entry in PASSES if not entry.fp16
    ]
    assert reports[0].ops_before == 3
    assert reports[-1].ops_after == len(program.ops) == 1
    for one, following in itertools.pairwise(reports):
        assert one.ops_after == following.ops_before
    changes = {report.name: report.changes for report in reports if report.changes}
    assert changes == {
        "fuse_clamp": (
            "conv2d `conv2d0` + clamp `clamp1` ⇒ conv2d",
            "conv2d `conv2d0` + clamp `clamp2` ⇒ conv2d",
        )
    }


def test_a_report_of_what_died_and_of_functions() -> None:
    program = programs.silu(Net())
    changes = {report.name: report.changes for report in run_passes(program)}
    assert changes["fuse_activation"] == ("mul `mul1` ⇒ unary silu",)
    assert changes["drop_dead"] == ()  # the second one; the first found the sigmoid


def test_passes_for_int8_do_not_run_without_int8() -> None:
    names = {report.name for report in run_passes(programs.int8_add(Net()), prefer_int8_kernel=False)}
    assert names == {entry.rewrite.__name__ for entry in PASSES if not (entry.int8 or entry.fp16)}
