"""What each operator demands of its operands and attributes (docs/flat_format.md), in the order of the C++ reader."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ptq_core.flatfile.checks import Entries, Operator
from ptq_core.flatfile.compressed import WEIGHTED, is_compressed
from ptq_core.flatfile.program import OpKind, Program
from ptq_core.flatfile.rules import convolutions, elements, movers, windows

F16_KINDS = frozenset(
    {
        OpKind.CONV2D,
        OpKind.CONV2D_ADD,
        OpKind.FULLY_CONNECTED,
        OpKind.ADD,
        OpKind.SUB,
        OpKind.MUL,
        OpKind.DIV,
        OpKind.MAXIMUM,
        OpKind.MINIMUM,
        OpKind.MAX_POOL2D,
        OpKind.AVERAGE_POOL2D,
        OpKind.CONCAT,
        OpKind.CLAMP,
        OpKind.RESHAPE,
        OpKind.UNARY,
    }
)
"""Operators that have an f16 form: all their tensors are f16."""


def check_operator(program: Program, step: int, entries: Entries) -> None:
    """Raise FlatFileError for the first rule that operator ``step`` breaks; ``entries`` are its whole attribute arrays."""
    operator = Operator(program, step)
    if operator.op.kind in WEIGHTED:
        w = operator.input(1)
        if w.is_constant and is_compressed(operator.input(0), w):
            convolutions.weight_scales(operator)
    with np.errstate(over="ignore", invalid="ignore"):
        RULES[operator.op.kind](operator, entries)


RULES: dict[OpKind, Callable[[Operator, Entries], None]] = {
    OpKind.CONV2D: convolutions.conv2d,
    OpKind.CONV2D_ADD: convolutions.conv2d_add,
    OpKind.FULLY_CONNECTED: convolutions.fully_connected,
    OpKind.ADD: elements.binary,
    OpKind.SUB: elements.binary,
    OpKind.MUL: elements.binary,
    OpKind.DIV: elements.binary,
    OpKind.MAXIMUM: elements.binary,
    OpKind.MINIMUM: elements.binary,
    OpKind.POW: elements.binary,
    OpKind.MAX_POOL2D: windows.pool,
    OpKind.AVERAGE_POOL2D: windows.pool,
    OpKind.CONCAT: movers.concat,
    OpKind.SOFTMAX: elements.softmax,
    OpKind.QUANTIZE: elements.quantize,
    OpKind.DEQUANTIZE: elements.dequantize,
    OpKind.CLAMP: elements.clamp_operator,
    OpKind.TRANSPOSE: movers.transpose,
    OpKind.RESHAPE: movers.reshape,
    OpKind.PAD: movers.pad,
    OpKind.UNARY: elements.unary,
    OpKind.LOOKUP: elements.lookup,
    OpKind.RESIZE: windows.resize,
    OpKind.SLICE: movers.slice,
    OpKind.GATHER: movers.gather,
    OpKind.REDUCE: windows.reduce,
    OpKind.DILATE: movers.dilate,
    OpKind.ARG_MAX: windows.arg_max,
    OpKind.CONVERT: elements.convert,
}
