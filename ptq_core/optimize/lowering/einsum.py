"""Einsum → sums, transposes, products of matrices: two operands at a time, from the left."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from ptq_core.flatfile.operators.binary import MUL
from ptq_core.flatfile.operators.reduce import REDUCE, Reduce, ReduceFunction
from ptq_core.optimize.lowering.arithmetic import combine
from ptq_core.optimize.lowering.context import (
    Activation,
    Constant,
    Entry,
    Lowering,
    Unsupported,
    get_string,
)
from ptq_core.optimize.lowering.matrices import multiply

_TERM = re.compile(r"([A-Za-z]*)(\.\.\.)?([A-Za-z]*)")
_DOTS = "0123456789"
"""The dimensions that `...` stands for, as labels: the last one is always the last of these."""


@dataclass(frozen=True)
class Term:
    """A value, and a label per dimension."""

    entry: Entry
    labels: str


def lower_einsum(context: Lowering, node: ir.Node) -> None:
    """Einsum of any number of operands, without a label twice in one of them."""
    terms, wanted = _parsed(context, node)
    name = str(node.outputs[0].name)
    total = terms[0]
    for position, term in enumerate(terms[1:], 1):
        needed = wanted + "".join(later.labels for later in terms[position + 1 :])
        total = _contracted(context, node, total, term, needed, f"{name}:{position}")
    total = _summed(context, node, total, wanted, f"{name}:sum")
    if set(total.labels) != set(wanted):
        raise Unsupported(f"its output has the labels {wanted}, its inputs have not")
    result = _ordered(context, node, total, wanted, f"{name}:ordered").entry
    if isinstance(result, Constant):
        raise Unsupported("its inputs are constants")
    context.bind(node.outputs[0], result)


def _parsed(context: Lowering, node: ir.Node) -> tuple[list[Term], str]:
    """The operands with their labels, and the labels of the output."""
    equation = re.sub(r"\s", "", get_string(node, "equation", ""))
    left, arrow, right = equation.partition("->")
    operands = left.split(",")
    if len(operands) != len(node.inputs):
        raise Unsupported(f"its equation {equation} has {len(operands)} operands, it has {len(node.inputs)}")
    terms = []
    for position, operand in enumerate(operands):
        entry = context.find(node.inputs[position])
        entry = Constant(entry.real) if isinstance(entry, Constant) else context.real_input(node, position)
        labels = _labels(operand, equation, len(context.dims(entry)))
        if len(labels) != len(context.dims(entry)) or len(set(labels)) != len(labels):
            raise Unsupported(f"its equation {equation} names a dimension of an operand twice, or not all")
        terms.append(Term(entry, labels))
    every = "".join(term.labels for term in terms)
    dots = max(sum(label in _DOTS for label in term.labels) for term in terms)
    if arrow:
        return terms, _labels(right, equation, len(right.replace("...", "")) + dots)
    once = sorted(label for label in set(every) if every.count(label) == 1 and label not in _DOTS)
    return terms, _DOTS[len(_DOTS) - dots :] + "".join(once)


def _labels(operand: str, equation: str, rank: int) -> str:
    """One label per dimension of an operand of ``rank``."""
    match = _TERM.fullmatch(operand)
    if match is None:
        raise Unsupported(f"its equation {equation} is none")
    before, dots, after = match.groups()
    hidden = rank - len(before) - len(after) if dots else 0
    return before + (_DOTS[len(_DOTS) - hidden :] if hidden > 0 else "") + after


def _contracted(context: Lowering, node: ir.Node, a: Term, b: Term, needed: str, name: str) -> Term:
    """a · b, summed over what only these two have and nobody needs."""
    a = _summed(context, node, a, needed + b.labels, f"{name}:left")
    b = _summed(context, node, b, needed + a.labels, f"{name}:right")
    shared = [label for label in a.labels if label in b.labels]
    summed = "".join(label for label in shared if label not in needed)
    batch = "".join(label for label in shared if label in needed)
    rows = "".join(label for label in a.labels if label not in shared)
    columns = "".join(label for label in b.labels if label not in shared)
    left = _ordered(context, node, a, batch + rows + summed, f"{name}:rows")
    right = _ordered(context, node, b, batch + summed + columns, f"{name}:columns")
    sizes = dict(zip(right.labels, context.dims(right.entry), strict=True))
    for label, size in zip(left.labels, context.dims(left.entry), strict=True):
        if label in batch:
            sizes[label] = max(size, sizes[label])
        elif sizes.setdefault(label, size) != size:
            raise Unsupported(f"its label {label} has the sizes {size} and {sizes[label]}")
    m, k, n = (math.prod(sizes[label] for label in labels) for labels in (rows, summed, columns))
    of_batch = [context.dims(term.entry)[: len(batch)] for term in (left, right)]
    x = _shaped(context, node, left.entry, (*of_batch[0], m, k), f"{name}:left_matrix")
    y = _shaped(context, node, right.entry, (*of_batch[1], k, n), f"{name}:right_matrix")
    if isinstance(x, Constant) and isinstance(y, Constant):
        made: Entry = Constant((x.array.astype(np.float64) @ y.array).astype(np.float32))
    elif k == 1:
        made = combine(context, MUL, str(node.name), f"{name}:product", x, y)
    else:
        made = multiply(context, node, x, y, f"{name}:product")
    labels = batch + rows + columns
    dims = tuple(sizes[label] for label in labels)
    return Term(_shaped(context, node, made, dims, f"{name}:terms"), labels)


def _summed(context: Lowering, node: ir.Node, term: Term, needed: str, name: str) -> Term:
    """``term`` without the labels that are not ``needed``."""
    axes = [i for i, label in enumerate(term.labels) if label not in needed]
    if not axes:
        return term
    kept = "".join(label for label in term.labels if label in needed)
    if isinstance(term.entry, Constant):
        return Term(
            Constant(term.entry.array.sum(axis=tuple(axes), dtype=np.float64).astype(np.float32)), kept
        )
    source, dims = context.model_layout(term.entry), context.dims(term.entry)
    out = context.arena_tensor(name, tuple(1 if i in axes else d for i, d in enumerate(dims)))
    attributes = Reduce(function=int(ReduceFunction.SUM), axes=sum(1 << i for i in axes))
    reduced = Activation(context.emit(REDUCE, str(node.name), (source,), out, attributes))
    left = tuple(d for i, d in enumerate(dims) if i not in axes)
    return Term(context.reshaped(reduced, left, f"{name}:squeezed", str(node.name)), kept)


def _ordered(context: Lowering, node: ir.Node, term: Term, labels: Sequence[str], name: str) -> Term:
    """``term`` with its dimensions in the order of ``labels``."""
    perm = tuple(term.labels.index(label) for label in labels)
    if isinstance(term.entry, Constant):
        return Term(Constant(term.entry.array.transpose(perm)), "".join(labels))
    moved = context.transpose(context.model_layout(term.entry), perm, str(node.name), name)
    return Term(Activation(moved), "".join(labels))


def _shaped(context: Lowering, node: ir.Node, entry: Entry, dims: tuple[int, ...], name: str) -> Entry:
    if isinstance(entry, Constant):
        return Constant(entry.array.reshape(dims))
    return context.reshaped(entry, dims, name, str(node.name))
