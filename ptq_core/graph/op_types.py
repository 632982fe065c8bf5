"""Paddle's op names and ONNX op types: one table for `quantizable_op_type`, and how each op type behaves on integers."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum, auto

import onnx_ir as ir

from ptq_core.errors import InputError
from ptq_core.graph.edits import constant_array


class Kind(Enum):
    """What an int8 operator does to scales."""

    WEIGHTED = auto()
    """Multiplies and accumulates in int32; may write float. Input 1 is a quantized weight, for MatMul also an activation."""
    ARITHMETIC = auto()
    """Computes new values: the output has its own scale, from its own calibrated range."""
    FIXED_RANGE = auto()
    """Like ARITHMETIC, but the function itself says the range of its output."""
    MOVES = auto()
    """Only moves or selects values: data inputs and outputs share one scale and zero point."""
    COMPARES = auto()
    """Reads integers and writes indices or truth values, which are not quantized; its data inputs share one scale."""


@dataclass(frozen=True)
class QuantizableOp:
    """An ONNX op type that can run on integers, and its names on the command line."""

    onnx_type: str
    names: tuple[str, ...]
    """Paddle's names. Which of them a node answers to may depend on its attributes: ``names_of``."""
    kind: Kind
    data: tuple[int, ...] | None = (0,)
    """Indices of the inputs that are quantized activations; None for all. (Weights are not among them.)"""
    output_range: tuple[float, float] | None = None
    """For FIXED_RANGE: (low, high) of the output."""
    since: int = 13
    """The first opset from 13 on that has the type."""


_W, _A, _F, _M, _C = Kind.WEIGHTED, Kind.ARITHMETIC, Kind.FIXED_RANGE, Kind.MOVES, Kind.COMPARES
_UNIT, _SIGNED_UNIT = (0.0, 1.0), (-1.0, 1.0)

QUANTIZABLE_OPS = (
    QuantizableOp("Conv", ("conv2d", "depthwise_conv2d"), _W),
    QuantizableOp("ConvTranspose", ("conv2d_transpose", "depthwise_conv2d_transpose"), _W),
    QuantizableOp("Gemm", ("mul",), _W),
    QuantizableOp("MatMul", ("mul", "matmul", "matmul_v2"), _W),
    QuantizableOp("Add", ("elementwise_add",), _A, None),
    QuantizableOp("Sub", ("elementwise_sub",), _A, None),
    QuantizableOp("Mul", ("elementwise_mul", "swish", "hard_swish"), _A, None),
    QuantizableOp("AveragePool", ("pool2d",), _A),
    QuantizableOp("GlobalAveragePool", ("pool2d",), _A),
    QuantizableOp("MaxPool", ("pool2d",), _M),
    QuantizableOp("GlobalMaxPool", ("pool2d",), _M),
    QuantizableOp("ReduceMean", ("mean", "reduce_mean"), _A),
    QuantizableOp("Relu", ("relu",), _A),
    QuantizableOp("Clip", ("relu6", "clip"), _A),
    QuantizableOp("LeakyRelu", ("leaky_relu",), _A),
    QuantizableOp("PRelu", ("prelu",), _A),
    QuantizableOp("HardSwish", ("hard_swish",), _A, since=14),
    QuantizableOp("Sigmoid", ("sigmoid", "swish"), _F, output_range=_UNIT),
    QuantizableOp("HardSigmoid", ("hard_sigmoid", "hard_swish"), _F, output_range=_UNIT),
    QuantizableOp("Softmax", ("softmax",), _F, output_range=_UNIT),
    QuantizableOp("Tanh", ("tanh",), _F, output_range=_SIGNED_UNIT),
    QuantizableOp("Concat", ("concat",), _M, None),
    QuantizableOp("Transpose", ("transpose", "transpose2"), _M),
    QuantizableOp("Reshape", ("reshape", "reshape2"), _M),
    QuantizableOp("Flatten", ("flatten", "flatten2", "flatten_contiguous_range"), _M),
    QuantizableOp("Squeeze", ("squeeze", "squeeze2"), _M),
    QuantizableOp("Unsqueeze", ("unsqueeze", "unsqueeze2"), _M),
    QuantizableOp("Slice", ("slice", "strided_slice"), _M),
    QuantizableOp("Split", ("split",), _M),
    QuantizableOp("Gather", ("gather",), _M),
    QuantizableOp("Pad", ("pad", "pad2d", "pad3d"), _M),
    QuantizableOp("Resize", ("bilinear_interp", "nearest_interp", "trilinear_interp"), _A),
    QuantizableOp("ArgMax", ("argmax", "arg_max"), _C),
    QuantizableOp("Equal", ("equal", "not_equal"), _C, None),
    QuantizableOp("Greater", ("greater_than",), _C, None),
    QuantizableOp("GreaterOrEqual", ("greater_equal",), _C, None),
    QuantizableOp("Less", ("less_than",), _C, None),
    QuantizableOp("LessOrEqual", ("less_equal",), _C, None),
)
"""Every type is held against onnx.defs by a test. ONNX writes not_equal as Equal and Not, swish as Sigmoid and Mul."""

