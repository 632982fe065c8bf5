"""Faults to plant in a program: each is one small thing that a pass, a lowering or a kernel may get wrong."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ptq_core.flatfile.operators.arg_max import ARG_MAX
from ptq_core.flatfile.operators.binary import ADD, DIV, MAXIMUM, MINIMUM, MUL, SUB
from ptq_core.flatfile.operators.clamp import CLAMP
from ptq_core.flatfile.operators.concat import CONCAT
from ptq_core.flatfile.operators.conv2d import CONV2D, Conv2d
from ptq_core.flatfile.operators.conv2d_add import CONV2D_ADD
from ptq_core.flatfile.operators.description import OperatorKind
from ptq_core.flatfile.operators.dilate import DILATE
from ptq_core.flatfile.operators.fully_connected import FULLY_CONNECTED
from ptq_core.flatfile.operators.gather import GATHER
from ptq_core.flatfile.operators.lookup import LOOKUP
from ptq_core.flatfile.operators.pad import PAD, Pad
from ptq_core.flatfile.operators.pool2d import AVERAGE_POOL2D, MAX_POOL2D
from ptq_core.flatfile.operators.reduce import REDUCE, ReduceFunction
from ptq_core.flatfile.operators.resize import RESIZE, Coordinates, Rounding
from ptq_core.flatfile.operators.slice import SLICE
from ptq_core.flatfile.operators.softmax import SOFTMAX
from ptq_core.flatfile.operators.transpose import TRANSPOSE, Transpose
from ptq_core.flatfile.operators.unary import UNARY, UnaryFunction
from ptq_core.flatfile.program import Op, Program
from ptq_core.flatfile.tensors import Array, DType, QuantParams
from tests.optimize.graphs import Graph
from tests.optimize.verify import fault_graphs as graphs

Change = Callable[[Program, Op], Op | None]
"""Changes the program around an operator, or gives another operator in its place; None if neither fits."""


@dataclass(frozen=True)
class Fault:
    """``change`` is applied to the first operator of ``kinds`` that it fits."""

    name: str
    graph: Graph
    kinds: tuple[OperatorKind[Any], ...]
    change: Change


def plant(fault: Fault, program: Program) -> list[str]:
    """Plant ``fault`` in ``program``, as a pass does that has it; AssertionError if nothing fits."""
    for i, op in enumerate(program.ops):
        if op.kind in fault.kinds and (wrong := fault.change(program, op)) is not None:
            program.ops[i] = wrong
            return []
    raise AssertionError(f"no place for {fault.name}")


def fits(fault: Fault, program: Program) -> bool:
    """Whether ``program`` has an operator for ``fault``; it is not changed."""
    copy = dataclasses.replace(program, tensors=list(program.tensors), ops=list(program.ops))
    try:
        plant(fault, copy)
    except AssertionError:
        return False
    return True


def attributes(**changes: Callable[[Any], object] | object) -> Change:
    """Other attributes: a value, or what a function makes of the old one; None if none of them changes."""

    def change(_program: Program, op: Op) -> Op | None:
        fields = {
            name: new(getattr(op.attributes, name)) if callable(new) else new for name, new in changes.items()
        }
        other = dataclasses.replace(op.attributes, **fields)
        return None if other == op.attributes else dataclasses.replace(op, attributes=other)

    return change


def only(test: Callable[[Program, Op], bool], change: Change) -> Change:
    """``change`` where ``test`` holds."""
    return lambda program, op: change(program, op) if test(program, op) else None


def constant(position: int, new: Callable[[Array], Array]) -> Change:
    """Other values of the constant at ``position``."""

    def change(program: Program, op: Op) -> Op | None:
        index = op.inputs[position] if position < len(op.inputs) else None
        tensor = None if index is None else program.tensors[index]
        if tensor is None or tensor.data is None:
            return None
        data = np.asarray(new(tensor.data.copy()), tensor.data.dtype)
        if np.array_equal(data, tensor.data):
            return None
        made = program.add(dataclasses.replace(tensor, data=data))
        return dataclasses.replace(
            op, inputs=tuple(made if i == position else x for i, x in enumerate(op.inputs))
        )

    return change


def qparams(scale: float = 1.0, zero_point: int = 0) -> Change:
    """Another scale or zero point of the int8 output, so that integers mean other numbers."""

    def change(program: Program, op: Op) -> Op | None:
        index = op.outputs[0]
        tensor = program.tensors[index]
        old = tensor.qparams
        if tensor.dtype != DType.I8 or old is None:
            return None
        other = QuantParams(old.scales * np.float32(scale), old.zero_point + zero_point)
        program.tensors[index] = dataclasses.replace(tensor, qparams=other)
        return op

    return change


def weight_scales(factor: float) -> Change:
    """Another scale of an int8 weight."""

    def change(program: Program, op: Op) -> Op | None:
        index = op.inputs[1]
        assert index is not None
        tensor = program.tensors[index]
        if tensor.qparams is None:
            return None
        scales = tensor.qparams.scales.copy()
        scales[-1] *= np.float32(factor)
        program.tensors[index] = dataclasses.replace(
            tensor, qparams=dataclasses.replace(tensor.qparams, scales=scales)
        )
        return op

    return change


def exchanged(_program: Program, op: Op) -> Op:
    """The first two operands exchanged."""
    return dataclasses.replace(op, inputs=(*op.inputs[1::-1], *op.inputs[2:]))


def other_kind(kind: OperatorKind[Any]) -> Change:
    """Another operator of the same attributes."""
    return lambda _program, op: dataclasses.replace(op, kind=kind)


def without_bias(_program: Program, op: Op) -> Op | None:
    """No bias."""
    return (
        None
        if len(op.inputs) < 3 or op.inputs[2] is None
        else dataclasses.replace(op, inputs=(*op.inputs[:2], None))
    )


def one(index: int, new: Callable[[float], float]) -> Callable[[Array], Array]:
    """Another value at the place ``index`` of a constant."""

    def change(data: Array) -> Array:
        data.reshape(-1)[index] = new(data.reshape(-1)[index])
        return data

    return change


def plus(step: float) -> Callable[[float], float]:
    """A number larger by ``step``."""
    return lambda x: x + step


def rolled(values: tuple[int, ...]) -> tuple[int, ...]:
    """The last value first."""
    return (values[-1], *values[:-1])


def having(**fields: object) -> Callable[[Program, Op], bool]:
    """Whether the operator has these attributes."""
    return lambda _program, op: all(
        getattr(op.attributes, name, None) == value for name, value in fields.items()
    )


def is_int8(program: Program, op: Op) -> bool:
    """Whether the operator reads int8."""
    index = op.inputs[0]
    return index is not None and program.tensors[index].dtype == DType.I8


def is_depthwise(_program: Program, op: Op) -> bool:
    """Whether the convolution has a group per channel."""
    return isinstance(op.attributes, Conv2d) and op.attributes.groups > 1


CONV = (CONV2D, CONV2D_ADD)
SUM = (ADD, SUB)

LEAKY, SIGMOID, GELU = (
    having(function=f) for f in (UnaryFunction.LEAKY_RELU, UnaryFunction.SIGMOID, UnaryFunction.GELU)
)
MEAN, MOST = (having(function=f) for f in (ReduceFunction.MEAN, ReduceFunction.MAX))

C, P, A, M, R, Z, I = (  # noqa: E741
    graphs.convolutions, graphs.pools, graphs.arithmetic, graphs.movement, graphs.reductions, graphs.resizes, graphs.integers,
)  # fmt: skip


def _negated_residual(program: Program, op: Op) -> Op:
    if op.kind == ADD:
        return dataclasses.replace(op, kind=SUB)
    weight = op.inputs[1]
    assert weight is not None
    tensor = program.tensors[weight]
    assert tensor.data is not None
    made = program.add(dataclasses.replace(tensor, data=-tensor.data))
    return dataclasses.replace(op, inputs=(op.inputs[0], made, *op.inputs[2:]))


def _exchanged_pads(_program: Program, op: Op) -> Op:
    a = op.attributes
    assert isinstance(a, Pad)
    return dataclasses.replace(op, attributes=dataclasses.replace(a, before=a.after, after=a.before))


def _other_order(program: Program, op: Op) -> Op | None:
    """Two dimensions of one size exchanged."""
    a, dims = op.attributes, program.tensors[op.outputs[0]].dims
    assert isinstance(a, Transpose)
    for i in range(len(dims)):
        for j in range(i):
            if dims[i] == dims[j] > 1:
                perm = list(a.perm)
                perm[i], perm[j] = perm[j], perm[i]
                return dataclasses.replace(op, attributes=Transpose(perm=tuple(perm)))
    return None


FAULTS = (
    Fault("pad_moved_down", C, CONV, attributes(pad_top=plus(1), pad_bottom=plus(-1))),
    Fault("pad_moved_right", C, CONV, only(is_depthwise, attributes(pad_left=plus(1), pad_right=plus(-1)))),
    Fault("dilation", C, CONV, only(is_depthwise, attributes(dilation_h=1, pad_top=1, pad_bottom=1))),
    Fault("weight_of_one_tap", C, CONV, constant(1, one(7, lambda w: w * 1.01))),
    Fault("last_weight", C, CONV, only(is_depthwise, constant(1, one(-1, lambda w: w + 1e-3)))),
    Fault("taps_transposed", C, CONV, constant(1, lambda w: w.transpose(0, 2, 1, 3))),
    Fault("taps_mirrored", C, CONV, constant(1, lambda w: w[:, ::-1])),
    Fault("outputs_exchanged", C, CONV, constant(1, lambda w: w[[1, 0, *range(2, len(w))]])),
    Fault("inputs_exchanged", C, CONV, constant(1, lambda w: np.roll(w, 1, 3))),
    Fault("bias_missing", C, CONV, without_bias),
    Fault("bias_of_the_neighbour", C, (CONV2D,), constant(2, lambda b: np.roll(b, 1))),
    Fault("bias_a_thousandth_off", C, (CONV2D,), constant(2, one(3, lambda b: b + 1e-3))),
    Fault("clamp_missing", C, (*CONV, CLAMP), only(having(hi=6), attributes(hi=np.inf))),
    Fault("clamp_bound", C, (*CONV, CLAMP, ADD), only(having(lo=0), attributes(lo=0.01))),
    Fault("stride_shifted", C, (DILATE, PAD), attributes(value=0.01)),
    Fault("residual_subtracted", C, (CONV2D_ADD, ADD), _negated_residual),
    Fault("window_moved", P, (MAX_POOL2D,), attributes(pad_top=plus(1), pad_bottom=plus(-1))),
    Fault("window_smaller", P, (MAX_POOL2D,), attributes(kernel_w=2, pad_right=0)),
    Fault("padding_counted", P, (AVERAGE_POOL2D,), attributes(count_include_pad=1)),
    Fault("average_for_maximum", P, (MAX_POOL2D,), other_kind(AVERAGE_POOL2D)),
    Fault("pieces_exchanged", P, (CONCAT,), exchanged),
    Fault("operands_of_sub", A, (SUB,), exchanged),
    Fault("operands_of_div", A, (DIV,), exchanged),
    Fault("sum_for_difference", A, (SUB,), other_kind(ADD)),
    Fault("minimum_for_maximum", A, (MAXIMUM,), other_kind(MINIMUM)),
    Fault("constant_a_percent_off", A, (MUL,), constant(1, lambda c: c * 1.01)),
    Fault("constant_of_the_neighbour", A, (SUB,), constant(1, lambda c: np.roll(c, 1))),
    Fault("slope", A, (UNARY,), only(LEAKY, attributes(alpha=0.101))),
    Fault("other_function", A, (UNARY,), only(SIGMOID, attributes(function=int(UnaryFunction.TANH)))),
    Fault("other_gate", A, (UNARY,), only(GELU, attributes(function=int(UnaryFunction.SILU)))),
    Fault("first_row", M, (SLICE,), attributes(start=lambda s: (*s[:2], s[2] - 1, *s[3:]))),
    Fault("places_exchanged", M, (GATHER,), constant(1, lambda i: i[::-1])),
    Fault("one_place", M, (GATHER,), constant(1, one(2, lambda i: i + 1))),
    Fault("filler", M, (PAD,), attributes(value=0.501)),
    Fault("padded_before", M, (PAD,), _exchanged_pads),
    Fault("order_of_dimensions", M, (TRANSPOSE,), _other_order),
    Fault("sign_lost", M, (UNARY,), attributes(function=int(UnaryFunction.ABS))),
    Fault("axis_of_concat", M, (CONCAT,), exchanged),
    Fault("maximum_for_mean", R, (REDUCE,), only(MEAN, attributes(function=int(ReduceFunction.MAX)))),
    Fault("minimum_of_columns", R, (REDUCE,), only(MOST, attributes(function=int(ReduceFunction.MIN)))),
    Fault("axis_of_softmax", R, (SOFTMAX,), attributes(axis=2)),
    Fault("matrix_element", R, (FULLY_CONNECTED,), constant(1, one(11, lambda w: w + 1e-3))),
    Fault("vector_missing", R, (FULLY_CONNECTED,), without_bias),
    Fault("coordinates", Z, (RESIZE,), attributes(coordinates=int(Coordinates.ALIGN_CORNERS))),
    Fault("rounding", Z, (RESIZE,), only(having(rounding=Rounding.FLOOR), attributes(rounding=int(Rounding.CEIL)))),
    Fault("scale_of_resize", Z, (RESIZE,), attributes(scale_h=plus(0.02))),
    Fault("last_of_equals", graphs.places, (ARG_MAX,), attributes(select_last=1)),
    Fault("int8_weight", I, CONV, only(is_int8, constant(1, one(5, lambda w: w - 1 if w > 0 else w + 1)))),
    Fault("int8_bias", I, CONV, only(is_int8, constant(2, one(0, lambda b: b + 40)))),
    Fault("int8_pad", I, CONV, only(is_int8, attributes(pad_left=plus(1), pad_right=plus(-1)))),
    Fault("scale_of_output", I, (*CONV, ADD), qparams(scale=1.01)),
    Fault("zero_point_of_output", I, CONV, qparams(zero_point=1)),
    Fault("scale_of_weight", I, CONV, only(is_int8, weight_scales(1.01))),
    Fault("int8_clamp_missing", I, CONV, attributes(q_max=127)),
    Fault("int8_lower_bound", I, CONV, only(is_int8, attributes(q_min=-120))),
    Fault("table_entry", I, (LOOKUP,), constant(1, one(140, lambda q: q + 1))),
    Fault("table_shifted", I, (LOOKUP,), constant(1, lambda q: np.roll(q, 1))),
    Fault("int8_operands", I, (SUB,), exchanged),
    Fault("int8_sum_for_difference", I, (SUB,), other_kind(ADD)),
    Fault("int8_window", I, (AVERAGE_POOL2D,), attributes(pad_top=plus(1), pad_bottom=plus(-1))),
    Fault("int8_padding_counted", I, (AVERAGE_POOL2D,), attributes(count_include_pad=1)),
    Fault("scale_of_difference", I, (SUB,), qparams(scale=0.99)),
    Fault("zero_point_of_average", I, (AVERAGE_POOL2D,), qparams(zero_point=1)),
    Fault("zero_point_of_sum", I, (ADD, CONV2D_ADD), qparams(zero_point=-1)),
)  # fmt: skip
"""At least 40 of them, and every one must be caught wherever it is planted (test_faults.py)."""
