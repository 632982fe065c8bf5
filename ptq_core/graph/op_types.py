"""Paddle's op names and ONNX op types: one table for `quantizable_op_type`."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass

import onnx_ir as ir

from ptq_core.errors import InputError


@dataclass(frozen=True)
class QuantizableOp:
    """An ONNX op type that can run in int8, and its names on the command line."""

    onnx_type: str
    names: tuple[str, ...]
    """Paddle's names."""
    has_weights: bool
    """Whether input 1 is a constant that is quantized as a weight; only then is the node quantizable."""
    shares_scale: bool
    """Whether the output must keep the input's scale (the op only moves or selects values)."""


QUANTIZABLE_OPS = (
    QuantizableOp("Conv", ("conv2d", "depthwise_conv2d"), True, False),
    QuantizableOp("Gemm", ("mul",), True, False),
    QuantizableOp("MatMul", ("mul", "matmul"), True, False),
    QuantizableOp("Add", ("elementwise_add",), False, False),
    QuantizableOp("AveragePool", ("pool2d",), False, False),
    QuantizableOp("GlobalAveragePool", ("pool2d",), False, False),
    QuantizableOp("MaxPool", ("pool2d",), False, True),
    QuantizableOp("ReduceMean", ("mean",), False, False),
    QuantizableOp("Concat", ("concat",), False, False),
    QuantizableOp("Transpose", ("transpose", "transpose2"), False, True),
    QuantizableOp("Reshape", ("reshape", "reshape2"), False, True),
    QuantizableOp("Flatten", ("flatten", "flatten2", "flatten_contiguous_range"), False, True),
)

BY_ONNX_TYPE = {op.onnx_type: op for op in QUANTIZABLE_OPS}

KNOWN_NAMES = tuple(dict.fromkeys(name for op in QUANTIZABLE_OPS for name in (*op.names, op.onnx_type)))


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


def names_of(node: ir.Node) -> tuple[str, ...]:
    """All names under which ``node`` can be listed in `quantizable_op_type`; () if it cannot run in int8.

    A convolution is a `depthwise_conv2d` if it has one group per input channel, else a `conv2d`; `Conv` names both.
    """
    op = BY_ONNX_TYPE.get(node.op_type) if node.domain in ("", "ai.onnx") else None
    if op is None:
        return ()
    if node.op_type == "Conv":
        return ("depthwise_conv2d" if is_depthwise(node) else "conv2d", "Conv")
    return (*op.names, op.onnx_type)


def is_depthwise(node: ir.Node) -> bool:
    """Whether a Conv has one input channel per group (and more than one group)."""
    groups = node.attributes.get_int("group", 1)
    weight = node.inputs[1]
    return groups > 1 and weight is not None and weight.shape is not None and weight.shape[1] == 1