BY_ONNX_TYPE = {op.onnx_type: op for op in QUANTIZABLE_OPS}

KNOWN_NAMES = tuple(dict.fromkeys(name for op in QUANTIZABLE_OPS for name in (*op.names, op.onnx_type)))

_MAXIMA = ("MaxPool", "GlobalMaxPool")

_GATES = {"Sigmoid": "swish", "HardSigmoid": "hard_swish"}
"""x · gate(x) is one operator to Paddle and two to ONNX."""


def check_op_types(names: Iterable[str]) -> None:
    """Raise InputError for a name that is neither a Paddle name nor an ONNX op type of the table."""
    for name in names:
        if name not in KNOWN_NAMES:
            near = difflib.get_close_matches(name, KNOWN_NAMES, n=1)
            raise InputError(
                f"quantizable_op_type has `{name}`",
                rule=f"op types are {', '.join(KNOWN_NAMES)}",
                fix=f"did you mean `{near[0]}`?" if near else "choose from these",
            )


def op_of(node: ir.Node) -> QuantizableOp | None:
    """The row of the table for ``node``, None if its type cannot run on integers."""
    return BY_ONNX_TYPE.get(node.op_type) if node.domain in ("", "ai.onnx") else None


def kind_of(node: ir.Node) -> Kind:
    """The row's kind, but MOVES for a Resize to the nearest value. Raises KeyError for a type outside the table."""
    nearest = node.op_type == "Resize" and resize_mode(node) == "nearest"
    return Kind.MOVES if nearest else BY_ONNX_TYPE[node.op_type].kind


def names_of(node: ir.Node) -> tuple[str, ...]:
    """All names under which ``node`` can be listed in `quantizable_op_type`; () if it cannot run on integers.

    A convolution is a `depthwise_conv2d` if it has one group per input channel, else a `conv2d`; `Conv` names both.
    A Pad that only maxima read is part of their `pool2d`. MatMul is a `mul` only with a constant matrix.
    Mul is a `swish` only if it multiplies x with Sigmoid(x).
    """
    op = op_of(node)
    if op is None:
        return ()
    names: tuple[str, ...] = op.names
    if node.op_type in ("Conv", "ConvTranspose"):
        names = (op.names[1] if is_depthwise(node) else op.names[0],)
    elif node.op_type == "MatMul":
        constant = len(node.inputs) > 1 and constant_array(node.inputs[1]) is not None
        names = op.names if constant else op.names[1:]
    elif node.op_type == "Resize":
        names = _resize_names(node)
    elif node.op_type == "Pad" and only_maximum_reads(node.outputs[0]):
        names = (*op.names, *BY_ONNX_TYPE["MaxPool"].names)
    elif node.op_type in ("Mul", *_GATES):
        gate = _gate_of(node)
        names = (op.names[0], *((_GATES[gate],) if gate else ()))
    return (*names, op.onnx_type)


def is_depthwise(node: ir.Node) -> bool:
    """Whether a Conv or ConvTranspose has one channel per group (and more than one group)."""
    groups = node.attributes.get_int("group", 1)
    weight = node.inputs[1]
    return groups > 1 and weight is not None and weight.shape is not None and weight.shape[1] == 1


def only_maximum_reads(value: ir.Value) -> bool:
    """Whether nothing but the largest of a window of ``value`` is used: a padding below its range does not matter then."""
    readers = [reader for reader, _ in value.uses()]
    return bool(readers) and not value.is_graph_output() and all(r.op_type in _MAXIMA for r in readers)


def resize_mode(node: ir.Node) -> str:
    """nearest, linear or cubic."""
    return node.attributes.get_string("mode", "nearest")


def _resize_names(node: ir.Node) -> tuple[str, ...]:
    source = node.inputs[0]
    rank = len(source.shape) if source is not None and source.shape is not None else 4
    if resize_mode(node) == "nearest":
        return ("nearest_interp",)
    if resize_mode(node) == "linear":
        return ("trilinear_interp" if rank == 5 else "bilinear_interp",)
    return ()


def _gate_of(node: ir.Node) -> str | None:
    """For the Mul of x · gate(x), or the gate itself: the gate's op type."""
    if node.op_type in _GATES:
        readers = [reader for reader, _ in node.outputs[0].uses()]
        return node.op_type if any(r.op_type == "Mul" and _gate_of(r) for r in readers) else None
    for value, other in (tuple(node.inputs[:2]), tuple(node.inputs[1::-1])):
        gate = value.producer() if value is not None else None
        if gate is not None and gate.op_type in _GATES and gate.inputs[0] is other:
            return gate.op_type
    return None
