"""The rules of a row that are data: types, ranks, scales of its operands, values of its attributes.

The runtime checks the same by tables generated from the same rows, in the same order (runtime/src/ops/rules.cc).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ptq_core.flatfile.operators.attributes import Attributes, Field, Named, Range, Rule
from ptq_core.flatfile.operators.checks import Operator
from ptq_core.flatfile.operators.description import OF_X, Operand, OperatorKind, Scales
from ptq_core.flatfile.operators.weighted import is_compressed, weight_scales
from ptq_core.flatfile.tensors import Tensor


def check_operator(kind: OperatorKind[Any], c: Operator[Any]) -> None:
    """Raise FlatFileError for the first rule that the operator breaks: those of compressed weights, of the row, of its code."""
    w = c.inputs[1] if kind.weighted else None
    compressed = w is not None and w.is_constant and is_compressed(c.input(0), w)
    if compressed:
        weight_scales(c)
    operands = [(kind.operand(i), tensor) for i, tensor in enumerate(c.inputs) if tensor is not None]
    operands.append((kind.output, c.output))
    for i, (operand, tensor) in enumerate(operands):
        if not (compressed and i == 1):
            c.dtype(operand.name, tensor, kind.types_of(operand, c.input(0).dtype) or kind.types)
    for operand, tensor in operands:
        _operand(c, operand, tensor)
    if kind.same_shape:
        c.same_shape(c.input(0), c.output)
    for field in kind.fields:
        _field(c, field)
    with np.errstate(over="ignore", invalid="ignore"):
        kind.check(c)


def _operand(c: Operator[Attributes], operand: Operand, tensor: Tensor) -> None:
    if operand.constant:
        c.constant(operand.name, tensor)
    if operand.rank is not None:
        c.rank(operand.name, tensor, len(c.input(0).dims) if operand.rank == OF_X else operand.rank)
    match operand.scales:
        case Scales.ONE:
            c.per_tensor(operand.name, tensor)
        case Scales.OF_OUTPUT:
            c.per_tensor(operand.name, tensor)
            c.same_qparams(tensor, c.output)
        case Scales.PER_OUTPUT if tensor.qparams is not None:
            weight_scales(c)
        case Scales.NONE:
            c.unquantized(operand.name, tensor)


def _field(c: Operator[Attributes], field: Field) -> None:
    if field.rule == Rule.CLAMP:
        prefix = field.name.removesuffix("lo")
        c.clamp(*(getattr(c.attributes, f"{prefix}{bound}") for bound in ("lo", "hi", "q_min", "q_max")))
    elif not field.code.array:
        _value(c, field.name, field, getattr(c.attributes, field.name))
    else:
        rank = len(c.input(0).dims)
        for i, entry in enumerate(c.entries[field.name]):
            if i < rank:
                _value(c, f"{field.name}[{i}]", field, entry)
            elif entry != 0:
                c.refuse(f"{field.name}[{i}]", entry, f"0 beyond the rank, {rank}")


def _value(c: Operator[Attributes], name: str, field: Field, value: float) -> None:
    match field.rule:
        case Range(least, most):
            if not least <= value <= most:
                c.refuse(name, value, f"{least} … {most}")
        case Named(values):
            if value >= len(values):
                c.refuse(name, value, f"below {len(values)}")
        case Rule.BELOW_RANK:
            if value >= len(c.input(0).dims):
                c.refuse(name, value, f"below the rank, {len(c.input(0).dims)}")
        case Rule.POSITIVE:
            if not (math.isfinite(value) and value > 0):
                c.refuse(name, value, "positive and finite")
